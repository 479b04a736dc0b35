//! Reads of the members of a company, page by page, and of the key that signs cursors.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{
    CompanyId, Email, ExternalId, ExternalSubject, Issuer, Name, Timestamp, UserId, UserLevelId, Versions,
};
use iam_storage::{
    CursorKey, CursorKeys, Direction, HeldLevel, LevelRules, Member, MemberFilter, MemberPosition, Members, Result,
    Selected, Stamped, Stamps, StorageError, UserRange,
};
use sea_orm::{DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::feed::epoch::epoch;
use crate::operation::operation;
use crate::periods::{ACTIVE, PERIOD, next_boundary, period};
use crate::reads::by_name::ByName;
use crate::reads::selection::{count, selection, state, states, walked};
use crate::repository::{Executor, Repository};
use crate::statement::{column, incomplete, json_column, statement};

/// Returns the SQL subquery that returns the members of the company $1 whose ids the query `users` selects, as JSON.
/// `order` is the order of the members, and the levels are those of the assignments to which the condition `which` applies. `OFFSET 0` (an optimization fence)
/// makes the plan look up the details of each member by key.
fn members(users: &str, order: &str, which: &str) -> String {
    format!(
        "(SELECT coalesce(json_agg(
            json_build_array(page.user_id, identity.issuer, identity.subject, profile.display_name, profile.email,
                profile.source, held.levels) ORDER BY {order}
        ), '[]') FROM ({users}) AS page LEFT JOIN LATERAL (
            SELECT issuer, subject FROM user_identities WHERE user_id = page.user_id OFFSET 0
        ) AS identity ON true LEFT JOIN LATERAL (
            SELECT display_name, email, source FROM user_profiles
            WHERE company_id = $1 AND user_id = page.user_id OFFSET 0
        ) AS profile ON true CROSS JOIN LATERAL (
            SELECT coalesce(json_agg(
                json_build_array(level.id, level.name, assigned.starts, assigned.ends) ORDER BY level.name, level.id
            ), '[]') AS levels
            FROM (
                SELECT user_level_id, {PERIOD} FROM user_user_levels
                WHERE company_id = $1 AND user_id = page.user_id AND {which} OFFSET 0
            ) AS assigned (user_level_id, starts, ends), LATERAL (
                SELECT id, name FROM user_levels WHERE company_id = $1 AND id = assigned.user_level_id OFFSET 0
            ) AS level
        ) AS held)::text"
    )
}

/// The JSON of a member: the user, the issuer and the subject of the external id, the display name, the e-mail address and
/// the source of the profile, and the levels.
type MemberRow = (Uuid, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Vec<LevelRow>);

/// The JSON of a level: its id, its name, and the start and the end of the assignment.
type LevelRow = (Uuid, String, Option<i64>, Option<i64>);

pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> StorageError {
    StorageError::corrupt(format!("{what}: {error}"))
}

/// Returns the external id with this issuer and this subject.
pub(super) fn external_id(issuer: Option<String>, subject: Option<String>) -> Result<Option<ExternalId>> {
    let (Some(issuer), Some(subject)) = (issuer, subject) else { return Ok(None) };
    Ok(Some(ExternalId {
        issuer: Issuer::parse(issuer).map_err(|error| corrupt("user_identities.issuer", error))?,
        subject: ExternalSubject::parse(subject).map_err(|error| corrupt("user_identities.subject", error))?,
    }))
}

fn member((user, issuer, subject, display_name, email, source, levels): MemberRow, now: Timestamp) -> Result<Member> {
    let external_id = external_id(issuer, subject)?;
    let level = |(id, name, starts_at, expires_at): LevelRow| {
        let name = Name::stored(name).map_err(|error| corrupt("user_levels.name", error))?;
        let period = period(starts_at, expires_at)?;
        Ok(HeldLevel { id: UserLevelId::from_uuid(id), name, period, state: period.state(now) })
    };
    let levels = levels.into_iter().map(level).collect::<Result<_>>()?;
    let display_name = display_name.map(Name::stored).transpose();
    let email = email.map(Email::stored).transpose();
    let source = source.map(|source| source.parse()).transpose();
    Ok(Member {
        user: UserId::from_uuid(user),
        external_id,
        display_name: display_name.map_err(|error| corrupt("user_profiles.display_name", error))?,
        email: email.map_err(|error| corrupt("user_profiles.email", error))?,
        profile_source: source.map_err(|error| corrupt("user_profiles.source", error))?,
        levels,
    })
}

/// Reads the columns `members` and `now`.
fn read_members(row: &QueryResult) -> Result<Vec<Member>> {
    let now = Timestamp::new(column(row, "now")?);
    json_column::<Vec<MemberRow>>(row, "members")?.into_iter().map(|row| member(row, now)).collect()
}

/// The `SELECT`s that list the users whom a filter selects, each in ascending order of id if the index is used. All have
/// a `WHERE` clause on the column `user_id`.
struct Users {
    sources: Vec<String>,
    values: Vec<Value>,
}

impl Users {
    fn of(company: CompanyId, filter: &MemberFilter) -> Self {
        let mut users = Self { sources: Vec::new(), values: vec![company.as_uuid().into()] };
        let level = filter.level.map(|level| users.value(level.as_uuid()));
        let search = filter.search.clone().unwrap_or_default();
        if filter.search.is_none() || search.users.is_some() {
            let all = UserRange { first: UserId::NIL, last: UserId::from_uuid(Uuid::max()) };
            let range = search.users.unwrap_or(all);
            let (first, last) = (users.value(range.first.as_uuid()), users.value(range.last.as_uuid()));
            let within = format!("company_id = $1 AND user_id >= {first} AND user_id <= {last}");
            users.sources.push(match &level {
                None => format!("SELECT DISTINCT user_id FROM user_user_levels WHERE {within}"),
                Some(level) => {
                    format!("SELECT user_id FROM user_user_levels WHERE {within} AND user_level_id = {level}")
                }
            });
        }
        // PostgreSQL cannot store NUL, so no stored text contains it.
        if let Some(text) = search.text.filter(|text| !text.folded.contains('\0')) {
            let (folded, in_emails) = (users.value(text.folded), users.value(text.in_emails));
            let of_level = level.map(|level| format!(" AND user_level_id = {level}")).unwrap_or_default();
            users.sources.push(format!(
                "SELECT user_id FROM user_profiles AS profile WHERE company_id = $1
                    AND (strpos(name_folded, {folded}) > 0 OR ({in_emails} AND strpos(email_folded, {folded}) > 0))
                    AND EXISTS (
                        SELECT FROM user_user_levels
                        WHERE company_id = $1 AND user_id = profile.user_id{of_level} OFFSET 0
                    )"
            ));
        }
        users
    }

    /// Adds the value of a parameter, and returns the name of the parameter.
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Returns a `SELECT` of the users of all sources, each of them once. `rest` follows the `WHERE` clause of each
    /// source.
    fn union(&self, rest: &str) -> String {
        let sources: Vec<_> = self.sources.iter().map(|source| format!("({source}{rest})")).collect();
        format!("SELECT user_id FROM ({}) AS found", sources.join(" UNION "))
    }
}

/// Converts a number of rows into the value of a `LIMIT` clause.
fn most(rows: u64) -> Value {
    i64::try_from(rows).unwrap_or(i64::MAX).into()
}

fn ids(levels: &[UserLevelId]) -> Vec<Uuid> {
    levels.iter().map(UserLevelId::as_uuid).collect()
}

/// Returns the value with the versions and the stamps of the company in the columns of [`state`].
fn stamped<T: Executor, V>(
    repository: &Repository<T>,
    company: CompanyId,
    row: &QueryResult,
    value: V,
) -> Result<Stamped<V>> {
    let versions = Versions {
        epoch: epoch(row)?,
        catalog: column(row, "catalog_version")?,
        company: column(row, "company_version")?,
        boundary: column(row, "boundary")?,
    };
    let stamps = Stamps { catalog: column(row, "catalog_stamp")?, company: column(row, "company_stamp")? };
    repository.learn(Some(company), versions, stamps);
    Ok(Stamped { versions, stamps, next_boundary: next_boundary(row)?, value })
}

#[async_trait]
impl<T: Executor> Members for Repository<T> {
    async fn list(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        direction: Direction,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<Member>> {
        operation("members.list", async {
            let (order, beyond, start) = match direction {
                Direction::Ascending => ("ASC", ">", Uuid::nil()),
                Direction::Descending => ("DESC", "<", Uuid::max()),
            };
            let mut users = Users::of(company, filter);
            if users.sources.is_empty() {
                return Ok(Vec::new());
            }
            let after = users.value(after.map_or(start, |user| user.as_uuid()));
            let limit = users.value(most(limit));
            let rest = format!(" AND user_id {beyond} {after} ORDER BY user_id {order} LIMIT {limit}");
            let page = format!("{} ORDER BY user_id {order} LIMIT {limit}", users.union(&rest));
            let order = format!("page.user_id {order}");
            let sql = format!("SELECT {} AS members, statement_timestamp() AS now", members(&page, &order, "true"));
            let read = Statement::from_sql_and_values(DbBackend::Postgres, sql, users.values);
            read_members(&self.single(self.for_company(company, read)).await?)
        })
        .await
    }

    async fn list_by_name(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        after: Option<&MemberPosition>,
        limit: u64,
    ) -> Result<Vec<Member>> {
        operation("members.list_by_name", async {
            let mut users = Users::of(company, filter);
            if users.sources.is_empty() {
                return Ok(Vec::new());
            }
            // The empty string and the nil UUID are before all names.
            let (name, among_named, among_unnamed) = match after {
                None => (Some(String::new()), Uuid::nil(), Uuid::nil()),
                Some(MemberPosition { name: Some(name), user }) => (Some(name.clone()), user.as_uuid(), Uuid::nil()),
                Some(MemberPosition { name: None, user }) => (None, Uuid::nil(), user.as_uuid()),
            };
            let selected = (*filter != MemberFilter::default()).then(|| users.union(""));
            if selected.is_none() {
                // The query of all members has no parameter of a source.
                users.values.truncate(1);
            }
            let from = ByName {
                name: users.value(name),
                among_named: users.value(among_named),
                among_unnamed: users.value(among_unnamed),
                limit: users.value(most(limit)),
            };
            let page = selected.map_or_else(|| from.all(), |selected| from.selected(&selected));
            let members = members(&page, "page.part, page.name, page.user_id", "true");
            let sql = format!("SELECT {members} AS members, statement_timestamp() AS now");
            let read = Statement::from_sql_and_values(DbBackend::Postgres, sql, users.values);
            read_members(&self.single(self.for_company(company, read)).await?)
        })
        .await
    }

    async fn count(&self, company: CompanyId, filter: &MemberFilter, limit: u64) -> Result<u64> {
        operation("members.count", async {
            let mut users = Users::of(company, filter);
            if users.sources.is_empty() {
                return Ok(0);
            }
            let limit = users.value(most(limit));
            let sql = format!("SELECT count(*) AS count FROM ({} LIMIT {limit}) AS counted", users.union(""));
            let count = Statement::from_sql_and_values(DbBackend::Postgres, sql, users.values);
            let row = self.single(self.for_company(company, count)).await?;
            Ok(column::<i64>(&row, "count")?.unsigned_abs())
        })
        .await
    }

    async fn count_by_level(&self, company: CompanyId) -> Result<BTreeMap<UserLevelId, u64>> {
        operation("members.count_by_level", async {
            let sql = "SELECT user_level_id, count(*) AS count FROM user_user_levels WHERE company_id = $1
            GROUP BY user_level_id";
            let rows = self.rows(self.for_company(company, statement(sql, [company.as_uuid().into()]))).await?;
            rows.iter()
                .map(|row| {
                    let level = UserLevelId::from_uuid(column(row, "user_level_id")?);
                    Ok((level, column::<i64>(row, "count")?.unsigned_abs()))
                })
                .collect()
        })
        .await
    }

    async fn select(
        &self,
        company: CompanyId,
        rules: LevelRules<'_>,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Stamped<Selected>> {
        operation("members.select", async {
            let sql = format!(
                "WITH {selection}
            SELECT {state}, (SELECT user_id FROM bound) AS bound, {members} AS members, statement_timestamp() AS now
            FROM {states}",
                selection = selection(),
                state = state(self.0.feed()),
                states = states(),
                members = members("SELECT user_id FROM allowed", "page.user_id", ACTIVE),
            );
            let values: [Value; 6] = [
                company.as_uuid().into(),
                ids(rules.allowing).into(),
                ids(rules.denying).into(),
                after.map_or_else(Uuid::nil, |user| user.as_uuid()).into(),
                most(limit),
                most(walked(limit)),
            ];
            let row = self.single(self.for_company(company, statement(sql, values))).await?;
            let members = read_members(&row)?;
            let bound = column::<Option<Uuid>>(&row, "bound")?.map(UserId::from_uuid);
            // If the page is full, the users after its last member were not examined.
            let is_full = u64::try_from(members.len()).is_ok_and(|found| found >= limit);
            let examined = if is_full { members.last().map(|last| last.user) } else { bound };
            stamped(self, company, &row, Selected { members, examined })
        })
        .await
    }

    async fn count_selected(&self, company: CompanyId, rules: LevelRules<'_>, limit: u64) -> Result<Stamped<u64>> {
        operation("members.count_selected", async {
            let sql = format!("SELECT {}, ({}) AS count FROM {}", state(self.0.feed()), count(), states());
            let (allowing, denying) = (ids(rules.allowing), ids(rules.denying));
            let values: [Value; 4] = [company.as_uuid().into(), allowing.into(), denying.into(), most(limit)];
            let row = self.single(self.for_company(company, statement(sql, values))).await?;
            stamped(self, company, &row, column::<i64>(&row, "count")?.unsigned_abs())
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> CursorKeys for Repository<T> {
    async fn cursor_key(&self) -> Result<CursorKey> {
        operation("cursor_keys.cursor_key", async {
            let row = self.row(statement("SELECT key FROM iam_cursor_keys", [])).await?.ok_or_else(incomplete)?;
            let key: Vec<u8> = column(&row, "key")?;
            let wrong = |_| StorageError::corrupt("iam_cursor_keys.key has a wrong length");
            Ok(CursorKey(key.try_into().map_err(wrong)?))
        })
        .await
    }
}
