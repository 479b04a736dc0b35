//! The rows that the counted storage operations read and change, and the ids of these rows.

use iam_domain::{
    ApiKey, ApiKeyId, ApiKeyPrefix, CompanyId, FeatureId, ModuleId, Name, ServiceRole, Timestamp, UserId, UserLevelId,
    ViewId,
};
use uuid::Uuid;

use crate::support::database::{TestDatabase, run};

// The id of a row consists of the kind of the row and a number from 1.
pub const VIEW: u64 = 1;
pub const FEATURE: u64 = 2;
pub const MODULE: u64 = 3;
pub const LEVEL: u64 = 4;
pub const USER: u64 = 5;
const COMPANY: u64 = 6;
pub const MENU: u64 = 7;
pub const SUB_MENU: u64 = 8;
const ROW: u64 = 9;

pub fn id(kind: u64, n: u64) -> Uuid {
    Uuid::from_u64_pair(kind, n)
}

pub fn ids<T>(kind: u64, numbers: std::ops::RangeInclusive<u64>, new: fn(Uuid) -> T) -> Vec<T> {
    numbers.map(|n| new(id(kind, n))).collect()
}

pub fn view(n: u64) -> ViewId {
    ViewId::from_uuid(id(VIEW, n))
}

pub fn feature(n: u64) -> FeatureId {
    FeatureId::from_uuid(id(FEATURE, n))
}

pub fn module(n: u64) -> ModuleId {
    ModuleId::from_uuid(id(MODULE, n))
}

pub fn level(n: u64) -> UserLevelId {
    UserLevelId::from_uuid(id(LEVEL, n))
}

pub fn user() -> UserId {
    UserId::from_uuid(id(USER, 1))
}

pub fn company() -> CompanyId {
    CompanyId::from_uuid(id(COMPANY, 1))
}

pub fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).unwrap()
}

/// Inserts `rows` related rows of each kind, for example views of one feature, levels of one user, and cells of one
/// level.
pub async fn fill(database: &TestDatabase, rows: u64) {
    let sql = format!(
        "CREATE FUNCTION id(kind integer, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
            $$ SELECT (lpad(to_hex(kind), 16, '0') || lpad(to_hex(n), 16, '0'))::uuid $$;
        INSERT INTO company_states (company_id, version) VALUES (id({COMPANY}, 1), 1);
        INSERT INTO views (id, name, url) SELECT id({VIEW}, n), 'View', '/' || n FROM generate_series(1, 3 * {rows}) n;
        INSERT INTO features (id, name) SELECT id({FEATURE}, n), 'Feature' FROM generate_series(1, 3 * {rows}) n;
        INSERT INTO modules (id, code, name) SELECT id({MODULE}, n), n, 'Module' FROM generate_series(1, 2 * {rows}) n;
        INSERT INTO feature2views (feature_id, view_id)
            SELECT id({FEATURE}, 1), id({VIEW}, n) FROM generate_series(1, {rows}) n
            UNION SELECT id({FEATURE}, n), id({VIEW}, 1) FROM generate_series(1, {rows}) n;
        INSERT INTO module2views (module_id, view_id)
            SELECT id({MODULE}, 1), id({VIEW}, n) FROM generate_series(1, {rows}) n
            UNION SELECT id({MODULE}, n), id({VIEW}, 1) FROM generate_series(1, {rows}) n;
        INSERT INTO module2features (module_id, feature_id)
            SELECT id({MODULE}, 1), id({FEATURE}, n) FROM generate_series(1, {rows}) n
            UNION SELECT id({MODULE}, n), id({FEATURE}, 1) FROM generate_series(1, {rows}) n;
        INSERT INTO company2modules (company_id, module_id)
            SELECT id({COMPANY}, 1), id({MODULE}, n) FROM generate_series(1, {rows}) n
            UNION SELECT id({COMPANY}, n), id({MODULE}, 1) FROM generate_series(1, {rows}) n;
        INSERT INTO user_levels (id, company_id, name)
            SELECT id({LEVEL}, n), id({COMPANY}, 1), n FROM generate_series(1, 2 * {rows}) n;
        INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
            SELECT id({ROW}, n), id({COMPANY}, 1), id({LEVEL}, 1), id({VIEW}, n), 'deny'
            FROM generate_series(1, 2 * {rows}) n;
        INSERT INTO user_level_feature_permissions
                (id, company_id, user_level_id, feature_id, action, value, scope)
            SELECT id({ROW}, n), id({COMPANY}, 1), id({LEVEL}, 1), id({FEATURE}, n), 'Read', false, 'own'
            FROM generate_series(1, 2 * {rows}) n;
        INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT id({USER}, 1), id({LEVEL}, n), id({COMPANY}, 1) FROM generate_series(1, {rows}) n
            UNION SELECT id({USER}, n), id({LEVEL}, 1), id({COMPANY}, 1) FROM generate_series(1, {rows}) n;
        INSERT INTO menu_items (id, company_id, label)
            SELECT id({MENU}, n), id({COMPANY}, 1), 'Item' FROM generate_series(1, {rows}) n;
        INSERT INTO sub_menu_items (id, menu_item_id, label)
            SELECT id({SUB_MENU}, n), id({MENU}, 1), 'Item' FROM generate_series(1, {rows}) n;"
    );
    run(&mut database.connect().await, sql).await.unwrap();
}

pub fn api_key(n: u64) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(id(ROW, n)),
        prefix: ApiKeyPrefix::parse(format!("{n:012}")).unwrap(),
        name: Name::parse("Key").unwrap(),
        role: ServiceRole::Check,
        company_id: None,
        requests_per_second: None,
        created_by: None,
        created_at: at(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}
