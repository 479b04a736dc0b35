//! The fourth migration: adds stamps that identify the states of the data, an id of the installation, and an id of the
//! database's history.

use sea_orm_migration::prelude::*;

/// Adds a transaction id and a random stamp to each row of `company_states`, and creates the tables `iam_installation`
/// and `iam_heartbeats`.
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

/// A trigger sets the transaction id and the random stamp of a row whenever the row is written. The trigger applies to
/// every writer, including replicas of an earlier release, the seed and operators.
pub(crate) const UP: &str = "
-- One row. The id of the installation never changes; the history id is replaced when a replica finds that versions have
-- decreased.
CREATE TABLE iam_installation (
    is_only boolean NOT NULL DEFAULT true,
    id      uuid    NOT NULL DEFAULT gen_random_uuid(),
    history uuid    NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT iam_installation_pkey PRIMARY KEY (is_only),
    CONSTRAINT iam_installation_is_only_check CHECK (is_only)
);

INSERT INTO iam_installation DEFAULT VALUES;

-- One row per replica. If standbys are synchronous, a replica writes its row and commits, and the standbys acknowledge
-- this commit.
CREATE TABLE iam_heartbeats (
    replica uuid        NOT NULL,
    beat_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT iam_heartbeats_pkey PRIMARY KEY (replica)
);

ALTER TABLE company_states
    ADD COLUMN changed_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN stamp bigint NOT NULL DEFAULT hashtextextended(gen_random_uuid()::text, 0);

CREATE INDEX company_states_changed_by_idx ON company_states (changed_by);

CREATE FUNCTION iam_mark_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_by := pg_current_xact_id();
    NEW.stamp := hashtextextended(gen_random_uuid()::text, 0);
    RETURN NEW;
END
$$;

CREATE TRIGGER iam_mark_state BEFORE INSERT OR UPDATE ON company_states
    FOR EACH ROW EXECUTE FUNCTION iam_mark_state();
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP TRIGGER iam_mark_state ON company_states;
DROP FUNCTION iam_mark_state();
DROP INDEX company_states_changed_by_idx;
ALTER TABLE company_states DROP COLUMN changed_by, DROP COLUMN stamp;
DROP TABLE iam_heartbeats, iam_installation;
";
