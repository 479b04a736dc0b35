//! The seventeenth migration: the forms of the global lock and of the change feed, and the global lock as a row lock.

use sea_orm_migration::prelude::*;

/// Creates the tables `iam_engine` and `iam_gate_marks`. Makes the functions that acquire the table lock fail while the
/// installation uses the row lock.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}

/// The functions check the form after they have acquired the lock. An operator changes the form while no change is in
/// progress, so a change in the old form cannot run beside one in the new form. The SQLSTATE of the error is that of a
/// lock timeout, so replicas of the previous release, which always use the table lock, respond with 503.
pub(crate) const UP: &str = r#"
-- One row: the forms that all processes of the installation use. With the gate `row`, each change locks the row.
CREATE TABLE iam_engine (
    is_only boolean                 NOT NULL DEFAULT true,
    gate    varchar(16) COLLATE "C" NOT NULL DEFAULT 'native',
    feed    varchar(16) COLLATE "C" NOT NULL DEFAULT 'listen',
    CONSTRAINT iam_engine_pkey PRIMARY KEY (is_only),
    CONSTRAINT iam_engine_is_only_check CHECK (is_only),
    CONSTRAINT iam_engine_gate_check CHECK (gate IN ('native', 'row')),
    CONSTRAINT iam_engine_feed_check CHECK (feed IN ('listen', 'poll'))
);

INSERT INTO iam_engine DEFAULT VALUES;

-- One row for each change that waits for the row of iam_engine in exclusive mode.
CREATE TABLE iam_gate_marks (
    id         uuid        NOT NULL,
    wanted_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT iam_gate_marks_pkey PRIMARY KEY (id)
);

DO $do$
DECLARE
    own CONSTANT text := current_schema();
    lock_schema CONSTANT name := CASE WHEN octet_length(own) <= 58 THEN own ELSE md5(own) END || '_lock';
BEGIN
    -- Waits for the lock, and returns true.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION iam_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE;
            END IF;
            IF (SELECT gate FROM %2$I.iam_engine) <> 'native' THEN
                RAISE EXCEPTION 'the installation does not use the native gate (table iam_engine)'
                    USING ERRCODE = 'lock_not_available';
            END IF;
            RETURN true;
        END
        $body$
    $sql$, lock_schema, own);

    -- Returns false, without waiting, if the lock is not available.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION iam_try_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE NOWAIT;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE NOWAIT;
            END IF;
            IF (SELECT gate FROM %2$I.iam_engine) <> 'native' THEN
                RAISE EXCEPTION 'the installation does not use the native gate (table iam_engine)'
                    USING ERRCODE = 'lock_not_available';
            END IF;
            RETURN true;
        EXCEPTION WHEN lock_not_available THEN
            RETURN false;
        END
        $body$
    $sql$, lock_schema, own);
END
$do$;
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DO $do$
DECLARE
    own CONSTANT text := current_schema();
    lock_schema CONSTANT name := CASE WHEN octet_length(own) <= 58 THEN own ELSE md5(own) END || '_lock';
BEGIN
    -- Waits for the lock, and returns true.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION iam_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE;
            END IF;
            RETURN true;
        END
        $body$
    $sql$, lock_schema);

    -- Returns false, without waiting, if the lock is not available.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION iam_try_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE NOWAIT;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE NOWAIT;
            END IF;
            RETURN true;
        EXCEPTION WHEN lock_not_available THEN
            RETURN false;
        END
        $body$
    $sql$, lock_schema);
END
$do$;

DROP TABLE iam_gate_marks, iam_engine;
";
