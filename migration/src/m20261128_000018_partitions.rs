//! The eighteenth migration: partitions of the tables of effective permissions, and the reversal of the partitions of
//! the audit log.

use sea_orm_migration::prelude::*;

use crate::partitions;

/// Creates the tables of effective permissions again, empty and divided into partitions.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await?;
        partitions::merge(manager.get_connection()).await
    }
}

/// The tables are a cache, so their rows are not copied. The rows of a company are in one partition. Every statement of
/// one company specifies the company, so it uses one partition, with small indexes.
///
/// The SQL views are replaced and not created again, so they keep their privileges. The privileges on the tables are
/// copied, also to the partitions, because `pg_dump` reads each partition by its name. Therefore each partition has the
/// policy of its table, too.
///
/// The audit log is divided into partitions after the transaction of the migrations ([`partitions`]).
pub(crate) const UP: &str = r#"
ALTER TABLE effective_view_permissions RENAME TO effective_view_permissions_old;
ALTER TABLE effective_feature_permissions RENAME TO effective_feature_permissions_old;

CREATE TABLE effective_view_permissions (
    company_id      uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    view_id         uuid        NOT NULL,
    has_access      boolean     NOT NULL,
    computed_at     timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    company_version bigint      NOT NULL,
    catalog_version bigint      NOT NULL
) PARTITION BY HASH (company_id);

CREATE TABLE effective_feature_permissions (
    company_id      uuid                    NOT NULL,
    user_id         uuid                    NOT NULL,
    feature_id      uuid                    NOT NULL,
    action          varchar(50) COLLATE "C" NOT NULL,
    allowed         boolean                 NOT NULL,
    scope           varchar(20) COLLATE "C" NOT NULL,
    computed_at     timestamptz             NOT NULL DEFAULT now(),
    expires_at      timestamptz             NOT NULL,
    company_version bigint                  NOT NULL,
    catalog_version bigint                  NOT NULL
) PARTITION BY HASH (company_id);

CREATE OR REPLACE VIEW current_effective_view_permissions AS
SELECT row.company_id, row.user_id, row.view_id, row.has_access,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_view_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();

CREATE OR REPLACE VIEW current_effective_feature_permissions AS
SELECT row.company_id, row.user_id, row.feature_id, row.action, row.allowed, row.scope,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_feature_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();

DO $$
DECLARE
    name text;
    part regclass;
    privilege record;
BEGIN
    FOREACH name IN ARRAY ARRAY['effective_view_permissions', 'effective_feature_permissions'] LOOP
        FOR number IN 0..15 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
                format('%s_%s', name, lpad(number::text, 2, '0')), name, number);
        END LOOP;
        FOR part IN SELECT relid FROM pg_partition_tree(name::regclass) LOOP
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
            EXECUTE format($sql$CREATE POLICY own ON %s
                USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
                    OR (SELECT current_setting('iam.company') = 'all'))$sql$, part);
            FOR privilege IN
                SELECT privilege_type, is_grantable,
                    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
                FROM pg_class, aclexplode(relacl)
                WHERE pg_class.oid = format('%I', name || '_old')::regclass AND grantee <> relowner
            LOOP
                EXECUTE format('GRANT %s ON %s TO %s%s', privilege.privilege_type, part, privilege.grantee,
                    CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

DROP TABLE effective_view_permissions_old, effective_feature_permissions_old;

ALTER TABLE effective_view_permissions ADD
    CONSTRAINT evp_pkey PRIMARY KEY (company_id, user_id, view_id);
CREATE INDEX evp_expires_at_idx ON effective_view_permissions (expires_at, company_id, user_id);
CREATE INDEX evp_view_id_idx ON effective_view_permissions (view_id);
ALTER TABLE effective_view_permissions ADD
    CONSTRAINT evp_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE;

ALTER TABLE effective_feature_permissions ADD
    CONSTRAINT efp_pkey PRIMARY KEY (company_id, user_id, feature_id, action);
CREATE INDEX efp_expires_at_idx ON effective_feature_permissions (expires_at);
CREATE INDEX efp_feature_id_idx ON effective_feature_permissions (feature_id);
ALTER TABLE effective_feature_permissions ADD
    CONSTRAINT efp_scope_check CHECK (scope IN ('own', 'team', 'company', 'any'));
ALTER TABLE effective_feature_permissions ADD
    CONSTRAINT efp_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE;
"#;

/// Reverts [`UP`]: creates tables without partitions, and copies the rows.
pub(crate) const DOWN: &str = r#"
SELECT set_config('iam.company', 'all', true);

ALTER TABLE effective_view_permissions RENAME TO effective_view_permissions_old;
ALTER TABLE effective_feature_permissions RENAME TO effective_feature_permissions_old;

CREATE TABLE effective_view_permissions (LIKE effective_view_permissions_old INCLUDING DEFAULTS);
CREATE TABLE effective_feature_permissions (LIKE effective_feature_permissions_old INCLUDING DEFAULTS);
INSERT INTO effective_view_permissions SELECT * FROM effective_view_permissions_old;
INSERT INTO effective_feature_permissions SELECT * FROM effective_feature_permissions_old;

CREATE OR REPLACE VIEW current_effective_view_permissions AS
SELECT row.company_id, row.user_id, row.view_id, row.has_access,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_view_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();

CREATE OR REPLACE VIEW current_effective_feature_permissions AS
SELECT row.company_id, row.user_id, row.feature_id, row.action, row.allowed, row.scope,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_feature_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > statement_timestamp();

DO $$
DECLARE
    name text;
    privilege record;
BEGIN
    FOREACH name IN ARRAY ARRAY['effective_view_permissions', 'effective_feature_permissions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format($sql$CREATE POLICY own ON %I
            USING (company_id = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
                OR (SELECT current_setting('iam.company') = 'all'))$sql$, name);
        FOR privilege IN
            SELECT privilege_type, is_grantable,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
            FROM pg_class, aclexplode(relacl)
            WHERE pg_class.oid = format('%I', name || '_old')::regclass AND grantee <> relowner
        LOOP
            EXECUTE format('GRANT %s ON %I TO %s%s', privilege.privilege_type, name, privilege.grantee,
                CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
        END LOOP;
    END LOOP;
END
$$;

DROP TABLE effective_view_permissions_old, effective_feature_permissions_old;

ALTER TABLE effective_view_permissions
    ADD CONSTRAINT evp_pkey PRIMARY KEY (company_id, user_id, view_id),
    ADD CONSTRAINT evp_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE;
CREATE INDEX evp_expires_at_idx ON effective_view_permissions (expires_at, company_id, user_id);
CREATE INDEX evp_view_id_idx ON effective_view_permissions (view_id);

ALTER TABLE effective_feature_permissions
    ADD CONSTRAINT efp_pkey PRIMARY KEY (company_id, user_id, feature_id, action),
    ADD CONSTRAINT efp_scope_check CHECK (scope IN ('own', 'team', 'company', 'any')),
    ADD CONSTRAINT efp_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE;
CREATE INDEX efp_expires_at_idx ON effective_feature_permissions (expires_at);
CREATE INDEX efp_feature_id_idx ON effective_feature_permissions (feature_id);
"#;
