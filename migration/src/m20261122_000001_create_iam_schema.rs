//! The first migration: seventeen tables, the table of versions, and the SQL views for other programs.

use sea_orm_migration::prelude::*;

/// Creates the whole schema of release 0.1.
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

/// The SQL of the migration. A schema builder would hide what matters here: names, checks, collations and storage
/// parameters.
///
/// * Every text column has `COLLATE "C"`: both storage adapters sort and compare by code point, whatever the locale of
///   the database is.
/// * Every constraint and index has a name, because errors are mapped by constraint name. The names for the four
///   permission tables begin with the abbreviations `ulvp`, `ulfp`, `evp` and `efp`, because PostgreSQL truncates names
///   to 63 bytes.
/// * Every index serves a query of the storage contract or a foreign key. No index repeats the prefix of a unique
///   index.
pub(crate) const UP: &str = r#"
-- Versions: one row per company, and one row (with the nil UUID) for the catalog. The row of a company contains its
-- version, and a change locks this row. No foreign key refers to the row, so a company needs no row before its first
-- change. Every change updates a row here; half of each page is left free, so that the updated row stays on the same
-- page.

CREATE TABLE company_states (
    company_id     uuid        NOT NULL,
    version        bigint      NOT NULL DEFAULT 0,
    provisioned_at timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT company_states_pkey PRIMARY KEY (company_id)
) WITH (fillfactor = 50);

INSERT INTO company_states (company_id) VALUES ('00000000-0000-0000-0000-000000000000');

-- The catalog: views, modules and features, which are the same for all companies

CREATE TABLE views (
    id            uuid                      NOT NULL,
    name          varchar(255) COLLATE "C"  NOT NULL,
    url           varchar(500) COLLATE "C"  NOT NULL,
    category      varchar(100) COLLATE "C",
    description   text         COLLATE "C",
    icon          varchar(100) COLLATE "C",
    requires_auth boolean                   NOT NULL DEFAULT true,
    created_at    timestamptz               NOT NULL DEFAULT now(),
    updated_at    timestamptz               NOT NULL DEFAULT now(),
    CONSTRAINT views_pkey PRIMARY KEY (id),
    CONSTRAINT views_url_key UNIQUE (url)
);

CREATE TABLE modules (
    id          uuid                     NOT NULL,
    code        varchar(100) COLLATE "C" NOT NULL,
    name        varchar(255) COLLATE "C" NOT NULL,
    description text         COLLATE "C",
    icon        varchar(100) COLLATE "C",
    enabled     boolean                  NOT NULL DEFAULT true,
    priority    varchar(20)  COLLATE "C" NOT NULL DEFAULT 'standard',
    created_at  timestamptz              NOT NULL DEFAULT now(),
    updated_at  timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT modules_pkey PRIMARY KEY (id),
    CONSTRAINT modules_code_key UNIQUE (code),
    CONSTRAINT modules_priority_check CHECK (priority IN ('standard', 'optional', 'premium'))
);

CREATE TABLE features (
    id            uuid                     NOT NULL,
    key           varchar(255) COLLATE "C",
    name          varchar(255) COLLATE "C" NOT NULL,
    description   text         COLLATE "C",
    resource_type varchar(100) COLLATE "C",
    actions       jsonb,
    category      varchar(100) COLLATE "C",
    enabled       boolean                  NOT NULL DEFAULT true,
    created_at    timestamptz              NOT NULL DEFAULT now(),
    updated_at    timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT features_pkey PRIMARY KEY (id),
    CONSTRAINT features_key_key UNIQUE (key)
);

CREATE TABLE feature2views (
    feature_id uuid        NOT NULL,
    view_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT feature2views_pkey PRIMARY KEY (feature_id, view_id),
    CONSTRAINT feature2views_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE,
    CONSTRAINT feature2views_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE
);
CREATE INDEX feature2views_view_id_idx ON feature2views (view_id);

CREATE TABLE module2views (
    module_id  uuid        NOT NULL,
    view_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT module2views_pkey PRIMARY KEY (module_id, view_id),
    CONSTRAINT module2views_module_id_fkey FOREIGN KEY (module_id) REFERENCES modules (id) ON DELETE CASCADE,
    CONSTRAINT module2views_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE
);
CREATE INDEX module2views_view_id_idx ON module2views (view_id);

CREATE TABLE module2features (
    module_id  uuid        NOT NULL,
    feature_id uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT module2features_pkey PRIMARY KEY (module_id, feature_id),
    CONSTRAINT module2features_module_id_fkey FOREIGN KEY (module_id) REFERENCES modules (id) ON DELETE CASCADE,
    CONSTRAINT module2features_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE
);
CREATE INDEX module2features_feature_id_idx ON module2features (feature_id);

-- Companies: their modules, their levels, the permissions of the levels, and the users who hold them. Child rows refer
-- to a level by company and id, so no row can mix two tenants.

CREATE TABLE company2modules (
    company_id uuid        NOT NULL,
    module_id  uuid        NOT NULL,
    enabled    boolean     NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT company2modules_pkey PRIMARY KEY (company_id, module_id),
    CONSTRAINT company2modules_module_id_fkey FOREIGN KEY (module_id) REFERENCES modules (id) ON DELETE CASCADE
);
CREATE INDEX company2modules_module_id_idx ON company2modules (module_id);

CREATE TABLE user_levels (
    id          uuid                     NOT NULL,
    company_id  uuid                     NOT NULL,
    name        varchar(255) COLLATE "C" NOT NULL,
    description text         COLLATE "C",
    is_default  boolean                  NOT NULL DEFAULT false,
    created_at  timestamptz              NOT NULL DEFAULT now(),
    updated_at  timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT user_levels_pkey PRIMARY KEY (id),
    CONSTRAINT user_levels_company_id_name_key UNIQUE (company_id, name),
    CONSTRAINT user_levels_company_id_id_key UNIQUE (company_id, id)
);

CREATE TABLE user_level_view_permissions (
    id            uuid                    NOT NULL,
    company_id    uuid                    NOT NULL,
    user_level_id uuid                    NOT NULL,
    view_id       uuid                    NOT NULL,
    state         varchar(20) COLLATE "C" NOT NULL,
    modifiable    boolean                 NOT NULL DEFAULT true,
    created_at    timestamptz             NOT NULL DEFAULT now(),
    updated_at    timestamptz             NOT NULL DEFAULT now(),
    CONSTRAINT ulvp_pkey PRIMARY KEY (id),
    CONSTRAINT ulvp_company_id_user_level_id_view_id_key UNIQUE (company_id, user_level_id, view_id),
    CONSTRAINT ulvp_company_id_user_level_id_fkey FOREIGN KEY (company_id, user_level_id)
        REFERENCES user_levels (company_id, id) ON DELETE CASCADE,
    CONSTRAINT ulvp_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE,
    CONSTRAINT ulvp_state_check CHECK (state IN ('allow', 'deny', 'inherit'))
);
CREATE INDEX ulvp_view_id_company_id_idx ON user_level_view_permissions (view_id, company_id);

CREATE TABLE user_level_feature_permissions (
    id            uuid                    NOT NULL,
    company_id    uuid                    NOT NULL,
    user_level_id uuid                    NOT NULL,
    feature_id    uuid                    NOT NULL,
    action        varchar(50) COLLATE "C" NOT NULL,
    value         boolean                 NOT NULL,
    scope         varchar(20) COLLATE "C" NOT NULL,
    modifiable    boolean                 NOT NULL DEFAULT true,
    created_at    timestamptz             NOT NULL DEFAULT now(),
    updated_at    timestamptz             NOT NULL DEFAULT now(),
    CONSTRAINT ulfp_pkey PRIMARY KEY (id),
    CONSTRAINT ulfp_company_id_user_level_id_feature_id_action_key
        UNIQUE (company_id, user_level_id, feature_id, action),
    CONSTRAINT ulfp_company_id_user_level_id_fkey FOREIGN KEY (company_id, user_level_id)
        REFERENCES user_levels (company_id, id) ON DELETE CASCADE,
    CONSTRAINT ulfp_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE,
    CONSTRAINT ulfp_scope_check CHECK (scope IN ('own', 'team', 'company', 'any'))
);
CREATE INDEX ulfp_feature_id_company_id_idx ON user_level_feature_permissions (feature_id, company_id);

-- The foreign key does not cascade: a level that a user holds cannot be deleted, even if it is assigned concurrently.
CREATE TABLE user_user_levels (
    user_id       uuid        NOT NULL,
    user_level_id uuid        NOT NULL,
    company_id    uuid        NOT NULL,
    assigned_by   uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_user_levels_pkey PRIMARY KEY (user_id, user_level_id),
    CONSTRAINT user_user_levels_company_id_user_level_id_fkey FOREIGN KEY (company_id, user_level_id)
        REFERENCES user_levels (company_id, id)
);
CREATE INDEX user_user_levels_company_id_user_id_user_level_id_idx
    ON user_user_levels (company_id, user_id, user_level_id);
CREATE INDEX user_user_levels_company_id_user_level_id_user_id_idx
    ON user_user_levels (company_id, user_level_id, user_id);

-- Navigation. A view or feature that a menu uses cannot be deleted, so these foreign keys do not cascade.

CREATE TABLE menu_items (
    id                   uuid                     NOT NULL,
    company_id           uuid,
    label                varchar(255) COLLATE "C" NOT NULL,
    icon                 varchar(100) COLLATE "C",
    priority             varchar(20)  COLLATE "C" NOT NULL DEFAULT 'standard',
    required_permissions jsonb,
    sort_order           integer                  NOT NULL DEFAULT 0,
    view_id              uuid,
    feature_id           uuid,
    is_entrypoint        boolean                  NOT NULL DEFAULT true,
    created_at           timestamptz              NOT NULL DEFAULT now(),
    updated_at           timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT menu_items_pkey PRIMARY KEY (id),
    CONSTRAINT menu_items_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id),
    CONSTRAINT menu_items_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id),
    CONSTRAINT menu_items_priority_check CHECK (priority IN ('standard', 'optional', 'premium'))
);
CREATE INDEX menu_items_company_id_sort_order_label_id_idx ON menu_items (company_id, sort_order, label, id);
CREATE INDEX menu_items_view_id_idx ON menu_items (view_id);
CREATE INDEX menu_items_feature_id_idx ON menu_items (feature_id);
-- The index has no pending list (fastupdate), because every search would also have to read this list. Menus seldom
-- change, so slower updates of the index are acceptable.
CREATE INDEX menu_items_required_permissions_idx ON menu_items USING gin (required_permissions jsonb_path_ops)
    WITH (fastupdate = off);

CREATE TABLE sub_menu_items (
    id           uuid                     NOT NULL,
    menu_item_id uuid                     NOT NULL,
    label        varchar(255) COLLATE "C" NOT NULL,
    view_id      uuid,
    feature_id   uuid,
    icon         varchar(100) COLLATE "C",
    sort_order   integer                  NOT NULL DEFAULT 0,
    enabled      boolean                  NOT NULL DEFAULT true,
    created_at   timestamptz              NOT NULL DEFAULT now(),
    updated_at   timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT sub_menu_items_pkey PRIMARY KEY (id),
    CONSTRAINT sub_menu_items_menu_item_id_fkey FOREIGN KEY (menu_item_id)
        REFERENCES menu_items (id) ON DELETE CASCADE,
    CONSTRAINT sub_menu_items_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id),
    CONSTRAINT sub_menu_items_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id)
);
CREATE INDEX sub_menu_items_menu_item_id_sort_order_label_id_idx
    ON sub_menu_items (menu_item_id, sort_order, label, id);
CREATE INDEX sub_menu_items_view_id_idx ON sub_menu_items (view_id);
CREATE INDEX sub_menu_items_feature_id_idx ON sub_menu_items (feature_id);

CREATE TABLE nav_trail (
    id         uuid                     NOT NULL,
    user_id    uuid                     NOT NULL,
    company_id uuid                     NOT NULL,
    session_id varchar(255) COLLATE "C" NOT NULL,
    view_id    uuid,
    url        varchar(500) COLLATE "C" NOT NULL,
    label      varchar(255) COLLATE "C" NOT NULL,
    depth      integer                  NOT NULL,
    created_at timestamptz              NOT NULL DEFAULT now(),
    CONSTRAINT nav_trail_pkey PRIMARY KEY (id),
    CONSTRAINT nav_trail_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE SET NULL
);
CREATE INDEX nav_trail_company_id_user_id_session_id_created_at_idx
    ON nav_trail (company_id, user_id, session_id, created_at);
CREATE INDEX nav_trail_company_id_user_id_created_at_idx ON nav_trail (company_id, user_id, created_at);
CREATE INDEX nav_trail_view_id_idx ON nav_trail (view_id);

-- Effective permissions: the computed values, the versions for which they were computed, and their expiry

CREATE TABLE effective_view_permissions (
    company_id      uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    view_id         uuid        NOT NULL,
    has_access      boolean     NOT NULL,
    computed_at     timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    company_version bigint      NOT NULL,
    catalog_version bigint      NOT NULL,
    CONSTRAINT evp_pkey PRIMARY KEY (company_id, user_id, view_id),
    CONSTRAINT evp_view_id_fkey FOREIGN KEY (view_id) REFERENCES views (id) ON DELETE CASCADE
);
CREATE INDEX evp_expires_at_idx ON effective_view_permissions (expires_at, company_id, user_id);
CREATE INDEX evp_view_id_idx ON effective_view_permissions (view_id);

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
    catalog_version bigint                  NOT NULL,
    CONSTRAINT efp_pkey PRIMARY KEY (company_id, user_id, feature_id, action),
    CONSTRAINT efp_feature_id_fkey FOREIGN KEY (feature_id) REFERENCES features (id) ON DELETE CASCADE,
    CONSTRAINT efp_scope_check CHECK (scope IN ('own', 'team', 'company', 'any'))
);
CREATE INDEX efp_expires_at_idx ON effective_feature_permissions (expires_at);
CREATE INDEX efp_feature_id_idx ON effective_feature_permissions (feature_id);

-- SQL views for other programs. They contain only rows that are current at this moment. A missing row means that the
-- permission is unknown, not that it is denied.

CREATE VIEW current_effective_view_permissions AS
SELECT row.company_id, row.user_id, row.view_id, row.has_access,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_view_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > now();

CREATE VIEW current_effective_feature_permissions AS
SELECT row.company_id, row.user_id, row.feature_id, row.action, row.allowed, row.scope,
       row.computed_at, row.expires_at, row.company_version, row.catalog_version
FROM effective_feature_permissions AS row
JOIN company_states AS company ON company.company_id = row.company_id AND company.version = row.company_version
JOIN company_states AS catalog ON catalog.company_id = '00000000-0000-0000-0000-000000000000'
                              AND catalog.version = row.catalog_version
WHERE row.expires_at > now();

-- Audit log: one row per change, never edited. If company_id is NULL, the change concerns no single company. There are
-- no foreign keys, because records outlive the rows that they describe. The index names leave out the tie-breaking id,
-- because with it the longest name would exceed the limit of 63 bytes.

CREATE TABLE iam_audit_logs (
    id          uuid                     NOT NULL,
    company_id  uuid,
    user_id     uuid,
    actor_kind  varchar(20)  COLLATE "C" NOT NULL,
    action      varchar(100) COLLATE "C" NOT NULL,
    entity_type varchar(50)  COLLATE "C" NOT NULL,
    entity_id   uuid                     NOT NULL,
    changes     jsonb,
    metadata    jsonb,
    "timestamp" timestamptz              NOT NULL,
    CONSTRAINT iam_audit_logs_pkey PRIMARY KEY (id),
    CONSTRAINT iam_audit_logs_actor_kind_check CHECK (actor_kind IN ('user', 'service', 'command_line'))
);
CREATE INDEX iam_audit_logs_company_id_timestamp_idx ON iam_audit_logs (company_id, "timestamp" DESC, id DESC);
CREATE INDEX iam_audit_logs_company_id_entity_type_entity_id_timestamp_idx
    ON iam_audit_logs (company_id, entity_type, entity_id, "timestamp" DESC, id DESC);
CREATE INDEX iam_audit_logs_company_id_user_id_timestamp_idx
    ON iam_audit_logs (company_id, user_id, "timestamp" DESC, id DESC);
CREATE INDEX iam_audit_logs_company_id_action_timestamp_idx
    ON iam_audit_logs (company_id, action, "timestamp" DESC, id DESC);
"#;

/// Reverts [`UP`]. One statement drops all tables, because the tables reference each other. It has no `CASCADE`,
/// because that would also drop objects of other programs.
pub(crate) const DOWN: &str = "
DROP VIEW current_effective_feature_permissions, current_effective_view_permissions;
DROP TABLE iam_audit_logs, effective_feature_permissions, effective_view_permissions, nav_trail, sub_menu_items,
    menu_items, user_user_levels, user_level_feature_permissions, user_level_view_permissions, user_levels,
    company2modules, module2features, module2views, feature2views, features, modules, views, company_states;
";
