//! The seed catalog of a new installation. Its ids are deterministic, so they are the same in every installation.

use uuid::Uuid;

use crate::{
    Feature, FeatureId, FeatureKey, Label, MenuItem, MenuItemId, Module, ModuleCode, ModuleId, Name, Priority,
    SubMenuItem, SubMenuItemId, TextError, Timestamp, View, ViewId, ViewUrl,
};

/// The namespace from which the version 5 UUIDs of the seed catalog are derived.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f2c_9d1e_5b7a_4c38_9e21_d04f_7a86_b3c5);

/// The 14 views. Each entry contains the name and the URL of a view.
const VIEWS: [(&str, &str); 14] = [
    ("Dashboard", "/dashboard"),
    ("Home", "/home"),
    ("Companies List", "/companies"),
    ("Company Detail", "/companies/:id"),
    ("Users List", "/users"),
    ("User Profile", "/profile"),
    ("Subscription", "/subscription"),
    ("Subscription Plans", "/subscription/plans"),
    ("User Levels", "/admin/user-levels"),
    ("Permissions Matrix", "/admin/permissions"),
    ("Settings", "/settings"),
    ("Risks", "/modules/risks"),
    ("Compliance", "/modules/compliance"),
    ("Audit", "/modules/audit"),
];

/// The 4 modules. Each entry contains the code and the name of a module, and the URLs of the views that the module
/// gates.
const MODULES: [(&str, &str, &[&str]); 4] = [
    (
        CORE_MODULE,
        "Core",
        &[
            "/dashboard",
            "/home",
            "/companies",
            "/companies/:id",
            "/users",
            "/profile",
            "/subscription",
            "/subscription/plans",
            "/admin/user-levels",
            "/admin/permissions",
            "/settings",
        ],
    ),
    ("risks", "Risks", &["/modules/risks"]),
    ("compliance", "Compliance", &["/modules/compliance"]),
    ("audit", "Audit", &["/modules/audit"]),
];

/// The 19 features. Each entry contains the key, the name, the URL of the view on which the feature is shown, and the
/// code of the module that gates the feature.
const FEATURES: [(&str, &str, Option<&str>, Option<&str>); 19] = [
    ("general.create", "Create", Some("/companies"), None),
    ("general.read", "Read", Some("/companies"), None),
    ("general.update", "Update", Some("/companies/:id"), None),
    ("general.delete", "Delete", Some("/companies/:id"), None),
    ("general.export", "Export", None, None),
    ("companies.create", "Create Company", Some("/companies"), None),
    ("companies.manage", "Manage Company", Some("/companies/:id"), None),
    ("companies.delete", "Delete Company", Some("/companies/:id"), None),
    ("users.invite", "Invite Users", Some("/users"), None),
    ("users.manage", "Manage Users", Some("/users"), None),
    ("users.remove", "Remove Users", Some("/users"), None),
    ("subscription.manage", "Manage Subscription", None, None),
    ("subscription.billing", "View Billing", None, None),
    ("iam.manage_levels", "Manage User Levels", Some("/admin/user-levels"), None),
    ("iam.assign_permissions", "Assign Permissions", Some("/admin/permissions"), None),
    ("risks.create", "Create Risks", Some("/modules/risks"), Some("risks")),
    ("risks.edit", "Edit Risks", Some("/modules/risks"), Some("risks")),
    ("risks.delete", "Delete Risks", Some("/modules/risks"), Some("risks")),
    ("risks.approve", "Approve Risks", Some("/modules/risks"), Some("risks")),
];

/// A sub-item of the menu: its label, the URL of its view, and the key of the feature that it requires.
type SubItem = (&'static str, &'static str, Option<&'static str>);

/// The menu items. Each entry contains the label, the URL of the view, and the sub-items.
const MENU: [(&str, Option<&str>, &[SubItem]); 6] = [
    ("Dashboard", Some("/dashboard"), &[]),
    ("Companies", Some("/companies"), &[]),
    ("Users", Some("/users"), &[]),
    (
        "Modules",
        None,
        &[
            ("Risks", "/modules/risks", None),
            ("Compliance", "/modules/compliance", None),
            ("Audit", "/modules/audit", None),
        ],
    ),
    (
        "Administration",
        None,
        &[
            ("User Levels", "/admin/user-levels", Some("iam.manage_levels")),
            ("Permissions", "/admin/permissions", Some("iam.assign_permissions")),
        ],
    ),
    ("Settings", Some("/settings"), &[("Subscription", "/subscription", None)]),
];

/// The code of the module that every provisioned company has.
pub const CORE_MODULE: &str = "core";

/// The rows of the seed catalog. Inserting the rows in the order of the fields satisfies all foreign keys.
#[derive(Debug, Clone)]
pub struct SeedCatalog {
    /// The 14 views.
    pub views: Vec<View>,
    /// The 4 modules.
    pub modules: Vec<Module>,
    /// The 19 features.
    pub features: Vec<Feature>,
    /// The 16 mappings of features to the views on which they are shown.
    pub feature_views: Vec<(FeatureId, ViewId)>,
    /// The 14 mappings of modules to the views that they gate.
    pub module_views: Vec<(ModuleId, ViewId)>,
    /// The 4 mappings of modules to the features that they gate.
    pub module_features: Vec<(ModuleId, FeatureId)>,
    /// The 6 menu items.
    pub menu_items: Vec<MenuItem>,
    /// The 6 sub-items.
    pub sub_menu_items: Vec<SubMenuItem>,
}

fn id(kind: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{kind}:{key}").as_bytes())
}

fn view_id(url: &str) -> ViewId {
    ViewId::from_uuid(id("view", url))
}

fn feature_id(key: &str) -> FeatureId {
    FeatureId::from_uuid(id("feature", key))
}

fn module_id(code: &str) -> ModuleId {
    ModuleId::from_uuid(id("module", code))
}

/// Creates the seed catalog. All entities have `at` as their creation time.
///
/// # Errors
///
/// Never fails in practice: all strings in the tables above are valid.
pub fn catalog(at: Timestamp) -> Result<SeedCatalog, TextError> {
    Ok(SeedCatalog {
        views: VIEWS
            .iter()
            .map(|(name, url)| {
                Ok(View {
                    id: view_id(url),
                    name: Name::parse(*name)?,
                    url: ViewUrl::parse(*url)?,
                    category: None,
                    description: None,
                    icon: None,
                    requires_auth: true,
                    created_at: at,
                    updated_at: at,
                })
            })
            .collect::<Result<_, TextError>>()?,
        modules: MODULES
            .iter()
            .map(|(code, name, _)| {
                Ok(Module {
                    id: module_id(code),
                    code: ModuleCode::parse(*code)?,
                    name: Name::parse(*name)?,
                    description: None,
                    icon: None,
                    enabled: true,
                    priority: Priority::Standard,
                    created_at: at,
                    updated_at: at,
                })
            })
            .collect::<Result<_, TextError>>()?,
        features: FEATURES
            .iter()
            .map(|(key, name, ..)| {
                Ok(Feature {
                    id: feature_id(key),
                    key: Some(FeatureKey::parse(*key)?),
                    name: Name::parse(*name)?,
                    description: None,
                    resource_type: None,
                    actions: None,
                    category: None,
                    enabled: true,
                    created_at: at,
                    updated_at: at,
                })
            })
            .collect::<Result<_, TextError>>()?,
        feature_views: FEATURES
            .iter()
            .filter_map(|(key, _, view, _)| view.map(|url| (feature_id(key), view_id(url))))
            .collect(),
        module_views: MODULES
            .iter()
            .flat_map(|(code, _, views)| views.iter().map(|url| (module_id(code), view_id(url))))
            .collect(),
        module_features: FEATURES
            .iter()
            .filter_map(|(key, _, _, module)| module.map(|code| (module_id(code), feature_id(key))))
            .collect(),
        menu_items: MENU.iter().zip(0..).map(|(item, order)| menu_item(item, order, at)).collect::<Result<_, _>>()?,
        sub_menu_items: MENU
            .iter()
            .flat_map(|(menu, _, items)| items.iter().zip(0..).map(|(item, order)| sub_item(menu, item, order, at)))
            .collect::<Result<_, _>>()?,
    })
}

fn menu_item(
    (label, view, _): &(&str, Option<&str>, &[SubItem]),
    sort_order: i32,
    at: Timestamp,
) -> Result<MenuItem, TextError> {
    Ok(MenuItem {
        id: MenuItemId::from_uuid(id("menu", label)),
        company_id: None,
        label: Label::parse(*label)?,
        icon: None,
        priority: Priority::Standard,
        required_permissions: None,
        sort_order,
        view_id: view.map(view_id),
        feature_id: None,
        // The first item, the dashboard, is the entry point.
        is_entrypoint: sort_order == 0,
        created_at: at,
        updated_at: at,
    })
}

fn sub_item(
    menu: &str,
    (label, view, feature): &SubItem,
    sort_order: i32,
    at: Timestamp,
) -> Result<SubMenuItem, TextError> {
    Ok(SubMenuItem {
        id: SubMenuItemId::from_uuid(id("sub-menu", &format!("{menu}/{label}"))),
        menu_item_id: MenuItemId::from_uuid(id("menu", menu)),
        label: Label::parse(*label)?,
        view_id: Some(view_id(view)),
        feature_id: feature.map(feature_id),
        icon: None,
        sort_order,
        enabled: true,
        created_at: at,
        updated_at: at,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seed_has_the_planned_rows() {
        let seed = catalog(Timestamp::from_millis(0).unwrap()).unwrap();
        assert_eq!((seed.views.len(), seed.modules.len(), seed.features.len()), (14, 4, 19));
        assert_eq!((seed.feature_views.len(), seed.module_views.len(), seed.module_features.len()), (16, 14, 4));
        assert_eq!((seed.menu_items.len(), seed.sub_menu_items.len()), (6, 6));
    }

    #[test]
    fn mappings_and_menus_reference_seeded_rows() {
        let seed = catalog(Timestamp::from_millis(0).unwrap()).unwrap();
        let views: BTreeSet<_> = seed.views.iter().map(|view| view.id).collect();
        let features: BTreeSet<_> = seed.features.iter().map(|feature| feature.id).collect();
        assert!(seed.feature_views.iter().all(|(feature, view)| features.contains(feature) && views.contains(view)));
        assert!(seed.module_views.iter().all(|(_, view)| views.contains(view)));
        assert!(seed.sub_menu_items.iter().all(|item| item.view_id.is_none_or(|view| views.contains(&view))));
    }
}
