//! Row-level security: how a statement names the company whose rows it may see.

use iam_domain::CompanyId;
use sea_orm::Statement;

/// Makes a statement set, in the same round trip, the company whose rows it may see; `None`: all companies. Row-level
/// security hides the rows of others. The statement must return rows: what changes rows needs a `RETURNING`.
pub(crate) fn for_company(company: Option<CompanyId>, statement: Statement) -> Statement {
    for_company_with("", company, statement)
}

/// As [`for_company`], for a statement with sub-statements that change rows. PostgreSQL requires them in front:
/// `before` has the form `name AS (…),` for each.
///
/// `asked` refers to `tenant` and cannot be flattened into it (`OFFSET 0`), so it runs only for a row of `tenant`,
/// after the setting is made. A part that ran earlier would fail; it would not see more rows.
pub(crate) fn for_company_with(before: &str, company: Option<CompanyId>, statement: Statement) -> Statement {
    let Statement { sql, values, db_backend } = statement;
    let mut values = values.map_or_else(Vec::new, |values| values.0);
    values.push(setting(company).into());
    let sql = format!(
        "WITH tenant AS MATERIALIZED (SELECT set_config('iam.company', ${}, true) AS company),
        {before}asked AS ({sql})
        SELECT asked.* FROM tenant, LATERAL (SELECT * FROM asked WHERE tenant.company <> '' OFFSET 0) AS asked",
        values.len()
    );
    Statement::from_sql_and_values(db_backend, sql, values)
}

/// As [`for_company`], for a statement that only reads, in a transaction of the company `own`. Afterwards the setting
/// is that company again.
pub(crate) fn for_company_within(own: CompanyId, company: Option<CompanyId>, statement: Statement) -> Statement {
    let Statement { sql, values, db_backend } = statement;
    let mut values = values.map_or_else(Vec::new, |values| values.0);
    values.push(setting(company).into());
    values.push(setting(Some(own)).into());
    let (there, back) = (values.len() - 1, values.len());
    // The result is kept, the setting is made again, and then the result is returned.
    let sql = format!(
        "WITH tenant AS MATERIALIZED (SELECT set_config('iam.company', ${there}, true) AS company),
        asked AS MATERIALIZED ({sql})
        SELECT asked.* FROM tenant,
            LATERAL (SELECT count(*) AS rows FROM asked WHERE tenant.company <> '') AS kept,
            LATERAL (SELECT set_config('iam.company', ${back}, true) AS company WHERE kept.rows >= 0 OFFSET 0) AS own,
            LATERAL (SELECT * FROM asked WHERE own.company <> '' OFFSET 0) AS asked"
    );
    Statement::from_sql_and_values(db_backend, sql, values)
}

/// The value of the setting `iam.company`: a company, or all of them.
pub(crate) fn setting(company: Option<CompanyId>) -> String {
    company.map_or_else(|| "all".to_owned(), |company| company.as_uuid().to_string())
}
