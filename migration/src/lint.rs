//! A test that refuses statements of migrations that block other sessions for long, lose data, or break replicas of the
//! previous release. `docs/schema-changes.md` lists the rules.

mod exemptions;
mod rules;

use std::collections::BTreeSet;

use sea_orm_migration::MigratorTrait;

use crate::Migrator;
use exemptions::EXEMPTIONS;
use rules::{Finding, Rule, findings};

/// The names and the SQL of all migrations that execute statements, in order.
pub(crate) const UP: [(&str, &str); 18] = [
    ("m20261122_000001_create_iam_schema", crate::m20261122_000001_create_iam_schema::UP),
    ("m20261122_000002_add_credentials", crate::m20261122_000002_add_credentials::UP),
    ("m20261122_000003_row_level_security", crate::m20261122_000003_row_level_security::UP),
    ("m20261125_000004_states_and_histories", crate::m20261125_000004_states_and_histories::UP),
    ("m20261125_000005_indexes_without_rivals", crate::m20261125_000005_indexes_without_rivals::UP),
    ("m20261126_000006_seeded_rows", crate::m20261126_000006_seeded_rows::UP),
    ("m20261126_000007_company_quotas", crate::m20261126_000007_company_quotas::UP),
    ("m20261126_000008_change_lock", crate::m20261126_000008_change_lock::UP),
    ("m20261127_000009_api_key_rates", crate::m20261127_000009_api_key_rates::UP),
    ("m20261127_000010_company_ceilings", crate::m20261127_000010_company_ceilings::UP),
    ("m20261127_000011_company_directory", crate::m20261127_000011_company_directory::UP),
    ("m20261127_000012_cursor_key", crate::m20261127_000012_cursor_key::UP),
    ("m20261127_000013_idempotency_keys", crate::m20261127_000013_idempotency_keys::UP),
    ("m20261127_000014_assignment_periods", crate::m20261127_000014_assignment_periods::UP),
    ("m20261127_000016_last_backup", crate::m20261127_000016_last_backup::UP),
    ("m20261128_000017_engine", crate::m20261128_000017_engine::UP),
    ("m20261128_000018_partitions", crate::m20261128_000018_partitions::UP),
    ("m20261128_000019_console_sessions", crate::m20261128_000019_console_sessions::UP),
];

/// The names of the migrations that only declare indexes, and execute no statement.
const WITHOUT_SQL: [&str; 1] = ["m20261127_000015_member_names"];

const MANUAL: &str = include_str!("../../docs/schema-changes.md");

#[test]
fn every_migration_is_examined() {
    let mut examined: Vec<_> = UP.iter().map(|(name, _)| *name).chain(WITHOUT_SQL).map(str::to_owned).collect();
    examined.sort_unstable();
    let all: Vec<_> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    assert_eq!(examined, all);
}

#[test]
fn every_statement_is_safe_or_exempted_and_every_exemption_is_needed() {
    let found: BTreeSet<_> = UP
        .iter()
        .flat_map(|(migration, sql)| {
            findings(sql).into_iter().map(|Finding { rule, subject }| (*migration, rule, subject))
        })
        .collect();
    let exempted: BTreeSet<_> = EXEMPTIONS
        .iter()
        .map(|exemption| (exemption.migration, exemption.rule, exemption.subject.to_owned()))
        .collect();
    let refused: Vec<_> = found.difference(&exempted).collect();
    assert!(refused.is_empty(), "docs/schema-changes.md explains these rules: {refused:#?}");
    let unused: Vec<_> = exempted.difference(&found).collect();
    assert!(unused.is_empty(), "these exemptions are not needed: {unused:#?}");
    assert_eq!(EXEMPTIONS.len(), exempted.len(), "an exemption is listed twice");
    assert!(EXEMPTIONS.iter().all(|exemption| exemption.reason.ends_with('.')), "a reason is a sentence");
}

/// Returns the rules that statements on the existing table `t` break.
fn broken(sql: &str) -> Vec<Rule> {
    findings(sql).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn each_rule_refuses_its_statements() {
    for (rule, statements) in [
        (Rule::Index, &["CREATE INDEX i ON t (a)", "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"][..]),
        (
            Rule::NotNullColumn,
            &["ALTER TABLE t ADD COLUMN a integer NOT NULL", "ALTER TABLE t ADD a text NOT NULL DEFAULT NULL"],
        ),
        (
            Rule::VolatileDefault,
            &[
                "ALTER TABLE t ADD COLUMN a uuid DEFAULT gen_random_uuid()",
                "ALTER TABLE t ADD COLUMN a uuid NOT NULL DEFAULT md5(random()::text)::uuid",
                "ALTER TABLE t ADD COLUMN a integer GENERATED ALWAYS AS (b + 1) STORED",
                "ALTER TABLE t ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY",
                "ALTER TABLE t ADD COLUMN a bigserial",
            ],
        ),
        (Rule::ColumnType, &["ALTER TABLE t ALTER COLUMN a TYPE text", "ALTER TABLE t ALTER a SET DATA TYPE bigint"]),
        (Rule::SetNotNull, &["ALTER TABLE t ALTER COLUMN a SET NOT NULL"]),
        (
            Rule::ValidatedConstraint,
            &[
                "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
                "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id)",
                "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)",
                "ALTER TABLE t ADD CONSTRAINT c PRIMARY KEY (a)",
                "ALTER TABLE t ADD COLUMN a integer CHECK (a > 0)",
                "ALTER TABLE t ADD COLUMN a integer REFERENCES u (id)",
                "ALTER TABLE t ADD COLUMN a integer UNIQUE",
            ],
        ),
        (
            Rule::DropOrRename,
            &[
                "DROP TABLE t",
                "DROP VIEW v",
                "ALTER TABLE t DROP COLUMN a",
                "ALTER TABLE t RENAME TO u",
                "ALTER TABLE t RENAME COLUMN a TO b",
            ],
        ),
        (Rule::Truncate, &["TRUNCATE t", "TRUNCATE TABLE t"]),
        (Rule::LockTable, &["LOCK TABLE t", "LOCK t IN EXCLUSIVE MODE"]),
        (
            Rule::UnboundedChange,
            &[
                "UPDATE t SET a = 1",
                "UPDATE t SET a = 1 WHERE a IS NULL",
                "UPDATE t SET a = 1 WHERE a = b",
                "UPDATE t SET a = 1 WHERE a = 1 OR true",
                "DELETE FROM t",
                "DELETE FROM t WHERE a < 5",
                "INSERT INTO t SELECT * FROM u",
                "WITH u AS (DELETE FROM t RETURNING a) SELECT * FROM u",
            ],
        ),
        (
            Rule::Cascade,
            &["DROP INDEX i CASCADE", "DROP FUNCTION f() CASCADE", "ALTER TABLE t DROP CONSTRAINT c CASCADE"],
        ),
        (
            Rule::Unexamined,
            &[
                "DO $$ BEGIN DELETE FROM t; END $$",
                "CLUSTER t USING i",
                "REINDEX TABLE t",
                "VACUUM FULL t",
                "ALTER TABLE t SET (fillfactor = 50)",
                "ALTER TABLE t ADD EXCLUDE USING gist (a WITH &&)",
            ],
        ),
    ] {
        for statement in statements {
            assert_eq!(broken(statement), [rule], "{statement}");
        }
    }
    assert_eq!(broken("DROP TABLE t CASCADE"), [Rule::DropOrRename, Rule::Cascade]);
    assert_eq!(broken("SELECT 1; DROP TABLE t;\n-- the end\nTRUNCATE u"), [Rule::DropOrRename, Rule::Truncate]);
}

#[test]
fn safe_statements_pass() {
    for statement in [
        "CREATE TABLE n (a integer PRIMARY KEY, b uuid NOT NULL DEFAULT gen_random_uuid() REFERENCES t (id) ON DELETE CASCADE)",
        "ALTER TABLE t ADD COLUMN a jsonb",
        "ALTER TABLE t ADD COLUMN a varchar(20) COLLATE \"C\" NOT NULL DEFAULT 'active', ADD COLUMN b boolean DEFAULT false",
        "ALTER TABLE t ADD COLUMN a integer NOT NULL DEFAULT -1, ADD COLUMN b timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 1",
        "DROP INDEX i",
        "CREATE OR REPLACE VIEW v AS SELECT a FROM t",
        "UPDATE t SET a = 1 WHERE id = 5 AND a IS NULL",
        "DELETE FROM t WHERE id IN ('a', 'b')",
        "INSERT INTO t (a) VALUES (1), (2)",
        "INSERT INTO t DEFAULT VALUES",
        // Tables of the same migration have no rows yet, and no other session knows them.
        "CREATE TABLE n (a int); CREATE INDEX i ON n (a); INSERT INTO n SELECT a FROM u; UPDATE n SET a = 1;
        ALTER TABLE n ALTER COLUMN a SET NOT NULL; ALTER TABLE n ADD CONSTRAINT c CHECK (a > 0)",
    ] {
        assert_eq!(broken(statement), [], "{statement}");
    }
}

#[test]
fn the_documentation_lists_every_rule() {
    let (_, section) = MANUAL.split_once("## Rules for statements").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let documented: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let rules: Vec<_> = Rule::ALL.iter().map(|rule| format!("{rule:?}")).collect();
    assert_eq!(documented, rules);
}
