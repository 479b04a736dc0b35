//! The table of all kinds of changes. Each row has the operation that makes the change, and the decisions that the
//! change affects.

/// The companies whose decisions and menus a change can affect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Only the company in which the change is made.
    Company,
    /// All companies.
    All,
}

/// The effect of a change on the decisions and menus of the test's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The decisions or menus of the user differ after the change.
    Differs,
    /// The decisions and menus of the user are the same after the change.
    Same,
}

/// A kind of change: a row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The description of the change, as in `docs/consistency.md`.
    pub what: &'static str,
    /// The operation, as in the OpenAPI document.
    pub operation: &'static str,
    pub of: Of,
    pub seen: Seen,
    /// The ids in the path of the request. A word that begins with `$` is a placeholder for an entity of the test's
    /// `Scene`.
    pub ids: &'static str,
    /// The body of the request, with placeholders as in `ids`. Empty if the request has no body.
    pub body: &'static str,
}

const OF_COMPANY: Change = Change { what: "", operation: "", of: Of::Company, seen: Seen::Differs, ids: "", body: "" };
const OF_CATALOG: Change = Change { of: Of::All, ..OF_COMPANY };

pub const TABLE: &[Change] = &[
    Change {
        what: "a level is created",
        operation: "POST /api/iam/user-levels",
        seen: Seen::Same,
        body: r#"{"name":"New"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a level is renamed",
        operation: "PATCH /api/iam/user-levels/{id}",
        seen: Seen::Same,
        ids: "$level",
        body: r#"{"name":"Renamed"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a level is deleted",
        operation: "DELETE /api/iam/user-levels/{id}",
        seen: Seen::Same,
        ids: "$free",
        ..OF_COMPANY
    },
    Change {
        what: "a level's view matrix is replaced",
        operation: "PUT /api/iam/user-levels/{id}/permissions/views",
        ids: "$level",
        body: r#"{"views":[{"viewId":"$view","state":"deny"}]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "cells of a level's view matrix change",
        operation: "PATCH /api/iam/user-levels/{id}/permissions/views",
        ids: "$level",
        body: r#"{"set":[{"viewId":"$view","state":"deny"}]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a level's feature matrix is replaced",
        operation: "PUT /api/iam/user-levels/{id}/permissions/features",
        ids: "$level",
        body: r#"{"features":[{"featureId":"$feature","action":"Read","value":true,"scope":"own"}]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "cells of a level's feature matrix change",
        operation: "PATCH /api/iam/user-levels/{id}/permissions/features",
        ids: "$level",
        body: r#"{"unset":[{"featureId":"$feature","action":"Read"}]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a user's levels are replaced",
        operation: "PUT /api/iam/users/{userId}/user-levels",
        ids: "$user",
        body: r#"{"userLevelIds":["$free"]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a user's last level is revoked",
        operation: "PUT /api/iam/users/{userId}/user-levels",
        ids: "$user",
        body: r#"{"userLevelIds":[]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a user's profile is replaced",
        operation: "PUT /api/iam/users/{userId}/profile",
        seen: Seen::Same,
        ids: "$user",
        body: r#"{"displayName":"Ada"}"#,
        ..OF_COMPANY
    },
    Change { what: "a user is removed", operation: "DELETE /api/iam/users/{userId}", ids: "$user", ..OF_COMPANY },
    Change {
        what: "a company is created",
        operation: "POST /api/iam/companies",
        body: r#"{"id":"$company","name":"Created"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company is renamed",
        operation: "PATCH /api/iam/companies/{companyId}",
        seen: Seen::Same,
        ids: "$company",
        body: r#"{"name":"Renamed"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company is suspended",
        operation: "PATCH /api/iam/companies/{companyId}",
        ids: "$company",
        body: r#"{"status":"suspended"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "the suspension of a company ends",
        operation: "PATCH /api/iam/companies/{companyId}",
        ids: "$suspended",
        body: r#"{"status":"active"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company is erased",
        operation: "DELETE /api/iam/companies/{companyId}",
        ids: "$suspended",
        ..OF_COMPANY
    },
    Change {
        what: "a level is assigned to a user",
        operation: "PUT /api/iam/users/{userId}/user-levels/{levelId}",
        seen: Seen::Same,
        ids: "$user $free",
        ..OF_COMPANY
    },
    Change {
        what: "a level is removed from a user",
        operation: "DELETE /api/iam/users/{userId}/user-levels/{levelId}",
        ids: "$user $level",
        ..OF_COMPANY
    },
    Change {
        what: "levels are assigned to users and removed from users",
        operation: "POST /api/iam/assignments",
        ids: "",
        body: r#"{"add":[{"userId":"$user","userLevelId":"$free"}],"remove":[{"userId":"$user","userLevelId":"$level"}]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company is provisioned",
        operation: "POST /api/iam/companies/{companyId}/provision",
        ids: "$company",
        body: "{}",
        ..OF_COMPANY
    },
    Change {
        what: "the administration of a company is restored",
        operation: "POST /api/iam/companies/{companyId}/provision",
        ids: "$left",
        body: r#"{"adminUserId":"$user","restoreAdmin":true}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's modules are replaced",
        operation: "PUT /api/iam/companies/{companyId}/modules",
        ids: "$company",
        body: r#"{"moduleIds":["$module","$shut-module"]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a module is disabled in a company",
        operation: "PATCH /api/iam/companies/{companyId}/modules/{moduleId}",
        ids: "$company $module",
        body: r#"{"enabled":false}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's quotas are replaced",
        operation: "PUT /api/iam/companies/{companyId}/quotas",
        seen: Seen::Same,
        ids: "$company",
        body: r#"{"levels":900}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's ceilings are replaced",
        operation: "PUT /api/iam/companies/{companyId}/ceilings",
        ids: "$company",
        body: r#"{"hiddenViews":["$view"],"actions":[]}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's menu item is created",
        operation: "POST /api/iam/menu-items",
        body: r#"{"label":"New","viewId":"$view"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's menu item is changed",
        operation: "PATCH /api/iam/menu-items/{id}",
        ids: "$own-item",
        body: r#"{"label":"Changed"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's menu item is deleted",
        operation: "DELETE /api/iam/menu-items/{id}",
        ids: "$own-item",
        ..OF_COMPANY
    },
    Change {
        what: "a company's sub-item is created",
        operation: "POST /api/iam/sub-menu-items",
        body: r#"{"menuItemId":"$own-item","label":"New","viewId":"$view"}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's sub-item is changed",
        operation: "PATCH /api/iam/sub-menu-items/{id}",
        ids: "$own-sub",
        body: r#"{"enabled":false}"#,
        ..OF_COMPANY
    },
    Change {
        what: "a company's sub-item is deleted",
        operation: "DELETE /api/iam/sub-menu-items/{id}",
        ids: "$own-sub",
        ..OF_COMPANY
    },
    Change {
        what: "a view is created",
        operation: "POST /api/iam/views",
        body: r#"{"name":"New","url":"/$company","requiresAuth":false}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a view's url is changed",
        operation: "PATCH /api/iam/views/{id}",
        ids: "$view",
        body: r#"{"url":"/moved/$company"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a view becomes public",
        operation: "PATCH /api/iam/views/{id}",
        ids: "$shut-view",
        body: r#"{"requiresAuth":false}"#,
        ..OF_CATALOG
    },
    Change { what: "a view is deleted", operation: "DELETE /api/iam/views/{id}", ids: "$spare-view", ..OF_CATALOG },
    Change {
        what: "a feature is created",
        operation: "POST /api/iam/features",
        body: r#"{"name":"New","key":"new.$company"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a feature's key is changed",
        operation: "PATCH /api/iam/features/{id}",
        ids: "$feature",
        body: r#"{"key":"moved.$company"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a feature is disabled",
        operation: "PATCH /api/iam/features/{id}",
        ids: "$feature",
        body: r#"{"enabled":false}"#,
        ..OF_CATALOG
    },
    Change {
        what: "an action is removed from a feature",
        operation: "PATCH /api/iam/features/{id}",
        ids: "$feature",
        body: r#"{"actions":["Sign"]}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a feature is deleted",
        operation: "DELETE /api/iam/features/{id}",
        ids: "$spare-feature",
        ..OF_CATALOG
    },
    Change {
        what: "a feature's views are replaced",
        operation: "PUT /api/iam/features/{id}/views",
        seen: Seen::Same,
        ids: "$feature",
        body: r#"{"viewIds":["$view"]}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a module is created",
        operation: "POST /api/iam/modules",
        seen: Seen::Same,
        body: r#"{"code":"new.$company","name":"New"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a module is disabled",
        operation: "PATCH /api/iam/modules/{id}",
        ids: "$module",
        body: r#"{"enabled":false}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a module is deleted",
        operation: "DELETE /api/iam/modules/{id}",
        ids: "$shut-module",
        body: r#"{"ungate":true}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a module's views are replaced",
        operation: "PUT /api/iam/modules/{id}/views",
        ids: "$shut-module",
        body: r#"{"viewIds":["$view"],"ungate":true}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a module's features are replaced",
        operation: "PUT /api/iam/modules/{id}/features",
        ids: "$shut-module",
        body: r#"{"featureIds":["$feature"],"ungate":true}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a common menu item is created",
        operation: "POST /api/iam/menu-items",
        body: r#"{"label":"New","viewId":"$view"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a common menu item is changed",
        operation: "PATCH /api/iam/menu-items/{id}",
        ids: "$item",
        body: r#"{"label":"Changed"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a common menu item is deleted",
        operation: "DELETE /api/iam/menu-items/{id}",
        ids: "$item",
        ..OF_CATALOG
    },
    Change {
        what: "a common sub-item is created",
        operation: "POST /api/iam/sub-menu-items",
        body: r#"{"menuItemId":"$item","label":"New","viewId":"$view"}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a common sub-item is changed",
        operation: "PATCH /api/iam/sub-menu-items/{id}",
        ids: "$sub",
        body: r#"{"enabled":false}"#,
        ..OF_CATALOG
    },
    Change {
        what: "a common sub-item is deleted",
        operation: "DELETE /api/iam/sub-menu-items/{id}",
        ids: "$sub",
        ..OF_CATALOG
    },
];
