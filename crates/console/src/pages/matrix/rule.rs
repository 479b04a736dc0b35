//! The rule of a level for one cell, as pages show it and forms contain it.

use iam_domain::escalation::Cell;
use iam_domain::{FeatureRule, Scope, ViewState};

/// One of the two matrices of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The view matrix.
    Views,
    /// The feature matrix.
    Features,
}

impl Kind {
    /// Returns the matrix that a cell belongs to.
    pub(crate) const fn of(cell: &Cell) -> Self {
        match cell {
            Cell::View(_) => Self::Views,
            Cell::Action(..) => Self::Features,
        }
    }

    /// Returns the name of the matrix in queries.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Features => "features",
        }
    }

    /// Returns the label of the matrix.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Views => "Views",
            Self::Features => "Features",
        }
    }

    /// Returns the rules that a level can have for a cell of the matrix, in the order in which a key press changes them.
    pub(crate) const fn rules(self) -> &'static [Rule] {
        match self {
            Self::Views => &[Rule::Inherit, Rule::Allow(Scope::Any), Rule::Deny],
            Self::Features => &[
                Rule::Inherit,
                Rule::Allow(Scope::Any),
                Rule::Allow(Scope::Company),
                Rule::Allow(Scope::Team),
                Rule::Allow(Scope::Own),
                Rule::Deny,
            ],
        }
    }
}

/// The rule of a level for a cell. Views are allowed with the scope `any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The other levels of the user decide. A level without the cell has this rule, too.
    Inherit,
    /// The level denies the cell, whatever other levels allow.
    Deny,
    /// The level allows the cell with this scope.
    Allow(Scope),
}

impl From<ViewState> for Rule {
    fn from(state: ViewState) -> Self {
        match state {
            ViewState::Allow => Self::Allow(Scope::Any),
            ViewState::Deny => Self::Deny,
            ViewState::Inherit => Self::Inherit,
        }
    }
}

impl From<FeatureRule> for Rule {
    fn from(rule: FeatureRule) -> Self {
        if rule.value { Self::Allow(rule.scope) } else { Self::Deny }
    }
}

impl Rule {
    /// Returns the letter that stands for the rule in forms and in the classes of cells.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Inherit => "n",
            Self::Deny => "d",
            Self::Allow(Scope::Own) => "o",
            Self::Allow(Scope::Team) => "t",
            Self::Allow(Scope::Company) => "c",
            Self::Allow(Scope::Any) => "a",
        }
    }

    /// Returns the rule that a letter stands for in a matrix.
    pub(crate) fn from_code(kind: Kind, code: &str) -> Option<Self> {
        kind.rules().iter().copied().find(|rule| rule.code() == code)
    }

    /// Returns the text of a cell with this rule. The text of an inherited cell is empty, because most cells are inherited.
    pub(crate) const fn text(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Inherit, _) => "",
            (Self::Deny, _) => "Deny",
            (Self::Allow(_), Kind::Views) => "Allow",
            (Self::Allow(scope), Kind::Features) => scope.as_str(),
        }
    }

    /// Returns the label of the rule, as a control or a sentence contains it.
    pub(crate) const fn label(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Inherit, _) => "Inherit",
            (Self::Deny, _) => "Deny",
            (Self::Allow(_), Kind::Views) => "Allow",
            (Self::Allow(Scope::Own), Kind::Features) => "Allow: own",
            (Self::Allow(Scope::Team), Kind::Features) => "Allow: team",
            (Self::Allow(Scope::Company), Kind::Features) => "Allow: company",
            (Self::Allow(Scope::Any), Kind::Features) => "Allow: any",
        }
    }

    /// Returns the class of a chip with this rule.
    pub(crate) const fn chip(self) -> &'static str {
        match self {
            Self::Inherit => "chip",
            Self::Deny => "chip deny",
            Self::Allow(_) => "chip allow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_stands_for_one_rule_of_its_matrix() {
        for kind in [Kind::Views, Kind::Features] {
            for rule in kind.rules() {
                assert_eq!(Rule::from_code(kind, rule.code()), Some(*rule));
            }
        }
        assert_eq!(Rule::from_code(Kind::Views, "t"), None, "views have no scopes");
        assert_eq!(Rule::from_code(Kind::Features, "x"), None);
    }
}
