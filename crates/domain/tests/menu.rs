//! Tests of the reasons why parts of the menu are hidden.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{FEATURES, Level, VIEWS, World, config, feature, level, uuid, view, world};
use iam_domain::{
    Action, CompanyStatus, FeatureKey, Hidden, Label, Menu, MenuItem, MenuItemId, Priority, Reason, Scope, Snapshot,
    SubMenuItem, SubMenuItemId, Timestamp, ViewState,
};
use proptest::prelude::*;

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

fn item(number: usize) -> MenuItem {
    let at = Timestamp::from_millis(0).unwrap();
    MenuItem {
        id: MenuItemId::from_uuid(uuid(5, number)),
        company_id: None,
        label: label(&format!("Item {number}")),
        icon: None,
        priority: Priority::Standard,
        required_permissions: None,
        sort_order: 0,
        view_id: Some(view(0)),
        feature_id: None,
        is_entrypoint: false,
        created_at: at,
        updated_at: at,
    }
}

fn sub_item(number: usize, of: &MenuItem) -> SubMenuItem {
    SubMenuItem {
        id: SubMenuItemId::from_uuid(uuid(6, number)),
        menu_item_id: of.id,
        label: label(&format!("Sub-item {number}")),
        view_id: Some(view(0)),
        feature_id: None,
        icon: None,
        sort_order: 0,
        enabled: true,
        created_at: of.created_at,
        updated_at: of.updated_at,
    }
}

/// Returns a snapshot in which view 0 is allowed and view 1 is denied, and feature 1 may be read. No level has a rule for
/// view 2.
fn snapshot() -> Snapshot {
    let level = Level {
        number: 0,
        views: vec![(0, ViewState::Allow), (1, ViewState::Deny)],
        features: vec![(1, 0, true, Scope::Own)],
    };
    World::plain(vec![level]).snapshot()
}

fn hidden(snapshot: &Snapshot, item: MenuItem) -> Option<Hidden> {
    let menu = Menu { items: vec![item], sub_items: Vec::new() };
    snapshot.menu([&menu, &Menu::default()])[0].hidden.clone()
}

#[test]
fn an_item_is_hidden_for_the_first_target_that_the_user_may_not_access() {
    let snapshot = snapshot();
    assert_eq!(hidden(&snapshot, item(0)), None);
    let Some(Hidden::View(id, decision)) = hidden(&snapshot, MenuItem { view_id: Some(view(1)), ..item(0) }) else {
        panic!("the view hides the item")
    };
    assert_eq!((id, decision.reason, decision.decided_by), (view(1), Reason::ExplicitDeny, vec![level(0)]));
    let readable = MenuItem { feature_id: Some(feature(1)), ..item(0) };
    assert_eq!(hidden(&snapshot, readable), None);
    let unreadable = MenuItem { feature_id: Some(feature(0)), ..item(0) };
    assert!(matches!(hidden(&snapshot, unreadable), Some(Hidden::Feature(id, _)) if id == feature(0)));
}

#[test]
fn an_item_is_hidden_if_a_required_feature_may_not_be_read() {
    let key = |key: &str| vec![FeatureKey::parse(key).unwrap()];
    let requiring = |keys| MenuItem { required_permissions: Some(keys), ..item(0) };
    assert_eq!(hidden(&snapshot(), requiring(key("iam.assign_permissions"))), None);
    let others = World::plain(vec![Level { number: 0, views: vec![(0, ViewState::Allow)], features: Vec::new() }]);
    let refused = hidden(&others.snapshot(), requiring(key("iam.assign_permissions")));
    assert!(matches!(refused, Some(Hidden::Required(id, _)) if id == feature(1)), "{refused:?}");
    assert_eq!(hidden(&snapshot(), requiring(key("unknown.key"))), Some(Hidden::UnknownFeature));
}

#[test]
fn an_item_without_a_view_is_visible_only_with_a_visible_sub_item() {
    let heading = MenuItem { view_id: None, ..item(0) };
    assert_eq!(hidden(&snapshot(), heading.clone()), Some(Hidden::Empty));
    let visible = sub_item(0, &heading);
    let others = [
        SubMenuItem { enabled: false, ..sub_item(1, &heading) },
        SubMenuItem { view_id: Some(view(2)), ..sub_item(2, &heading) },
    ];
    for (subs, expected) in [(others.to_vec(), Some(Hidden::Empty)), ([&others[..], &[visible]].concat(), None)] {
        let (none, menu) = (Menu::default(), Menu { items: vec![heading.clone()], sub_items: subs });
        let found = snapshot().menu([&none, &menu]);
        assert_eq!(found[0].hidden, expected);
        assert_eq!(found[0].sub_items[0].hidden, Some(Hidden::Disabled));
        let reason = found[0].sub_items[1].hidden.as_ref();
        assert!(matches!(reason, Some(Hidden::View(_, decision)) if decision.reason == Reason::NoExplicitAllow));
    }
}

#[test]
fn nothing_is_visible_without_a_level_or_in_a_suspended_company() {
    let suspended = Snapshot { status: CompanyStatus::Suspended, ..snapshot() };
    let without_levels = Snapshot { levels: Vec::new(), ..snapshot() };
    for (snapshot, reason) in [(suspended, Reason::CompanySuspended), (without_levels, Reason::NoUserLevels)] {
        let open = MenuItem { view_id: None, ..item(0) };
        let sub = SubMenuItem { view_id: None, ..sub_item(0, &open) };
        let (none, menu) = (Menu::default(), Menu { items: vec![open], sub_items: vec![sub] });
        let found = snapshot.menu([&menu, &none]);
        assert_eq!(found[0].hidden, Some(Hidden::Everything(reason)));
        assert_eq!(found[0].sub_items[0].hidden, Some(Hidden::Everything(reason)));
    }
}

#[test]
fn the_items_of_both_menus_are_merged_in_their_order() {
    let with_order = |number, sort_order| MenuItem { sort_order, ..item(number) };
    let common = Menu { items: vec![with_order(1, 1), with_order(3, 2)], sub_items: Vec::new() };
    let own = Menu { items: vec![with_order(2, 1), with_order(0, 3)], sub_items: Vec::new() };
    let snapshot = snapshot();
    let found = snapshot.menu([&common, &own]);
    let labels: Vec<_> = found.iter().map(|found| found.item.label.as_str()).collect();
    assert_eq!(labels, ["Item 1", "Item 2", "Item 3", "Item 0"]);
}

/// Returns a menu with an item for each view and each feature, each with sub-items for the same targets, and one item
/// without targets. Some targets do not exist.
fn menu_of_everything() -> Menu {
    let views = (0..=VIEWS).map(|number| (Some(view(number)), None));
    let features = (0..=FEATURES).map(|number| (None, Some(feature(number))));
    let both = (0..=FEATURES).map(|number| (Some(view(number)), Some(feature(number))));
    let targets: Vec<_> = views.chain(features).chain(both).chain([(None, None)]).collect();
    let mut menu = Menu::default();
    for (number, (view_id, feature_id)) in targets.iter().copied().enumerate() {
        let made = MenuItem { view_id, feature_id, ..item(number) };
        let sub = SubMenuItem { view_id, feature_id, enabled: number % 3 > 0, ..sub_item(number, &made) };
        menu.items.push(made);
        menu.sub_items.push(sub);
    }
    menu
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_entry_is_visible_if_and_only_if_its_targets_are_allowed(world in world()) {
        let (snapshot, none, menu) = (world.snapshot(), Menu::default(), menu_of_everything());
        let is_allowed = |view: Option<_>, feature: Option<_>| {
            let sees = view.is_none_or(|view| snapshot.view(view).allowed);
            sees && feature.is_none_or(|feature| snapshot.feature(feature, &Action::read()).allowed)
        };
        let found = snapshot.menu([&none, &menu]);
        prop_assert_eq!(found.len(), menu.items.len());
        for found in found {
            let [sub] = &found.sub_items[..] else { panic!("each item has one sub-item") };
            let is_member = !world.levels.is_empty();
            let sub_is_visible = is_member && sub.item.enabled && is_allowed(sub.item.view_id, sub.item.feature_id);
            prop_assert_eq!(sub.hidden.is_none(), sub_is_visible);
            let leads_somewhere = found.item.view_id.is_some() || sub_is_visible;
            let is_visible = is_member && leads_somewhere && is_allowed(found.item.view_id, found.item.feature_id);
            prop_assert_eq!(found.hidden.is_none(), is_visible);
        }
    }
}
