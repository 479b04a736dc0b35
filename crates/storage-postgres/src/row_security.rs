//! Row-level security: wraps each statement so that the statement first sets the company whose rows it may see.

use iam_domain::CompanyId;
use sea_orm::Statement;

/// Wraps a statement so that it first sets, in the same round trip, the company whose rows it may see (`None`: all
/// companies). Row-level security excludes the rows of other companies. The statement must be able to return rows: a
/// statement that changes rows needs a `RETURNING` clause.
pub(crate) fn for_company(company: Option<CompanyId>, statement: Statement) -> Statement {
    for_company_with("", company, statement)
}

/// Wraps a statement with data-modifying CTEs as [`for_company`] does. PostgreSQL allows such CTEs only at the top
/// level, so they are passed in `before`, each in the form `name AS (…),`.
///
/// The subquery on `asked` refers to `tenant`, and `OFFSET 0` (an optimization fence) prevents the planner from
/// flattening the subquery. So the subquery runs only for the row of `tenant`, that is, after `iam.company` is set. If
/// a part of the subquery ran earlier, it would fail closed: the policies raise an error while `iam.company` is not
/// set.
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

/// Wraps a read-only statement as [`for_company`] does, for a transaction in which the setting `iam.company` is `own`.
/// After the statement, the setting is `own` again.
pub(crate) fn for_company_within(own: CompanyId, company: Option<CompanyId>, statement: Statement) -> Statement {
    let Statement { sql, values, db_backend } = statement;
    let mut values = values.map_or_else(Vec::new, |values| values.0);
    values.push(setting(company).into());
    values.push(setting(Some(own)).into());
    let (there, back) = (values.len() - 1, values.len());
    // The result is materialized, the setting is restored to `own`, and then the result is returned.
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

/// Returns the value for the setting `iam.company`: the id of a company, or `all`.
pub(crate) fn setting(company: Option<CompanyId>) -> String {
    company.map_or_else(|| "all".to_owned(), |company| company.as_uuid().to_string())
}
