//! The question that a decision answers: a view, or an action of a feature with a scope.

use iam_domain::{Action, Scope};
use iam_permissions_cache::{AvailableCatalog, Check, FeatureRef, ViewRef};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The question of a form, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    view: String,
    feature: String,
    action: String,
    scope: String,
}

impl Question {
    /// Returns the check that the form describes, or `None` if the form is empty.
    ///
    /// # Errors
    ///
    /// Returns the reason why the form does not describe a check.
    pub(crate) fn check(&self) -> Result<Option<Check>, String> {
        let [view, feature, action, scope] =
            [&self.view, &self.feature, &self.action, &self.scope].map(|text| text.trim());
        if [view, feature, action].iter().any(|text| text.contains('\0')) {
            return Err("The fields must not contain NUL characters".to_owned());
        }
        match (view.is_empty(), feature.is_empty()) {
            (true, true) if action.is_empty() => Ok(None),
            (true, true) => Err("Choose a view, or a feature and an action".to_owned()),
            (false, false) => Err("Choose a view or a feature, not both".to_owned()),
            (false, true) if action.is_empty() => Ok(Some(Check::View(ViewRef::parse(view)))),
            (false, true) => Err("A view has no actions: leave the action empty".to_owned()),
            (true, false) => {
                let action = Action::stored(action).map_err(|error| format!("The action {error}"))?;
                let least_scope = match scope {
                    "" => None,
                    scope => Some(scope.parse::<Scope>().map_err(|error| format!("The scope {error}"))?),
                };
                Ok(Some(Check::Feature { feature: FeatureRef::parse(feature), action, least_scope }))
            }
        }
    }

    /// Returns the question as the query of a URL.
    pub(crate) fn query(&self) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let [view, feature, action, scope] =
            [&self.view, &self.feature, &self.action, &self.scope].map(|text| encoded(text));
        format!("view={view}&feature={feature}&action={action}&scope={scope}")
    }

    /// Returns the controls of the form, which suggest the views and features of the company.
    pub(crate) fn controls(&self, catalog: &AvailableCatalog) -> Markup {
        html! {
            div.field {
                label for="view" { "View (URL or id)" }
                input #view name="view" value=(self.view) list="views" autocomplete="off";
                datalist #views { @for view in &catalog.views { option value=(view.url) { (view.name) } } }
            }
            p.or { "or" }
            div.field {
                label for="feature" { "Feature (key or id)" }
                input #feature name="feature" value=(self.feature) list="features" autocomplete="off";
                datalist #features {
                    @for feature in &catalog.features {
                        @match &feature.key {
                            Some(key) => option value=(key) { (feature.name) },
                            None => option value=(feature.id) { (feature.name) },
                        }
                    }
                }
            }
            div.field {
                label for="action" { "Action" }
                input #action name="action" value=(self.action) list="actions" maxlength="50" autocomplete="off";
                datalist #actions { @for action in actions(catalog) { option value=(action) {} } }
            }
            div.field {
                label for="scope" { "Minimum scope" }
                select #scope name="scope" {
                    option value="" { "Any scope suffices" }
                    @for scope in [Scope::Own, Scope::Team, Scope::Company, Scope::Any] {
                        option value=(scope) selected[scope.as_str() == self.scope] { (scope) }
                    }
                }
            }
        }
    }
}

/// Returns the names of all actions of the features, each of them once.
fn actions(catalog: &AvailableCatalog) -> std::collections::BTreeSet<&str> {
    catalog.features.iter().flat_map(|feature| feature.actions.iter().map(Action::as_str)).collect()
}
