//! Test cases for menu items and sub-items (menu entries). The entries of the common menu appear in the menus of all
//! companies. Other entries belong to one company.

use std::sync::Arc;

use iam_domain::{
    CompanyId, EntityType, FeatureId, FeatureKey, Icon, Label, MenuItem, Priority, SubMenuItem, SubMenuItemId, ViewId,
};

use super::fixtures::{
    OwnedSubItem, ascending, at, change, given, given_all, keys, menu_item, only, some_company, some_feature,
    some_view, sub_item, unique,
};
use super::outcomes::{assert_conflict, assert_not_found, assert_unknown};
use crate::{Constraint, MenuUse, Storage, Target};

/// Returns one owner of each kind: `None` for the common menu, and a company.
fn owners() -> [Option<CompanyId>; 2] {
    [None, Some(some_company())]
}

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

/// Returns a menu item with all optional fields set.
fn full_item(owner: Option<CompanyId>, view: ViewId, feature: FeatureId) -> MenuItem {
    MenuItem {
        icon: Some(Icon::parse("icon").unwrap()),
        priority: Priority::Optional,
        required_permissions: Some(["iam.manage_levels", "b", "a"].map(|key| FeatureKey::parse(key).unwrap()).to_vec()),
        sort_order: -7,
        view_id: Some(view),
        feature_id: Some(feature),
        is_entrypoint: false,
        ..menu_item(owner, "Full")
    }
}

/// Returns a sub-item with all optional fields set.
fn full_sub_item(item: &MenuItem, view: ViewId, feature: FeatureId) -> SubMenuItem {
    SubMenuItem {
        view_id: Some(view),
        feature_id: Some(feature),
        icon: Some(Icon::parse("icon").unwrap()),
        sort_order: i32::MAX,
        enabled: false,
        ..sub_item(item, "Full below")
    }
}

/// Created items and sub-items are returned unchanged.
pub async fn menu_entries_are_read_as_created(storage: Arc<dyn Storage>) {
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    let (items, below) = (storage.reader().menu_items(), storage.reader().sub_menu_items());
    for owner in owners() {
        for item in [full_item(owner, view.id, feature.id), menu_item(owner, "Bare")] {
            let sub_items = [full_sub_item(&item, view.id, feature.id), sub_item(&item, "Bare below")];
            given(&storage, &[&item, &OwnedSubItem(owner, &sub_items[0]), &OwnedSubItem(owner, &sub_items[1])]).await;
            assert_eq!(items.find_by_id(owner, item.id).await.unwrap(), Some(item.clone()));
            assert!(items.find_all(owner).await.unwrap().contains(&item));
            for sub_item in sub_items {
                assert_eq!(below.find_by_id(owner, sub_item.id).await.unwrap(), Some(sub_item.clone()));
                assert!(below.find_by_menu_id(owner, item.id).await.unwrap().contains(&sub_item));
                assert!(below.find_all(owner).await.unwrap().contains(&sub_item));
            }
        }
    }
}

/// A menu item's required permissions are stored in the given order. `None` and an empty list are stored as different
/// values.
pub async fn required_permissions_are_stored_unchanged(storage: Arc<dyn Storage>) {
    let odd = ["z", "a", "ä\"\\'%_{}", "a b"];
    for required in [None, Some(vec![]), Some(odd.map(|key| FeatureKey::parse(key).unwrap()).to_vec())] {
        let company = Some(some_company());
        let item = MenuItem { required_permissions: required, ..menu_item(company, "Item") };
        given(&storage, &[&item]).await;
        assert_eq!(storage.reader().menu_items().find_by_id(company, item.id).await.unwrap(), Some(item));
    }
}

/// An update returns the previous entry and replaces all fields except the id, the owner and the creation time.
pub async fn updates_of_menu_entries_keep_the_creation_time(storage: Arc<dyn Storage>) {
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    for owner in owners() {
        let target = Target::of_menu(owner);
        let (item, other) = (menu_item(owner, "Bare"), menu_item(owner, "Other"));
        let below = sub_item(&item, "Bare below");
        given(&storage, &[&item, &other, &OwnedSubItem(owner, &below)]).await;

        let born_later = at(500);
        let full = MenuItem { id: item.id, created_at: born_later, ..full_item(owner, view.id, feature.id) };
        assert_eq!(change!(storage, target, tx => tx.menu_items_mut().update(&full)).unwrap(), item);
        let expected = MenuItem { created_at: item.created_at, ..full.clone() };
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), Some(expected.clone()));
        let bare = MenuItem { id: item.id, ..menu_item(owner, "Bare again") };
        assert_eq!(change!(storage, target, tx => tx.menu_items_mut().update(&bare)).unwrap(), expected);
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), Some(bare));

        let moved = full_sub_item(&other, view.id, feature.id);
        let moved = SubMenuItem { id: below.id, created_at: born_later, ..moved };
        assert_eq!(change!(storage, target, tx => tx.sub_menu_items_mut().update(owner, &moved)).unwrap(), below);
        let expected = SubMenuItem { created_at: below.created_at, ..moved };
        let sub_items = storage.reader().sub_menu_items();
        assert_eq!(sub_items.find_by_menu_id(owner, item.id).await.unwrap(), []);
        assert_eq!(sub_items.find_by_menu_id(owner, other.id).await.unwrap(), [expected]);
    }
}

/// Deleting an item also deletes its sub-items (cascade). Deleting a sub-item deletes nothing else. Both operations
/// return the deleted entry.
pub async fn deleting_a_menu_item_deletes_its_sub_items(storage: Arc<dyn Storage>) {
    let sub_items = storage.reader().sub_menu_items();
    for owner in owners() {
        let target = Target::of_menu(owner);
        let item = menu_item(owner, "Item");
        let (alone, together) = (sub_item(&item, "Alone"), sub_item(&item, "Together"));
        let other = menu_item(owner, "Other");
        let stays = sub_item(&other, "Stays");
        given(
            &storage,
            &[
                &item,
                &other,
                &OwnedSubItem(owner, &alone),
                &OwnedSubItem(owner, &together),
                &OwnedSubItem(owner, &stays),
            ],
        )
        .await;

        let gone = change!(storage, target, tx => tx.sub_menu_items_mut().delete(owner, alone.id)).unwrap();
        assert_eq!(gone, alone);
        assert_eq!(sub_items.find_by_menu_id(owner, item.id).await.unwrap(), [together.clone()]);
        assert_eq!(change!(storage, target, tx => tx.menu_items_mut().delete(owner, item.id)).unwrap(), item);
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), None);
        assert_eq!(sub_items.find_by_id(owner, together.id).await.unwrap(), None);
        assert_eq!(sub_items.find_by_menu_id(owner, item.id).await.unwrap(), []);
        assert_eq!(sub_items.find_by_menu_id(owner, other.id).await.unwrap(), [stays]);
    }
}

/// Look-ups of an unknown menu entry return nothing. Updating or deleting it returns `NotFound`.
pub async fn menu_entries_that_do_not_exist_cannot_be_changed(storage: Arc<dyn Storage>) {
    for owner in owners() {
        let target = Target::of_menu(owner);
        let (missing, item) = (menu_item(owner, "Missing"), menu_item(owner, "Item"));
        let below = sub_item(&item, "Missing below");
        given(&storage, &[&item]).await;
        assert_eq!(storage.reader().menu_items().find_by_id(owner, missing.id).await.unwrap(), None);
        assert_eq!(storage.reader().sub_menu_items().find_by_id(owner, below.id).await.unwrap(), None);
        assert_eq!(storage.reader().sub_menu_items().find_by_menu_id(owner, missing.id).await.unwrap(), []);
        assert_not_found(change!(storage, target, tx => tx.menu_items_mut().update(&missing)));
        assert_not_found(change!(storage, target, tx => tx.menu_items_mut().delete(owner, missing.id)));
        assert_not_found(change!(storage, target, tx => tx.sub_menu_items_mut().update(owner, &below)));
        assert_not_found(change!(storage, target, tx => tx.sub_menu_items_mut().delete(owner, below.id)));
    }
}

/// The ids of menu items are unique, and so are the ids of sub-items.
pub async fn menu_ids_are_unique(storage: Arc<dyn Storage>) {
    for owner in owners() {
        let target = Target::of_menu(owner);
        let item = menu_item(owner, "Item");
        let below = sub_item(&item, "Below");
        given(&storage, &[&item, &OwnedSubItem(owner, &below)]).await;
        let same = MenuItem { label: label("Same"), ..item.clone() };
        assert_conflict(change!(storage, target, tx => tx.menu_items_mut().create(&same)), Constraint::Duplicate);
        let same = SubMenuItem { label: label("Same"), ..below.clone() };
        let outcome = change!(storage, target, tx => tx.sub_menu_items_mut().create(owner, &same));
        assert_conflict(outcome, Constraint::Duplicate);
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), Some(item));
        assert_eq!(storage.reader().sub_menu_items().find_by_id(owner, below.id).await.unwrap(), Some(below));
    }
}

/// Creating or updating an entry with an unknown view, feature or item returns `Unknown` with the unknown id.
pub async fn the_error_for_an_unknown_reference_of_a_menu_entry_contains_its_id(storage: Arc<dyn Storage>) {
    for owner in owners() {
        let target = Target::of_menu(owner);
        let (view, feature) = (ViewId::generate(at(0)), FeatureId::generate(at(0)));
        let item = menu_item(owner, "Item");
        let below = sub_item(&item, "Below");
        given(&storage, &[&item, &OwnedSubItem(owner, &below)]).await;

        let leading = MenuItem { view_id: Some(view), ..menu_item(owner, "Leading") };
        let made = change!(storage, target, tx => tx.menu_items_mut().create(&leading));
        assert_unknown(made, EntityType::View, [view.as_uuid()]);
        let leading = MenuItem { view_id: Some(view), ..item.clone() };
        let changed = change!(storage, target, tx => tx.menu_items_mut().update(&leading));
        assert_unknown(changed, EntityType::View, [view.as_uuid()]);
        let guarded = MenuItem { feature_id: Some(feature), ..menu_item(owner, "Guarded") };
        let made = change!(storage, target, tx => tx.menu_items_mut().create(&guarded));
        assert_unknown(made, EntityType::Feature, [feature.as_uuid()]);
        let guarded = MenuItem { feature_id: Some(feature), ..item.clone() };
        let changed = change!(storage, target, tx => tx.menu_items_mut().update(&guarded));
        assert_unknown(changed, EntityType::Feature, [feature.as_uuid()]);

        let missing = menu_item(owner, "Missing");
        for (wrong, kind, id) in [
            (SubMenuItem { view_id: Some(view), ..below.clone() }, EntityType::View, view.as_uuid()),
            (SubMenuItem { feature_id: Some(feature), ..below.clone() }, EntityType::Feature, feature.as_uuid()),
            (SubMenuItem { menu_item_id: missing.id, ..below.clone() }, EntityType::Menu, missing.id.as_uuid()),
        ] {
            let changed = change!(storage, target, tx => tx.sub_menu_items_mut().update(owner, &wrong));
            assert_unknown(changed, kind, [id]);
            let new = SubMenuItem { id: SubMenuItemId::generate(at(0)), ..wrong };
            let made = change!(storage, target, tx => tx.sub_menu_items_mut().create(owner, &new));
            assert_unknown(made, kind, [id]);
        }
        assert_eq!(storage.reader().sub_menu_items().find_by_menu_id(owner, item.id).await.unwrap(), [below]);
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), Some(item));
    }
}

/// Entries are sorted by sort order, then by the bytes of their labels, then by id. Common entries and a company's own
/// entries are merged into one sorted list.
pub async fn menu_entries_are_ordered_by_position_label_and_id(storage: Arc<dyn Storage>) {
    let company = Some(some_company());
    let ids = ascending!(MenuItemId, 7);
    let entries = [(1, "a", 6), (0, "ä", 5), (0, "a", 3), (0, "B", 4), (0, "a", 1), (-1, "z", 2), (2, "-", 0)];
    let items = entries.map(|(order, text, id)| {
        let owner = if id % 2 == 0 { company } else { None };
        MenuItem { id: ids[id], sort_order: order, ..menu_item(owner, text) }
    });
    given_all(&storage, &items).await;
    let order = [2, 4, 1, 3, 5, 6, 0];
    let listed = storage.reader().menu_items().find_all(company).await.unwrap();
    assert_eq!(only(listed, &ids, |item| item.id), order.map(|n| ids[n]));
    let common = storage.reader().menu_items().find_all(None).await.unwrap();
    assert_eq!(only(common, &ids, |item| item.id), [1, 3, 5].map(|n| ids[n]));

    let sub_ids = ascending!(SubMenuItemId, 7);
    for (sort_order, text, id) in entries {
        let parent = if id % 2 == 0 { &items[5] } else { &items[4] };
        let below = SubMenuItem { id: sub_ids[id], sort_order, ..sub_item(parent, text) };
        given(&storage, &[&OwnedSubItem(parent.company_id, &below)]).await;
    }
    let sub_items = storage.reader().sub_menu_items();
    let listed = sub_items.find_all(company).await.unwrap();
    assert_eq!(only(listed, &sub_ids, |item| item.id), order.map(|n| sub_ids[n]));
    let common = sub_items.find_all(None).await.unwrap();
    assert_eq!(only(common, &sub_ids, |item| item.id), [1, 3, 5].map(|n| sub_ids[n]));
    let of_item = sub_items.find_by_menu_id(company, items[5].id).await.unwrap();
    assert_eq!(keys(&of_item, |item| item.id), [2, 4, 6, 0].map(|n| sub_ids[n]));
}

/// A company reads the common entries and its own, but no other company's entries. A look-up with the wrong owner
/// returns nothing.
pub async fn menus_of_two_companies_are_separate(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (Some(some_company()), Some(some_company()));
    let owners = [None, mine, theirs];
    let items = owners.map(|owner| menu_item(owner, "Item"));
    let below = items.each_ref().map(|item| sub_item(item, "Below"));
    for ((owner, item), below) in owners.iter().zip(&items).zip(&below) {
        given(&storage, &[item, &OwnedSubItem(*owner, below)]).await;
    }
    let (item_ids, sub_ids) = (items.each_ref().map(|item| item.id), below.each_ref().map(|item| item.id));
    let (menu, sub_menu) = (storage.reader().menu_items(), storage.reader().sub_menu_items());
    for (owner, visible) in [(None, &[0][..]), (mine, &[0, 1]), (theirs, &[0, 2])] {
        let mut seen = only(menu.find_all(owner).await.unwrap(), &item_ids, |item| item.id);
        seen.sort_unstable_by_key(|id| item_ids.iter().position(|other| other == id));
        assert_eq!(seen, visible.iter().map(|n| item_ids[*n]).collect::<Vec<_>>());
        let mut seen = only(sub_menu.find_all(owner).await.unwrap(), &sub_ids, |item| item.id);
        seen.sort_unstable_by_key(|id| sub_ids.iter().position(|other| other == id));
        assert_eq!(seen, visible.iter().map(|n| sub_ids[*n]).collect::<Vec<_>>());
    }
    for (n, owner) in owners.into_iter().enumerate() {
        for other in (0..3).filter(|other| *other != n) {
            assert_eq!(menu.find_by_id(owner, item_ids[other]).await.unwrap(), None);
            assert_eq!(sub_menu.find_by_id(owner, sub_ids[other]).await.unwrap(), None);
            assert_eq!(sub_menu.find_by_menu_id(owner, item_ids[other]).await.unwrap(), []);
        }
    }
}

/// An owner cannot update or delete another owner's entries. It can neither add sub-items to another owner's items nor
/// move sub-items to them.
pub async fn menu_entries_of_another_owner_cannot_be_changed(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (Some(some_company()), Some(some_company()));
    for (owner, other) in [(mine, theirs), (mine, None), (None, mine)] {
        let target = Target::of_menu(owner);
        let (own, foreign) = (menu_item(owner, "Own"), menu_item(other, "Foreign"));
        let (own_below, foreign_below) = (sub_item(&own, "Own below"), sub_item(&foreign, "Foreign below"));
        given(&storage, &[&own, &OwnedSubItem(owner, &own_below), &foreign, &OwnedSubItem(other, &foreign_below)])
            .await;

        let taken = MenuItem { company_id: owner, ..foreign.clone() };
        assert_not_found(change!(storage, target, tx => tx.menu_items_mut().update(&taken)));
        assert_not_found(change!(storage, target, tx => tx.menu_items_mut().delete(owner, foreign.id)));
        let taken = SubMenuItem { menu_item_id: own.id, ..foreign_below.clone() };
        assert_not_found(change!(storage, target, tx => tx.sub_menu_items_mut().update(owner, &taken)));
        assert_not_found(change!(storage, target, tx => tx.sub_menu_items_mut().delete(owner, foreign_below.id)));
        let moved = SubMenuItem { menu_item_id: foreign.id, ..own_below.clone() };
        let outcome = change!(storage, target, tx => tx.sub_menu_items_mut().update(owner, &moved));
        assert_unknown(outcome, EntityType::Menu, [foreign.id.as_uuid()]);
        let smuggled = sub_item(&foreign, "Smuggled");
        let outcome = change!(storage, target, tx => tx.sub_menu_items_mut().create(owner, &smuggled));
        assert_unknown(outcome, EntityType::Menu, [foreign.id.as_uuid()]);

        let (menu, sub_menu) = (storage.reader().menu_items(), storage.reader().sub_menu_items());
        assert_eq!(menu.find_by_id(other, foreign.id).await.unwrap(), Some(foreign.clone()));
        assert_eq!(sub_menu.find_by_menu_id(other, foreign.id).await.unwrap(), [foreign_below]);
        assert_eq!(sub_menu.find_by_menu_id(owner, own.id).await.unwrap(), [own_below]);
    }
}

/// The entries that refer to a view or a feature are returned for all companies, sorted by label, then by id.
pub async fn the_uses_of_a_view_or_feature_are_found_across_companies(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (Some(some_company()), Some(some_company()));
    let (view, feature, unused) = (some_view(), some_feature(), some_view());
    given(&storage, &[&view, &feature, &unused]).await;
    let ids = ascending!(MenuItemId, 2);
    let both = |item: MenuItem| MenuItem { view_id: Some(view.id), feature_id: Some(feature.id), ..item };
    let late = both(MenuItem { id: ids[1], ..menu_item(None, "a") });
    let early = both(MenuItem { id: ids[0], ..menu_item(mine, "a") });
    let only_view = MenuItem { view_id: Some(view.id), ..menu_item(theirs, "ä") };
    let bystander = MenuItem { view_id: Some(unused.id), ..menu_item(theirs, "0") };
    let below = SubMenuItem { view_id: Some(view.id), feature_id: Some(feature.id), ..sub_item(&bystander, "B") };
    given(&storage, &[&late, &early, &only_view, &bystander, &OwnedSubItem(theirs, &below)]).await;

    let used = |text: &str, id| MenuUse { label: label(text), id };
    let by_both = [used("B", below.id.as_uuid()), used("a", ids[0].as_uuid()), used("a", ids[1].as_uuid())];
    let menu = storage.reader().menu_items();
    assert_eq!(menu.find_using_feature(feature.id).await.unwrap(), by_both);
    let mut by_view = by_both.to_vec();
    by_view.push(used("ä", only_view.id.as_uuid()));
    assert_eq!(menu.find_using_view(view.id).await.unwrap(), by_view);
    assert_eq!(menu.find_using_view(ViewId::generate(at(0))).await.unwrap(), []);
    assert_eq!(menu.find_using_feature(FeatureId::generate(at(0))).await.unwrap(), []);
}

/// The items that require exactly this feature key are returned for all companies, sorted by label, then by id.
pub async fn the_items_that_require_a_key_are_found_across_companies(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (Some(some_company()), Some(some_company()));
    let feature = some_feature();
    given(&storage, &[&feature]).await;
    let key = feature.key.clone().unwrap();
    let longer = FeatureKey::parse(format!("{key}.more")).unwrap();
    let odd = FeatureKey::parse(unique("ä\"\\'%_{}")).unwrap();
    let ids = ascending!(MenuItemId, 2);
    let requiring = |keys: &[&FeatureKey], item: MenuItem| MenuItem {
        required_permissions: Some(keys.iter().copied().cloned().collect()),
        ..item
    };
    let late = requiring(&[&key], MenuItem { id: ids[1], ..menu_item(None, "a") });
    let early = requiring(&[&longer, &odd, &key], MenuItem { id: ids[0], ..menu_item(mine, "a") });
    let twice = requiring(&[&key, &key], MenuItem { feature_id: Some(feature.id), ..menu_item(theirs, "B") });
    let another = requiring(&[&longer], menu_item(theirs, "0"));
    let nothing = requiring(&[], menu_item(theirs, "0"));
    let leading = MenuItem { feature_id: Some(feature.id), ..menu_item(theirs, "0") };
    given(&storage, &[&late, &early, &twice, &another, &nothing, &leading]).await;

    let used = |item: &MenuItem| MenuUse { label: item.label.clone(), id: item.id.as_uuid() };
    let menu = storage.reader().menu_items();
    assert_eq!(menu.find_requiring(&key).await.unwrap(), [&twice, &early, &late].map(used));
    assert_eq!(menu.find_requiring(&longer).await.unwrap(), [&another, &early].map(used));
    assert_eq!(menu.find_requiring(&odd).await.unwrap(), [used(&early)]);
    let upper = FeatureKey::parse(key.as_str().to_uppercase()).unwrap();
    assert_eq!(menu.find_requiring(&upper).await.unwrap(), []);

    // A read in a unit of work sees the unit of work's own changes.
    let target = Target::of_menu(mine);
    let seen = change!(storage, target, tx => async {
        tx.menu_items_mut().delete(mine, early.id).await?;
        tx.menu_items().find_requiring(&key).await
    });
    assert_eq!(seen.unwrap(), [&twice, &late].map(used));
    assert_eq!(menu.find_requiring(&odd).await.unwrap(), []);
}
