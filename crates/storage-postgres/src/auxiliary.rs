//! Reads and writes data outside units of work: navigation trails and effective-permission rows. Each write
//! is one statement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, EntityType, FeatureId, SessionId,
    TRAIL_LIMIT, TRAIL_USER_LIMIT, TrailEntry, UserId, UserLevelId, Versions, ViewId,
};
use iam_storage::{
    Constraint, EffectiveFeaturePermissions, EffectiveViewPermissions, LONGEST_VALIDITY, NavTrail,
    NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry, Result, StorageError,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::connections::shares::Class;
use crate::entities::company_states::CATALOG;
use crate::entities::{columns, effective_feature_permissions, effective_view_permissions, nav_trail};
use crate::error::{Operation, from_db, is_foreign_key_violation, is_lock_not_available, operation_error};
use crate::feed::epoch::current_epoch;
use crate::operation::operation;
use crate::periods::boundaries;
use crate::pool::Pool;
use crate::repository::{Executor, Repository, Work};
use crate::row_security::{for_company, for_company_with};
use crate::statement::{column, convert, limit, statement};

/// Returns a query for the steps of the navigation trail of the user ($2) in the company ($1). The query adds two ranks
/// to each step, counted from the newest step. `place` is the rank of the step within its session, plus the value of
/// the SQL expression `ahead`. `age` is the rank of the step across all sessions of the user. It counts only steps
/// whose `place` is within the limit per session.
fn ranked(ahead: &str) -> String {
    format!(
        "SELECT *, count(*) FILTER (WHERE place <= {TRAIL_LIMIT}) OVER (ORDER BY created_at DESC, id DESC) AS age
        FROM (
            SELECT id, user_id, company_id, session_id, view_id, url, label, created_at,
                {ahead} + row_number() OVER (PARTITION BY session_id ORDER BY created_at DESC, id DESC) AS place
            FROM nav_trail WHERE company_id = $1 AND user_id = $2
        ) AS placed"
    )
}

/// Returns a query for the steps of the navigation trail of the user ($2) in the company ($1). The column `depth` is
/// the position of the step within its session. The query applies the limits per session and per user: if concurrent
/// insertions have stored more steps than a limit allows, the query omits the oldest steps.
fn steps() -> String {
    format!(
        "SELECT *, (row_number() OVER (PARTITION BY session_id ORDER BY created_at, id) - 1)::integer AS depth
        FROM ({}) AS ranked WHERE place <= {TRAIL_LIMIT} AND age <= {TRAIL_USER_LIMIT}",
        ranked("0")
    )
}

#[async_trait]
impl NavTrail for Repository<Arc<Pool>> {
    async fn find_by_session(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<Vec<TrailEntry>> {
        operation("nav_trail.find_by_session", async {
            let columns = columns::<nav_trail::Entity>("step");
            let sql = format!("SELECT {columns} FROM ({}) AS step WHERE session_id = $3 ORDER BY step.depth", steps());
            let values = [company.as_uuid().into(), user.as_uuid().into(), session.as_str().into()];
            self.query::<nav_trail::Model, _>(self.for_company(company, statement(sql, values)).of(Class::Trails)).await
        })
        .await
    }

    async fn find_recent(&self, company: CompanyId, user: UserId, at_most: u64) -> Result<Vec<TrailEntry>> {
        operation("nav_trail.find_recent", async {
            let sql = format!(
                "SELECT {} FROM (
                SELECT DISTINCT ON (url) step.* FROM ({}) AS step ORDER BY url, created_at DESC, id DESC
            ) AS place ORDER BY place.created_at DESC, place.id DESC LIMIT $3",
                columns::<nav_trail::Entity>("place"),
                steps()
            );
            let values = [company.as_uuid().into(), user.as_uuid().into(), limit(at_most).cast_signed().into()];
            self.query::<nav_trail::Model, _>(self.for_company(company, statement(sql, values)).of(Class::Trails)).await
        })
        .await
    }

    async fn track(&self, entry: &NewTrailEntry) -> Result<TrailEntry> {
        operation("nav_trail.track", async {
            // The CTEs lock the company, so that it cannot be erased until the step is stored (`company`), read the
            // clock (`at`), mark the existing steps that would exceed a limit after the insertion (`there`), and delete
            // the marked steps (`gone`).
            let before = format!(
                "company AS MATERIALIZED (
                SELECT erased_at FROM company_states WHERE company_id = $1 FOR KEY SHARE
            ),
            at AS MATERIALIZED (SELECT clock_timestamp() AS now),
            there AS MATERIALIZED (
                SELECT id, session_id, place > {TRAIL_LIMIT} OR age >= {TRAIL_USER_LIMIT} AS goes FROM ({}) AS ranked
            ),
            gone AS (DELETE FROM nav_trail WHERE id = ANY(ARRAY(SELECT id FROM there WHERE goes))),
            ",
                // The new step will have rank 1 in its session, so the ranks of the existing steps of that session
                // increase by one.
                ranked("(session_id = $3)::integer")
            );
            // The id of the new step is a version 7 UUID with the time of the database's clock. It is derived from a
            // version 4 UUID: the time in milliseconds replaces the first 48 bits, and the version is set to 7.
            let sql = format!(
            "INSERT INTO nav_trail AS step (id, company_id, user_id, session_id, view_id, url, label, depth, created_at)
            SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM at.now) * 1000)::bigint) FROM 3) FROM 1 FOR 6
                ), 52, 1), 53, 1), 'hex')::uuid,
                $1, $2, $3, $4, $5, $6, (SELECT count(*) FROM there WHERE session_id = $3 AND NOT goes), at.now
            FROM at WHERE NOT EXISTS (SELECT FROM company WHERE erased_at IS NOT NULL) RETURNING {}",
            columns::<nav_trail::Entity>("step")
        );
            let view = entry.view_id.map(|id| id.as_uuid());
            let values = [
                entry.company_id.as_uuid().into(),
                entry.user_id.as_uuid().into(),
                entry.session_id.as_str().into(),
                view.into(),
                entry.url.as_str().into(),
                entry.label.as_str().into(),
            ];
            let insert = for_company_with(&before, Some(entry.company_id), statement(sql, values));
            let work = Work::InPool(Class::Trails, Some(entry.company_id));
            let _permit = self.0.admit(work).await?;
            let connection = self.0.connection(work);
            let row = self
                .attempt(|| connection.query_one_raw(insert.clone()))
                .await
                .map_err(|error| operation_error(Operation::Write(&[(EntityType::View, view)]), error))?
                .ok_or(StorageError::conflict(Constraint::CompanyErased))?;
            convert::<nav_trail::Model, _>(&row)
        })
        .await
    }

    async fn clear(&self, company: CompanyId, user: UserId, session: &SessionId) -> Result<u64> {
        operation("nav_trail.clear", async {
            let sql = "DELETE FROM nav_trail WHERE company_id = $1 AND user_id = $2 AND session_id = $3
            RETURNING 1";
            let values = [company.as_uuid().into(), user.as_uuid().into(), session.as_str().into()];
            self.execute(self.for_company(company, statement(sql, values)).of(Class::Trails)).await
        })
        .await
    }
}

const VIEW_ROWS: &str = "effective_view_permissions";
const FEATURE_ROWS: &str = "effective_feature_permissions";

/// Operations that are the same for both tables of effective-permission rows.
impl Repository<Arc<Pool>> {
    async fn drop_of_user(&self, table: &str, company: CompanyId, user: UserId) -> Result<u64> {
        let sql = format!("DELETE FROM {table} WHERE company_id = $1 AND user_id = $2 RETURNING 1");
        let delete = self.for_company(company, statement(sql, [company.as_uuid().into(), user.as_uuid().into()]));
        self.execute(delete.of(Class::Loads)).await
    }

    async fn drop_of_user_level(&self, table: &str, company: CompanyId, level: UserLevelId) -> Result<u64> {
        let sql = format!(
            "DELETE FROM {table} AS e USING user_user_levels AS h
            WHERE h.company_id = $1 AND h.user_level_id = $2 AND e.company_id = $1 AND e.user_id = h.user_id
            RETURNING 1"
        );
        let delete = self.for_company(company, statement(sql, [company.as_uuid().into(), level.as_uuid().into()]));
        self.execute(delete.of(Class::Loads)).await
    }

    async fn drop_of_company(&self, table: &str, company: CompanyId) -> Result<u64> {
        let sql = format!("DELETE FROM {table} WHERE company_id = $1 RETURNING 1");
        let delete = self.for_company(company, statement(sql, [company.as_uuid().into()]));
        self.execute(delete.of(Class::Loads)).await
    }

    async fn drop_expired(&self, table: &str, at_most: u64) -> Result<u64> {
        // The condition on `ctid` finds the rows, and the condition on `tableoid` excludes rows of other partitions.
        let sql = format!(
            "WITH expired AS MATERIALIZED (
                SELECT tableoid AS part, ctid AS place FROM {table}
                WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
            )
            DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT place FROM expired))
                AND (tableoid, ctid) IN (SELECT part, place FROM expired)
            RETURNING 1"
        );
        let delete = self.for_company(None, statement(sql, [limit(at_most).cast_signed().into()]));
        self.execute(delete.of(Class::Loads)).await
    }

    /// Upserts effective permissions of one company (compare-and-swap). One statement writes either all rows or none.
    /// `insert` is an `INSERT … SELECT` that joins the arrays `values` ($7 and later) with the CTE `current`. If the
    /// versions in the database still equal `versions`, `current` has one row, which contains the times of computation
    /// and expiry. Otherwise `current` is empty, the statement writes nothing, and the error is `Stale`.
    ///
    /// The statement locks the rows of `company_states` that contain the two versions, with `NOWAIT`. If another
    /// session has locked one of these rows, that session is incrementing the version, so the error is also `Stale`.
    async fn upsert_rows(
        &self,
        insert: &str,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        values: Vec<Value>,
        (about, ids, table): (EntityType, Vec<Uuid>, &str),
    ) -> Result<u64> {
        // `FOR SHARE` locks and returns the latest committed row, even if the row was updated after the statement
        // began. Before its first change, a company has no row in `company_states`. The statement writes nothing for
        // such a company. Its effective permissions would not be visible anyway, because the `current_effective_*`
        // views join the row in `company_states`.
        let sql = format!(
            "WITH locked AS MATERIALIZED (
                SELECT company_id, version FROM company_states
                WHERE company_id IN ({CATALOG}, $1) AND erased_at IS NULL FOR SHARE NOWAIT
            ),
            boundaries AS MATERIALIZED (SELECT {}),
            current AS (
                SELECT statement_timestamp() AS computed_at, least(
                    statement_timestamp() + $5 * interval '1 microsecond',
                    to_timestamp(0) + boundaries.next_boundary * interval '1 microsecond'
                ) AS expires_at
                FROM locked AS catalog, locked AS company, boundaries
                WHERE catalog.company_id = {CATALOG} AND catalog.version = $2
                    AND company.company_id = $1 AND company.version = $3 AND boundaries.boundary = $6
                    AND {} = $4
            )
            {insert} RETURNING 1",
            boundaries("$1"),
            current_epoch(self.0.feed())
        );
        #[expect(clippy::cast_precision_loss, reason = "an f64 represents the microseconds of a year exactly")]
        let valid_for = valid_for.min(LONGEST_VALIDITY).as_micros() as f64;
        let place: [Value; 6] = [
            company.as_uuid().into(),
            versions.catalog.into(),
            versions.company.into(),
            versions.epoch.cast_signed().into(),
            valid_for.into(),
            versions.boundary.into(),
        ];
        let upsert = Statement::from_sql_and_values(DbBackend::Postgres, sql, place.into_iter().chain(values));
        let work = Work::InPool(Class::Loads, Some(company));
        let _permit = self.0.admit(work).await?;
        let (upsert, connection) = (for_company(Some(company), upsert), self.0.connection(work));
        match self.attempt(|| connection.execute_raw(upsert.clone())).await {
            Ok(result) if result.rows_affected() == 0 => Err(StorageError::Stale),
            Ok(result) => Ok(result.rows_affected()),
            Err(error) if is_lock_not_available(&error) => Err(StorageError::Stale),
            Err(error) if is_foreign_key_violation(&error) => {
                let sql = format!("SELECT id FROM {table} WHERE id = ANY($1)");
                Err(self.unknown(about, &ids, statement(sql, [ids.clone().into()])).await)
            }
            Err(error) => Err(from_db(error)),
        }
    }
}

/// Collects one column of the rows into an SQL array.
fn array<R, T>(rows: &[&R], column: impl Fn(&R) -> T) -> Value
where
    Vec<T>: Into<Value>,
{
    rows.iter().map(|row| column(row)).collect::<Vec<T>>().into()
}

#[async_trait]
impl EffectiveViewPermissions for Repository<Arc<Pool>> {
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>> {
        operation("effective_view_permissions.find", async {
            let sql = format!(
                "SELECT {} FROM current_effective_view_permissions AS row
            WHERE company_id = $1 AND user_id = $2 AND view_id = $3",
                columns::<effective_view_permissions::Entity>("row")
            );
            let values = [company.as_uuid().into(), user.as_uuid().into(), view.as_uuid().into()];
            self.query_one::<effective_view_permissions::Model, _>(self.for_company(company, statement(sql, values)))
                .await
        })
        .await
    }

    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>> {
        operation("effective_view_permissions.find_all_for_user", async {
            let sql = format!(
                "SELECT {} FROM current_effective_view_permissions AS row WHERE company_id = $1 AND user_id = $2
            ORDER BY view_id",
                columns::<effective_view_permissions::Entity>("row")
            );
            let values = [company.as_uuid().into(), user.as_uuid().into()];
            self.query::<effective_view_permissions::Model, _>(self.for_company(company, statement(sql, values))).await
        })
        .await
    }

    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64> {
        operation("effective_view_permissions.upsert_many", async {
            if rows.is_empty() {
                return Ok(0);
            }
            // If several rows have the same key (user and view), the last one is written, because `ON CONFLICT DO
            // UPDATE` cannot update a row twice. The rows are sorted by key, so that concurrent upserts lock them in
            // the same order and do not deadlock.
            let rows: BTreeMap<_, _> = rows.iter().map(|row| ((row.user_id, row.view_id), row)).collect();
            let rows: Vec<_> = rows.into_values().collect();
            let values = vec![
                array(&rows, |row| row.user_id.as_uuid()),
                array(&rows, |row| row.view_id.as_uuid()),
                array(&rows, |row| row.has_access),
            ];
            let insert = "
            INSERT INTO effective_view_permissions (company_id, company_version, catalog_version, computed_at,
                expires_at, user_id, view_id, has_access)
            SELECT $1, $3, $2, current.computed_at, current.expires_at, new.user_id, new.view_id, new.has_access
            FROM unnest($7::uuid[], $8::uuid[], $9::boolean[]) AS new (user_id, view_id, has_access), current
            ON CONFLICT (company_id, user_id, view_id) DO UPDATE SET has_access = excluded.has_access,
                computed_at = excluded.computed_at, expires_at = excluded.expires_at,
                company_version = excluded.company_version, catalog_version = excluded.catalog_version";
            let views = rows.iter().map(|row| row.view_id.as_uuid()).collect();
            self.upsert_rows(insert, company, versions, valid_for, values, (EntityType::View, views, "views")).await
        })
        .await
    }

    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
        operation("effective_view_permissions.delete_for_user", self.drop_of_user(VIEW_ROWS, company, user)).await
    }

    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
        operation(
            "effective_view_permissions.delete_for_user_level",
            self.drop_of_user_level(VIEW_ROWS, company, level),
        )
        .await
    }

    async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
        operation("effective_view_permissions.delete_for_company", self.drop_of_company(VIEW_ROWS, company)).await
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        operation("effective_view_permissions.delete_expired", self.drop_expired(VIEW_ROWS, limit)).await
    }

    async fn find_active(&self, at_most: u64) -> Result<Vec<(CompanyId, UserId)>> {
        operation("effective_view_permissions.find_active", async {
            // The recursive CTE is a loose index scan (skip scan). It reads one index entry for each pair of user and
            // expiry time, however many rows have this pair. If the rows of a user expire at different times, only the
            // latest time counts.
            let sql = "WITH RECURSIVE step AS (
                (SELECT expires_at, company_id, user_id FROM effective_view_permissions WHERE expires_at > now()
                ORDER BY expires_at DESC, company_id DESC, user_id DESC LIMIT 1)
                UNION ALL
                SELECT next.* FROM step, LATERAL (
                    SELECT expires_at, company_id, user_id FROM effective_view_permissions
                    WHERE expires_at > now()
                        AND (expires_at, company_id, user_id) < (step.expires_at, step.company_id, step.user_id)
                    ORDER BY expires_at DESC, company_id DESC, user_id DESC LIMIT 1
                ) AS next
            )
            SELECT company_id, user_id FROM (
                SELECT * FROM step WHERE expires_at = (
                    SELECT max(expires_at) FROM effective_view_permissions AS row
                    WHERE row.company_id = step.company_id AND row.user_id = step.user_id
                ) LIMIT $1
            ) AS active ORDER BY expires_at DESC, company_id DESC, user_id DESC";
            let active = self.for_company(None, statement(sql, [limit(at_most).cast_signed().into()]));
            let rows = self.rows(active.of(Class::Loads)).await?;
            rows.iter()
                .map(|row| {
                    let (company, user) = (column(row, "company_id")?, column(row, "user_id")?);
                    Ok((CompanyId::from_uuid(company), UserId::from_uuid(user)))
                })
                .collect()
        })
        .await
    }
}

#[async_trait]
impl EffectiveFeaturePermissions for Repository<Arc<Pool>> {
    async fn find(
        &self,
        company: CompanyId,
        user: UserId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<EffectiveFeaturePermission>> {
        operation("effective_feature_permissions.find", async {
            let sql = format!(
                "SELECT {} FROM current_effective_feature_permissions AS row
            WHERE company_id = $1 AND user_id = $2 AND feature_id = $3 AND action = $4",
                columns::<effective_feature_permissions::Entity>("row")
            );
            let values =
                [company.as_uuid().into(), user.as_uuid().into(), feature.as_uuid().into(), action.as_str().into()];
            self.query_one::<effective_feature_permissions::Model, _>(self.for_company(company, statement(sql, values)))
                .await
        })
        .await
    }

    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveFeaturePermission>> {
        operation("effective_feature_permissions.find_all_for_user", async {
            let sql = format!(
                "SELECT {} FROM current_effective_feature_permissions AS row WHERE company_id = $1 AND user_id = $2
            ORDER BY feature_id, row.action",
                columns::<effective_feature_permissions::Entity>("row")
            );
            let values = [company.as_uuid().into(), user.as_uuid().into()];
            self.query::<effective_feature_permissions::Model, _>(self.for_company(company, statement(sql, values)))
                .await
        })
        .await
    }

    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveFeaturePermission],
    ) -> Result<u64> {
        operation("effective_feature_permissions.upsert_many", async {
            if rows.is_empty() {
                return Ok(0);
            }
            let rows: BTreeMap<_, _> =
                rows.iter().map(|row| ((row.user_id, row.feature_id, &row.action), row)).collect();
            let rows: Vec<_> = rows.into_values().collect();
            let values = vec![
                array(&rows, |row| row.user_id.as_uuid()),
                array(&rows, |row| row.feature_id.as_uuid()),
                array(&rows, |row| row.action.to_string()),
                array(&rows, |row| row.allowed),
                array(&rows, |row| row.scope.to_string()),
            ];
            let insert = "
            INSERT INTO effective_feature_permissions (company_id, company_version, catalog_version, computed_at,
                expires_at, user_id, feature_id, action, allowed, scope)
            SELECT $1, $3, $2, current.computed_at, current.expires_at, new.user_id, new.feature_id, new.action,
                new.allowed, new.scope
            FROM unnest($7::uuid[], $8::uuid[], $9::text[], $10::boolean[], $11::text[])
                AS new (user_id, feature_id, action, allowed, scope), current
            ON CONFLICT (company_id, user_id, feature_id, action) DO UPDATE SET allowed = excluded.allowed,
                scope = excluded.scope, computed_at = excluded.computed_at, expires_at = excluded.expires_at,
                company_version = excluded.company_version, catalog_version = excluded.catalog_version";
            let features = rows.iter().map(|row| row.feature_id.as_uuid()).collect();
            self.upsert_rows(insert, company, versions, valid_for, values, (EntityType::Feature, features, "features"))
                .await
        })
        .await
    }

    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
        operation("effective_feature_permissions.delete_for_user", self.drop_of_user(FEATURE_ROWS, company, user)).await
    }

    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
        operation(
            "effective_feature_permissions.delete_for_user_level",
            self.drop_of_user_level(FEATURE_ROWS, company, level),
        )
        .await
    }

    async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
        operation("effective_feature_permissions.delete_for_company", self.drop_of_company(FEATURE_ROWS, company)).await
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        operation("effective_feature_permissions.delete_expired", self.drop_expired(FEATURE_ROWS, limit)).await
    }
}
