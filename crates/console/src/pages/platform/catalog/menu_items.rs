//! The forms of a menu item.

use iam_application::{Application, CreateMenuItem, DeleteMenuItem, Failure, IfMatch, UpdateMenuItem};
use iam_domain::{CompanyId, FeatureKey, Icon, Label, MenuItem, MenuItemId, Priority};
use maud::{Markup, html};

use super::super::control::{Control, Problems, check_box};
use super::frame::Tab;
use super::kind::Kind;
use super::modules::priority_control;
use super::targets::{Targets, parse};
use super::typed::{Typed, replaced};

pub(super) const LABEL: Control = Control::line("label", "Label").required();
pub(super) const ICON: Control = Control::line("icon", "Icon (optional)").hint("A name that your product defines.");
pub(super) const ORDER: Control =
    Control::line("order", "Sort key").required().hint("A number. Entries are sorted by it.");
const KEYS: Control = Control::lines("keys", "Further required features (optional)")
    .hint("The key of one feature on each line. Users see the item only if they have Read on all of them.");

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
    type Choices = Targets;

    const TAB: Tab = Tab::Menu;
    const NAME: &'static str = "menu item";
    const SEGMENT: &'static str = "menu-items";
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

    async fn choices(application: &Application, _: Option<CompanyId>) -> Result<Targets, Failure> {
        Targets::read(application).await
    }

    fn blank(_: &Typed) -> Typed {
        Typed::default().with("order", 0).with("priority", Priority::Standard).with_flag("entrypoint", true)
    }

    fn stored(item: &MenuItem) -> Typed {
        let keys: Vec<_> = item.required_permissions.iter().flatten().map(FeatureKey::as_str).collect();
        let typed = Typed::default().with("label", &item.label).with_any("icon", item.icon.as_ref());
        let typed = typed.with("order", item.sort_order).with("priority", item.priority).with("keys", keys.join("\n"));
        let typed = typed.with_any("view", item.view_id).with_any("feature", item.feature_id);
        typed.with_flag("entrypoint", item.is_entrypoint)
    }

    fn controls(typed: &Typed, problems: &Problems, targets: &Targets) -> Markup {
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

    fn deletion(_: &Typed, owner: Option<CompanyId>, id: MenuItemId, if_match: IfMatch) -> DeleteMenuItem {
        DeleteMenuItem { owner, id, if_match }
    }
}
