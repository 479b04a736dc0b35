//! Test cases for views, modules and features.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Category, CompanyId, Description, Feature, Icon, MenuItem, Module, Priority, ResourceType, SubMenuItem, Timestamp,
    View, ViewState,
};

use super::fixtures::{
    Given, OwnedSubItem, action, ascending, at, begin, change, feature_cell, feature_with_key, feature_without_key,
    given, given_all, keys, level, menu_item, module_named, name, only, some_company, some_feature, some_module,
    some_view, sub_item, unique, view_at, view_cell,
};
use super::outcomes::{assert_conflict, assert_not_found};
use crate::{Constraint, Reader, Result, Storage, Target, UnitOfWork};

/// A type of catalog entity (view, module or feature). The trait contains the operations that the three types have in
/// common.
#[async_trait]
trait CatalogEntity: Given + Clone + PartialEq + Debug + Send + Sized {
    /// The uniqueness constraint on the natural key: the URL of a view, the code of a module, or the key of a feature.
    const KEY: Constraint;
    fn key(&self) -> String;
    /// Returns a mutable reference to the creation time.
    fn created_at_mut(&mut self) -> &mut Timestamp;
    /// Returns a new entity with all optional fields set.
    fn full() -> Self;
    /// Returns a new entity without optional fields.
    fn bare() -> Self;
    /// Returns this entity with the id of `other`.
    fn with_id_of(self, other: &Self) -> Self;
    /// Returns this entity with the natural key of `other`.
    fn with_key_of(self, other: &Self) -> Self;
    async fn by_id(&self, reader: &dyn Reader) -> Option<Self>;
    async fn by_key(&self, reader: &dyn Reader) -> Option<Self>;
    async fn all(reader: &dyn Reader) -> Vec<Self>;
    async fn update(&self, tx: &mut dyn UnitOfWork) -> Result<Self>;
    async fn delete(&self, tx: &mut dyn UnitOfWork) -> Result<Self>;
}

macro_rules! part {
    ($part:ty, $key:ident: $rule:ident, $read:ident.$by_key:ident, $write:ident,
        as_text $as_text:expr, full $full:expr, bare $bare:expr) => {
        #[async_trait]
        impl CatalogEntity for $part {
            const KEY: Constraint = Constraint::$rule;

            fn key(&self) -> String {
                let as_text: fn(&Self) -> String = $as_text;
                as_text(self)
            }

            fn created_at_mut(&mut self) -> &mut Timestamp {
                &mut self.created_at
            }

            fn full() -> Self {
                $full
            }

            fn bare() -> Self {
                $bare
            }

            fn with_id_of(self, other: &Self) -> Self {
                Self { id: other.id, ..self }
            }

            fn with_key_of(self, other: &Self) -> Self {
                Self { $key: other.$key.clone(), ..self }
            }

            async fn by_id(&self, reader: &dyn Reader) -> Option<Self> {
                reader.$read().find_by_id(self.id).await.unwrap()
            }

            async fn by_key(&self, reader: &dyn Reader) -> Option<Self> {
                reader.$read().$by_key(&self.key()).await.unwrap()
            }

            async fn all(reader: &dyn Reader) -> Vec<Self> {
                reader.$read().find_all().await.unwrap()
            }

            async fn update(&self, tx: &mut dyn UnitOfWork) -> Result<Self> {
                tx.$write().update(self).await
            }

            async fn delete(&self, tx: &mut dyn UnitOfWork) -> Result<Self> {
                tx.$write().delete(self.id).await
            }
        }
    };
}

part!(View, url: ViewUrl, views.find_by_url, views_mut, as_text |view| view.url.to_string(),
full View {
    name: name("Full"),
    category: Some(Category::parse("category").unwrap()),
    description: Some(Description::parse("description").unwrap()),
    icon: Some(Icon::parse("icon").unwrap()),
    requires_auth: false,
    created_at: at(70),
    updated_at: at(80),
    ..some_view()
},
bare some_view());

part!(Module, code: ModuleCode, modules.find_by_code, modules_mut, as_text |module| module.code.to_string(),
full Module {
    description: Some(Description::parse("").unwrap()),
    icon: Some(Icon::parse("icon").unwrap()),
    enabled: false,
    priority: Priority::Premium,
    created_at: at(70),
    updated_at: at(80),
    ..some_module()
},
bare some_module());

part!(Feature, key: FeatureKey, features.find_by_key, features_mut,
as_text |feature| feature.key.as_ref().map(ToString::to_string).unwrap_or_default(),
full Feature {
    name: name("Full"),
    description: Some(Description::parse("description").unwrap()),
    resource_type: Some(ResourceType::parse("resource").unwrap()),
    actions: Some(vec![action("Zip"), action("Archive")]),
    category: Some(Category::parse("category").unwrap()),
    enabled: false,
    created_at: at(70),
    updated_at: at(80),
    ..some_feature()
},
bare some_feature());

/// Runs a generic check function for views, for modules and for features.
macro_rules! each_part {
    ($check:ident, $storage:expr) => {
        $check::<View>(&$storage).await;
        $check::<Module>(&$storage).await;
        $check::<Feature>(&$storage).await;
    };
}

/// Created views, modules and features are returned unchanged: by id, by natural key, and in the list.
pub async fn catalog_entries_are_read_as_created(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        for made in [P::full(), P::bare()] {
            given(storage, &[&made]).await;
            assert_eq!(made.by_id(storage.reader()).await.as_ref(), Some(&made));
            assert_eq!(made.by_key(storage.reader()).await.as_ref(), Some(&made));
            assert!(P::all(storage.reader()).await.contains(&made));
        }
    }
    each_part!(check, storage);
}

/// Look-ups of unknown entities return nothing. Keys are compared exactly, including case.
pub async fn catalog_lookups_are_exact(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        let (there, missing) = (P::bare(), P::bare());
        given(storage, &[&there]).await;
        assert_eq!(missing.by_id(storage.reader()).await, None);
        assert_eq!(missing.by_key(storage.reader()).await, None);
    }
    each_part!(check, storage);

    let word = unique("Exact%_");
    given(&storage, &[&view_at(format!("/{word}/:id"))]).await;
    let views = storage.reader().views();
    for wrong in ["/123", "/:ID", "/:i_", "/%", "", "/:id/", "/:id "] {
        assert_eq!(views.find_by_url(&format!("/{word}{wrong}")).await.unwrap(), None, "{wrong:?}");
    }
    assert!(views.find_by_url(&format!("/{word}/:id")).await.unwrap().is_some());
    assert_eq!(storage.reader().features().find_by_key("").await.unwrap(), None);
    assert_eq!(storage.reader().modules().find_by_code("").await.unwrap(), None);
}

/// An update returns the previous entity and replaces all fields except the id and the creation time.
pub async fn updates_of_catalog_entries_keep_the_creation_time(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        for (mut old, new) in [(P::bare(), P::full()), (P::full(), P::bare())] {
            given(storage, &[&old]).await;
            let mut new = new.with_id_of(&old);
            let before = change!(storage, Target::Catalog, tx => new.update(tx)).unwrap();
            assert_eq!(before, old);
            *new.created_at_mut() = *old.created_at_mut();
            assert_eq!(old.by_id(storage.reader()).await.as_ref(), Some(&new));
            assert_eq!(new.by_key(storage.reader()).await, Some(new));
            assert_eq!(old.by_key(storage.reader()).await, None);
        }
    }
    each_part!(check, storage);
}

/// A deletion returns the deleted entity. Later look-ups return nothing.
pub async fn catalog_entries_are_deleted(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        let (gone, stays) = (P::full(), P::full());
        given(storage, &[&gone, &stays]).await;
        assert_eq!(change!(storage, Target::Catalog, tx => gone.delete(tx)).unwrap(), gone);
        assert_eq!(gone.by_id(storage.reader()).await, None);
        assert_eq!(gone.by_key(storage.reader()).await, None);
        assert_eq!(stays.by_id(storage.reader()).await, Some(stays));
    }
    each_part!(check, storage);
}

/// Updating or deleting an entity of the catalog that does not exist returns `NotFound` and writes nothing.
pub async fn catalog_entries_that_do_not_exist_cannot_be_changed(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        let missing = P::bare();
        assert_not_found(change!(storage, Target::Catalog, tx => missing.update(tx)));
        assert_not_found(change!(storage, Target::Catalog, tx => missing.delete(tx)));
        assert_eq!(missing.by_id(storage.reader()).await, None);
    }
    each_part!(check, storage);
}

/// URLs, codes and keys are unique, on creation and on update. Ids are unique too.
pub async fn catalog_keys_and_ids_are_unique(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        let (one, other) = (P::bare(), P::full());
        given(storage, &[&one, &other]).await;

        let second = P::bare().with_key_of(&one);
        assert_conflict(change!(storage, Target::Catalog, tx => second.store(tx)), P::KEY);
        let same = P::bare().with_id_of(&one);
        assert_conflict(change!(storage, Target::Catalog, tx => same.store(tx)), Constraint::Duplicate);
        let renamed = other.clone().with_key_of(&one);
        assert_conflict(change!(storage, Target::Catalog, tx => renamed.update(tx)), P::KEY);

        assert_eq!(second.by_id(storage.reader()).await, None);
        assert_eq!(one.by_key(storage.reader()).await.as_ref(), Some(&one));
        assert_eq!(other.by_id(storage.reader()).await.as_ref(), Some(&other));
    }
    each_part!(check, storage);
}

/// After an update replaces the natural key of an entity, another entity can use the old key, even within the same unit
/// of work.
pub async fn catalog_keys_can_be_reused(storage: Arc<dyn Storage>) {
    async fn check<P: CatalogEntity>(storage: &Arc<dyn Storage>) {
        let (one, other) = (P::bare(), P::bare());
        given(storage, &[&one]).await;
        let moved = P::full().with_id_of(&one);
        let heir = other.with_key_of(&one);
        change!(storage, Target::Catalog, tx => async {
            moved.update(tx).await?;
            heir.store(tx).await?;
            moved.delete(tx).await
        })
        .unwrap();
        assert_eq!(one.by_key(storage.reader()).await, Some(heir));
        assert_eq!(one.by_id(storage.reader()).await, None);
    }
    each_part!(check, storage);
}

/// Features without a key do not conflict with each other.
pub async fn features_without_a_key_do_not_conflict(storage: Arc<dyn Storage>) {
    let features = [feature_without_key(), feature_without_key(), feature_without_key()];
    given_all(&storage, &features).await;
    for feature in features {
        assert_eq!(feature.by_id(storage.reader()).await, Some(feature));
    }
}

/// Views are sorted by the bytes of their URLs.
pub async fn views_are_ordered_by_url(storage: Arc<dyn Storage>) {
    let prefix = unique("/order");
    let urls = ["a", "ä", "B", "a/b", "A", "a-b", "z"].map(|end| format!("{prefix}/{end}"));
    given_all(&storage, &urls.clone().map(view_at)).await;

    let listed = storage.reader().views().find_all().await.unwrap();
    let ends = ["A", "B", "a", "a-b", "a/b", "z", "ä"].map(|end| format!("{prefix}/{end}"));
    assert_eq!(only(listed, &urls, |view| view.url.to_string()), ends);
}

/// Modules are sorted by the bytes of their names, then by id.
pub async fn modules_are_ordered_by_name_then_id(storage: Arc<dyn Storage>) {
    let prefix = unique("order");
    let ids = ascending!(ModuleId, 6);
    let made = [("b", 5), ("a", 4), ("ä", 0), ("a", 1), ("B", 3), ("a", 2)]
        .map(|(end, id)| Module { id: ids[id], ..module_named(format!("{prefix} {end}")) });
    given_all(&storage, &made).await;

    let listed = storage.reader().modules().find_all().await.unwrap();
    assert_eq!(only(listed, &ids, |module| module.id), [3, 1, 2, 4, 5, 0].map(|id| ids[id]));
}

/// Features are sorted by the bytes of their keys. Features without a key are sorted last, by id.
pub async fn features_are_ordered_by_key_and_features_without_a_key_come_last(storage: Arc<dyn Storage>) {
    let prefix = unique("order");
    let ids = ascending!(FeatureId, 6);
    let made = [(None, 4), (Some("b"), 5), (None, 1), (Some("ä"), 0), (Some("B"), 3), (None, 2)].map(|(end, id)| {
        let feature = end.map_or_else(feature_without_key, |end| feature_with_key(format!("{prefix}.{end}")));
        Feature { id: ids[id], ..feature }
    });
    given_all(&storage, &made).await;

    let listed = storage.reader().features().find_all().await.unwrap();
    assert_eq!(only(listed, &ids, |feature| feature.id), [3, 5, 0, 1, 2, 4].map(|id| ids[id]));
}

/// The custom actions of a feature are stored in the given order. `None` and an empty list are stored as different
/// values.
pub async fn custom_actions_are_stored_unchanged(storage: Arc<dyn Storage>) {
    for own in [None, Some(vec![]), Some(vec!["Zip", "Archive", "ä\"\\'%_"])] {
        let actions = own.map(|own| own.into_iter().map(action).collect());
        let feature = Feature { actions, ..some_feature() };
        given(&storage, &[&feature]).await;
        assert_eq!(feature.by_id(storage.reader()).await, Some(feature));
    }
}

/// A company and three catalog entities (a view, a feature and a module) that are all mapped to one another.
struct LinkedEntities {
    company: CompanyId,
    view: View,
    feature: Feature,
    module: Module,
}

/// Creates the linked entities. The company has the module and one level. The level has one cell for the view and three
/// cells for actions of the feature.
async fn linked_entities(storage: &Arc<dyn Storage>) -> LinkedEntities {
    let company = some_company();
    let own = Feature { actions: Some(vec![action("Zip"), action("Seal")]), ..some_feature() };
    let tied = LinkedEntities { company, view: some_view(), feature: own, module: some_module() };
    let LinkedEntities { view, feature, module, .. } = &tied;
    let admin = level(company, "Admin");
    given(storage, &[view, feature, module, &admin]).await;
    given(storage, &[&view_cell(&admin, view.id, ViewState::Allow)]).await;
    given_all(storage, &["Read", "Zip", "Seal"].map(|word| feature_cell(&admin, feature.id, word))).await;
    let mut tx = begin(storage, Target::Catalog).await;
    tx.feature_views_mut().add(feature.id, view.id).await.unwrap();
    tx.module_views_mut().add(module.id, view.id).await.unwrap();
    tx.module_features_mut().add(module.id, feature.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = begin(storage, company).await;
    tx.company_modules_mut().add(company, module.id).await.unwrap();
    tx.commit().await.unwrap();
    tied
}

/// Returns the number of cells for the view, the number of cells for the feature, and the number of elements in each
/// mapping of the linked entities.
async fn count_links(storage: &Arc<dyn Storage>, linked_entities: &LinkedEntities) -> [usize; 9] {
    let reader = storage.reader();
    let LinkedEntities { company, view, feature, module } = linked_entities;
    [
        reader.view_permissions().find_by_view(*company, view.id).await.unwrap().len(),
        reader.feature_permissions().find_by_feature(*company, feature.id).await.unwrap().len(),
        reader.feature_views().get_views_by_feature(feature.id).await.unwrap().len(),
        reader.feature_views().get_features_by_view(view.id).await.unwrap().len(),
        reader.module_views().get_views_by_module(module.id).await.unwrap().len(),
        reader.module_views().get_modules_by_view(view.id).await.unwrap().len(),
        reader.module_features().get_features_by_module(module.id).await.unwrap().len(),
        reader.module_features().get_modules_by_feature(feature.id).await.unwrap().len(),
        reader.company_modules().get_modules_by_company(*company).await.unwrap().len()
            + reader.company_modules().get_companies_by_module(module.id).await.unwrap().len(),
    ]
}

/// Deleting a view deletes its permissions and mappings (cascade). Nothing else is deleted.
pub async fn deleting_a_view_deletes_its_permissions_and_mappings(storage: Arc<dyn Storage>) {
    let tied = linked_entities(&storage).await;
    assert_eq!(count_links(&storage, &tied).await, [1, 3, 1, 1, 1, 1, 1, 1, 2]);
    change!(storage, Target::Catalog, tx => tx.views_mut().delete(tied.view.id)).unwrap();
    assert_eq!(count_links(&storage, &tied).await, [0, 3, 0, 0, 0, 0, 1, 1, 2]);
}

/// Deleting a feature deletes its permissions and mappings (cascade). Nothing else is deleted.
pub async fn deleting_a_feature_deletes_its_permissions_and_mappings(storage: Arc<dyn Storage>) {
    let tied = linked_entities(&storage).await;
    change!(storage, Target::Catalog, tx => tx.features_mut().delete(tied.feature.id)).unwrap();
    assert_eq!(count_links(&storage, &tied).await, [1, 0, 0, 0, 1, 1, 0, 0, 2]);
}

/// Deleting a module deletes its mappings, and removes it from all companies. Nothing else is deleted.
pub async fn deleting_a_module_deletes_its_mappings(storage: Arc<dyn Storage>) {
    let tied = linked_entities(&storage).await;
    change!(storage, Target::Catalog, tx => tx.modules_mut().delete(tied.module.id)).unwrap();
    assert_eq!(count_links(&storage, &tied).await, [1, 3, 1, 1, 0, 0, 0, 0, 0]);
}

/// Deleting a level deletes its permissions. Nothing else is deleted.
pub async fn deleting_a_level_deletes_its_permissions(storage: Arc<dyn Storage>) {
    let tied = linked_entities(&storage).await;
    let admin = storage.reader().user_levels().find_by_name(tied.company, "Admin").await.unwrap().unwrap();
    change!(storage, tied.company, tx => tx.user_levels_mut().delete(tied.company, admin.id)).unwrap();
    assert_eq!(count_links(&storage, &tied).await, [0, 0, 1, 1, 1, 1, 1, 1, 2]);
}

/// Removing an action from a feature deletes the permissions for this action. The permissions for standard actions and
/// for the remaining actions are preserved.
pub async fn removing_an_action_deletes_its_permissions(storage: Arc<dyn Storage>) {
    let LinkedEntities { company, feature, .. } = linked_entities(&storage).await;
    let remaining = async |actions: Option<Vec<_>>| {
        let changed = Feature { actions, ..feature.clone() };
        change!(storage, Target::Catalog, tx => tx.features_mut().update(&changed)).unwrap();
        let cells = storage.reader().feature_permissions().find_by_feature(company, feature.id).await.unwrap();
        keys(&cells, |cell| cell.action.to_string())
    };
    assert_eq!(remaining(Some(vec![action("Seal"), action("Zip")])).await, ["Read", "Seal", "Zip"]);
    assert_eq!(remaining(Some(vec![action("Seal"), action("Fold")])).await, ["Read", "Seal"]);
    assert_eq!(remaining(None).await, ["Read"]);
    assert_eq!(remaining(Some(vec![action("Seal")])).await, ["Read"]);
}

/// A view or feature cannot be deleted while an item or sub-item of the common menu or of a company's menu refers to
/// it.
pub async fn entries_that_a_menu_uses_cannot_be_deleted(storage: Arc<dyn Storage>) {
    let company = some_company();
    for owner in [None, Some(company)] {
        let (view, feature) = (some_view(), some_feature());
        let user = menu_item(owner, "uses both");
        let user = MenuItem { view_id: Some(view.id), feature_id: Some(feature.id), ..user };
        let item = menu_item(owner, "uses none");
        let below = sub_item(&item, "uses both");
        let below = SubMenuItem { view_id: Some(view.id), feature_id: Some(feature.id), ..below };
        given(&storage, &[&view, &feature, &user, &item, &OwnedSubItem(owner, &below)]).await;
        let view_goes = async || change!(storage, Target::Catalog, tx => tx.views_mut().delete(view.id));
        let feature_goes = async || change!(storage, Target::Catalog, tx => tx.features_mut().delete(feature.id));

        assert_conflict(view_goes().await, Constraint::ViewInMenu);
        assert_conflict(feature_goes().await, Constraint::FeatureInMenu);
        change!(storage, Target::of_menu(owner), tx => tx.menu_items_mut().delete(owner, user.id)).unwrap();
        assert_conflict(view_goes().await, Constraint::ViewInMenu);
        assert_conflict(feature_goes().await, Constraint::FeatureInMenu);
        change!(storage, Target::of_menu(owner), tx => tx.menu_items_mut().delete(owner, item.id)).unwrap();
        view_goes().await.unwrap();
        feature_goes().await.unwrap();
    }
}

/// Reading a mapping returns the mapped entities with all of their fields.
pub async fn mapped_entries_are_read_completely(storage: Arc<dyn Storage>) {
    let LinkedEntities { company, view, feature, module } = linked_entities(&storage).await;
    let reader = storage.reader();
    assert_eq!(reader.feature_views().get_views_by_feature(feature.id).await.unwrap(), [view.clone()]);
    assert_eq!(reader.module_views().get_views_by_module(module.id).await.unwrap(), [view.clone()]);
    assert_eq!(reader.feature_views().get_features_by_view(view.id).await.unwrap(), [feature.clone()]);
    assert_eq!(reader.module_features().get_features_by_module(module.id).await.unwrap(), [feature.clone()]);
    assert_eq!(reader.module_views().get_modules_by_view(view.id).await.unwrap(), [module.clone()]);
    assert_eq!(reader.module_features().get_modules_by_feature(feature.id).await.unwrap(), [module.clone()]);
    let [granted] = reader.company_modules().get_modules_by_company(company).await.unwrap().try_into().unwrap();
    assert_eq!(granted.module, module);
    assert_eq!((granted.granted.company_id, granted.granted.module_id), (company, module.id));
    assert!(granted.granted.enabled);
}
