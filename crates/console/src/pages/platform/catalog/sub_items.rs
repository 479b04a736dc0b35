//! The forms of a sub-item of the menu.

use iam_application::{Application, CreateSubMenuItem, DeleteSubMenuItem, Failure, IfMatch, UpdateSubMenuItem};
use iam_domain::{CompanyId, Icon, Label, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId};
use maud::{Markup, html};

use super::super::control::{Problems, check_box};
use super::frame::Tab;
use super::kind::Kind;
use super::menu_items::{ICON, LABEL, ORDER, next_key, parse_order};
use super::targets::{Targets, parse, select};
use super::typed::{Typed, replaced};

/// The sub-items.
pub(crate) struct SubItems;

/// The menu items of the owner, and what sub-items may link to.
pub(crate) struct Choices {
    items: Vec<MenuItem>,
    sub_items: Vec<SubMenuItem>,
    targets: Targets,
}

impl Kind for SubItems {
    type Id = SubMenuItemId;
    type Entity = SubMenuItem;
    type Create = CreateSubMenuItem;
    type Update = UpdateSubMenuItem;
    type Delete = DeleteSubMenuItem;
    type Choices = Choices;

    const TAB: Tab = Tab::Menu;
    const NAME: &'static str = "sub-item";
    const SEGMENT: &'static str = "sub-items";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("label", "Label"),
        ("item", "Menu item"),
        ("icon", "Icon"),
        ("view", "View"),
        ("feature", "Feature"),
        ("order", "Sort key"),
    ];
    const FLAGS: &'static [(&'static str, &'static str)] = &[("enabled", "Shown")];
    const DELETED: &'static str = "Its view and its feature remain.";

    fn parse_id(text: &str) -> Option<SubMenuItemId> {
        SubMenuItemId::parse(text).ok()
    }

    fn id(item: &SubMenuItem) -> SubMenuItemId {
        item.id
    }

    fn id_text(id: SubMenuItemId) -> String {
        id.to_string()
    }

    fn name(item: &SubMenuItem) -> &str {
        item.label.as_str()
    }

    async fn read(
        application: &Application,
        owner: Option<CompanyId>,
        id: SubMenuItemId,
    ) -> Result<SubMenuItem, Failure> {
        let item = application.sub_menu_item(owner, id).await?;
        // A company does not own the sub-items of the common menu.
        let parent = application.menu_item(owner, item.menu_item_id).await?;
        if parent.company_id == owner { Ok(item) } else { Err(Failure::NotFound("Sub menu item")) }
    }

    async fn choices(application: &Application, owner: Option<CompanyId>) -> Result<Choices, Failure> {
        let mut items = application.menu_items(owner).await?;
        items.retain(|item| item.company_id == owner);
        let sub_items = application.sub_menu_items(owner).await?;
        Ok(Choices { items, sub_items, targets: Targets::read(application).await? })
    }

    fn text(choices: &Choices, field: &str, value: &str) -> Option<String> {
        let item = choices.items.iter().find(|item| field == "item" && item.id.to_string() == value);
        item.map(|item| item.label.to_string()).or_else(|| choices.targets.name(field, value))
    }

    fn blank(query: &Typed, choices: &Choices) -> Typed {
        let item = query.get("item");
        let siblings = choices.sub_items.iter().filter(|sub_item| sub_item.menu_item_id.to_string() == item);
        let order = next_key(siblings.map(|sub_item| sub_item.sort_order));
        Typed::default().with("order", order).with("item", item).with_flag("enabled", true)
    }

    fn stored(item: &SubMenuItem) -> Typed {
        let typed = Typed::default().with("label", &item.label).with_any("icon", item.icon.as_ref());
        let typed = typed.with("order", item.sort_order).with("item", item.menu_item_id);
        let typed = typed.with_any("view", item.view_id).with_any("feature", item.feature_id);
        typed.with_flag("enabled", item.enabled)
    }

    fn controls(typed: &Typed, problems: &Problems, choices: &Choices) -> Markup {
        let items: Vec<_> = choices.items.iter().map(|item| (item.id.to_string(), item.label.to_string())).collect();
        html! {
            (typed.controls(&[LABEL], problems))
            (select("item", "Menu item that it belongs to", &items, typed))
            @if let Some(problem) = problems.get("item") { p.error { (problem) } }
            (typed.controls(&[ICON], problems))
            (choices.targets.controls(typed))
            (typed.controls(&[ORDER], problems))
            (check_box("enabled", "on", typed.flag("enabled"), &html! { "Shown. Otherwise, it is hidden from all users" }))
        }
    }

    fn creation(typed: &Typed, problems: &mut Problems, owner: Option<CompanyId>) -> Option<CreateSubMenuItem> {
        let label = typed.required(problems, "label", Label::parse);
        let item = typed.required(problems, "item", |text| MenuItemId::parse(&text));
        let icon = typed.optional(problems, "icon", Icon::parse);
        let (view_id, feature_id) = parse(typed, problems);
        let sort_order = typed.required(problems, "order", parse_order);
        let (label, menu_item_id, sort_order, enabled) = (label?, item?, sort_order?, typed.flag("enabled"));
        let change = CreateSubMenuItem { owner, menu_item_id, label, view_id, feature_id, icon, sort_order, enabled };
        problems.is_empty().then_some(change)
    }

    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: SubMenuItemId,
        if_match: IfMatch,
    ) -> Option<UpdateSubMenuItem> {
        let item = Self::creation(typed, problems, owner)?;
        Some(UpdateSubMenuItem {
            owner,
            id,
            menu_item_id: Some(item.menu_item_id),
            label: Some(item.label),
            view_id: replaced(item.view_id),
            feature_id: replaced(item.feature_id),
            icon: replaced(item.icon),
            sort_order: Some(item.sort_order),
            enabled: Some(item.enabled),
            if_match,
        })
    }

    fn deletion(_: &Typed, owner: Option<CompanyId>, id: SubMenuItemId, if_match: IfMatch) -> DeleteSubMenuItem {
        DeleteSubMenuItem { owner, id, if_match }
    }
}
