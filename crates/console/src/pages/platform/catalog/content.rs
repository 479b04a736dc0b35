//! The form that sets which views or features belong to an entry of the catalog.

use std::collections::BTreeSet;

use iam_application::{Etag, Failure};
use iam_domain::{Feature, FeatureId, View, ViewId};
use maud::{Markup, html};
use serde::Serialize;

use super::super::control::check_box;
use super::frame::catalog_path;
use crate::layout::csrf_field;
use crate::refusal::Refused;

/// The name of the field of a view or feature that belongs to the entry.
pub(super) const MEMBER: &str = "member";

/// The name of the field that confirms that views and features become available to all companies.
pub(super) const UNGATE: &str = "ungate";

/// Returns the check box that confirms that views and features become available to all companies.
pub(super) fn ungate_box() -> Markup {
    let label = html! { "Confirm: what belongs to no other module becomes available to all companies" };
    check_box(UNGATE, "on", false, &label)
}

/// A view or feature that may belong to the entry.
struct Candidate {
    id: String,
    label: Markup,
}

/// The form with a check box for each view, or for each feature.
pub(crate) struct ContentForm {
    /// The last segment of the path of the form.
    part: &'static str,
    title: &'static str,
    action: String,
    tag: Etag,
    candidates: Vec<Candidate>,
    members: BTreeSet<String>,
    may_ungate: bool,
    refused: Option<Refused>,
    /// What a refused form adds to the stored members, and what it removes from them.
    differences: Differences,
}

/// The ids that a form adds and removes.
#[derive(Default)]
struct Differences {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl ContentForm {
    /// Creates the form for views. `page` is the page of the entry, and `members` the stored views of the entry.
    pub(super) fn views(page: &str, title: &'static str, all: &[View], members: &[View]) -> Result<Self, Failure> {
        let label = |view: &View| html! { bdi { (view.name) } " " code { bdi { (view.url) } } };
        let candidates = all.iter().map(|view| Candidate { id: view.id.to_string(), label: label(view) });
        Self::of("views", page, title, candidates.collect(), members, |view| view.id.to_string())
    }

    /// Creates the form for features. `page` is the page of the entry, and `members` the stored features of the entry.
    pub(super) fn features(
        page: &str,
        title: &'static str,
        all: &[Feature],
        members: &[Feature],
    ) -> Result<Self, Failure> {
        let label = |feature: &Feature| {
            html! { bdi { (feature.name) } @if let Some(key) = &feature.key { " " code { bdi { (key) } } } }
        };
        let candidates = all.iter().map(|feature| Candidate { id: feature.id.to_string(), label: label(feature) });
        Self::of("features", page, title, candidates.collect(), members, |feature| feature.id.to_string())
    }

    fn of<T: Serialize>(
        part: &'static str,
        page: &str,
        title: &'static str,
        candidates: Vec<Candidate>,
        members: &[T],
        id: impl Fn(&T) -> String,
    ) -> Result<Self, Failure> {
        Ok(Self {
            part,
            title,
            action: catalog_path(&format!("{page}/{part}"), None),
            tag: Etag::of(&members)?,
            candidates,
            members: members.iter().map(id).collect(),
            may_ungate: false,
            refused: None,
            differences: Differences::default(),
        })
    }

    /// Returns the form of a module, whose members are not available to all companies.
    pub(super) fn of_module(self) -> Self {
        Self { may_ungate: true, ..self }
    }

    /// Returns `true` if the last segment of the path of the form is this one.
    pub(super) fn is_for(&self, part: &str) -> bool {
        self.part == part
    }

    /// Shows what was chosen when this form was refused, and the reason.
    pub(super) fn refuse(&mut self, not_set: NotSet) {
        let chosen: BTreeSet<_> = not_set.chosen.into_iter().collect();
        let added = chosen.difference(&self.members).cloned().collect();
        self.differences = Differences { added, removed: self.members.difference(&chosen).cloned().collect() };
        self.members = chosen;
        self.refused = Some(not_set.refused);
    }

    /// Returns what the form changes, if it is saved again.
    fn changed(&self) -> Markup {
        let lists =
            [("Added by your form", &self.differences.added), ("Removed by your form", &self.differences.removed)];
        html! {
            @for (title, ids) in lists {
                @if !ids.is_empty() {
                    p { strong { (title) ":" } }
                    ul { @for candidate in self.candidates.iter().filter(|of| ids.contains(&of.id)) { li { (candidate.label) } } }
                }
            }
        }
    }

    /// Returns the form.
    pub(super) fn show(&self, csrf: &str) -> Markup {
        html! {
            form.panel.narrow method="post" action=(self.action) {
                h2 #(self.part) { (self.title) " (" (self.members.len()) ")" }
                (csrf_field(csrf))
                input type="hidden" name="tag" value=(self.tag.as_str());
                @if let Some(refused) = &self.refused { (refused.notice("This was not saved.")) (self.changed()) }
                @if self.candidates.is_empty() {
                    p.muted { "The catalog contains none." }
                } @else {
                    ul.boxes aria-labelledby=(self.part) {
                        @for Candidate { id, label } in &self.candidates {
                            li { (check_box(MEMBER, id, self.members.contains(id), label)) }
                        }
                    }
                    @if self.may_ungate { (ungate_box()) }
                    button type="submit" { "Save" span.visually-hidden { " " (self.title) } }
                }
            }
        }
    }
}

/// A form that was refused.
pub(super) struct NotSet {
    /// The last segment of the path of the form.
    pub(super) part: String,
    /// The ids that were chosen.
    pub(super) chosen: Vec<String>,
    pub(super) refused: Refused,
}

/// The views or features that were chosen.
pub(crate) struct Chosen<'a> {
    /// The last segment of the path of the form.
    pub(super) part: &'a str,
    pub(super) ids: &'a [String],
    pub(super) ungate: bool,
}

impl Chosen<'_> {
    /// Returns the chosen views.
    pub(super) fn views(&self) -> Result<Vec<ViewId>, Failure> {
        self.ids.iter().map(|id| ViewId::parse(id).map_err(|error| Failure::invalid(MEMBER, error))).collect()
    }

    /// Returns the chosen features.
    pub(super) fn features(&self) -> Result<Vec<FeatureId>, Failure> {
        self.ids.iter().map(|id| FeatureId::parse(id).map_err(|error| Failure::invalid(MEMBER, error))).collect()
    }
}
