//! The question that a decision answers: a view, or an action of a feature with a scope.

use std::collections::BTreeSet;

use iam_domain::escalation::Cell;
use iam_domain::{Action, Catalog, Feature, FeatureId, Scope, View, ViewId, folded};
use iam_permissions_cache::{AvailableCatalog, AvailableFeature, Check, FeatureRef, ViewRef};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::pages::users::effect::cell_name;

/// Maximum number of views, features or actions that a message lists.
const LISTED: usize = 12;

/// The question of a form, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    view: String,
    feature: String,
    action: String,
    scope: String,
}

/// A question about a view or an action that exists.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) cell: Cell,
    pub(crate) least_scope: Option<Scope>,
    /// The question with the URL or the key instead of an id.
    pub(crate) question: Question,
}

impl Asked {
    /// Returns the check that answers the question.
    pub(crate) fn check(&self) -> Check {
        match &self.cell {
            Cell::View(view) => Check::View(ViewRef::Id(*view)),
            Cell::Action(feature, action) => Check::Feature {
                feature: FeatureRef::Id(*feature),
                action: action.clone(),
                least_scope: self.least_scope,
            },
        }
    }

    /// Returns the question as it continues after "May Ada ": "open Home?".
    pub(crate) fn words(&self, catalog: &Catalog) -> Markup {
        html! {
            @match &self.cell { Cell::View(_) => "open ", Cell::Action(..) => "do " }
            (cell_name(catalog, &self.cell))
            @if let Some(scope) = self.least_scope { " (scope " (scope) ")" }
            "?"
        }
    }
}

impl Question {
    /// Returns the question that the form asks, or `None` if the form is empty. `catalog` contains what can be asked about,
    /// and `available` what messages may list.
    ///
    /// # Errors
    ///
    /// Returns the reason why the form asks no question.
    pub(crate) fn asked(&self, catalog: &Catalog, available: &AvailableCatalog) -> Result<Option<Asked>, String> {
        let [view, feature, action, scope] =
            [&self.view, &self.feature, &self.action, &self.scope].map(|text| text.trim());
        match (view.is_empty(), feature.is_empty()) {
            (true, true) if action.is_empty() => Ok(None),
            (true, true) => Err("Choose a view, or a feature and an action".to_owned()),
            (false, false) => Err("Choose a view or a feature, not both".to_owned()),
            (false, true) if action.is_empty() => {
                let view = view_named(view, catalog, available)?;
                let question = Self { view: view.url.to_string(), ..Self::default() };
                Ok(Some(Asked { cell: Cell::View(view.id), least_scope: None, question }))
            }
            (false, true) => Err("A view has no actions: leave the action empty".to_owned()),
            (true, false) => {
                let feature = feature_named(feature, catalog, available)?;
                let action = action_named(action, feature)?;
                let least_scope = match scope {
                    "" => None,
                    scope => Some(scope.parse::<Scope>().map_err(|error| format!("The scope {error}"))?),
                };
                let question = Self {
                    view: String::new(),
                    feature: feature.key.as_ref().map_or_else(|| feature.id.to_string(), ToString::to_string),
                    action: action.to_string(),
                    scope: scope.to_owned(),
                };
                Ok(Some(Asked { cell: Cell::Action(feature.id, action), least_scope, question }))
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
                label for="view" { "View (name or URL)" }
                input #view name="view" value=(self.view) list="views" autocomplete="off";
                datalist #views { @for view in &catalog.views { option value=(view.url) { (view.name) } } }
            }
            p.or { "or" }
            div.field {
                label for="feature" { "Feature (name or key)" }
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
                datalist #actions {
                    @for (action, features) in self.actions(catalog) { option value=(action) { (features) } }
                }
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

    /// Returns the actions of the chosen feature, or the actions of all features, each with the names of its features.
    fn actions<'a>(&self, catalog: &'a AvailableCatalog) -> Vec<(&'a Action, String)> {
        let is_chosen = |feature: &&AvailableFeature| {
            let key = feature.key.as_ref().map(|key| key.as_str());
            key == Some(self.feature.as_str()) || feature.id.to_string() == self.feature
        };
        let chosen = catalog.features.iter().find(is_chosen);
        let features = || catalog.features.iter().filter(|feature| chosen.is_none_or(|chosen| chosen.id == feature.id));
        let mut seen = BTreeSet::new();
        let actions = features().flat_map(|feature| &feature.actions).filter(|action| seen.insert(action.as_str()));
        let named = |action: &'a Action| {
            let with: Vec<_> = features().filter(|feature| feature.actions.contains(action)).collect();
            let names = with.iter().map(|feature| feature.name.as_str());
            (action, if action.is_standard() { "any feature".to_owned() } else { listed(names) })
        };
        actions.map(named).collect()
    }
}

/// Returns the view with this id, URL or name.
fn view_named<'a>(text: &str, catalog: &'a Catalog, available: &AvailableCatalog) -> Result<&'a View, String> {
    let by_id = ViewId::parse(text).ok().and_then(|id| catalog.view(id));
    let found = by_id.or_else(|| catalog.view_by_url(text));
    let called = catalog.views().filter(|view| folded(view.name.as_str()) == folded(text));
    match (found, called.collect::<Vec<_>>().as_slice()) {
        (Some(view), _) | (None, &[view]) => Ok(view),
        (None, &[]) => {
            let views = available.views.iter().map(|view| view.url.as_str());
            Err(format!("View not found: “{text}”. The views are {}", listed(views)))
        }
        (None, several) => {
            let views = several.iter().map(|view| view.url.as_str());
            Err(format!("Several views are called “{text}”. Choose one of {}", listed(views)))
        }
    }
}

/// Returns the feature with this id, key or name.
fn feature_named<'a>(text: &str, catalog: &'a Catalog, available: &AvailableCatalog) -> Result<&'a Feature, String> {
    let by_id = FeatureId::parse(text).ok().and_then(|id| catalog.feature(id));
    let found = by_id.or_else(|| catalog.feature_by_key(text));
    let called = catalog.features().filter(|feature| folded(feature.name.as_str()) == folded(text));
    match (found, called.collect::<Vec<_>>().as_slice()) {
        (Some(feature), _) | (None, &[feature]) => Ok(feature),
        (None, &[]) => {
            let features = available.features.iter();
            let features =
                features.map(|feature| feature.key.as_ref().map_or(feature.name.as_str(), |key| key.as_str()));
            Err(format!("Feature not found: “{text}”. The features are {}", listed(features)))
        }
        (None, several) => {
            let keys = several.iter().filter_map(|feature| Some(feature.key.as_ref()?.as_str()));
            Err(format!("Several features are called “{text}”. Choose one of {}", listed(keys)))
        }
    }
}

/// Returns the action of the feature with this name.
fn action_named(text: &str, feature: &Feature) -> Result<Action, String> {
    let actions: Vec<_> = Action::standard().chain(feature.actions.iter().flatten().cloned()).collect();
    if let Some(action) = actions.iter().find(|action| folded(action.as_str()) == folded(text)) {
        return Ok(action.clone());
    }
    let names: BTreeSet<_> = actions.iter().map(Action::as_str).collect();
    let problem =
        if text.is_empty() { "Choose an action".to_owned() } else { format!("Action not found: “{text}”") };
    Err(format!("{problem}. The actions of {} are {}", feature.name, listed(names.into_iter())))
}

/// Returns the texts as a list that is not too long for a message.
fn listed<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.collect();
    let (shown, more) = (texts.iter().take(LISTED).copied().collect::<Vec<_>>(), texts.len().saturating_sub(LISTED));
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{}, and {more} more", shown.join(", ")),
    }
}
