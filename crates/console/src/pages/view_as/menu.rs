//! The menu of the subject. Hidden items are shown with the reason why they are hidden.

use iam_domain::escalation::Cell;
use iam_domain::{Action, Catalog, CompanyId, Decision, Hidden, Label, ModuleId, Reason, ResolvedItem, UserId, ViewId};
use maud::{Markup, html};

use super::subject::Subject;
use crate::pages::users::permissions::why_path;
use crate::pages::users::person::matrix_path;

/// The menu of the subject.
pub(crate) struct Menu<'a> {
    pub(crate) company: CompanyId,
    pub(crate) catalog: &'a Catalog,
    pub(crate) subject: &'a Subject,
    /// Whether the signed-in person may see the matrices of levels.
    pub(crate) sees_levels: bool,
}

/// A part of the menu, as it is shown.
struct Entry<'a> {
    label: &'a Label,
    view: Option<ViewId>,
    hidden: Option<&'a Hidden>,
    is_start_page: bool,
}

impl Menu<'_> {
    /// Returns the menu.
    pub(crate) fn show(&self, items: &[ResolvedItem<'_>]) -> Markup {
        let shown = items.iter().filter(|item| item.hidden.is_none()).count();
        let is_entrypoint =
            |item: &&ResolvedItem<'_>| item.hidden.is_none() && item.item.is_entrypoint && item.item.view_id.is_some();
        let start = items.iter().find(is_entrypoint).map(|item| item.item.id);
        html! {
            section #menu {
                h2 { "Menu" }
                @if items.is_empty() {
                    div.empty { p { "The menu has no items." } }
                } @else {
                    p.muted { (shown) " of " (items.len()) " items are visible." }
                    ul.menu-tree {
                        @for item in items {
                            @let entry = Entry {
                                label: &item.item.label,
                                view: item.item.view_id,
                                hidden: item.hidden.as_ref(),
                                is_start_page: Some(item.item.id) == start,
                            };
                            li.ghost[entry.hidden.is_some()] {
                                (self.entry(&entry))
                                @if !item.sub_items.is_empty() { (self.sub_items(item)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn sub_items(&self, item: &ResolvedItem<'_>) -> Markup {
        html! {
            ul {
                @for sub in &item.sub_items {
                    @let entry = Entry {
                        label: &sub.item.label,
                        view: sub.item.view_id,
                        hidden: sub.hidden.as_ref(),
                        is_start_page: false,
                    };
                    li.ghost[sub.hidden.is_some() || item.hidden.is_some()] {
                        @if sub.hidden.is_none() && item.hidden.is_some() {
                            (self.label(&entry)) " " span.chip { "Hidden" } small.reason { "with its item" }
                        } @else {
                            (self.entry(&entry))
                        }
                    }
                }
            }
        }
    }

    fn label(&self, entry: &Entry<'_>) -> Markup {
        html! {
            span.label { bdi { (entry.label) } }
            @if let Some(view) = entry.view.and_then(|view| self.catalog.view(view)) { " " code { bdi { (view.url) } } }
        }
    }

    fn entry(&self, entry: &Entry<'_>) -> Markup {
        html! {
            (self.label(entry))
            @if entry.is_start_page { " " span.chip { "Start page" } }
            @if let Some(hidden) = entry.hidden {
                " " span.chip { "Hidden" }
                small.reason { (self.reason(hidden)) (self.why(hidden)) }
            }
        }
    }

    fn reason(&self, hidden: &Hidden) -> Markup {
        let feature = |id| self.catalog.feature(id).map_or_else(|| "deleted".to_owned(), |of| of.name.to_string());
        html! {
            @match hidden {
                Hidden::Everything(reason) => (reason.text()),
                Hidden::View(id, decision) => {
                    "The view: " (self.decision(decision, &self.catalog.modules_of_view(*id).collect::<Vec<_>>()))
                },
                Hidden::Feature(id, decision) | Hidden::Required(id, decision) => {
                    "Read on " bdi { (feature(*id)) } ": "
                    (self.decision(decision, &self.catalog.modules_of_feature(*id).collect::<Vec<_>>()))
                },
                Hidden::UnknownFeature => "It requires a feature that does not exist",
                Hidden::Disabled => "Disabled for all users",
                Hidden::Empty => "None of its sub-items is visible",
            }
        }
    }

    /// Returns the reason for a denial. `modules` are the modules that gate the view or the feature.
    fn decision(&self, decision: &Decision, modules: &[ModuleId]) -> Markup {
        html! {
            @match decision.reason {
                Reason::ExplicitDeny => {
                    "denied by "
                    @for (index, level) in decision.decided_by.iter().enumerate() {
                        @if index > 0 { ", " }
                        @let name = self.subject.levels.get(level).map_or_else(|| level.to_string(), ToString::to_string);
                        @if self.sees_levels { a href=(matrix_path(self.company, *level)) { bdi { (name) } } }
                        @else { bdi { (name) } }
                    }
                },
                Reason::NoExplicitAllow => "no level allows it",
                Reason::ViewModuleMissing | Reason::FeatureModuleMissing => {
                    "not enabled in this company: "
                    @for (index, module) in modules.iter().enumerate() {
                        @if index > 0 { ", " }
                        @let name = self.catalog.module(*module).map(|module| module.name.to_string());
                        "module " bdi { (name.unwrap_or_else(|| module.to_string())) }
                    }
                },
                Reason::CompanyCeiling => "the ceiling of the company does not permit it",
                Reason::FeatureDisabled => "disabled for all companies",
                other => (other.text()),
            }
        }
    }

    /// Returns the link to the explanation of the denial, if the subject is a user.
    fn why(&self, hidden: &Hidden) -> Markup {
        let cell = match hidden {
            Hidden::View(view, _) => Some(Cell::View(*view)),
            Hidden::Feature(feature, _) | Hidden::Required(feature, _) => Some(Cell::Action(*feature, Action::read())),
            Hidden::Everything(_) | Hidden::UnknownFeature | Hidden::Disabled | Hidden::Empty => None,
        };
        let user: Option<UserId> = self.subject.user.as_ref().map(|(user, _)| *user);
        html! {
            @if let (Some(user), Some(cell)) = (user, cell) {
                ". " a href=(why_path(self.company, user, &cell)) { "Why?" }
            }
        }
    }
}
