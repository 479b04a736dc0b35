//! Test cases for mappings: adding and removing elements, and the order of the lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{CompanyId, Feature, GrantedModule, Module, ModuleId};
use uuid::Uuid;

use super::fixtures::{
    ascending, at, begin, change, feature_with_key, feature_without_key, given, given_all, keys, module_named,
    some_company, some_feature, some_module, some_view, unique, versions, view_at,
};
use super::outcomes::{assert_not_found, assert_unknown};
use super::sets::scenes;
use crate::{Storage, Target};

/// Adding and removing elements is idempotent. Adding an element that is already in the set, or removing an element
/// that is not in the set, returns `false` and changes nothing.
pub async fn an_element_is_added_and_removed_once(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let (set, element) = (&scene.set, scene.elements[0]);
        let there = async || set.read(storage.reader()).await;
        assert!(!change!(storage, set.target(), tx => set.remove(tx, element)).unwrap(), "{set:?}");
        assert!(change!(storage, set.target(), tx => set.add(tx, element)).unwrap(), "{set:?}");
        assert_eq!(there().await, BTreeSet::from([element]), "{set:?}");

        if !set.is_matrix() {
            let before = versions(&storage, set.target().company()).await;
            assert!(!change!(storage, set.target(), tx => set.add(tx, element)).unwrap(), "{set:?}");
            assert_eq!(versions(&storage, set.target().company()).await, before, "{set:?}");
        }
        assert_eq!(there().await, BTreeSet::from([element]), "{set:?}");
        assert_eq!(scene.neighbour.read(storage.reader()).await, BTreeSet::new(), "{set:?}");

        assert!(change!(storage, set.target(), tx => set.remove(tx, element)).unwrap(), "{set:?}");
        assert_eq!(there().await, BTreeSet::new(), "{set:?}");
        assert!(!change!(storage, set.target(), tx => set.remove(tx, element)).unwrap(), "{set:?}");
    }
}

/// Adding an unknown element to a set returns `Unknown` with the id of the element. If the owner of the set (such as a
/// module) is unknown, the error contains the id of the owner.
pub async fn the_error_for_an_unknown_element_or_owner_contains_its_id(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let unknown = Uuid::new_v4();
        let outcome = change!(storage, scene.set.target(), tx => scene.set.add(tx, unknown));
        assert_unknown(outcome, scene.set.kind(), [unknown]);
        if let Some((with_unknown_owner, kind, owner)) = scene.set.with_unknown_owner() {
            let outcome = change!(storage, scene.set.target(), tx => with_unknown_owner.add(tx, scene.elements[0]));
            assert_unknown(outcome, kind, [owner]);
            let removed = change!(storage, scene.set.target(), tx => with_unknown_owner.remove(tx, scene.elements[0]));
            assert!(!removed.unwrap(), "{:?}", scene.set);
        }
        assert_eq!(scene.set.read(storage.reader()).await, BTreeSet::new());
    }
}

/// The set of an unknown owner, such as the views of an unknown module, is empty.
pub async fn an_unknown_owner_has_no_elements(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        if let Some((with_unknown_owner, ..)) = scene.set.with_unknown_owner() {
            assert_eq!(with_unknown_owner.read(storage.reader()).await, BTreeSet::new(), "{with_unknown_owner:?}");
        }
    }
    let reader = storage.reader();
    assert_eq!(reader.feature_views().get_features_by_view(some_view().id).await.unwrap(), []);
    assert_eq!(reader.module_views().get_modules_by_view(some_view().id).await.unwrap(), []);
    assert_eq!(reader.module_features().get_modules_by_feature(some_feature().id).await.unwrap(), []);
    assert_eq!(reader.company_modules().get_companies_by_module(some_module().id).await.unwrap(), []);
    assert_eq!(reader.company_modules().get_modules_by_company(some_company()).await.unwrap(), []);
}

/// The views of a feature and of a module are sorted by the bytes of their URLs.
pub async fn mapped_views_are_ordered_by_url(storage: Arc<dyn Storage>) {
    let prefix = unique("/order");
    let views = ["a", "ä", "B"].map(|end| view_at(format!("{prefix}/{end}")));
    let (feature, module) = (some_feature(), some_module());
    given_all(&storage, &views).await;
    given(&storage, &[&feature, &module]).await;
    let mut tx = begin(&storage, Target::Catalog).await;
    for view in &views {
        tx.feature_views_mut().add(feature.id, view.id).await.unwrap();
        tx.module_views_mut().add(module.id, view.id).await.unwrap();
    }
    tx.commit().await.unwrap();

    let expected = ["B", "a", "ä"].map(|end| format!("{prefix}/{end}"));
    let of_feature = storage.reader().feature_views().get_views_by_feature(feature.id).await.unwrap();
    let of_module = storage.reader().module_views().get_views_by_module(module.id).await.unwrap();
    assert_eq!(keys(&of_feature, |view| view.url.to_string()), expected);
    assert_eq!(keys(&of_module, |view| view.url.to_string()), expected);
}

/// The features of a view and of a module are sorted by the bytes of their keys. Features without a key are sorted
/// last, by id.
pub async fn mapped_features_are_ordered_by_key(storage: Arc<dyn Storage>) {
    let prefix = unique("order");
    let ids = ascending!(FeatureId, 5);
    let features = [(None, 3), (Some("a"), 4), (None, 1), (Some("ä"), 0), (Some("B"), 2)].map(|(end, id)| {
        let feature = end.map_or_else(feature_without_key, |end| feature_with_key(format!("{prefix}.{end}")));
        Feature { id: ids[id], ..feature }
    });
    let (view, module) = (some_view(), some_module());
    given_all(&storage, &features).await;
    given(&storage, &[&view, &module]).await;
    let mut tx = begin(&storage, Target::Catalog).await;
    for feature in &features {
        tx.feature_views_mut().add(feature.id, view.id).await.unwrap();
        tx.module_features_mut().add(module.id, feature.id).await.unwrap();
    }
    tx.commit().await.unwrap();

    let expected = [2, 4, 0, 1, 3].map(|id| ids[id]);
    let of_view = storage.reader().feature_views().get_features_by_view(view.id).await.unwrap();
    let of_module = storage.reader().module_features().get_features_by_module(module.id).await.unwrap();
    assert_eq!(keys(&of_view, |feature| feature.id), expected);
    assert_eq!(keys(&of_module, |feature| feature.id), expected);
}

/// The modules of a view, of a feature and of a company are sorted by the bytes of their names, then by id.
pub async fn mapped_modules_are_ordered_by_name_then_id(storage: Arc<dyn Storage>) {
    let prefix = unique("order");
    let ids = ascending!(ModuleId, 4);
    let modules = [("ä", 0), ("a", 3), ("a", 1), ("B", 2)]
        .map(|(end, id)| Module { id: ids[id], ..module_named(format!("{prefix} {end}")) });
    let (company, view, feature) = (some_company(), some_view(), some_feature());
    given_all(&storage, &modules).await;
    given(&storage, &[&view, &feature]).await;
    let mut tx = begin(&storage, Target::Catalog).await;
    for module in &modules {
        tx.module_views_mut().add(module.id, view.id).await.unwrap();
        tx.module_features_mut().add(module.id, feature.id).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = begin(&storage, company).await;
    for module in &modules {
        tx.company_modules_mut().add(company, module.id).await.unwrap();
    }
    tx.commit().await.unwrap();

    let expected = [2, 1, 3, 0].map(|id| ids[id]);
    let reader = storage.reader();
    let of_view = reader.module_views().get_modules_by_view(view.id).await.unwrap();
    let of_feature = reader.module_features().get_modules_by_feature(feature.id).await.unwrap();
    let of_company = reader.company_modules().get_modules_by_company(company).await.unwrap();
    assert_eq!(keys(&of_view, |module| module.id), expected);
    assert_eq!(keys(&of_feature, |module| module.id), expected);
    assert_eq!(keys(&of_company, |granted| granted.module.id), expected);
}

/// The companies that have a module, enabled or disabled, are listed by id.
pub async fn the_companies_of_a_module_are_ordered_by_id(storage: Arc<dyn Storage>) {
    let module = some_module();
    given(&storage, &[&module]).await;
    let companies: Vec<CompanyId> = (0..4).map(|_| CompanyId::generate(at(0))).collect();
    for n in [2, 0, 3] {
        let company = companies[n];
        change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
    }
    let (off, without) = (companies[0], companies[1]);
    change!(storage, off, tx => tx.company_modules_mut().set_enabled(off, module.id, false)).unwrap();

    let listed = storage.reader().company_modules().get_companies_by_module(module.id).await.unwrap();
    assert_eq!(listed, [companies[0], companies[2], companies[3]]);
    assert_eq!(storage.reader().company_modules().get_modules_by_company(without).await.unwrap(), []);
}

/// A module can be disabled and enabled for one company without affecting another company. `created_at` is the time of
/// the unit of work that added the module. `updated_at` is the time of the last unit of work that changed its `enabled`
/// flag.
pub async fn a_module_is_disabled_and_enabled_for_one_company(storage: Arc<dyn Storage>) {
    let (mine, theirs, module) = (some_company(), some_company(), some_module());
    given(&storage, &[&module]).await;
    let mut given_at = Vec::new();
    for company in [mine, theirs] {
        let mut tx = begin(&storage, company).await;
        given_at.push(tx.now());
        assert!(tx.company_modules_mut().add(company, module.id).await.unwrap());
        tx.commit().await.unwrap();
    }
    let granted = async |company| {
        let [granted] =
            storage.reader().company_modules().get_modules_by_company(company).await.unwrap().try_into().unwrap();
        let GrantedModule { granted, .. } = granted;
        granted
    };
    let before = granted(theirs).await;
    assert_eq!((before.enabled, before.created_at, before.updated_at), (true, given_at[1], given_at[1]));

    let mut tx = begin(&storage, mine).await;
    let switched_at = tx.now();
    tx.company_modules_mut().set_enabled(mine, module.id, false).await.unwrap();
    tx.commit().await.unwrap();
    let off = granted(mine).await;
    assert_eq!((off.enabled, off.created_at, off.updated_at), (false, given_at[0], switched_at));
    assert_eq!(granted(theirs).await, before);

    change!(storage, mine, tx => tx.company_modules_mut().set_enabled(mine, module.id, true)).unwrap();
    assert!(granted(mine).await.enabled);
}

/// A disabled module of a company remains disabled if it is added again, or if the company's modules are replaced with
/// a set that contains it.
pub async fn a_module_that_the_company_keeps_retains_its_switch(storage: Arc<dyn Storage>) {
    let (company, off, on) = (some_company(), some_module(), some_module());
    given(&storage, &[&off, &on]).await;
    let switches = async || {
        let modules = storage.reader().company_modules().get_modules_by_company(company).await.unwrap();
        modules.into_iter().map(|granted| (granted.module.id, granted.granted.enabled)).collect::<BTreeSet<_>>()
    };
    change!(storage, company, tx => tx.company_modules_mut().add(company, off.id)).unwrap();
    change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, off.id, false)).unwrap();
    assert!(!change!(storage, company, tx => tx.company_modules_mut().add(company, off.id)).unwrap());
    assert_eq!(switches().await, [(off.id, false)].into());

    let both = [on.id, off.id];
    change!(storage, company, tx => tx.company_modules_mut().replace_for_company(company, &both)).unwrap();
    assert_eq!(switches().await, [(off.id, false), (on.id, true)].into());
}

/// Setting the `enabled` flag of a module to its current value changes nothing. Setting the flag of a module that the
/// company does not have returns `NotFound`.
pub async fn setting_a_switch_to_its_current_value_is_no_change(storage: Arc<dyn Storage>) {
    let (company, other, module) = (some_company(), some_company(), some_module());
    given(&storage, &[&module]).await;
    let missing = ModuleId::generate(at(0));
    assert_not_found(change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, missing, true)));
    assert_not_found(change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, module.id, true)));

    change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
    let before = versions(&storage, Some(company)).await;
    change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, module.id, true)).unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before);
    assert_not_found(change!(storage, other, tx => tx.company_modules_mut().set_enabled(other, module.id, false)));
}

/// Adding or removing a module of one company does not affect another company.
pub async fn modules_of_two_companies_are_separate(storage: Arc<dyn Storage>) {
    let (mine, theirs, module) = (some_company(), some_company(), some_module());
    given(&storage, &[&module]).await;
    let companies = async || storage.reader().company_modules().get_companies_by_module(module.id).await.unwrap();
    change!(storage, theirs, tx => tx.company_modules_mut().add(theirs, module.id)).unwrap();
    assert!(!change!(storage, mine, tx => tx.company_modules_mut().remove(mine, module.id)).unwrap());
    change!(storage, mine, tx => tx.company_modules_mut().replace_for_company(mine, &[])).unwrap();
    assert_eq!(companies().await, [theirs]);
    assert!(change!(storage, mine, tx => tx.company_modules_mut().add(mine, module.id)).unwrap());
    assert!(change!(storage, theirs, tx => tx.company_modules_mut().remove(theirs, module.id)).unwrap());
    assert_eq!(companies().await, [mine]);
}
