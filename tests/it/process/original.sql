-- The database as the schema tool of the original system creates it, with a table of another part of that product.

CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(255) NOT NULL);

CREATE TABLE views (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    name varchar(255) NOT NULL,
    url varchar(500) NOT NULL,
    category varchar(100),
    description text,
    icon varchar(100),
    requires_auth boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL,
    CONSTRAINT views_url_unique UNIQUE (url)
);
CREATE INDEX views_url_idx ON views (url);

CREATE TABLE modules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    code varchar(100) NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    icon varchar(100),
    enabled boolean DEFAULT true NOT NULL,
    priority varchar(20) DEFAULT 'standard' NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL,
    CONSTRAINT modules_code_unique UNIQUE (code)
);
CREATE INDEX modules_code_idx ON modules (code);

CREATE TABLE features (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    key varchar(255),
    name varchar(255) NOT NULL,
    description text,
    resource_type varchar(100),
    actions text,
    category varchar(100),
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL,
    CONSTRAINT features_key_unique UNIQUE (key)
);
CREATE INDEX features_key_idx ON features (key);

CREATE TABLE user_levels (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    is_default boolean DEFAULT false NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL
);
CREATE INDEX user_levels_company_id_idx ON user_levels (company_id);

CREATE TABLE feature2views (
    feature_id uuid NOT NULL REFERENCES features (id) ON DELETE CASCADE,
    view_id uuid NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now() NOT NULL,
    PRIMARY KEY (feature_id, view_id)
);

CREATE TABLE module2views (
    module_id uuid NOT NULL REFERENCES modules (id) ON DELETE CASCADE,
    view_id uuid NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now() NOT NULL,
    PRIMARY KEY (module_id, view_id)
);

CREATE TABLE company2modules (
    company_id uuid NOT NULL,
    module_id uuid NOT NULL REFERENCES modules (id) ON DELETE CASCADE,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL,
    PRIMARY KEY (company_id, module_id)
);

CREATE TABLE module2features (
    module_id uuid NOT NULL REFERENCES modules (id) ON DELETE CASCADE,
    feature_id uuid NOT NULL REFERENCES features (id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now() NOT NULL,
    PRIMARY KEY (module_id, feature_id)
);

CREATE TABLE user_level_view_permissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid NOT NULL,
    user_level_id uuid NOT NULL REFERENCES user_levels (id) ON DELETE CASCADE,
    view_id uuid NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    state varchar(20) NOT NULL,
    modifiable boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL
);
CREATE UNIQUE INDEX ulvp_unique_idx ON user_level_view_permissions (company_id, user_level_id, view_id);
CREATE INDEX ulvp_company_level_idx ON user_level_view_permissions (company_id, user_level_id, view_id);

CREATE TABLE user_level_feature_permissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid NOT NULL,
    user_level_id uuid NOT NULL REFERENCES user_levels (id) ON DELETE CASCADE,
    feature_id uuid NOT NULL REFERENCES features (id) ON DELETE CASCADE,
    action varchar(50) NOT NULL,
    value boolean NOT NULL,
    scope varchar(20) NOT NULL,
    modifiable boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL
);
CREATE UNIQUE INDEX ulfp_unique_idx ON user_level_feature_permissions (company_id, user_level_id, feature_id, action);
CREATE INDEX ulfp_company_level_idx ON user_level_feature_permissions (company_id, user_level_id, feature_id, action);

CREATE TABLE user_user_levels (
    user_id uuid NOT NULL,
    user_level_id uuid NOT NULL REFERENCES user_levels (id) ON DELETE CASCADE,
    assigned_by uuid,
    created_at timestamp DEFAULT now() NOT NULL,
    PRIMARY KEY (user_id, user_level_id)
);

CREATE TABLE menu_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    label varchar(255) NOT NULL,
    icon varchar(100),
    priority varchar(20) DEFAULT 'standard' NOT NULL,
    required_permissions text,
    sort_order varchar(50),
    view_id uuid REFERENCES views (id) ON DELETE SET NULL,
    feature_id uuid REFERENCES features (id) ON DELETE SET NULL,
    is_entrypoint boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL
);
CREATE INDEX menu_items_view_id_idx ON menu_items (view_id);

CREATE TABLE sub_menu_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    menu_item_id uuid NOT NULL REFERENCES menu_items (id) ON DELETE CASCADE,
    label varchar(255) NOT NULL,
    view_id uuid REFERENCES views (id) ON DELETE SET NULL,
    feature_id uuid REFERENCES features (id) ON DELETE SET NULL,
    icon varchar(100),
    sort_order varchar(50),
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL,
    updated_at timestamp DEFAULT now() NOT NULL
);

CREATE TABLE nav_trail (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    session_id varchar(255) NOT NULL,
    view_id uuid REFERENCES views (id) ON DELETE SET NULL,
    url varchar(500) NOT NULL,
    label varchar(255) NOT NULL,
    depth varchar(10) NOT NULL,
    created_at timestamp DEFAULT now() NOT NULL
);

CREATE TABLE effective_view_permissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    company_id uuid NOT NULL,
    view_id uuid NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    has_access boolean NOT NULL,
    computed_at timestamp DEFAULT now() NOT NULL,
    expires_at timestamp NOT NULL
);
CREATE UNIQUE INDEX evp_unique_idx ON effective_view_permissions (user_id, company_id, view_id);

CREATE TABLE effective_feature_permissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    company_id uuid NOT NULL,
    feature_id uuid NOT NULL REFERENCES features (id) ON DELETE CASCADE,
    action varchar(50) NOT NULL,
    allowed boolean NOT NULL,
    scope varchar(20) NOT NULL,
    computed_at timestamp DEFAULT now() NOT NULL,
    expires_at timestamp NOT NULL
);
CREATE UNIQUE INDEX efp_unique_idx ON effective_feature_permissions (user_id, company_id, feature_id, action);

CREATE TABLE iam_audit_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    user_id uuid,
    action varchar(100) NOT NULL,
    entity_type varchar(50) NOT NULL,
    entity_id uuid NOT NULL,
    changes text,
    metadata text,
    "timestamp" timestamp DEFAULT now() NOT NULL
);
