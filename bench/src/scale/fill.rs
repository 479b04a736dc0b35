//! The data of the section `scale`. SQL generates it set-wise, because the service would need hours.

use crate::api::{Api, COMPANY};
use crate::postgres::Database;
use crate::{Result, progress};

/// The number of companies.
pub(super) const COMPANIES: usize = 10_000;
/// The number of users of a company. The first one is its administrator.
pub(super) const USERS: usize = 20;
/// The levels of a company, in the order of their names.
const LEVELS: usize = 3;
/// The place of the level Member in the order of the names.
pub(super) const MEMBER: usize = 1;
/// The place of the level Visitor in the order of the names.
pub(super) const VISITOR: usize = 2;

/// What an id identifies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Company = 1,
    User = 2,
    Level = 3,
}

/// Returns the id of the entity with this number. The SQL function `bench_id` returns the same id.
pub(super) fn id(kind: Kind, number: usize) -> String {
    let first = (number * 2_654_435_761) % (1 << 32);
    format!("{first:08x}-{:04}-4000-8000-{number:012x}", kind as u8)
}

/// Returns the id of a user of a company.
pub(super) fn user(company: usize, number: usize) -> String {
    id(Kind::User, company * USERS + number)
}

/// Returns the id of a level of a company.
pub(super) fn level(company: usize, number: usize) -> String {
    id(Kind::Level, company * LEVELS + number)
}

/// Creates this number of companies, with this number of users each, as copies of a company that the service provisions.
pub(crate) async fn companies(api: &Api, database: &Database, companies: usize, users: usize) -> Result<()> {
    progress(format_args!("creating {companies} companies"));
    api.prepare().await?;
    let sql = format!(
        "CREATE FUNCTION bench_id(kind bigint, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
            SELECT (lpad(to_hex((number * 2654435761) % 4294967296), 8, '0') || '-' || lpad(kind::text, 4, '0')
                || '-4000-8000-' || lpad(to_hex(number), 12, '0'))::uuid
        $$;
        CREATE TABLE bench_companies AS
            SELECT n, bench_id(1, n) AS id FROM generate_series(0, {companies} - 1) AS n;
        CREATE TABLE bench_levels AS
            SELECT row_number() OVER (ORDER BY name) - 1 AS number, * FROM user_levels WHERE company_id = '{COMPANY}';
        INSERT INTO company_states (company_id, version, provisioned_at) SELECT id, 1, now() FROM bench_companies;
        INSERT INTO company2modules (company_id, module_id)
            SELECT company.id, module_id FROM bench_companies AS company, company2modules WHERE company_id = '{COMPANY}';
        INSERT INTO user_levels (id, company_id, name, is_default)
            SELECT bench_id(3, n * {LEVELS} + number), company.id, name, is_default
            FROM bench_companies AS company, bench_levels;
        INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
            SELECT gen_random_uuid(), company.id, bench_id(3, n * {LEVELS} + number), view_id, state
            FROM bench_companies AS company, bench_levels AS level
            JOIN user_level_view_permissions ON user_level_id = level.id;
        INSERT INTO user_level_feature_permissions (id, company_id, user_level_id, feature_id, action, value, scope)
            SELECT gen_random_uuid(), company.id, bench_id(3, n * {LEVELS} + number), feature_id, action, value, scope
            FROM bench_companies AS company, bench_levels AS level
            JOIN user_level_feature_permissions ON user_level_id = level.id;
        INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT bench_id(2, n * {users} + number), bench_id(3, n * {LEVELS} + least(number, 1)), company.id
            FROM bench_companies AS company, generate_series(0, {users} - 1) AS number"
    );
    database.execute(&sql).await?;
    database.execute("VACUUM ANALYZE").await
}

/// Creates this number of audit records of each company, within the last two years. The companies have this number of users.
pub(crate) async fn records(database: &Database, users: usize, records: usize) -> Result<()> {
    let sql = format!(
        r#"INSERT INTO iam_audit_logs
            (id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes, metadata, "timestamp")
        SELECT gen_random_uuid(), company.id, bench_id(2, n * {users} + number % {users}), 'user',
            'assignment.user_levels_updated', 'assignment', bench_id(2, n * {users} + number % 7),
            '{{"added": [], "removed": []}}', '{{"superAdmin": true}}', now() - number * interval '35 hours'
        FROM generate_series(1, {records}) AS number, bench_companies AS company"#
    );
    database.execute(&sql).await
}

/// Creates five million audit records, and effective-permission rows of all users: one for each view, and one for the action
/// Read of each feature. The rows are valid during the whole run.
pub(super) async fn records_and_rows(database: &Database) -> Result<()> {
    progress(format_args!("creating 5 million audit records and 6 million effective-permission rows"));
    records(database, USERS, 500).await?;
    let sql = format!(
        "INSERT INTO effective_view_permissions
            (company_id, user_id, view_id, has_access, expires_at, company_version, catalog_version)
        SELECT company.id, bench_id(2, n * {USERS} + number), views.id, true, now() + interval '2 hours', state.version,
            catalog.version
        FROM bench_companies AS company JOIN company_states AS state ON company_id = company.id,
            generate_series(0, {USERS} - 1) AS number, views, company_states AS catalog
        WHERE catalog.company_id = '00000000-0000-0000-0000-000000000000';
        INSERT INTO effective_feature_permissions
            (company_id, user_id, feature_id, action, allowed, scope, expires_at, company_version, catalog_version)
        SELECT company.id, bench_id(2, n * {USERS} + number), features.id, 'Read', true, 'company',
            now() + interval '2 hours', state.version, catalog.version
        FROM bench_companies AS company JOIN company_states AS state ON company_id = company.id,
            generate_series(0, {USERS} - 1) AS number, features, company_states AS catalog
        WHERE catalog.company_id = '00000000-0000-0000-0000-000000000000'"
    );
    database.execute(&sql).await?;
    database.execute("VACUUM ANALYZE").await
}
