//! The table of all operations of the OpenAPI document. Each row has the required right, a valid request, and the
//! expected responses to requests with ids of another company.

mod bodies;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::bodies::{
    denial, feature_body, level_body, menu_item_body, module_body, new_level_body, sub_menu_item_body, view_body,
};
use super::operation::{CompanyParameter, Entity, Foreign, ForeignAnswer, Needs, Operation};

/// The base (`..DECISION`) of the operations that return the caller's own decisions or the caller's menu.
const DECISION: Operation = Operation {
    name: "",
    needs: Needs::Token,
    company: CompanyParameter::Required,
    ids: &[],
    query: "",
    body: || Value::Null,
    status: 200,
    foreign: &[],
};
const COMPANY_READ: Operation = Operation { needs: Needs::ReadIam, ..DECISION };
const CATALOG_READ: Operation = Operation { company: CompanyParameter::OptionalForSuperAdmins, ..COMPANY_READ };
const CATALOG_CHANGE: Operation =
    Operation { needs: Needs::SuperAdmin, company: CompanyParameter::Optional, ..DECISION };
const COMPANY_MODULES: Operation = Operation { company: CompanyParameter::InPath, ..CATALOG_CHANGE };
const CREDENTIALS: Operation = Operation { needs: Needs::ManageCredentials, ..CATALOG_CHANGE };
const TRAIL: Operation = Operation { needs: Needs::Membership, ..DECISION };

const FOREIGN: Foreign = Foreign { ids: &[], query: &[], body: None, answer: ForeignAnswer::Success };
const LEVEL: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirLevel], answer: ForeignAnswer::NotFound("User level not found"), ..FOREIGN }];
const ITEM: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirItem], answer: ForeignAnswer::NotFound("Menu item not found"), ..FOREIGN }];
const SUB_ITEM: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirSub], answer: ForeignAnswer::NotFound("Sub menu item not found"), ..FOREIGN }];

const TABLE: &[Operation] = {
    use Entity::*;
    use ForeignAnswer::*;
    use Needs::{AssignLevels, ManageLevels, ManagePermissions, ReadAudit};
    &[
        Operation { name: "GET /api/iam/navigation", ..DECISION },
        Operation { name: "GET /api/iam/permissions/current", ..DECISION },
        Operation { name: "GET /api/iam/me", company: CompanyParameter::Optional, ..DECISION },
        Operation { name: "GET /api/iam/me/catalog", needs: Needs::Membership, ..DECISION },
        Operation {
            name: "POST /api/iam/check",
            body: || json!({ "view": "/dashboard", "userId": Caller }),
            foreign: &[Foreign {
                body: Some(|| json!({ "view": "/dashboard", "userId": TheirMember })),
                answer: Data(denial),
                ..FOREIGN
            }],
            ..DECISION
        },
        Operation {
            name: "POST /api/iam/checks",
            body: || {
                json!({
                    "checks": [
                        { "view": "/dashboard", "userId": Caller },
                        { "feature": "general.read", "action": "Read", "scope": "own" },
                    ],
                })
            },
            foreign: &[
                Foreign {
                    body: Some(|| json!({ "checks": [{ "view": "/dashboard", "userId": TheirMember }] })),
                    answer: Data(|| json!({ "results": [denial()] })),
                    ..FOREIGN
                },
                Foreign {
                    body: Some(|| json!({ "checks": [{ "view": "/dashboard", "companyId": TheirCompany }] })),
                    answer: Data(|| {
                        json!({
                            "results": [
                                {
                                    "allowed": false,
                                    "reasonCode": "not_decided",
                                    "error": {
                                        "code": "ERR_VALIDATION_001",
                                        "message": "companyId is not the company of the request",
                                        "errors": [{
                                            "field": "companyId",
                                            "code": "disagree",
                                            "message": "companyId is not the company of the request",
                                        }],
                                    },
                                },
                            ],
                        })
                    }),
                    ..FOREIGN
                },
            ],
            ..DECISION
        },
        Operation {
            name: "POST /api/iam/explain",
            body: || json!({ "view": "/dashboard", "userId": Caller }),
            foreign: &[Foreign {
                body: Some(|| json!({ "view": "/dashboard", "userId": TheirMember })),
                answer: Data(|| {
                    json!({
                        "allowed": false, "scope": null, "reason": "User has no assigned user levels",
                        "reasonCode": "no_user_levels", "decidedBy": [], "decidedByCount": 0, "gate": [], "levels": [],
                        "levelsCount": 0, "suggestion": [], "suggestionCount": 0,
                        "names": {}, "userId": TheirMember, "externalUserId": null, "viewId": null, "featureId": null,
                    })
                }),
                ..FOREIGN
            }],
            ..DECISION
        },
        Operation {
            name: "GET /api/iam/users/{userId}/permissions",
            ids: &[Member],
            foreign: &[Foreign { ids: &[TheirMember], answer: NothingAllowed, ..FOREIGN }],
            ..COMPANY_READ
        },
        Operation { name: "GET /api/iam/user-levels", ..COMPANY_READ },
        Operation {
            name: "POST /api/iam/user-levels",
            needs: ManageLevels,
            body: new_level_body,
            status: 201,
            foreign: &[Foreign {
                body: Some(|| json!({ "name": Fresh, "copyFrom": TheirLevel })),
                answer: Unknown("copyFrom refers to an unknown user-level", TheirLevel),
                ..FOREIGN
            }],
            ..COMPANY_READ
        },
        Operation { name: "GET /api/iam/user-levels/{id}", ids: &[Level], foreign: LEVEL, ..COMPANY_READ },
        Operation {
            name: "PATCH /api/iam/user-levels/{id}",
            needs: ManageLevels,
            ids: &[Level],
            body: level_body,
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "DELETE /api/iam/user-levels/{id}",
            needs: ManageLevels,
            ids: &[Level],
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation { name: "GET /api/iam/user-levels/{id}/users", ids: &[Level], foreign: LEVEL, ..COMPANY_READ },
        Operation {
            name: "GET /api/iam/users/{userId}/user-levels",
            ids: &[Member],
            foreign: &[Foreign { ids: &[TheirMember], answer: Data(|| json!({ "userLevels": [] })), ..FOREIGN }],
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/users/{userId}/user-levels",
            needs: AssignLevels,
            ids: &[User],
            body: || json!({ "userLevelIds": [Level] }),
            foreign: &[
                Foreign {
                    ids: &[User],
                    body: Some(|| json!({ "userLevelIds": [Level, TheirLevel] })),
                    answer: Unknown("userLevelIds[1] refers to an unknown user-level", TheirLevel),
                    ..FOREIGN
                },
                Foreign {
                    ids: &[TheirMember],
                    body: Some(|| json!({ "userLevelIds": [] })),
                    answer: Data(
                        || json!({ "message": "User levels updated successfully", "userLevels": [], "nullified": { "count": 0, "cells": [] } }),
                    ),
                    ..FOREIGN
                },
            ],
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/users/{userId}/user-levels/{levelId}",
            needs: AssignLevels,
            ids: &[User, Level],
            foreign: &[Foreign { ids: &[User, TheirLevel], answer: NotFound("User level not found"), ..FOREIGN }],
            ..COMPANY_READ
        },
        Operation {
            name: "DELETE /api/iam/users/{userId}/user-levels/{levelId}",
            needs: AssignLevels,
            ids: &[User, Level],
            foreign: &[
                Foreign { ids: &[User, TheirLevel], answer: NotFound("User level not found"), ..FOREIGN },
                Foreign {
                    ids: &[TheirMember, Level],
                    answer: Data(
                        || json!({ "message": "User levels updated successfully", "userLevels": [], "nullified": { "count": 0, "cells": [] } }),
                    ),
                    ..FOREIGN
                },
            ],
            ..COMPANY_READ
        },
        Operation {
            name: "POST /api/iam/assignments",
            needs: AssignLevels,
            body: || {
                json!({
                    "add": [{ "userId": User, "userLevelId": Level }],
                    "remove": [{ "userId": Member, "userLevelId": Level }],
                })
            },
            foreign: &[
                Foreign {
                    body: Some(|| json!({ "add": [{ "userId": User, "userLevelId": TheirLevel }] })),
                    answer: Unknown("add[0].userLevelId refers to an unknown user-level", TheirLevel),
                    ..FOREIGN
                },
                Foreign {
                    body: Some(|| json!({ "remove": [{ "userId": TheirMember, "userLevelId": TheirLevel }] })),
                    answer: Unknown("remove[0].userLevelId refers to an unknown user-level", TheirLevel),
                    ..FOREIGN
                },
            ],
            ..COMPANY_READ
        },
        Operation {
            name: "GET /api/iam/users/{userId}",
            ids: &[Member],
            foreign: &[Foreign { ids: &[TheirMember], answer: NotFound("User not found"), ..FOREIGN }],
            ..CATALOG_READ
        },
        Operation {
            name: "PUT /api/iam/users/{userId}/not-before",
            ids: &[User],
            body: || json!({ "notBefore": "2026-01-01T00:00:00.000Z" }),
            ..CREDENTIALS
        },
        Operation { name: "GET /api/iam/api-keys", ..CREDENTIALS },
        Operation {
            name: "POST /api/iam/api-keys",
            body: || json!({ "name": Fresh, "role": "check", "expiresAt": "2999-01-01T00:00:00.000Z" }),
            status: 201,
            ..CREDENTIALS
        },
        Operation { name: "GET /api/iam/api-keys/{id}", ids: &[Key], ..CREDENTIALS },
        Operation { name: "DELETE /api/iam/api-keys/{id}", ids: &[Key], ..CREDENTIALS },
        Operation {
            name: "GET /api/iam/user-levels/{id}/permissions/views",
            ids: &[Level],
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/user-levels/{id}/permissions/views",
            needs: ManagePermissions,
            ids: &[Level],
            body: || json!({ "views": [{ "viewId": View, "state": "allow", "modifiable": true }] }),
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "PATCH /api/iam/user-levels/{id}/permissions/views",
            needs: ManagePermissions,
            ids: &[Level],
            body: || {
                json!({
                    "set": [{ "viewId": View, "state": "allow", "modifiable": true }],
                    "unset": [{ "viewId": Dashboard }],
                })
            },
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "GET /api/iam/user-levels/{id}/permissions/features",
            ids: &[Level],
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/user-levels/{id}/permissions/features",
            needs: ManagePermissions,
            ids: &[Level],
            body: || {
                json!({
                    "features": [
                        { "featureId": Feature, "action": "Read", "value": true, "scope": "team", "modifiable": true },
                    ],
                })
            },
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation {
            name: "PATCH /api/iam/user-levels/{id}/permissions/features",
            needs: ManagePermissions,
            ids: &[Level],
            body: || {
                json!({
                    "set": [
                        { "featureId": Feature, "action": "Read", "value": true, "scope": "team", "modifiable": true },
                    ],
                    "unset": [{ "featureId": Feature, "action": "Update" }],
                })
            },
            foreign: LEVEL,
            ..COMPANY_READ
        },
        Operation { name: "GET /api/iam/matrix", ..COMPANY_READ },
        Operation { name: "GET /api/iam/views", ..CATALOG_READ },
        Operation { name: "POST /api/iam/views", body: view_body, status: 201, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/views/{id}", ids: &[View], ..CATALOG_READ },
        Operation { name: "PATCH /api/iam/views/{id}", ids: &[View], body: view_body, ..CATALOG_CHANGE },
        Operation { name: "DELETE /api/iam/views/{id}", ids: &[View], ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/features", ..CATALOG_READ },
        Operation { name: "POST /api/iam/features", body: feature_body, status: 201, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/features/{id}", ids: &[Feature], ..CATALOG_READ },
        Operation { name: "PATCH /api/iam/features/{id}", ids: &[Feature], body: feature_body, ..CATALOG_CHANGE },
        Operation { name: "DELETE /api/iam/features/{id}", ids: &[Feature], ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/features/{id}/views", ids: &[Feature], ..CATALOG_READ },
        Operation {
            name: "PUT /api/iam/features/{id}/views",
            ids: &[Feature],
            body: || json!({ "viewIds": [View] }),
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/modules", ..CATALOG_READ },
        Operation { name: "POST /api/iam/modules", body: module_body, status: 201, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/modules/{id}", ids: &[Module], ..CATALOG_READ },
        Operation { name: "PATCH /api/iam/modules/{id}", ids: &[Module], body: module_body, ..CATALOG_CHANGE },
        Operation {
            name: "DELETE /api/iam/modules/{id}",
            ids: &[Module],
            body: || json!({ "ungate": true }),
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/modules/{id}/views", ids: &[Module], ..CATALOG_READ },
        Operation {
            name: "PUT /api/iam/modules/{id}/views",
            ids: &[Module],
            body: || json!({ "viewIds": [View], "ungate": true }),
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/modules/{id}/features", ids: &[Module], ..CATALOG_READ },
        Operation {
            name: "PUT /api/iam/modules/{id}/features",
            ids: &[Module],
            body: || json!({ "featureIds": [Feature], "ungate": true }),
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/menu-items", ..CATALOG_READ },
        Operation { name: "POST /api/iam/menu-items", body: menu_item_body, status: 201, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/menu-items/{id}", ids: &[Item], foreign: ITEM, ..CATALOG_READ },
        Operation {
            name: "PATCH /api/iam/menu-items/{id}",
            ids: &[Item],
            body: menu_item_body,
            foreign: ITEM,
            ..CATALOG_CHANGE
        },
        Operation { name: "DELETE /api/iam/menu-items/{id}", ids: &[Item], foreign: ITEM, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/sub-menu-items", ..CATALOG_READ },
        Operation {
            name: "POST /api/iam/sub-menu-items",
            body: sub_menu_item_body,
            status: 201,
            foreign: &[Foreign {
                body: Some(|| json!({ "menuItemId": TheirItem, "label": Fresh })),
                answer: Unknown("menuItemId refers to an unknown menu", TheirItem),
                ..FOREIGN
            }],
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/sub-menu-items/{id}", ids: &[Sub], foreign: SUB_ITEM, ..CATALOG_READ },
        Operation {
            name: "PATCH /api/iam/sub-menu-items/{id}",
            ids: &[Sub],
            body: sub_menu_item_body,
            foreign: &[
                Foreign { ids: &[TheirSub], answer: NotFound("Sub menu item not found"), ..FOREIGN },
                Foreign {
                    ids: &[Sub],
                    body: Some(|| json!({ "menuItemId": TheirItem })),
                    answer: Unknown("menuItemId refers to an unknown menu", TheirItem),
                    ..FOREIGN
                },
            ],
            ..CATALOG_CHANGE
        },
        Operation { name: "DELETE /api/iam/sub-menu-items/{id}", ids: &[Sub], foreign: SUB_ITEM, ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/companies/{companyId}/modules", ids: &[Company], ..COMPANY_MODULES },
        Operation {
            name: "PUT /api/iam/companies/{companyId}/modules",
            ids: &[Company],
            body: || json!({ "moduleIds": [Core] }),
            ..COMPANY_MODULES
        },
        Operation {
            name: "PATCH /api/iam/companies/{companyId}/modules/{moduleId}",
            ids: &[Company, Core],
            body: || json!({ "enabled": true }),
            ..COMPANY_MODULES
        },
        Operation { name: "GET /api/iam/companies/{companyId}/quotas", ids: &[Company], ..COMPANY_MODULES },
        Operation {
            name: "PUT /api/iam/companies/{companyId}/quotas",
            ids: &[Company],
            body: || json!({ "levels": 900, "apiKeys": null }),
            ..COMPANY_MODULES
        },
        Operation {
            name: "POST /api/iam/companies/{companyId}/provision",
            ids: &[Company],
            body: || json!({ "adminUserId": User }),
            ..COMPANY_MODULES
        },
        Operation {
            name: "POST /api/iam/nav-trail",
            body: || json!({ "viewId": Dashboard, "url": "/dashboard", "label": "Dashboard", "sessionId": "s" }),
            status: 201,
            ..TRAIL
        },
        Operation {
            name: "GET /api/iam/nav-trail",
            query: "sessionId=s",
            foreign: &[Foreign { answer: Data(|| json!({ "trail": [], "recents": [] })), ..FOREIGN }],
            ..TRAIL
        },
        Operation {
            name: "DELETE /api/iam/nav-trail",
            query: "sessionId=s",
            foreign: &[Foreign { answer: Success, ..FOREIGN }],
            ..TRAIL
        },
        Operation {
            name: "GET /api/iam/audit-logs",
            needs: ReadAudit,
            foreign: &[
                Foreign {
                    query: &[("entityId", TheirLevel)],
                    answer: Data(|| json!({ "logs": [], "nextCursor": null })),
                    ..FOREIGN
                },
                Foreign {
                    query: &[("userId", TheirAdmin)],
                    answer: Data(|| json!({ "logs": [], "nextCursor": null })),
                    ..FOREIGN
                },
            ],
            ..CATALOG_READ
        },
    ]
};

/// Operations that require no token.
pub const HEALTH: [&str; 4] = ["GET /health", "GET /health/db", "GET /livez", "GET /readyz"];

/// Returns all rows of the table of operations.
pub fn operations() -> impl Iterator<Item = Operation> {
    TABLE.iter().copied()
}

/// Returns the row of the operation with this method and path.
pub fn operation(name: &str) -> Operation {
    operations().find(|operation| operation.name == name).unwrap_or_else(|| panic!("the table has no row for {name}"))
}

/// Returns the method and path of every operation in the OpenAPI document.
pub fn documented() -> BTreeSet<String> {
    let document = iam_http::document().unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| -> Vec<String> {
        let methods = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
        methods.into_iter().filter(|method| item.get(method).is_some()).map(str::to_uppercase).collect()
    };
    paths.iter().flat_map(|(path, item)| methods(item).into_iter().map(move |m| format!("{m} {path}"))).collect()
}
