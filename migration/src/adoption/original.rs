//! The tables of the original system: their names, and the columns by which they are recognized.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::error::AdoptionError;
use crate::session::statement;

/// A table, with its columns and their types as PostgreSQL formats them, without length limits.
pub(crate) type Table = (&'static str, &'static [(&'static str, &'static str)]);

const UUID: &str = "uuid";
const TEXT: &str = "text";
const VARCHAR: &str = "character varying";
const BOOLEAN: &str = "boolean";
const TIME: &str = "timestamp without time zone";

/// The tables in an order in which a row is copied after the rows that it refers to.
pub(crate) const TABLES: [Table; 17] = [
    (
        "views",
        &[
            ("id", UUID),
            ("name", VARCHAR),
            ("url", VARCHAR),
            ("category", VARCHAR),
            ("description", TEXT),
            ("icon", VARCHAR),
            ("requires_auth", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "modules",
        &[
            ("id", UUID),
            ("code", VARCHAR),
            ("name", VARCHAR),
            ("description", TEXT),
            ("icon", VARCHAR),
            ("enabled", BOOLEAN),
            ("priority", VARCHAR),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "features",
        &[
            ("id", UUID),
            ("key", VARCHAR),
            ("name", VARCHAR),
            ("description", TEXT),
            ("resource_type", VARCHAR),
            ("actions", TEXT),
            ("category", VARCHAR),
            ("enabled", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    ("feature2views", &[("feature_id", UUID), ("view_id", UUID), ("created_at", TIME)]),
    ("module2views", &[("module_id", UUID), ("view_id", UUID), ("created_at", TIME)]),
    ("module2features", &[("module_id", UUID), ("feature_id", UUID), ("created_at", TIME)]),
    (
        "company2modules",
        &[("company_id", UUID), ("module_id", UUID), ("enabled", BOOLEAN), ("created_at", TIME), ("updated_at", TIME)],
    ),
    (
        "user_levels",
        &[
            ("id", UUID),
            ("company_id", UUID),
            ("name", VARCHAR),
            ("description", TEXT),
            ("is_default", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "user_level_view_permissions",
        &[
            ("id", UUID),
            ("company_id", UUID),
            ("user_level_id", UUID),
            ("view_id", UUID),
            ("state", VARCHAR),
            ("modifiable", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "user_level_feature_permissions",
        &[
            ("id", UUID),
            ("company_id", UUID),
            ("user_level_id", UUID),
            ("feature_id", UUID),
            ("action", VARCHAR),
            ("value", BOOLEAN),
            ("scope", VARCHAR),
            ("modifiable", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    ("user_user_levels", &[("user_id", UUID), ("user_level_id", UUID), ("assigned_by", UUID), ("created_at", TIME)]),
    (
        "menu_items",
        &[
            ("id", UUID),
            ("company_id", UUID),
            ("label", VARCHAR),
            ("icon", VARCHAR),
            ("priority", VARCHAR),
            ("required_permissions", TEXT),
            ("sort_order", VARCHAR),
            ("view_id", UUID),
            ("feature_id", UUID),
            ("is_entrypoint", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "sub_menu_items",
        &[
            ("id", UUID),
            ("menu_item_id", UUID),
            ("label", VARCHAR),
            ("view_id", UUID),
            ("feature_id", UUID),
            ("icon", VARCHAR),
            ("sort_order", VARCHAR),
            ("enabled", BOOLEAN),
            ("created_at", TIME),
            ("updated_at", TIME),
        ],
    ),
    (
        "nav_trail",
        &[
            ("id", UUID),
            ("user_id", UUID),
            ("session_id", VARCHAR),
            ("view_id", UUID),
            ("url", VARCHAR),
            ("label", VARCHAR),
            ("depth", VARCHAR),
            ("created_at", TIME),
        ],
    ),
    ("effective_view_permissions", &[("company_id", UUID), ("user_id", UUID), ("view_id", UUID)]),
    ("effective_feature_permissions", &[("company_id", UUID), ("user_id", UUID), ("feature_id", UUID)]),
    (
        "iam_audit_logs",
        &[
            ("id", UUID),
            ("company_id", UUID),
            ("user_id", UUID),
            ("action", VARCHAR),
            ("entity_type", VARCHAR),
            ("entity_id", UUID),
            ("changes", TEXT),
            ("metadata", TEXT),
            ("timestamp", TIME),
        ],
    ),
];

/// Query for the columns $2 with the types $3 of the tables $1 that do not exist in the current schema in this form.
const DIFFERENCES: &str = r#"
    SELECT expected.tab, expected.col, expected.type AS expected, found.type AS found
    FROM unnest($1::text[], $2::text[], $3::text[]) AS expected (tab, col, type)
    LEFT JOIN (
        SELECT relname::text, attname::text, format_type(atttypid, NULL) AS type
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r'
    ) AS found (tab, col, type) ON found.tab = expected.tab AND found.col = expected.col
    WHERE found.type IS DISTINCT FROM expected.type
    ORDER BY expected.tab COLLATE "C", expected.col COLLATE "C""#;

/// Query for what would refer to the moved tables $1, or depends on their rows: objects of other programs, and row-level
/// security, which could hide rows. Constraints, indexes, defaults and internal triggers of the tables belong to them.
const DEPENDENTS: &str = r#"
    WITH own AS (
        SELECT oid, reltype, relrowsecurity FROM pg_class
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname = ANY($1)
    )
    SELECT DISTINCT pg_describe_object(classid, objid, 0) AS name FROM pg_depend
    WHERE deptype IN ('n', 'a') AND (
            (refclassid = 'pg_class'::regclass AND refobjid IN (SELECT oid FROM own))
            OR (refclassid = 'pg_type'::regclass AND refobjid IN (SELECT reltype FROM own))
        )
        AND NOT (classid = 'pg_constraint'::regclass
            AND objid IN (SELECT oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM own)))
        AND NOT (classid = 'pg_class'::regclass
            AND objid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM own)))
        AND NOT (classid = 'pg_attrdef'::regclass
            AND objid IN (SELECT oid FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM own)))
        AND NOT (classid = 'pg_trigger'::regclass
            AND objid IN (SELECT oid FROM pg_trigger WHERE tgisinternal AND tgrelid IN (SELECT oid FROM own)))
    UNION
    SELECT format('row-level security of table %s', oid::regclass) FROM own WHERE relrowsecurity
    ORDER BY name"#;

/// Checks that the current schema contains the tables of the original system, and that nothing else depends on them.
pub(crate) async fn recognize(tx: &DatabaseTransaction) -> Result<(), AdoptionError> {
    let column = |of: fn(&'static str, (&'static str, &'static str)) -> &'static str| -> Vec<String> {
        let columns = TABLES.iter().flat_map(|(table, columns)| columns.iter().map(|column| of(table, *column)));
        columns.map(str::to_owned).collect()
    };
    let (tables, names, types) = (column(|table, _| table), column(|_, (name, _)| name), column(|_, (_, kind)| kind));
    let rows = tx.query_all_raw(statement(DIFFERENCES, [tables.into(), names.into(), types.into()])).await?;
    let mut differences = Vec::with_capacity(rows.len());
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let text = |name: &str| row.try_get::<String>("", name);
        let (table, column, expected) = (text("tab")?, text("col")?, text("expected")?);
        match row.try_get::<Option<String>>("", "found")? {
            Some(found) => differences.push(format!("{table}.{column} has the type {found} instead of {expected}")),
            None => missing.entry(table).or_default().push(column),
        }
    }
    for (table, columns) in TABLES {
        match missing.remove(table) {
            Some(names) if names.len() == columns.len() => differences.push(format!("the table {table} is missing")),
            Some(names) => differences.extend(names.iter().map(|name| format!("{table}.{name} is missing"))),
            None => {}
        }
    }
    if !differences.is_empty() {
        return Err(AdoptionError::NotTheOriginal { differences });
    }
    let tables: Vec<_> = TABLES.iter().map(|(table, _)| (*table).to_owned()).collect();
    let rows = tx.query_all_raw(statement(DEPENDENTS, [tables.into()])).await?;
    let dependents = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<Vec<String>, _>>()?;
    if dependents.is_empty() { Ok(()) } else { Err(AdoptionError::Dependents(dependents)) }
}
