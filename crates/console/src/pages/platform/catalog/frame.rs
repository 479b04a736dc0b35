//! What the pages of the catalog have in common: their paths and their tabs.

use iam_application::Application;
use iam_domain::CompanyId;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::sequence::Direction;
use crate::error::PageError;
use crate::path::PATH;

/// A tab of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Views,
    Features,
    Modules,
    Menu,
}

/// The tabs, with the last segment of their paths and their labels.
const TABS: [(Tab, &str, &str); 4] = [
    (Tab::Views, "views", "Views"),
    (Tab::Features, "features", "Features"),
    (Tab::Modules, "modules", "Modules"),
    (Tab::Menu, "menu", "Menu"),
];

/// The query of the pages of the catalog.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// The search text of a list.
    pub(super) q: String,
    /// The number of a page of a list.
    pub(super) page: usize,
    /// The company whose menu the page is about. Empty for the common menu.
    company: String,
    /// Set after an entry was deleted.
    pub(super) deleted: String,
    /// The entry of the menu that was just moved.
    pub(super) moved: Option<Uuid>,
    /// Where the entry was moved to.
    pub(super) to: Option<Direction>,
    /// Set after an entry was saved.
    pub(super) saved: String,
}

impl Place {
    /// Returns the company whose menu the page is about, or `None` for the common menu.
    ///
    /// # Errors
    ///
    /// Returns [`PageError::NotFound`] if the company does not exist.
    pub(super) async fn owner(&self, application: &Application) -> Result<Option<CompanyId>, PageError> {
        if self.company.trim().is_empty() {
            return Ok(None);
        }
        let company = CompanyId::parse(self.company.trim()).map_err(|_| PageError::NotFound)?;
        application.company_details(company).await?;
        Ok(Some(company))
    }
}

/// Returns the path of a page of the catalog. `owner` is the company whose menu the page is about.
pub(super) fn catalog_path(page: &str, owner: Option<CompanyId>) -> String {
    let query = owner.map(|company| format!("?company={company}")).unwrap_or_default();
    format!("{PATH}/catalog/{page}{query}")
}

/// Returns the path of a tab.
pub(super) fn tab_path(tab: Tab, owner: Option<CompanyId>) -> String {
    let segment = TABS.iter().find(|(known, ..)| *known == tab).map_or("", |(_, segment, _)| segment);
    catalog_path(segment, owner)
}

/// Returns the tabs, of which one is selected.
pub(super) fn tabs(selected: Tab) -> Markup {
    html! {
        nav.tabs aria-label="Catalog" {
            @for (tab, _, label) in TABS {
                a href=(tab_path(tab, None)) aria-current=[(tab == selected).then_some("page")] { (label) }
            }
        }
    }
}

/// Returns the search of a list.
pub(super) fn search(tab: Tab, label: &str, text: &str) -> Markup {
    html! {
        form.toolbar role="search" aria-label=(label) action=(tab_path(tab, None)) {
            div {
                label for="q" { "Name, key or category" }
                input #q type="search" name="q" value=(text) maxlength="255" autocomplete="off" data-search;
            }
            button type="submit" { "Search" }
        }
    }
}

/// Returns the notice that an entry was deleted.
pub(super) fn deleted(place: &Place) -> Markup {
    html! {
        @if place.deleted == "1" { div.notice role="status" { p { "It was deleted." } } }
    }
}
