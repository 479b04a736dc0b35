//! The controls that entries of the menu have in common: the view and the feature that an entry links to.

use iam_application::{Application, Failure};
use iam_domain::{Feature, FeatureId, View, ViewId};
use maud::{Markup, html};

use super::super::control::Problems;
use super::typed::Typed;

/// The views and features that entries of the menu may link to.
pub(crate) struct Targets {
    pub(super) views: Vec<View>,
    pub(super) features: Vec<Feature>,
}

impl Targets {
    /// Reads the views and features.
    pub(super) async fn read(application: &Application) -> Result<Self, Failure> {
        Ok(Self { views: application.views().await?, features: application.features().await? })
    }

    /// Returns the name of the view or the feature that a field contains.
    pub(super) fn name(&self, field: &str, id: &str) -> Option<String> {
        match field {
            "view" => self.views.iter().find(|view| view.id.to_string() == id).map(|view| view.name.to_string()),
            "feature" => self.features.iter().find(|of| of.id.to_string() == id).map(|of| of.name.to_string()),
            _ => None,
        }
    }

    /// Returns the controls.
    pub(super) fn controls(&self, typed: &Typed) -> Markup {
        let feature = |feature: &Feature| match &feature.key {
            Some(key) => format!("{} ({key})", feature.name),
            None => feature.name.to_string(),
        };
        let views: Vec<_> =
            self.views.iter().map(|view| (view.id.to_string(), format!("{} ({})", view.name, view.url))).collect();
        let features: Vec<_> = self.features.iter().map(|of| (of.id.to_string(), feature(of))).collect();
        html! {
            (select("view", "View that it links to (optional)", &views, typed))
            (select("feature", "Feature that it requires (optional)", &features, typed))
            p.muted { "Users see the entry if they may see the view and have Read on the feature." }
        }
    }
}

/// Returns a control with these options: their values and labels. The first option is empty.
pub(super) fn select(name: &str, label: &str, options: &[(String, String)], typed: &Typed) -> Markup {
    html! {
        div.field {
            label for={ "field-" (name) } { (label) }
            select id={ "field-" (name) } name=(name) {
                option value="" { "None" }
                @for (value, label) in options { option value=(value) selected[value == typed.get(name)] { (label) } }
            }
        }
    }
}

/// Parses the view and the feature that an entry links to.
pub(super) fn parse(typed: &Typed, problems: &mut Problems) -> (Option<ViewId>, Option<FeatureId>) {
    let view = typed.optional(problems, "view", |text| ViewId::parse(&text));
    (view, typed.optional(problems, "feature", |text| FeatureId::parse(&text)))
}
