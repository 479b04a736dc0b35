//! The rows of the operations on the catalog, the menu, companies, navigation trails and the audit log.

use serde_json::json;

use super::bases::{CATALOG_CHANGE, CATALOG_READ, COMPANY_MODULES, FOREIGN, ITEM, SUB_ITEM, TRAIL};
use super::bodies::{ceilings_body, feature_body, menu_item_body, module_body, sub_menu_item_body, view_body};
use crate::http::operation::{Entity, Foreign, ForeignAnswer, Needs, Operation};

/// The operations on the catalog, the menu, companies, navigation trails and the audit log.
pub const TABLE: &[Operation] = {
    use Entity::*;
    use ForeignAnswer::*;
    use Needs::ReadAudit;
    &[
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
        Operation {
            name: "POST /api/iam/companies",
            body: || json!({ "name": Fresh, "moduleIds": [Module], "adminUserId": User }),
            status: 201,
            ..CATALOG_CHANGE
        },
        Operation { name: "GET /api/iam/companies", ..CATALOG_CHANGE },
        Operation { name: "GET /api/iam/companies/{companyId}", ids: &[Company], ..COMPANY_MODULES },
        Operation {
            name: "PATCH /api/iam/companies/{companyId}",
            ids: &[Company],
            body: || json!({ "name": Fresh, "status": "active" }),
            ..COMPANY_MODULES
        },
        Operation { name: "DELETE /api/iam/companies/{companyId}", ids: &[Company], ..COMPANY_MODULES },
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
        Operation { name: "GET /api/iam/companies/{companyId}/ceilings", ids: &[Company], ..COMPANY_MODULES },
        Operation {
            name: "PUT /api/iam/companies/{companyId}/ceilings",
            ids: &[Company],
            body: ceilings_body,
            ..COMPANY_MODULES
        },
        Operation {
            name: "POST /api/iam/companies/{companyId}/ceilings/preview",
            ids: &[Company],
            body: ceilings_body,
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
