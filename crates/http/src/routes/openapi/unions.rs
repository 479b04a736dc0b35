//! Defines schemas that are discriminated unions. Decisions and the results of checks have the discriminator
//! `reasonCode`, and audit records have the discriminator `action`.

use iam_domain::Reason;
use serde_json::{Map, Value, json};

/// Replaces the schemas of decisions, audit records and tagged enums with discriminated unions.
pub(super) fn define(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    for name in ["DecisionData", "ExplanationData"] {
        split_by_reason(schemas, name);
    }
    omit_names(schemas);
    for (of, result) in [("DecisionData", "CheckResult"), ("NamelessExplanation", "ExplanationResult")] {
        add_refused_checks(schemas, of, result);
    }
    // The results of a batch of explanations refer to its variants only.
    remove(schemas, "NamelessExplanation");
    merge_rule(schemas);
    name_variants(schemas, "LevelContribution", "says", "The kind of the rule.");
    name_variants(schemas, "SuggestedStep", "step", "The kind of the change.");
    name_variants(schemas, "AlsoAllowed", "kind", "The kind of the callers.");
    name_variants(schemas, "Me", "kind", "Whether the caller is a user or a service.");
    name_variants(schemas, "NullifiedCell", "kind", "Whether the entry is a view or an action.");
    split_by_action(schemas);
}

/// Adds the members of a level's contribution to each variant of its rule. In JSON, both have their members in the same
/// object, but some code generators do not support an `allOf` that contains a `oneOf`.
fn merge_rule(schemas: &mut Value) {
    let parts = schemas["LevelContribution"]["allOf"].take();
    let own = parts.as_array().into_iter().flatten().find(|part| part["properties"].is_object()).cloned();
    let own = own.unwrap_or_default();
    let mut variants = schemas["LevelRule"]["oneOf"].as_array().cloned().unwrap_or_default();
    for variant in &mut variants {
        merge(variant, &own);
    }
    schemas["LevelContribution"] = json!({
        "description": schemas["LevelContribution"]["description"],
        "oneOf": variants,
    });
    remove(schemas, "LevelRule");
}

/// Adds the properties of the object schema `other`, and its list of required properties, to `schema`.
fn merge(schema: &mut Value, other: &Value) {
    for (name, property) in other["properties"].as_object().into_iter().flatten() {
        schema["properties"][name] = property.clone();
    }
    let required = [&schema["required"], &other["required"]];
    let required: Vec<_> = required.into_iter().filter_map(Value::as_array).flatten().cloned().collect();
    schema["required"] = required.into();
}

fn remove(schemas: &mut Value, name: &str) {
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.remove(name);
    }
}

/// Defines a separate schema for each variant of a tagged union, and declares the tag as the discriminator.
fn name_variants(schemas: &mut Value, name: &str, tag: &str, description: &str) {
    let mut variants = Vec::new();
    let mut mapping = Map::new();
    for mut schema in schemas[name]["oneOf"].as_array().cloned().unwrap_or_default() {
        let value = schema["properties"][tag]["enum"][0].as_str().unwrap_or_default().to_owned();
        let variant = format!("{name}{}", pascal_case(&value));
        schema["properties"][tag]["description"] = json!(description);
        schemas[&variant] = schema;
        variants.push(json!({ "$ref": path(&variant) }));
        mapping.insert(value, json!(path(&variant)));
    }
    schemas[name]["oneOf"] = variants.into();
    schemas[name]["discriminator"] = json!({ "propertyName": tag, "mapping": mapping });
}

/// Replaces the schema of a decision with the union of an allowed decision and a denied decision.
fn split_by_reason(schemas: &mut Value, name: &str) {
    let whole = schemas[name].clone();
    let mut variants = Vec::new();
    let mut mapping = Map::new();
    for (prefix, allowed) in [("Allowed", true), ("Denied", false)] {
        let variant = format!("{prefix}{name}");
        let codes: Vec<_> = Reason::ALL.iter().filter(|reason| reason.allows() == allowed).map(|r| r.code()).collect();
        let mut schema = whole.clone();
        schema["properties"]["allowed"] = json!({
            "type": "boolean",
            "const": allowed,
            "description": whole["properties"]["allowed"]["description"],
        });
        schema["properties"]["reasonCode"]["enum"] = json!(codes);
        if !allowed {
            schema["properties"]["scope"] = json!({ "type": "null", "description": "A denial has no scope." });
        }
        mapping.extend(codes.into_iter().map(|code| (code.to_owned(), json!(path(&variant)))));
        variants.push(json!({ "$ref": path(&variant) }));
        schemas[variant] = schema;
    }
    schemas[name] = json!({
        "description": whole["description"],
        "oneOf": variants,
        "discriminator": { "propertyName": "reasonCode", "mapping": mapping },
    });
}

/// Defines the schema of an explanation in a batch. It has no names, because the names are in the batch.
fn omit_names(schemas: &mut Value) {
    let mut union = schemas["ExplanationData"].clone();
    let mut mapping = Map::new();
    let mut variants = Vec::new();
    for prefix in ["Allowed", "Denied"] {
        let (with, without) = (format!("{prefix}ExplanationData"), format!("{prefix}NamelessExplanation"));
        let mut schema = schemas[&with].clone();
        remove(&mut schema["properties"], "names");
        if let Some(required) = schema["required"].as_array_mut() {
            required.retain(|name| name != "names");
        }
        schemas[&without] = schema;
        variants.push(json!({ "$ref": path(&without) }));
        let codes = union["discriminator"]["mapping"].as_object().into_iter().flatten();
        let codes = codes.filter(|(_, variant)| **variant == json!(path(&with)));
        mapping.extend(codes.map(|(code, _)| (code.clone(), json!(path(&without)))));
    }
    union["oneOf"] = variants.into();
    union["discriminator"]["mapping"] = mapping.into();
    schemas["NamelessExplanation"] = union;
}

/// Defines the schema `result` as the union of the decision `of` and a check that cannot be decided.
fn add_refused_checks(schemas: &mut Value, of: &str, result: &str) {
    let mut union = schemas[of].clone();
    let refused = json!(path("RefusedCheck"));
    if let Some(variants) = union["oneOf"].as_array_mut() {
        variants.push(json!({ "$ref": refused }));
    }
    union["discriminator"]["mapping"]["not_decided"] = refused;
    union["description"] = schemas[result]["description"].clone();
    schemas[result] = union;
}

/// The shape of the member `changes` of an audit record.
#[derive(Clone, Copy)]
enum Changes {
    /// The new entity.
    Created(&'static str),
    /// The changed members of the entity, before and after the change.
    Updated(&'static str),
    /// The deleted entity.
    Deleted(&'static str),
    /// The changed cells of a view matrix.
    ViewMatrix,
    /// The changed cells of a feature matrix.
    FeatureMatrix,
    /// The levels of a user, and the periods of the changed assignments that have a start or an end.
    Assignments,
    /// The expired assignments that were removed.
    Expired,
    /// The ids that were added to a set, and the ids that were removed from it.
    Set(&'static str),
    /// The `enabled` flag of a company's module.
    Switch,
    /// The overrides of a company's quotas.
    Quotas,
    /// The changed ceilings of a company.
    Ceilings,
    /// The name and the status of a company, before and after the change.
    Company,
    /// The numbers of rows that an erasure deleted from each table.
    Erasure,
    /// The names of the changed members of a profile.
    Profile,
    /// What was deleted of the data of a user.
    UserData,
    /// The user who became an administrator, and the level that was assigned to this user.
    Restoration,
    /// The cut-off of a user.
    CutOff,
    /// No data.
    Nothing,
}

/// The actions of audit records, each with the type of the changed entity and the shape of the changes.
const ACTIONS: [(&str, &str, Changes); 38] = [
    ("user_level.created", "user-level", Changes::Created("UserLevel")),
    ("user_level.updated", "user-level", Changes::Updated("UserLevel")),
    ("user_level.deleted", "user-level", Changes::Deleted("UserLevel")),
    ("permissions.views_updated", "permission", Changes::ViewMatrix),
    ("permissions.features_updated", "permission", Changes::FeatureMatrix),
    ("assignment.user_levels_updated", "assignment", Changes::Assignments),
    ("assignment.expired", "assignment", Changes::Expired),
    ("view.created", "view", Changes::Created("View")),
    ("view.updated", "view", Changes::Updated("View")),
    ("view.deleted", "view", Changes::Deleted("View")),
    ("feature.created", "feature", Changes::Created("Feature")),
    ("feature.updated", "feature", Changes::Updated("Feature")),
    ("feature.deleted", "feature", Changes::Deleted("Feature")),
    ("feature.views_updated", "feature", Changes::Set("ViewId")),
    ("module.created", "module", Changes::Created("Module")),
    ("module.updated", "module", Changes::Updated("Module")),
    ("module.deleted", "module", Changes::Deleted("Module")),
    ("module.views_updated", "module", Changes::Set("ViewId")),
    ("module.features_updated", "module", Changes::Set("FeatureId")),
    ("menu.created", "menu", Changes::Created("MenuItem")),
    ("menu.updated", "menu", Changes::Updated("MenuItem")),
    ("menu.deleted", "menu", Changes::Deleted("MenuItem")),
    ("sub_menu.created", "menu", Changes::Created("SubMenuItem")),
    ("sub_menu.updated", "menu", Changes::Updated("SubMenuItem")),
    ("sub_menu.deleted", "menu", Changes::Deleted("SubMenuItem")),
    ("company.provisioned", "company", Changes::Nothing),
    ("company.administration_restored", "company", Changes::Restoration),
    ("company.modules_updated", "company", Changes::Set("ModuleId")),
    ("company.module_updated", "company", Changes::Switch),
    ("company.quotas_updated", "company", Changes::Quotas),
    ("company.ceilings_updated", "company", Changes::Ceilings),
    ("company.updated", "company", Changes::Company),
    ("company.erased", "company", Changes::Erasure),
    ("user.profile_updated", "user", Changes::Profile),
    ("user.data_deleted", "user", Changes::UserData),
    ("api_key.created", "api-key", Changes::Created("ApiKey")),
    ("api_key.revoked", "api-key", Changes::Updated("ApiKey")),
    ("user.cut_off", "user", Changes::CutOff),
];

/// Replaces the schema of an audit record with a union that contains one schema for each action.
fn split_by_action(schemas: &mut Value) {
    let entry = schemas["AuditEntry"].take();
    let description = entry["description"].clone();
    let mut base = schemas["AuditRecord"].take();
    for part in entry["allOf"].as_array().into_iter().flatten() {
        merge(&mut base, part);
    }
    base["properties"]["metadata"] = metadata();
    base["description"] = json!("The members of every audit record.");
    // Each action has its own schemas for these members.
    for name in ["action", "entityType", "changes"] {
        remove(&mut base["properties"], name);
        if let Some(required) = base["required"].as_array_mut() {
            required.retain(|required| required != name);
        }
    }
    schemas["AuditEntryBase"] = base;
    remove(schemas, "AuditRecord");
    let mut variants = Vec::new();
    let mut mapping = Map::new();
    for (action, entity_type, changes) in ACTIONS {
        let variant = format!("Audit{}", pascal_case(action));
        let own = json!({
            "type": "object",
            "required": ["action", "entityType", "changes"],
            "properties": {
                "action": { "type": "string", "const": action, "description": "The action." },
                "entityType": {
                    "type": "string",
                    "const": entity_type,
                    "description": "The type of the changed entity.",
                },
                "changes": changes_schema(schemas, changes),
            },
        });
        schemas[&variant] = json!({
            "description": format!("The audit record of the action `{action}`."),
            "allOf": [{ "$ref": path("AuditEntryBase") }, own],
        });
        variants.push(json!({ "$ref": path(&variant) }));
        mapping.insert(action.to_owned(), json!(path(&variant)));
    }
    schemas["AuditEntry"] = json!({
        "description": description,
        "oneOf": variants,
        "discriminator": { "propertyName": "action", "mapping": mapping },
    });
}

fn metadata() -> Value {
    let properties = json!({
        "requestId": { "type": "string", "description": "The id of the request." },
        "superAdmin": {
            "type": "boolean",
            "const": true,
            "description": "The super admin claim authorized the change.",
        },
        "forced": {
            "type": "boolean",
            "const": true,
            "description": "A super admin forced the change, even if no user of the company can administer it any more.",
        },
        "part": {
            "type": "integer",
            "minimum": 1,
            "description": "The number of this record among the records of one large change.",
        },
        "parts": {
            "type": "integer",
            "minimum": 2,
            "description": "The number of records of this change. Omitted if the change has only one record.",
        },
    });
    json!({
        "description": "The context of the change. `null` if there is none.",
        "oneOf": [{ "type": "null" }, { "type": "object", "properties": properties }],
    })
}

/// Returns the schema of a map from levels to the periods of their assignments.
fn periods() -> Value {
    let time = json!({ "type": "string", "format": "date-time" });
    let members = json!({ "startsAt": time, "expiresAt": time });
    let period = json!({ "type": "object", "properties": members, "additionalProperties": false });
    json!({ "type": "object", "additionalProperties": period, "description": "The periods, by the id of the level." })
}

fn changes_schema(schemas: &Value, changes: Changes) -> Value {
    let reference = |name: &str| json!({ "$ref": path(name) });
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    match changes {
        Changes::Created(entity) => closed(json!({ "after": reference(entity) })),
        Changes::Deleted(entity) => closed(json!({ "before": reference(entity) })),
        Changes::Updated(entity) => {
            // The members that did not change are omitted.
            let members = json!({ "type": "object", "properties": schemas[entity]["properties"] });
            closed(json!({ "before": members, "after": members }))
        }
        Changes::ViewMatrix => {
            let cell = closed(json!({ "state": reference("ViewState"), "modifiable": { "type": "boolean" } }));
            matrix(&["allow", "deny", "inherit"], &cell)
        }
        Changes::FeatureMatrix => {
            let boolean = json!({ "type": "boolean" });
            let cell = closed(json!({ "value": boolean, "scope": reference("Scope"), "modifiable": boolean }));
            matrix(&["allow", "deny"], &cell)
        }
        Changes::Assignments => {
            let levels = list("UserLevelId");
            let mut schema = closed(json!({ "before": levels, "after": levels, "added": levels, "removed": levels }));
            // Changes of assignments without a start and an end have no periods.
            for name in ["periodsBefore", "periodsAfter"] {
                schema["properties"][name] = periods();
            }
            schema
        }
        Changes::Expired => closed(json!({ "removed": list("UserLevelId"), "periodsBefore": periods() })),
        Changes::Set(id) => closed(json!({ "added": list(id), "removed": list(id) })),
        Changes::Switch => {
            let flag = closed(json!({ "enabled": { "type": "boolean" } }));
            closed(json!({ "moduleId": reference("ModuleId"), "before": flag, "after": flag }))
        }
        Changes::Quotas => {
            let limit = json!({ "type": "integer", "minimum": 0 });
            let limits = json!({ "type": "object", "additionalProperties": limit });
            closed(json!({ "before": limits, "after": limits }))
        }
        Changes::Company => {
            let name = json!({ "oneOf": [{ "type": "null" }, reference("Name")] });
            let members = json!({
                "type": "object",
                "properties": { "name": name, "status": reference("CompanyStatus") },
            });
            closed(json!({ "before": members, "after": members }))
        }
        Changes::Erasure => {
            let count = json!({ "type": "integer", "minimum": 0 });
            closed(json!({ "rows": { "type": "object", "additionalProperties": count } }))
        }
        Changes::Profile => {
            let member = json!({ "type": "string", "enum": ["displayName", "email", "source"] });
            closed(json!({ "fields": { "type": "array", "items": member }, "source": reference("ProfileSource") }))
        }
        Changes::UserData => {
            let steps = json!({ "type": "integer", "minimum": 0 });
            closed(json!({ "profile": { "type": "boolean" }, "trail": steps }))
        }
        Changes::Ceilings => {
            let max = json!({ "oneOf": [{ "type": "null" }, reference("Scope")] });
            let hidden = closed(json!({ "hidden": { "type": "boolean", "const": true } }));
            let ceiling = json!({ "oneOf": [hidden, closed(json!({ "maxScope": max }))] });
            let ceilings = json!({ "type": "object", "additionalProperties": ceiling });
            closed(json!({ "before": ceilings, "after": ceilings }))
        }
        Changes::Restoration => {
            closed(json!({ "userId": reference("UserId"), "userLevelId": reference("UserLevelId") }))
        }
        Changes::CutOff => {
            let time = reference("Timestamp");
            let before = json!({ "oneOf": [{ "type": "null" }, time] });
            closed(json!({
                "before": closed(json!({ "notBefore": before })),
                "after": closed(json!({ "notBefore": time })),
            }))
        }
        Changes::Nothing => json!({ "type": "object", "additionalProperties": false }),
    }
}

/// Returns the schema of a change to a matrix. It contains the changed cells before and after the change, and the
/// number of cells per state.
fn matrix(states: &[&str], cell: &Value) -> Value {
    let counts: Map<_, _> =
        states.iter().map(|state| ((*state).to_owned(), json!({ "type": "integer", "minimum": 0 }))).collect();
    let cells = json!({ "type": "object", "additionalProperties": cell });
    closed(json!({ "counts": closed(counts.into()), "before": cells, "after": cells }))
}

/// Returns the schema of an object whose members are all required.
fn closed(properties: Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn path(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}

fn pascal_case(action: &str) -> String {
    let capitalized = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    action.split(['.', '_']).map(capitalized).collect()
}
