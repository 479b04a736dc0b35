//! The forms of a menu item.

use iam_application::{Application, CreateMenuItem, DeleteMenuItem, Failure, IfMatch, UpdateMenuItem};
use iam_domain::{CompanyId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority, SubMenuItemId};
use maud::{Markup, html};

use super::super::control::{Control, Problems, check_box};
use super::frame::Tab;
use super::kind::{Goes, Kind, SEEN};
use super::modules::priority_control;
use super::targets::{Targets, parse};
use super::typed::{Typed, replaced};

pub(super) const LABEL: Control = Control::line("label", "Label").required();
pub(super) const ICON: Control = Control::line("icon", "Icon (optional)").hint("A name that your product defines.");
pub(super) const ORDER: Control =
    Control::line("order", "Sort key").required().hint("A number. Entries are sorted by it.");
const KEYS: Control = Control::lines("keys", "Further required features (optional)")
    .hint("The key of one feature on each line. Users see the item only if they have Read on all of them.");

/// What menu items may link to, and the sort key of a new item.
pub(crate) struct Choices {
    next_key: i32,
    targets: Targets,
}

/// Returns the sort key of a new entry, which becomes the last one.
pub(super) fn next_key(keys: impl Iterator<Item = i32>) -> i32 {
    keys.max().map_or(0, |last| last.saturating_add(10))
}

/// The menu items.
pub(crate) struct MenuItems;

/// Parses the sort key of an entry.
pub(super) fn parse_order(text: String) -> Result<i32, &'static str> {
    text.parse().map_err(|_| "must be a whole number")
}

impl Kind for MenuItems {
    type Id = MenuItemId;
    type Entity = MenuItem;
    type Create = CreateMenuItem;
    type Update = UpdateMenuItem;
    type Delete = DeleteMenuItem;
    type Choices = Choices;

    const TAB: Tab = Tab::Menu;
    const NAME: &'static str = "menu item";
    const SEGMENT: &'static str = "menu-items";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("label", "Label"),
        ("icon", "Icon"),
        ("view", "View"),
        ("feature", "Feature"),
        ("keys", "Further required features"),
        ("order", "Sort key"),
        ("priority", "Tier"),
    ];
    const FLAGS: &'static [(&'static str, &'static str)] = &[("entrypoint", "May be the landing page")];
    const DELETED: &'static str = "Its sub-items are deleted, too.";

    fn parse_id(text: &str) -> Option<MenuItemId> {
        MenuItemId::parse(text).ok()
    }

    fn id(item: &MenuItem) -> MenuItemId {
        item.id
    }

    fn id_text(id: MenuItemId) -> String {
        id.to_string()
    }

    fn name(item: &MenuItem) -> &str {
        item.label.as_str()
    }

    async fn read(application: &Application, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem, Failure> {
        let item = application.menu_item(owner, id).await?;
        // A company does not own the items of the common menu.
        if item.company_id == owner { Ok(item) } else { Err(Failure::NotFound("Menu item")) }
    }

    async fn choices(application: &Application, owner: Option<CompanyId>) -> Result<Choices, Failure> {
        let mut items = application.menu_items(owner).await?;
        items.retain(|item| item.company_id == owner);
        let next_key = next_key(items.iter().map(|item| item.sort_order));
        Ok(Choices { next_key, targets: Targets::read(application).await? })
    }

    fn text(choices: &Choices, field: &str, value: &str) -> Option<String> {
        choices.targets.name(field, value)
    }

    fn blank(_: &Typed, choices: &Choices) -> Typed {
        Typed::default().with("order", choices.next_key).with("priority", Priority::Standard)
    }

    fn stored(item: &MenuItem) -> Typed {
        let keys: Vec<_> = item.required_permissions.iter().flatten().map(FeatureKey::as_str).collect();
        let typed = Typed::default().with("label", &item.label).with_any("icon", item.icon.as_ref());
        let typed = typed.with("order", item.sort_order).with("priority", item.priority).with("keys", keys.join("\n"));
        let typed = typed.with_any("view", item.view_id).with_any("feature", item.feature_id);
        typed.with_flag("entrypoint", item.is_entrypoint)
    }

    fn controls(typed: &Typed, problems: &Problems, Choices { targets, .. }: &Choices) -> Markup {
        html! {
            (typed.controls(&[LABEL, ICON], problems))
            (targets.controls(typed))
            (typed.controls(&[KEYS, ORDER], problems))
            (priority_control(typed))
            (check_box("entrypoint", "on", typed.flag("entrypoint"), &html! { "May be the landing page after sign-in" }))
        }
    }

    fn creation(typed: &Typed, problems: &mut Problems, owner: Option<CompanyId>) -> Option<CreateMenuItem> {
        let label = typed.required(problems, "label", Label::parse);
        let icon = typed.optional(problems, "icon", Icon::parse);
        let (view_id, feature_id) = parse(typed, problems);
        let required_permissions = typed.lines(problems, "keys", FeatureKey::parse);
        let sort_order = typed.required(problems, "order", parse_order);
        let priority = typed.required(problems, "priority", |text| text.parse::<Priority>());
        let (label, sort_order, priority, is_entrypoint) = (label?, sort_order?, priority?, typed.flag("entrypoint"));
        problems.is_empty().then_some(CreateMenuItem {
            owner,
            label,
            icon,
            priority,
            required_permissions,
            sort_order,
            view_id,
            feature_id,
            is_entrypoint,
        })
    }

    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: MenuItemId,
        if_match: IfMatch,
    ) -> Option<UpdateMenuItem> {
        let item = Self::creation(typed, problems, owner)?;
        Some(UpdateMenuItem {
            owner,
            id,
            label: Some(item.label),
            icon: replaced(item.icon),
            priority: Some(item.priority),
            required_permissions: replaced(item.required_permissions),
            sort_order: Some(item.sort_order),
            view_id: replaced(item.view_id),
            feature_id: replaced(item.feature_id),
            is_entrypoint: Some(item.is_entrypoint),
            if_match,
        })
    }

    async fn goes(application: &Application, owner: Option<CompanyId>, item: &MenuItem) -> Result<Goes, Failure> {
        let mut sub_items = application.sub_menu_items(owner).await?;
        sub_items.retain(|sub_item| sub_item.menu_item_id == item.id);
        let ids: Vec<_> = sub_items.iter().map(|sub_item| sub_item.id.to_string()).collect();
        let names = sub_items.iter().map(|sub_item| sub_item.label.to_string()).collect();
        Ok(Goes { names, seen: ids.join(" ") })
    }

    fn deletion(typed: &Typed, owner: Option<CompanyId>, id: MenuItemId, if_match: IfMatch) -> DeleteMenuItem {
        let known = typed.get(SEEN).split_whitespace().filter_map(|id| SubMenuItemId::parse(id).ok());
        DeleteMenuItem { owner, id, known_sub_items: Some(known.collect()), if_match }
    }
}
