//! The valid request bodies of creations and changes, and the data of a denial.

use serde_json::{Value, json};

use crate::http::operation::Entity;

pub fn level_body() -> Value {
    json!({ "name": Entity::Fresh, "description": "of the table" })
}

pub fn new_level_body() -> Value {
    json!({ "name": Entity::Fresh, "description": "of the table", "copyFrom": Entity::Level })
}

pub fn view_body() -> Value {
    json!({
        "name": "V", "url": format!("/{}", Entity::Fresh), "category": "c", "description": "d", "icon": "i",
        "requiresAuth": true,
    })
}

pub fn ceilings_body() -> Value {
    json!({
        "hiddenViews": [Entity::View],
        "actions": [{ "featureId": Entity::Feature, "action": "Read", "maxScope": "own" }],
    })
}

pub fn feature_body() -> Value {
    json!({
        "key": Entity::Fresh, "name": "F", "description": "d", "resourceType": "r", "actions": ["Fly"], "category": "c",
        "enabled": true,
    })
}

pub fn module_body() -> Value {
    json!({
        "code": Entity::Fresh, "name": Entity::Fresh, "description": "d", "icon": "i", "enabled": true,
        "priority": "premium",
    })
}

pub fn menu_item_body() -> Value {
    json!({
        "label": Entity::Fresh, "icon": "i", "priority": "optional", "requiredPermissions": ["general.read"],
        "sortOrder": 7, "viewId": Entity::View, "featureId": Entity::Feature, "isEntrypoint": false,
    })
}

pub fn sub_menu_item_body() -> Value {
    json!({
        "menuItemId": Entity::Item, "label": Entity::Fresh, "viewId": Entity::View, "featureId": Entity::Feature,
        "icon": "i", "sortOrder": 7, "enabled": true,
    })
}

pub fn denial() -> Value {
    json!({
        "allowed": false, "scope": null, "reason": "User has no assigned user levels", "reasonCode": "no_user_levels",
        "decidedBy": [], "decidedByCount": 0,
    })
}
