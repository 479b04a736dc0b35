//! The audit log. Each audit record is committed in the same transaction as the change that it describes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::permission::words;
use crate::{Actor, ActorKind, AuditRecordId, CompanyId, InvalidActor, Timestamp};

words! {
    /// The type of entity that a change affected.
    EntityType ("user-level, permission, assignment, view, feature, module, menu, company, api-key, user"):
        /// A user level.
        UserLevel = "user-level",
        /// The permission matrix of a user level. The entity id of the audit record is the id of this level.
        Permission = "permission",
        /// The levels that a user holds in a company. The entity id of the audit record is the user id.
        Assignment = "assignment",
        /// A view.
        View = "view",
        /// A feature.
        Feature = "feature",
        /// A module.
        Module = "module",
        /// A menu item or sub-item.
        Menu = "menu",
        /// A company that was provisioned, or whose modules were changed.
        Company = "company",
        /// An API key.
        ApiKey = "api-key",
        /// A user whose token cut-off was changed.
        User = "user",
}

/// A record of one change in the audit log. The audit log is append-only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RecordFields")]
pub struct AuditRecord {
    /// The id of the record. Records of one transaction have ascending ids in the order of their changes.
    pub id: AuditRecordId,
    /// The company that was changed. `None` for a platform-wide change, such as a change to the catalog.
    pub company_id: Option<CompanyId>,
    /// The actor that made the change.
    pub actor: Actor,
    /// The action, such as `user_level.created` or `permissions.views_updated`.
    pub action: String,
    /// The type of the changed entity.
    pub entity_type: EntityType,
    /// The id of the changed entity.
    pub entity_id: Uuid,
    /// The changed data. For an update, these are the changed fields with their values before and after the update.
    pub changes: Option<Value>,
    /// The context of the change, such as the request id, and whether the actor used super admin rights.
    pub metadata: Option<Value>,
    /// The time of the change, read from the clock of the storage backend.
    pub timestamp: Timestamp,
}

/// A record of one change in the audit log. The audit log is append-only.
// The JSON form of `AuditRecord`. It represents the actor as two fields: `user_id` and `actor_kind`. The doc comments
// of this struct become the descriptions in the OpenAPI document.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
struct RecordFields<'a> {
    /// The id of the record. Records of one transaction have ascending ids in the order of their changes.
    id: AuditRecordId,
    /// The company that was changed. `null` for a platform-wide change, such as a change to the catalog.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    company_id: Option<CompanyId>,
    /// The id of the actor: the user id, or the id of the service's API key. `null` for the command line and
    /// the system.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::UserId>, required = true))]
    user_id: Option<Uuid>,
    /// The kind of the actor.
    actor_kind: ActorKind,
    /// The action, such as `user_level.created` or `permissions.views_updated`.
    action: Cow<'a, str>,
    /// The type of the changed entity.
    entity_type: EntityType,
    /// The id of the changed entity.
    entity_id: Uuid,
    /// The changed data. For an update, these are the changed fields with their values before and after the update.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    changes: Option<Cow<'a, Value>>,
    /// The context of the change, such as the request id, and whether the actor used super admin rights.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    metadata: Option<Cow<'a, Value>>,
    /// The time of the change, read from the clock of the storage backend.
    timestamp: Timestamp,
}

impl<'a> From<&'a AuditRecord> for RecordFields<'a> {
    fn from(record: &'a AuditRecord) -> Self {
        Self {
            id: record.id,
            company_id: record.company_id,
            user_id: record.actor.id(),
            actor_kind: record.actor.kind(),
            action: Cow::Borrowed(&record.action),
            entity_type: record.entity_type,
            entity_id: record.entity_id,
            changes: record.changes.as_ref().map(Cow::Borrowed),
            metadata: record.metadata.as_ref().map(Cow::Borrowed),
            timestamp: record.timestamp,
        }
    }
}

impl TryFrom<RecordFields<'_>> for AuditRecord {
    type Error = InvalidActor;

    fn try_from(fields: RecordFields<'_>) -> Result<Self, InvalidActor> {
        Ok(Self {
            id: fields.id,
            company_id: fields.company_id,
            actor: Actor::from_parts(fields.actor_kind, fields.user_id)?,
            action: fields.action.into_owned(),
            entity_type: fields.entity_type,
            entity_id: fields.entity_id,
            changes: fields.changes.map(Cow::into_owned),
            metadata: fields.metadata.map(Cow::into_owned),
            timestamp: fields.timestamp,
        })
    }
}

impl Serialize for AuditRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RecordFields::from(self).serialize(serializer)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for AuditRecord {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        RecordFields::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for AuditRecord {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        RecordFields::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{ApiKeyId, UserId};

    const ID: Uuid = Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001);

    fn record(actor: Actor) -> AuditRecord {
        AuditRecord {
            id: AuditRecordId::from_uuid(ID),
            company_id: None,
            actor,
            action: "view.updated".to_owned(),
            entity_type: EntityType::View,
            entity_id: ID,
            changes: Some(json!({ "before": {}, "after": { "name": "Ä" } })),
            metadata: None,
            timestamp: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        }
    }

    fn json(user_id: &Value, actor_kind: &str) -> Value {
        json!({
            "id": ID, "companyId": null, "userId": user_id, "actorKind": actor_kind, "action": "view.updated",
            "entityType": "view", "entityId": ID, "changes": { "before": {}, "after": { "name": "Ä" } },
            "metadata": null, "timestamp": "2023-11-14T22:13:20.000Z",
        })
    }

    #[test]
    fn a_record_contains_the_id_and_the_kind_of_its_actor() {
        for (actor, user_id, kind) in [
            (Actor::User(UserId::from_uuid(ID)), json!(ID), "user"),
            (Actor::ApiKey(ApiKeyId::from_uuid(ID)), json!(ID), "service"),
            (Actor::CommandLine, Value::Null, "command_line"),
            (Actor::System, Value::Null, "system"),
        ] {
            assert_eq!(serde_json::to_value(record(actor)).unwrap(), json(&user_id, kind));
        }
        let text = serde_json::to_string(&record(Actor::CommandLine)).unwrap();
        assert!(text.contains(r#""companyId":null,"userId":null,"actorKind":"command_line","action":"#), "{text}");
    }

    #[test]
    fn an_id_that_conflicts_with_the_kind_is_rejected() {
        for (user_id, kind) in
            [(json!(ID), "command_line"), (json!(ID), "system"), (Value::Null, "user"), (Value::Null, "service")]
        {
            let error = serde_json::from_value::<AuditRecord>(json(&user_id, kind)).unwrap_err();
            assert!(error.to_string().starts_with("an actor of kind"), "{error}");
        }
        assert!(serde_json::from_value::<AuditRecord>(json(&json!(ID), "robot")).is_err());
    }

    fn actors() -> impl Strategy<Value = Actor> {
        let ids = any::<u128>().prop_map(Uuid::from_u128);
        prop_oneof![
            ids.clone().prop_map(|id| Actor::User(UserId::from_uuid(id))),
            ids.prop_map(|id| Actor::ApiKey(ApiKeyId::from_uuid(id))),
            Just(Actor::CommandLine),
            Just(Actor::System),
        ]
    }

    proptest! {
        #[test]
        fn every_actor_survives_a_round_trip_through_json_and_through_its_parts(actor in actors()) {
            let text = serde_json::to_string(&record(actor)).unwrap();
            prop_assert_eq!(serde_json::from_str::<AuditRecord>(&text).unwrap(), record(actor));
            prop_assert_eq!(Actor::from_parts(actor.kind(), actor.id()), Ok(actor));
        }
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn the_schema_describes_the_json_form() {
        use utoipa::{PartialSchema, ToSchema};

        let schema = serde_json::to_value(AuditRecord::schema()).unwrap();
        let documented: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        let shown = serde_json::to_value(record(Actor::CommandLine)).unwrap();
        assert_eq!(documented, shown.as_object().unwrap().keys().collect::<Vec<_>>());
        assert_eq!(schema["properties"]["userId"]["oneOf"][0]["$ref"], "#/components/schemas/UserId");
        assert_eq!(AuditRecord::name(), "AuditRecord");
        let mut named = Vec::new();
        AuditRecord::schemas(&mut named);
        assert!(named.iter().any(|(name, _)| name == "UserId") && named.iter().any(|(name, _)| name == "ActorKind"));
    }
}
