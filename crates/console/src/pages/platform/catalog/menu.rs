//! The menu as a tree: its items and sub-items, in the order in which users see them.

use std::collections::BTreeMap;

use actix_web::web::Query;
use iam_application::{Application, Failure};
use iam_domain::{CompanyId, Feature, FeatureId, MenuItem, MenuItemId, SubMenuItem, View, ViewId};
use maud::{Markup, html};
use uuid::Uuid;

use super::frame::{Place, Tab, catalog_path, deleted, tab_path, tabs};
use super::sequence::{Direction, order_tag};
use crate::assets;
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::Page;
use crate::platform::OnPlatform;
use crate::quantity::count;
use crate::refusal::Refused;

/// The menu of one owner: a company, or the menu that is common to all companies.
pub(crate) struct Tree {
    owner: Option<CompanyId>,
    items: Vec<MenuItem>,
    sub_items: Vec<SubMenuItem>,
}

impl Tree {
    /// Reads the menu of the owner.
    pub(super) async fn read(application: &Application, owner: Option<CompanyId>) -> Result<Self, Failure> {
        let mut items = application.menu_items(owner).await?;
        items.retain(|item| item.company_id == owner);
        let mut sub_items = application.sub_menu_items(owner).await?;
        sub_items.retain(|sub_item| items.iter().any(|item| item.id == sub_item.menu_item_id));
        Ok(Self { owner, items, sub_items })
    }

    fn sub_items(&self, item: MenuItemId) -> impl Iterator<Item = &SubMenuItem> {
        self.sub_items.iter().filter(move |sub_item| sub_item.menu_item_id == item)
    }

    /// Returns the entries with this parent, in their order.
    pub(super) fn siblings(&self, parent: Option<MenuItemId>) -> Vec<Uuid> {
        match parent {
            None => self.items.iter().map(|item| item.id.as_uuid()).collect(),
            Some(item) => self.sub_items(item).map(|sub_item| sub_item.id.as_uuid()).collect(),
        }
    }

    fn tag(&self, parent: Option<MenuItemId>) -> Result<String, Failure> {
        Ok(order_tag(&self.siblings(parent))?.as_str().to_owned())
    }

    /// Returns the notice with the place of the entry that was moved.
    fn moved(&self, entry: Uuid) -> Markup {
        let item = self.items.iter().find(|item| item.id.as_uuid() == entry).map(|item| (&item.label, None));
        let sub_item = self.sub_items.iter().find(|sub_item| sub_item.id.as_uuid() == entry);
        let found = item.or_else(|| sub_item.map(|sub_item| (&sub_item.label, Some(sub_item.menu_item_id))));
        html! {
            @if let Some((label, parent)) = found {
                @let siblings = self.siblings(parent);
                @let place = siblings.iter().position(|id| *id == entry).map_or(0, |place| place + 1);
                div.notice role="status" { p { bdi { (label) } " is now " (place) " of " (siblings.len()) "." } }
            }
        }
    }
}

/// `GET /console/catalog/menu`
pub(crate) async fn show(page: OnPlatform<SuperAdmin>, place: Query<Place>) -> Result<Page, PageError> {
    render(&page, &place, None).await
}

/// Returns the page with the menu. `refused` is the reason why an entry was not moved.
pub(super) async fn render(
    page: &OnPlatform<SuperAdmin>,
    place: &Place,
    refused: Option<Refused>,
) -> Result<Page, PageError> {
    let application = page.application();
    let owner = place.owner(application).await?;
    let name = match owner {
        Some(company) => {
            let details = application.company_details(company).await?;
            Some(details.name.map_or_else(|| company.to_string(), |name| name.to_string()))
        }
        None => None,
    };
    let tree = Tree::read(application, owner).await?;
    let targets = Targets { views: application.views().await?, features: application.features().await? };
    let moves = Moves { tags: tags(&tree)?, last: place.moved.zip(place.to) };
    page.page("Menu", Section::Catalog, |csrf| {
        html! {
            (tabs(Tab::Menu))
            script type="module" src=(assets::menu()) {}
            header {
                h1 { "Menu" @if let Some(name) = &name { " of " bdi { (name) } } }
                p.muted { (count(tree.items.len(), "item")) ", " (count(tree.sub_items.len(), "sub-item")) }
                div.actions { a.button.primary href=(catalog_path("menu-items/new", owner)) { "New menu item" } }
            }
            (deleted(place))
            @if let Some(refused) = &refused {
                (refused.notice("The entry was not moved."))
            } @else if let Some(entry) = place.moved {
                (tree.moved(entry))
            }
            p.muted {
                @match owner {
                    Some(_) => { "Users of the company see these items together with the " a href=(tab_path(Tab::Menu, None)) { "common menu" } "." },
                    None => "All companies share this menu. Each user sees the items that the user may open.",
                }
            }
            @if tree.items.is_empty() {
                div.empty { p { "This menu has no items yet." } }
            } @else {
                (tree.show(&targets, &moves, csrf))
            }
        }
    })
}

/// The views and features that entries link to.
struct Targets {
    views: Vec<View>,
    features: Vec<Feature>,
}

impl Targets {
    fn show(&self, view: Option<ViewId>, feature: Option<FeatureId>) -> Markup {
        let view = view.and_then(|id| self.views.iter().find(|view| view.id == id));
        let feature = feature.and_then(|id| self.features.iter().find(|feature| feature.id == id));
        html! {
            @if let Some(view) = view { code { bdi { (view.url) } } }
            @if let Some(feature) = feature { span.chip { "needs " bdi { (feature.name) } } }
            @if view.is_none() && feature.is_none() { span.muted { "no view" } }
        }
    }
}

/// What the forms that move entries contain.
struct Moves {
    /// The entity tags of the orders of the siblings, by parent.
    tags: BTreeMap<Option<MenuItemId>, String>,
    /// The entry that was just moved, and where to. The focus stays on its button.
    last: Option<(Uuid, Direction)>,
}

impl Moves {
    /// Returns the button of the entry that has the focus. It is one that is not disabled.
    fn focus(&self, entry: &Entry<'_>) -> Option<Direction> {
        match self.last {
            Some((moved, Direction::Up)) if moved == entry.id && entry.is_first => Some(Direction::Down),
            Some((moved, Direction::Down)) if moved == entry.id && entry.is_last => Some(Direction::Up),
            Some((moved, to)) if moved == entry.id => Some(to),
            _ => None,
        }
    }
}

fn tags(tree: &Tree) -> Result<BTreeMap<Option<MenuItemId>, String>, Failure> {
    let parents = std::iter::once(None).chain(tree.items.iter().map(|item| Some(item.id)));
    parents.map(|parent| Ok((parent, tree.tag(parent)?))).collect()
}

/// An entry with its place among the entries with the same parent.
struct Entry<'a> {
    id: Uuid,
    label: &'a str,
    parent: Option<MenuItemId>,
    is_first: bool,
    is_last: bool,
}

impl Tree {
    fn show(&self, targets: &Targets, moves: &Moves, csrf: &str) -> Markup {
        let last = self.items.len().saturating_sub(1);
        html! {
            ol.tree data-siblings {
                @for (place, item) in self.items.iter().enumerate() {
                    @let entry = Entry {
                        id: item.id.as_uuid(),
                        label: item.label.as_str(),
                        parent: None,
                        is_first: place == 0,
                        is_last: place == last,
                    };
                    li data-entry=(item.id) {
                        div.entry {
                            a.label href=(catalog_path(&format!("menu-items/{}", item.id), self.owner)) { bdi { (item.label) } }
                            (targets.show(item.view_id, item.feature_id))
                            @if item.is_entrypoint { span.chip { "landing page" } }
                            (self.moves(&entry, moves, csrf))
                        }
                        (self.children(item, targets, moves, csrf))
                    }
                }
            }
        }
    }

    fn children(&self, item: &MenuItem, targets: &Targets, moves: &Moves, csrf: &str) -> Markup {
        let children: Vec<_> = self.sub_items(item.id).collect();
        let last = children.len().saturating_sub(1);
        let new = catalog_path("sub-items/new", self.owner);
        let separator = if new.contains('?') { '&' } else { '?' };
        html! {
            @if !children.is_empty() {
                ol data-siblings {
                    @for (place, child) in children.iter().enumerate() {
                        @let entry = Entry {
                            id: child.id.as_uuid(),
                            label: child.label.as_str(),
                            parent: Some(item.id),
                            is_first: place == 0,
                            is_last: place == last,
                        };
                        li data-entry=(child.id) {
                            div.entry {
                                a.label href=(catalog_path(&format!("sub-items/{}", child.id), self.owner)) { bdi { (child.label) } }
                                (targets.show(child.view_id, child.feature_id))
                                @if !child.enabled { span.chip.warn { "Hidden" } }
                                (self.moves(&entry, moves, csrf))
                            }
                        }
                    }
                }
            }
            p.new { a href={ (new) (separator) "item=" (item.id) } { "Add a sub-item" span.visually-hidden { " to " (item.label) } } }
        }
    }

    /// Returns the form that moves an entry. The script of the page sends it, too.
    fn moves(&self, entry: &Entry<'_>, moves: &Moves, csrf: &str) -> Markup {
        let label = |direction: &str| format!("Move {} {direction}", entry.label);
        let focus = moves.focus(entry);
        html! {
            form.moves method="post" action=(catalog_path("menu/move", self.owner)) {
                (csrf_field(csrf))
                input type="hidden" name="entry" value=(entry.id);
                input type="hidden" name="parent" value=(entry.parent.map(|id| id.to_string()).unwrap_or_default());
                input type="hidden" name="before" value="";
                input type="hidden" name="tag" value=(moves.tags.get(&entry.parent).map_or("", String::as_str));
                button name="to" value="up" title="Move up" aria-label=(label("up")) disabled[entry.is_first]
                    autofocus[focus == Some(Direction::Up)] { "↑" }
                button name="to" value="down" title="Move down" aria-label=(label("down")) disabled[entry.is_last]
                    autofocus[focus == Some(Direction::Down)] { "↓" }
            }
        }
    }
}
