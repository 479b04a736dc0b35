//! The identity of each state of the data, and of each history of it

use sea_orm_migration::prelude::*;

/// Marks each change with its transaction and a random stamp, and names the installation and its history.
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

/// A trigger marks the rows, so no writer can forget it: a replica of an earlier release, the seed, an operator.
pub(crate) const UP: &str = "
-- One row. The id is the installation's for ever; the history is renewed when versions are found to have gone back.
CREATE TABLE iam_installation (
    is_only boolean NOT NULL DEFAULT true,
    id      uuid    NOT NULL DEFAULT gen_random_uuid(),
    history uuid    NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT iam_installation_pkey PRIMARY KEY (is_only),
    CONSTRAINT iam_installation_is_only_check CHECK (is_only)
);

INSERT INTO iam_installation DEFAULT VALUES;

-- What replicas write to have it acknowledged, a row each, where standbys are synchronous.
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

/// Reverts all of that.
pub(crate) const DOWN: &str = "
DROP TRIGGER iam_mark_state ON company_states;
DROP FUNCTION iam_mark_state();
DROP INDEX company_states_changed_by_idx;
ALTER TABLE company_states DROP COLUMN changed_by, DROP COLUMN stamp;
DROP TABLE iam_heartbeats, iam_installation;
";
