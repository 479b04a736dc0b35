//! The kinds of rows that violate the constraints of the service, the queries that find them, and their repairs.

use std::fmt;
use std::str::FromStr;

/// A kind of rows that violate a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Levels of one company with the same name.
    DuplicateNames,
    /// Levels, views, modules, features and menu items whose name or label is blank.
    BlankNames,
    /// Views, modules and features whose URL, code or key is blank.
    BlankKeys,
    /// Rows with a time outside the years 1 to 9999.
    InvalidTimes,
    /// Cells whose state is not `allow`, `deny` or `inherit`.
    UnknownStates,
    /// Cells without a value.
    MissingValues,
    /// Cells whose scope is not `own`, `team`, `company` or `any`.
    UnknownScopes,
    /// Modules and menu items whose priority is not `standard`, `optional` or `premium`.
    UnknownPriorities,
    /// Cells whose action is blank.
    BlankActions,
    /// Lists of actions or of required permissions that are not JSON arrays of strings of a permitted length.
    InvalidLists,
    /// Positions and depths that are not integers.
    InvalidNumbers,
    /// Rows that refer to a level, view, feature, module or menu item that does not exist.
    Orphans,
    /// Menu items and trail entries that refer to a view or a feature that does not exist.
    DanglingReferences,
    /// Cells of a level of another company.
    CrossCompanyCells,
    /// Trail entries of users who hold levels in no company or in several companies.
    AmbiguousTrails,
    /// Rows of a company whose id the service reserves.
    ReservedCompanies,
}

/// What is done with the rows of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The value is replaced. The copying statements contain the replacement.
    Replace,
    /// The row is not copied.
    Drop,
}

/// A repair: its name, what is done, and a description.
pub(crate) type RepairOption = (&'static str, Action, &'static str);

impl ProblemKind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 16] = [
        Self::DuplicateNames,
        Self::BlankNames,
        Self::BlankKeys,
        Self::InvalidTimes,
        Self::UnknownStates,
        Self::MissingValues,
        Self::UnknownScopes,
        Self::UnknownPriorities,
        Self::BlankActions,
        Self::InvalidLists,
        Self::InvalidNumbers,
        Self::Orphans,
        Self::DanglingReferences,
        Self::CrossCompanyCells,
        Self::AmbiguousTrails,
        Self::ReservedCompanies,
    ];

    /// Returns the name of the kind, as the option `--repair` expects it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DuplicateNames => "duplicate-names",
            Self::BlankNames => "blank-names",
            Self::BlankKeys => "blank-keys",
            Self::InvalidTimes => "invalid-times",
            Self::UnknownStates => "unknown-states",
            Self::MissingValues => "missing-values",
            Self::UnknownScopes => "unknown-scopes",
            Self::UnknownPriorities => "unknown-priorities",
            Self::BlankActions => "blank-actions",
            Self::InvalidLists => "invalid-lists",
            Self::InvalidNumbers => "invalid-numbers",
            Self::Orphans => "orphans",
            Self::DanglingReferences => "dangling-references",
            Self::CrossCompanyCells => "cross-company-cells",
            Self::AmbiguousTrails => "ambiguous-trails",
            Self::ReservedCompanies => "reserved-companies",
        }
    }

    /// Returns the repairs of this kind. Rows of a kind without repairs must be changed in the original database.
    pub(crate) const fn repairs(self) -> &'static [RepairOption] {
        match self {
            Self::DuplicateNames => {
                &[("rename", Action::Replace, "appends a number to the names of all but the oldest level")]
            }
            Self::BlankNames => &[("rename", Action::Replace, "uses the id as the name")],
            Self::BlankKeys => &[("rename", Action::Replace, "uses unnamed- and the id; a feature then has no key")],
            Self::InvalidTimes => &[("now", Action::Replace, "stores the time of the adoption")],
            Self::UnknownStates => &[
                ("inherit", Action::Replace, "stores the state inherit, as the original system decided"),
                ("drop", Action::Drop, "omits the cells"),
            ],
            Self::MissingValues => &[("drop", Action::Drop, "omits the cells, which had no effect")],
            Self::UnknownScopes => &[
                ("own", Action::Replace, "stores the narrowest scope"),
                ("drop", Action::Drop, "omits the cells, also those that deny an action"),
            ],
            Self::UnknownPriorities => &[("standard", Action::Replace, "stores the priority standard")],
            Self::BlankActions => &[("drop", Action::Drop, "omits the cells, which no request can ask for")],
            Self::InvalidLists => &[(
                "clear",
                Action::Replace,
                "stores no list: the feature has no actions of its own, and the menu item requires no permission",
            )],
            Self::InvalidNumbers => &[("zero", Action::Replace, "stores 0")],
            Self::Orphans => &[("drop", Action::Drop, "omits the rows")],
            Self::DanglingReferences => &[("clear", Action::Replace, "omits the reference, and keeps the row")],
            Self::CrossCompanyCells => {
                &[("drop", Action::Drop, "omits the cells, which had no effect in the original system")]
            }
            Self::AmbiguousTrails => {
                &[("drop", Action::Drop, "omits the entries, which only show recently visited pages")]
            }
            Self::ReservedCompanies => &[],
        }
    }

    /// Returns the queries for the rows of this kind: the table, and a condition on its row `o`. Tables of the original
    /// system are in the schema [`ARCHIVE`](super::ARCHIVE), which the search path contains.
    pub(crate) const fn conditions(self) -> &'static [(&'static str, &'static str)] {
        const CREATED: &str = "NOT pg_temp.iam_is_time(o.created_at)";
        const CREATED_OR_UPDATED: &str =
            "NOT (pg_temp.iam_is_time(o.created_at) AND pg_temp.iam_is_time(o.updated_at))";
        const NO_INTEGER: &str = "btrim(o.sort_order) <> '' AND o.sort_order !~ '^\\s*[+-]?[0-9]{1,9}\\s*$'";
        const NO_CELL_PARENT: &str = "NOT EXISTS (SELECT FROM user_levels AS l WHERE l.id = o.user_level_id)
            OR NOT EXISTS (SELECT FROM views AS v WHERE v.id = o.view_id)";
        const DANGLING: &str = "(o.view_id IS NOT NULL AND NOT EXISTS (SELECT FROM views AS v WHERE v.id = o.view_id))
            OR (o.feature_id IS NOT NULL AND NOT EXISTS (SELECT FROM features AS f WHERE f.id = o.feature_id))";
        const FOREIGN_LEVEL: &str = "EXISTS (SELECT FROM user_levels AS l
            WHERE l.id = o.user_level_id AND l.company_id <> o.company_id)";
        const RESERVED: &str = "o.company_id IN ('00000000-0000-0000-0000-000000000000',
            'ffffffff-ffff-ffff-ffff-ffffffffffff')";
        match self {
            Self::DuplicateNames => &[(
                "user_levels",
                "EXISTS (SELECT FROM user_levels AS l WHERE l.company_id = o.company_id AND l.name = o.name
                    AND (l.created_at, l.id) < (o.created_at, o.id))",
            )],
            Self::BlankNames => &[
                ("views", "btrim(o.name) = ''"),
                ("modules", "btrim(o.name) = ''"),
                ("features", "btrim(o.name) = ''"),
                ("user_levels", "btrim(o.name) = ''"),
                ("menu_items", "btrim(o.label) = ''"),
                ("sub_menu_items", "btrim(o.label) = ''"),
            ],
            Self::BlankKeys => {
                &[("views", "btrim(o.url) = ''"), ("modules", "btrim(o.code) = ''"), ("features", "btrim(o.key) = ''")]
            }
            Self::InvalidTimes => &[
                ("views", CREATED_OR_UPDATED),
                ("modules", CREATED_OR_UPDATED),
                ("features", CREATED_OR_UPDATED),
                ("feature2views", CREATED),
                ("module2views", CREATED),
                ("module2features", CREATED),
                ("company2modules", CREATED_OR_UPDATED),
                ("user_levels", CREATED_OR_UPDATED),
                ("user_level_view_permissions", CREATED_OR_UPDATED),
                ("user_level_feature_permissions", CREATED_OR_UPDATED),
                ("user_user_levels", CREATED),
                ("menu_items", CREATED_OR_UPDATED),
                ("sub_menu_items", CREATED_OR_UPDATED),
                ("nav_trail", CREATED),
                ("iam_audit_logs", "NOT pg_temp.iam_is_time(o.\"timestamp\")"),
            ],
            Self::UnknownStates => {
                &[("user_level_view_permissions", "(o.state IN ('allow', 'deny', 'inherit')) IS NOT TRUE")]
            }
            Self::MissingValues => &[("user_level_feature_permissions", "o.value IS NULL")],
            Self::UnknownScopes => {
                &[("user_level_feature_permissions", "(o.scope IN ('own', 'team', 'company', 'any')) IS NOT TRUE")]
            }
            Self::UnknownPriorities => &[
                ("modules", "(o.priority IN ('standard', 'optional', 'premium')) IS NOT TRUE"),
                ("menu_items", "(o.priority IN ('standard', 'optional', 'premium')) IS NOT TRUE"),
            ],
            Self::BlankActions => &[("user_level_feature_permissions", "btrim(o.action) = ''")],
            Self::InvalidLists => &[
                ("features", "btrim(o.actions) <> '' AND NOT pg_temp.iam_is_list(o.actions, 50)"),
                (
                    "menu_items",
                    "btrim(o.required_permissions) <> '' AND NOT pg_temp.iam_is_list(o.required_permissions, 255)",
                ),
            ],
            Self::InvalidNumbers => &[
                ("menu_items", NO_INTEGER),
                ("sub_menu_items", NO_INTEGER),
                ("nav_trail", "btrim(o.depth) <> '' AND o.depth !~ '^\\s*[+-]?[0-9]{1,9}\\s*$'"),
            ],
            Self::Orphans => &[
                (
                    "feature2views",
                    "NOT EXISTS (SELECT FROM features AS f WHERE f.id = o.feature_id)
                    OR NOT EXISTS (SELECT FROM views AS v WHERE v.id = o.view_id)",
                ),
                (
                    "module2views",
                    "NOT EXISTS (SELECT FROM modules AS m WHERE m.id = o.module_id)
                    OR NOT EXISTS (SELECT FROM views AS v WHERE v.id = o.view_id)",
                ),
                (
                    "module2features",
                    "NOT EXISTS (SELECT FROM modules AS m WHERE m.id = o.module_id)
                    OR NOT EXISTS (SELECT FROM features AS f WHERE f.id = o.feature_id)",
                ),
                ("company2modules", "NOT EXISTS (SELECT FROM modules AS m WHERE m.id = o.module_id)"),
                ("user_level_view_permissions", NO_CELL_PARENT),
                (
                    "user_level_feature_permissions",
                    "NOT EXISTS (SELECT FROM user_levels AS l WHERE l.id = o.user_level_id)
                    OR NOT EXISTS (SELECT FROM features AS f WHERE f.id = o.feature_id)",
                ),
                ("user_user_levels", "NOT EXISTS (SELECT FROM user_levels AS l WHERE l.id = o.user_level_id)"),
                ("sub_menu_items", "NOT EXISTS (SELECT FROM menu_items AS m WHERE m.id = o.menu_item_id)"),
            ],
            Self::DanglingReferences => &[
                ("menu_items", DANGLING),
                ("sub_menu_items", DANGLING),
                ("nav_trail", "o.view_id IS NOT NULL AND NOT EXISTS (SELECT FROM views AS v WHERE v.id = o.view_id)"),
            ],
            Self::CrossCompanyCells => {
                &[("user_level_view_permissions", FOREIGN_LEVEL), ("user_level_feature_permissions", FOREIGN_LEVEL)]
            }
            Self::AmbiguousTrails => &[(
                "nav_trail",
                "(SELECT count(DISTINCT l.company_id) FROM user_user_levels AS a JOIN user_levels AS l
                    ON l.id = a.user_level_id WHERE a.user_id = o.user_id) <> 1",
            )],
            Self::ReservedCompanies => &[
                ("company2modules", RESERVED),
                ("user_levels", RESERVED),
                ("user_level_view_permissions", RESERVED),
                ("user_level_feature_permissions", RESERVED),
                ("menu_items", RESERVED),
                ("iam_audit_logs", RESERVED),
            ],
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The repair that an operator has chosen for the rows of a kind. It is parsed from a text such as
/// `duplicate-names=rename`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    kind: ProblemKind,
    option: &'static RepairOption,
}

impl Repair {
    /// Returns the kind of the rows that are repaired.
    #[must_use]
    pub const fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// Returns the name of the repair.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.option.0
    }

    pub(crate) const fn action(&self) -> Action {
        self.option.1
    }
}

impl FromStr for Repair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, repair) = text.split_once('=').unwrap_or((text, ""));
        let Some(kind) = ProblemKind::ALL.into_iter().find(|kind| kind.name() == name) else {
            let kinds: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
            return Err(format!("unknown kind; the kinds are: {}", kinds.join(", ")));
        };
        let options = kind.repairs();
        options.iter().find(|(name, ..)| *name == repair).map(|option| Self { kind, option }).ok_or_else(|| {
            let names: Vec<_> = options.iter().map(|(repair, ..)| format!("{name}={repair}")).collect();
            if names.is_empty() {
                format!("{name} has no repair: change the rows in the original database")
            } else {
                format!("must be {}", names.join(" or "))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_is_parsed_from_its_kind_and_its_name() {
        let repair: Repair = "unknown-scopes=drop".parse().unwrap();
        assert_eq!((repair.kind(), repair.name(), repair.action()), (ProblemKind::UnknownScopes, "drop", Action::Drop));
        for kind in ProblemKind::ALL {
            for (name, ..) in kind.repairs() {
                assert_eq!(format!("{kind}={name}").parse::<Repair>().unwrap().kind(), kind);
            }
        }
    }

    #[test]
    fn the_error_for_an_invalid_repair_lists_what_is_valid() {
        let error = |text: &str| text.parse::<Repair>().unwrap_err();
        assert!(error("duplicates=rename").contains("duplicate-names, blank-names"));
        assert_eq!(error("unknown-states=allow"), "must be unknown-states=inherit or unknown-states=drop");
        assert_eq!(error("orphans"), "must be orphans=drop");
        assert!(error("reserved-companies=drop").contains("change the rows in the original database"));
    }
}
