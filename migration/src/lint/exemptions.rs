//! The statements of migrations that break a rule on purpose.

use super::rules::Rule;

/// The permission for one migration to break a rule for one object.
pub(super) struct Exemption {
    pub(super) migration: &'static str,
    pub(super) rule: Rule,
    pub(super) subject: &'static str,
    pub(super) reason: &'static str,
}

const fn exempt(migration: &'static str, rule: Rule, subject: &'static str, reason: &'static str) -> Exemption {
    Exemption { migration, rule, subject, reason }
}

const NOT_RELEASED: &str = "The migration is older than the rule, and no release without it has production data.";
const ONE_ROW_PER_COMPANY: &str =
    "The migration is older than the rule. The table has one row for each company, so the lock is short.";

const RECREATED: &str = "The table is a cache. A table of the same name and with the same columns replaces it.";

pub(super) const EXEMPTIONS: [Exemption; 18] = [
    exempt(
        "m20261122_000003_row_level_security",
        Rule::Unexamined,
        "DO $$ DECLARE",
        "The block only enables row-level security and creates policies, which read no row.",
    ),
    exempt("m20261125_000004_states_and_histories", Rule::Index, "company_states", ONE_ROW_PER_COMPANY),
    exempt(
        "m20261125_000004_states_and_histories",
        Rule::VolatileDefault,
        "company_states",
        "Each row needs a random stamp of its own. The table has one row for each company.",
    ),
    exempt("m20261125_000005_indexes_without_rivals", Rule::Index, "iam_audit_logs", NOT_RELEASED),
    exempt("m20261125_000005_indexes_without_rivals", Rule::Index, "user_user_levels", NOT_RELEASED),
    exempt(
        "m20261126_000008_change_lock",
        Rule::Unexamined,
        "DO $do$ DECLARE",
        "The block creates an empty table in a schema of its own, and changes no other table.",
    ),
    exempt("m20261127_000009_api_key_rates", Rule::ValidatedConstraint, "api_keys", NOT_RELEASED),
    exempt("m20261127_000011_company_directory", Rule::Index, "api_keys", NOT_RELEASED),
    exempt("m20261127_000011_company_directory", Rule::Index, "company_states", ONE_ROW_PER_COMPANY),
    exempt("m20261127_000011_company_directory", Rule::ValidatedConstraint, "company_states", ONE_ROW_PER_COMPANY),
    exempt("m20261127_000014_assignment_periods", Rule::Index, "user_user_levels", NOT_RELEASED),
    exempt("m20261127_000016_last_backup", Rule::ValidatedConstraint, "iam_installation", "The table has one row."),
    exempt(
        "m20261128_000017_engine",
        Rule::Unexamined,
        "DO $do$ DECLARE",
        "The block only replaces the functions that acquire the global lock.",
    ),
    exempt("m20261128_000018_partitions", Rule::DropOrRename, "effective_view_permissions", RECREATED),
    exempt("m20261128_000018_partitions", Rule::DropOrRename, "effective_view_permissions_old", RECREATED),
    exempt("m20261128_000018_partitions", Rule::DropOrRename, "effective_feature_permissions", RECREATED),
    exempt("m20261128_000018_partitions", Rule::DropOrRename, "effective_feature_permissions_old", RECREATED),
    exempt(
        "m20261128_000018_partitions",
        Rule::Unexamined,
        "DO $$ DECLARE",
        "The block creates empty partitions of new tables, with policies and privileges.",
    ),
];
