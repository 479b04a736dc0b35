//! The provisioning of a company: the module `core` and the default levels Admin, Member and Visitor.

use crate::{
    Action, Catalog, Description, FeatureId, FeatureRule, Name, Scope, TextError, View, ViewId, ViewState, is_reserved,
};

/// A level that provisioning creates. Its matrices cover the views and features that the catalog contains at the time
/// of provisioning.
#[derive(Debug, Clone)]
pub struct DefaultLevel {
    /// The name of the level.
    pub name: Name,
    /// The description of the level.
    pub description: Description,
    /// `true` if the holders of the level are administrators of the company.
    pub is_admin: bool,
    /// The view matrix of the level.
    pub views: Vec<(ViewId, ViewState)>,
    /// The feature matrix of the level.
    pub features: Vec<(FeatureId, Action, FeatureRule)>,
}

/// The rules of a default level for the actions of a feature, in the order of [`Action::LISTED`]. `None` means that the
/// level has no rule for the action.
type Rules = [Option<FeatureRule>; 6];

const fn allow(scope: Scope) -> Option<FeatureRule> {
    Some(FeatureRule { value: true, scope })
}

const DENY: Option<FeatureRule> = Some(FeatureRule { value: false, scope: Scope::Own });
const ALLOW_ANY: Option<FeatureRule> = allow(Scope::Any);
const ALLOW_COMPANY: Option<FeatureRule> = allow(Scope::Company);

/// A default level as a tuple: the name, the description, `true` if its holders are administrators, the rules for
/// ordinary features, and the rules for the service's own features.
type Template = (&'static str, &'static str, bool, Rules, Rules);

const TEMPLATES: [Template; 3] = [
    ("Admin", "Administers the company", true, [ALLOW_ANY; 6], [ALLOW_ANY; 6]),
    (
        "Member",
        "Works in the company",
        false,
        // The order of the rules: Create, Read, Update, Delete, Export, Approve.
        [ALLOW_COMPANY, ALLOW_COMPANY, ALLOW_COMPANY, DENY, None, None],
        [None, None, None, DENY, None, None],
    ),
    (
        "Visitor",
        "Looks at the company",
        false,
        [DENY, ALLOW_COMPANY, DENY, DENY, DENY, DENY],
        [DENY, None, DENY, DENY, DENY, DENY],
    ),
];

/// Creates the three default levels for a catalog.
///
/// # Errors
///
/// Never fails in practice: the names and descriptions are valid constants.
pub fn default_levels(catalog: &Catalog) -> Result<Vec<DefaultLevel>, TextError> {
    TEMPLATES
        .iter()
        .map(|(name, description, is_admin, rules, own_rules)| {
            Ok(DefaultLevel {
                name: Name::parse(*name)?,
                description: Description::parse(*description)?,
                is_admin: *is_admin,
                views: catalog.views().map(|view| (view.id, view_state(view, *is_admin))).collect(),
                features: catalog
                    .features()
                    .flat_map(|feature| {
                        let reserved = feature.key.as_ref().is_some_and(is_reserved);
                        let rules = if reserved { own_rules } else { rules };
                        Action::listed()
                            .zip(rules)
                            .filter_map(move |(action, rule)| rule.map(|rule| (feature.id, action, rule)))
                    })
                    .collect(),
            })
        })
        .collect()
}

fn view_state(view: &View, is_admin: bool) -> ViewState {
    let url = view.url.as_str();
    if !is_admin && (url == "/admin" || url.starts_with("/admin/")) { ViewState::Deny } else { ViewState::Allow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, seed};

    #[test]
    fn the_default_levels_have_the_planned_cells() {
        let seeded = seed::catalog(Timestamp::from_millis(0).unwrap()).unwrap();
        let catalog = Catalog::new(seeded.views, seeded.features, [], [], []);
        let levels = default_levels(&catalog).unwrap();
        let counts: Vec<_> = levels
            .iter()
            .map(|level| {
                let denied = level.views.iter().filter(|(_, state)| *state == ViewState::Deny).count();
                (level.name.as_str(), level.views.len(), denied, level.features.len())
            })
            .collect();
        // The last number of each level is its number of cells in the feature matrix. Admin has 19 features × 6
        // actions. Member has 17 ordinary features × 4 actions, and 2 features of the service × 1 action. Visitor has
        // 17 × 6 and 2 × 5.
        assert_eq!(counts, [("Admin", 14, 0, 114), ("Member", 14, 2, 70), ("Visitor", 14, 2, 112)]);
    }
}
