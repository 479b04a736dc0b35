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

/// The template of a default level: its name, its description, and the rules of its matrices.
struct Template {
    name: &'static str,
    description: &'static str,
    is_admin: bool,
    /// The state of the views below `/admin`. `None` means that the level has no rule for them. All other views are
    /// allowed.
    admin_views: Option<ViewState>,
    /// The rules for ordinary features.
    features: Rules,
    /// The rules for the service's own features.
    own_features: Rules,
}

/// Returns the templates of the default levels. The levels contain no denies, so a user who holds two of them may do
/// everything that either of them allows.
const fn templates() -> [Template; 3] {
    [
        Template {
            name: "Admin",
            description: "Administers the company",
            is_admin: true,
            admin_views: Some(ViewState::Allow),
            features: [ALLOW_ANY; 6],
            own_features: [ALLOW_ANY; 6],
        },
        Template {
            name: "Member",
            description: "Works in the company",
            is_admin: false,
            admin_views: None,
            // The order of the rules: Create, Read, Update, Delete, Export, Approve.
            features: [ALLOW_COMPANY, ALLOW_COMPANY, ALLOW_COMPANY, None, None, None],
            own_features: [None; 6],
        },
        Template {
            name: "Visitor",
            description: "Looks at the company",
            is_admin: false,
            admin_views: None,
            features: [None, ALLOW_COMPANY, None, None, None, None],
            own_features: [None; 6],
        },
    ]
}

/// Returns the templates of earlier releases. In these templates, Member and Visitor contain denies.
const fn templates_with_denies() -> [Template; 3] {
    let [admin, member, visitor] = templates();
    [
        admin,
        Template {
            admin_views: Some(ViewState::Deny),
            features: [ALLOW_COMPANY, ALLOW_COMPANY, ALLOW_COMPANY, DENY, None, None],
            own_features: [None, None, None, DENY, None, None],
            ..member
        },
        Template {
            admin_views: Some(ViewState::Deny),
            features: [DENY, ALLOW_COMPANY, DENY, DENY, DENY, DENY],
            own_features: [DENY, None, DENY, DENY, DENY, DENY],
            ..visitor
        },
    ]
}

/// Creates the three default levels for a catalog.
///
/// # Errors
///
/// Never fails in practice: the names and descriptions are valid constants.
pub fn default_levels(catalog: &Catalog) -> Result<Vec<DefaultLevel>, TextError> {
    templates().iter().map(|template| level(template, catalog)).collect()
}

/// Creates the three default levels as earlier releases created them. In these levels, Member and Visitor contain
/// denies. A user who holds one of them in addition to another level may therefore have fewer permissions than with the
/// other level alone.
///
/// # Errors
///
/// Never fails in practice: the names and descriptions are valid constants.
pub fn default_levels_with_denies(catalog: &Catalog) -> Result<Vec<DefaultLevel>, TextError> {
    templates_with_denies().iter().map(|template| level(template, catalog)).collect()
}

fn level(template: &Template, catalog: &Catalog) -> Result<DefaultLevel, TextError> {
    Ok(DefaultLevel {
        name: Name::parse(template.name)?,
        description: Description::parse(template.description)?,
        is_admin: template.is_admin,
        views: catalog.views().filter_map(|view| Some((view.id, view_state(view, template)?))).collect(),
        features: catalog
            .features()
            .flat_map(|feature| {
                let reserved = feature.key.as_ref().is_some_and(is_reserved);
                let rules = if reserved { &template.own_features } else { &template.features };
                Action::listed()
                    .zip(rules)
                    .filter_map(move |(action, rule)| rule.map(|rule| (feature.id, action, rule)))
            })
            .collect(),
    })
}

fn view_state(view: &View, template: &Template) -> Option<ViewState> {
    let url = view.url.as_str();
    if url == "/admin" || url.starts_with("/admin/") { template.admin_views } else { Some(ViewState::Allow) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, seed};

    /// Returns the name of each level and four counts: view cells, denied view cells, feature cells and denied feature
    /// cells.
    fn counts(levels: &[DefaultLevel]) -> Vec<(&str, usize, usize, usize, usize)> {
        let count = |level: &DefaultLevel| {
            let views = level.views.iter().filter(|(_, state)| *state == ViewState::Deny).count();
            let features = level.features.iter().filter(|(_, _, rule)| !rule.value).count();
            (level.views.len(), views, level.features.len(), features)
        };
        let named = levels.iter().map(|level| (level.name.as_str(), count(level)));
        named.map(|(name, (views, denied, features, refused))| (name, views, denied, features, refused)).collect()
    }

    #[test]
    fn the_default_levels_have_the_planned_cells() {
        let seeded = seed::catalog(Timestamp::from_millis(0).unwrap()).unwrap();
        let catalog = Catalog::new(seeded.views, seeded.features, [], [], []);
        // Admin has 19 features × 6 actions. Member has 17 ordinary features × 3 actions, and Visitor 17 × 1.
        let expected = [("Admin", 14, 0, 114, 0), ("Member", 12, 0, 51, 0), ("Visitor", 12, 0, 17, 0)];
        assert_eq!(counts(&default_levels(&catalog).unwrap()), expected);
        // In earlier releases, Member had 17 × 4 and 2 × 1 cells, and Visitor 17 × 6 and 2 × 5.
        let expected = [("Admin", 14, 0, 114, 0), ("Member", 14, 2, 70, 19), ("Visitor", 14, 2, 112, 95)];
        assert_eq!(counts(&default_levels_with_denies(&catalog).unwrap()), expected);
    }

    #[test]
    fn the_default_levels_allow_what_they_allowed_with_denies() {
        let seeded = seed::catalog(Timestamp::from_millis(0).unwrap()).unwrap();
        let catalog = Catalog::new(seeded.views, seeded.features, [], [], []);
        let allowed = |levels: Vec<DefaultLevel>| {
            let of_level = |level: DefaultLevel| {
                let views: Vec<_> = level.views.into_iter().filter(|(_, state)| *state == ViewState::Allow).collect();
                let features: Vec<_> = level.features.into_iter().filter(|(_, _, rule)| rule.value).collect();
                (level.name, views, features)
            };
            levels.into_iter().map(of_level).collect::<Vec<_>>()
        };
        let before = allowed(default_levels_with_denies(&catalog).unwrap());
        assert_eq!(allowed(default_levels(&catalog).unwrap()), before);
    }
}
