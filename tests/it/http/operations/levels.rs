//! The rows of the operations on decisions, levels, users, API keys and matrices.

use serde_json::json;

use super::bases::{CATALOG_CHANGE, CATALOG_READ, COMPANY_READ, CREDENTIALS, DECISION, FOREIGN, LEVEL, USER};
use super::bodies::{denial, level_body, new_level_body};
use crate::http::operation::{CompanyParameter, Entity, Foreign, ForeignAnswer, Needs, Operation};

/// The operations on decisions, levels, users, API keys and matrices.
pub const TABLE: &[Operation] = {
    use Entity::*;
    use ForeignAnswer::*;
    use Needs::{AssignLevels, ManageLevels, ManagePermissions, ReadProfiles};
    &[
        Operation { name: "GET /api/iam/navigation", ..DECISION },
        Operation { name: "GET /api/iam/permissions/current", ..DECISION },
        Operation { name: "GET /api/iam/me", company: CompanyParameter::Optional, ..DECISION },
        Operation { name: "GET /api/iam/me/companies", company: CompanyParameter::Optional, ..DECISION },
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
                        "reasonCode": "no_user_levels", "decidedBy": [], "decidedByCount": 0, "gate": [], "ceiling": null, "levels": [],
                        "levelsCount": 0, "suggestion": [], "suggestionCount": 0,
                        "names": {}, "userId": TheirMember, "externalUserId": null, "viewId": null, "featureId": null,
                    })
                }),
                ..FOREIGN
            }],
            ..DECISION
        },
        Operation {
            name: "POST /api/iam/explanations",
            body: || json!({ "checks": [{ "view": "/dashboard", "userId": Caller }] }),
            foreign: &[Foreign {
                body: Some(|| json!({ "checks": [{ "view": "/dashboard", "userId": TheirMember }] })),
                answer: Data(|| {
                    json!({
                        "results": [{
                            "allowed": false, "scope": null, "reason": "User has no assigned user levels",
                            "reasonCode": "no_user_levels", "decidedBy": [], "decidedByCount": 0, "gate": [],
                            "levels": [], "levelsCount": 0, "suggestion": [], "suggestionCount": 0, "ceiling": null,
                            "userId": TheirMember, "externalUserId": null, "viewId": null, "featureId": null,
                        }],
                        "names": {},
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
            name: "GET /api/iam/users",
            foreign: &[
                Foreign { query: &[("level", TheirLevel)], answer: NotFound("User level not found"), ..FOREIGN },
                Foreign {
                    query: &[("q", TheirMember)],
                    answer: Data(|| json!({ "users": [], "nextCursor": null })),
                    ..FOREIGN
                },
            ],
            ..COMPANY_READ
        },
        Operation {
            name: "GET /api/iam/what-can",
            query: "userId=<Member>",
            foreign: &[Foreign { query: &[("userId", TheirMember)], answer: NothingAllowed, ..FOREIGN }],
            ..COMPANY_READ
        },
        Operation {
            name: "GET /api/iam/who-can",
            needs: Needs::FindAllowed,
            query: "view=%2Fdashboard",
            ..COMPANY_READ
        },
        Operation {
            name: "POST /api/iam/previews",
            needs: Needs::FindAllowed,
            body: || json!({ "method": "POST", "path": "/api/iam/user-levels", "body": { "name": "X" }, "ifMatch": "*" }),
            ..COMPANY_READ
        },
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
        Operation { name: "GET /api/iam/users/{userId}", ids: &[Member], foreign: USER, ..CATALOG_READ },
        Operation {
            name: "DELETE /api/iam/users/{userId}",
            needs: AssignLevels,
            ids: &[Leaver],
            foreign: USER,
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/users/{userId}/user-levels/{levelId}",
            needs: AssignLevels,
            body: || json!({ "expiresAt": "2998-01-01T00:00:00Z" }),
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
        Operation { name: "GET /api/iam/assignments", query: "expiresBefore=2999-01-01T00%3A00%3A00Z", ..COMPANY_READ },
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
            name: "GET /api/iam/users/{userId}/profile",
            needs: ReadProfiles,
            ids: &[Member],
            foreign: USER,
            ..COMPANY_READ
        },
        Operation {
            name: "PUT /api/iam/users/{userId}/profile",
            needs: AssignLevels,
            ids: &[Member],
            body: || json!({ "displayName": Fresh, "email": "ada@example.com" }),
            foreign: USER,
            ..COMPANY_READ
        },
        Operation { name: "GET /api/iam/users/{userId}/companies", ids: &[User], ..CATALOG_CHANGE },
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
    ]
};
