//! The partitions of the audit log: one for each month, so that the indexes that a change updates stay small.
//!
//! The existing table becomes the first partition, without a copy. This needs several transactions, which [`divide`] runs
//! after the transaction of the migrations:
//!
//! 1. A constraint limits the times of the table to those before a month in the future.
//! 2. The constraint is validated. This reads the whole table, and blocks neither readers nor writers.
//! 3. The table is renamed, a table with partitions takes its name, and the old table is attached to it. PostgreSQL does not
//!    read the rows, because the constraint proves that they belong to the partition. This holds an exclusive lock, for a
//!    moment.
//!
//! If `up` ends after a step, the next `up` continues with the following step. Replicas run on the table before and after
//! step 3. An empty table, such as that of a new installation, is divided in one transaction.
//!
//! A partition has its own primary key on `id`. PostgreSQL cannot enforce a unique `id` across partitions.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, QueryResult};
use sea_orm_migration::MigratorTrait;

use crate::error::MigrationError;
use crate::session::{Records, statement};
use crate::waiting::{LockWait, change_schema};

/// Query for the state of the audit log. Views and triggers of other programs would refer to the old table only, so a table
/// with such objects is not divided.
const STATE: &str = r"
    SELECT relkind = 'p' AS is_divided,
        (
            SELECT bool_and(convalidated) AND bool_or(conname LIKE 'iam\_audit\_logs\_before\_%') FROM pg_constraint
            WHERE conrelid = logs.oid
        ) AS is_limited,
        EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_rewrite'::regclass AND refobjid = logs.oid)
            OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = logs.oid AND NOT tgisinternal)
            OR EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND logs.oid IN (conrelid, confrelid)) AS is_used
    FROM pg_class AS logs WHERE oid = 'iam_audit_logs'::regclass";

/// Query for whether the audit log is empty. A policy restricts its rows, so the session must have set its company.
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT FROM iam_audit_logs) AS is_empty";

/// Adds the constraint of step 1. Its name contains the month. The month begins at least one month after the current time,
/// so that no change fails if the command is interrupted and repeated later. It also begins after the latest record. If the
/// table is empty, it is the current month.
const LIMIT: &str = r#"
DO $$
DECLARE
    latest CONSTANT timestamptz := (SELECT max("timestamp") FROM iam_audit_logs);
    month CONSTANT timestamp := date_trunc('month', greatest(latest, statement_timestamp()) AT TIME ZONE 'UTC')
        + CASE WHEN latest IS NULL THEN interval '0' ELSE interval '2 months' END;
    wanted CONSTANT text := format('iam_audit_logs_before_%s_check', to_char(month, 'YYYY_MM'));
    existing text;
BEGIN
    FOR existing IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'iam_audit_logs'::regclass AND conname LIKE 'iam\_audit\_logs\_before\_%' AND conname <> wanted
    LOOP
        EXECUTE format('ALTER TABLE iam_audit_logs DROP CONSTRAINT %I', existing);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'iam_audit_logs'::regclass AND conname = wanted) THEN
        EXECUTE format('ALTER TABLE iam_audit_logs ADD CONSTRAINT %I CHECK ("timestamp" < %L) NOT VALID',
            wanted, month AT TIME ZONE 'UTC');
    END IF;
END
$$"#;

/// Validates the constraint of step 1 and the other constraints of the table.
const VALIDATE: &str = "
DO $$
DECLARE
    checked text;
BEGIN
    SELECT string_agg(format('VALIDATE CONSTRAINT %I', conname), ', ') INTO checked FROM pg_constraint
    WHERE conrelid = 'iam_audit_logs'::regclass AND NOT convalidated;
    IF checked IS NOT NULL THEN
        EXECUTE 'ALTER TABLE iam_audit_logs ' || checked;
    END IF;
END
$$";

/// Drops the constraint of step 1, after another step has failed: a change fails if its time is not before the month.
const UNLIMIT: &str = r"
DO $$
DECLARE
    existing text;
BEGIN
    FOR existing IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'iam_audit_logs'::regclass AND conname LIKE 'iam\_audit\_logs\_before\_%'
    LOOP
        EXECUTE format('ALTER TABLE iam_audit_logs DROP CONSTRAINT %I', existing);
    END LOOP;
END
$$";

/// Lets no other session write records until the transaction ends.
const LOCK: &str = "LOCK TABLE iam_audit_logs IN ACCESS EXCLUSIVE MODE";

/// Executes step 3. The new table has the columns, the constraints, the indexes and the privileges of the old table.
const DIVIDE: &str = r#"
DO $$
DECLARE
    limiting name;
    month timestamptz;
    definitions text[];
    definition text;
    part_index regclass;
    privilege record;
BEGIN
    SELECT conname INTO STRICT limiting FROM pg_constraint
    WHERE conrelid = 'iam_audit_logs'::regclass AND conname LIKE 'iam\_audit\_logs\_before\_%';
    month := to_timestamp(substring(limiting FROM 'before_(.*)_check') || ' 01 00:00:00 +00', 'YYYY_MM DD HH24:MI:SS TZH');
    SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid) INTO definitions FROM pg_index
    WHERE indrelid = 'iam_audit_logs'::regclass AND NOT indisunique;

    ALTER TABLE iam_audit_logs RENAME TO iam_audit_logs_initial;
    FOR part_index IN SELECT indexrelid FROM pg_index WHERE indrelid = 'iam_audit_logs_initial'::regclass LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', part_index,
            replace(part_index::text, 'iam_audit_logs_', 'iam_audit_logs_initial_'));
    END LOOP;

    CREATE TABLE iam_audit_logs (LIKE iam_audit_logs_initial INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
        PARTITION BY RANGE ("timestamp");
    EXECUTE format('ALTER TABLE iam_audit_logs DROP CONSTRAINT %I', limiting);
    FOREACH definition IN ARRAY definitions LOOP
        EXECUTE definition;
    END LOOP;
    ALTER TABLE iam_audit_logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON iam_audit_logs
        USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
            OR (SELECT current_setting('iam.company') = 'all'));
    FOR privilege IN
        SELECT privilege_type, is_grantable,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
        FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'iam_audit_logs_initial'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON iam_audit_logs TO %s%s', privilege.privilege_type, privilege.grantee,
            CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;

    EXECUTE format('ALTER TABLE iam_audit_logs ATTACH PARTITION iam_audit_logs_initial FOR VALUES FROM (MINVALUE) TO (%L)',
        month);
    EXECUTE format('ALTER TABLE iam_audit_logs_initial DROP CONSTRAINT %I', limiting);
END
$$"#;

/// Creates the default partition and those of the next twelve months, if they do not exist. A month is skipped if the
/// default partition contains a record of it, because no `up` was run for a year. The new partition is complete before it is
/// attached, so that no exclusive lock on the audit log is needed.
const EXTEND: &str = r#"
DO $$
DECLARE
    month timestamp := (
        SELECT max(substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''(.*)''\)')::timestamptz) AT TIME ZONE 'UTC'
        FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'iam_audit_logs'::regclass
    );
    last CONSTANT timestamp := date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') + interval '12 months';
    part text := 'iam_audit_logs_default';
    bounds text := 'DEFAULT';
    privilege record;
BEGIN
    LOOP
        IF to_regclass(part) IS NULL AND (bounds = 'DEFAULT' OR NOT EXISTS (
            SELECT FROM iam_audit_logs WHERE "timestamp" >= month AT TIME ZONE 'UTC'
                AND "timestamp" < (month + interval '1 month') AT TIME ZONE 'UTC'
        )) THEN
            EXECUTE format(
                'CREATE TABLE %I (LIKE iam_audit_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', part);
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY (id)', part, part || '_pkey');
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
            EXECUTE format($sql$CREATE POLICY own ON %I
                USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
                    OR (SELECT current_setting('iam.company') = 'all'))$sql$, part);
            FOR privilege IN
                SELECT privilege_type, is_grantable,
                    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
                FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'iam_audit_logs'::regclass AND grantee <> relowner
            LOOP
                EXECUTE format('GRANT %s ON %I TO %s%s', privilege.privilege_type, part, privilege.grantee,
                    CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
            END LOOP;
            EXECUTE format('ALTER TABLE iam_audit_logs ATTACH PARTITION %I %s', part, bounds);
        END IF;
        month := CASE bounds WHEN 'DEFAULT' THEN month ELSE month + interval '1 month' END;
        EXIT WHEN month IS NULL OR month > last;
        part := format('iam_audit_logs_%s', to_char(month, 'YYYY_MM'));
        bounds := format('FOR VALUES FROM (%L) TO (%L)', month AT TIME ZONE 'UTC',
            (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END
$$"#;

/// Makes one table of the partitions, in which the first partition must still exist.
const MERGE: &str = r"
DO $$
DECLARE
    part_index regclass;
BEGIN
    IF (SELECT relkind = 'p' FROM pg_class WHERE oid = 'iam_audit_logs'::regclass) THEN
        ALTER TABLE iam_audit_logs DETACH PARTITION iam_audit_logs_initial;
        INSERT INTO iam_audit_logs_initial SELECT * FROM iam_audit_logs;
        DROP TABLE iam_audit_logs;
        ALTER TABLE iam_audit_logs_initial RENAME TO iam_audit_logs;
        FOR part_index IN SELECT indexrelid FROM pg_index WHERE indrelid = 'iam_audit_logs'::regclass LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', part_index,
                replace(part_index::text, 'iam_audit_logs_initial_', 'iam_audit_logs_'));
        END LOOP;
    END IF;
END
$$";

/// The next step that the audit log needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The constraint must be validated.
    Validate,
    /// Nothing.
    Nothing,
}

/// Why the audit log is not divided into partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undivided {
    /// `up` has not divided it yet, or was interrupted.
    Unfinished,
    /// Views, triggers or foreign keys of other programs refer to it, so `up` does not divide it.
    Used,
}

/// Returns why the audit log is not divided into partitions, or `None` if it is divided. All migrations must be applied.
/// Changes nothing.
///
/// # Errors
///
/// [`MigrationError::Database`] if the database cannot be read.
pub async fn undivided(db: &DatabaseConnection) -> Result<Option<Undivided>, MigrationError> {
    let state = state(db, STATE).await?;
    Ok(match (state.try_get("", "is_divided")?, state.try_get("", "is_used")?) {
        (true, _) => None,
        (false, true) => Some(Undivided::Used),
        (false, false) => Some(Undivided::Unfinished),
    })
}

async fn state(db: &impl ConnectionTrait, query: &str) -> Result<QueryResult, DbErr> {
    let state = db.query_one_raw(statement(query, [])).await?;
    state.ok_or_else(|| DbErr::RecordNotFound("the audit log does not exist".to_owned()))
}

/// Divides the audit log into partitions, if it is not divided, and creates the partitions of the coming months. All
/// migrations must be applied. Several processes may call this function concurrently.
///
/// # Errors
///
/// [`MigrationError::Partitions`] if another session holds a lock for too long, or if a statement fails. The service runs
/// on the tables as they are, and the next call continues.
pub(crate) async fn divide<M: MigratorTrait>(
    db: &DatabaseConnection,
    wait: LockWait<'_>,
) -> Result<(), MigrationError> {
    let outcome = attempt::<M>(db, wait).await;
    if outcome.is_err() {
        // Best effort: the error of the step is returned.
        let once = LockWait { limit: Duration::ZERO, ..wait };
        let _ = execute::<M>(db, once, UNLIMIT).await;
    }
    outcome.map_err(|error| MigrationError::Partitions(Box::new(error)))
}

async fn attempt<M: MigratorTrait>(db: &DatabaseConnection, wait: LockWait<'_>) -> Result<(), MigrationError> {
    while change_schema::<M, _>(db, Records::Optional, wait, |tx| Box::pin(step(tx))).await? == Next::Validate {
        execute::<M>(db, wait, VALIDATE).await?;
    }
    Ok(())
}

/// Executes step 1 or step 3, or creates the partitions of the coming months.
async fn step(tx: &DatabaseTransaction) -> Result<Next, MigrationError> {
    let found = state(tx, STATE).await?;
    let is = |name| found.try_get::<bool>("", name);
    let steps: &[&str] = if is("is_divided")? {
        &[EXTEND]
    } else if is("is_used")? {
        &[]
    } else if state(tx, IS_EMPTY).await?.try_get("", "is_empty")? {
        &[LOCK, LIMIT, VALIDATE, DIVIDE, EXTEND]
    } else if is("is_limited")? {
        &[DIVIDE, EXTEND]
    } else {
        tx.execute_unprepared(LIMIT).await?;
        return Ok(Next::Validate);
    };
    for sql in steps {
        tx.execute_unprepared(sql).await?;
    }
    Ok(Next::Nothing)
}

async fn execute<M: MigratorTrait>(
    db: &DatabaseConnection,
    wait: LockWait<'_>,
    sql: &'static str,
) -> Result<(), MigrationError> {
    change_schema::<M, _>(db, Records::Optional, wait, |tx| {
        Box::pin(async move { Ok(tx.execute_unprepared(sql).await.map(drop)?) })
    })
    .await
}

/// Reverts [`divide`]: makes one table of the partitions, if the audit log is divided.
pub(crate) async fn merge(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared("SELECT set_config('iam.company', 'all', true)").await?;
    tx.execute_unprepared(MERGE).await.map(drop)
}
