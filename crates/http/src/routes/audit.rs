//! Lists the records of the audit log.

use actix_web::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iam_application::{AuditCursor, AuditFilter, AuditPage, FieldCode, NamedRecord, Names, Total};
use iam_domain::{AuditRecord, EntityType, ExternalId, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{page_size, word};
use crate::extract::{Authorized, Input, ReadAudit, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// An audit record, with the external ids of the actor and of the affected user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntry {
    #[serde(flatten)]
    record: AuditRecord,
    /// The external id (`issuer|subject`) of the actor, if the actor is a user of an external issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    external_user_id: Option<ExternalId>,
    /// The URL-safe form of the actor's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_path_id: Option<String>,
    /// The external id (`issuer|subject`) of the affected user, if the change affects a user of an external issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    external_entity_id: Option<ExternalId>,
    /// The URL-safe form of the affected user's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entity_path_id: Option<String>,
    /// The names of the levels, views, features, modules and API keys whose ids the record contains, by id. An existing
    /// entity has its current name, and a deleted entity has the name stored in the record. An id without a known name
    /// is omitted.
    #[schema(value_type = BTreeMap<String, String>)]
    names: Names,
}

/// A page of audit records, sorted from newest to oldest. A page of large records contains fewer records than `limit`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditData {
    /// The records on this page.
    logs: Vec<AuditEntry>,
    /// The cursor of the next page (keyset pagination). `null` on the last page, and only there: a page with fewer
    /// records than `limit` is not always the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// The total number of records, if requested. Counting stops at 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<u64>,
    /// `true` if there are more records than `total`. Otherwise omitted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    total_is_lower_bound: bool,
}

/// The requested filter and the requested page.
pub(crate) struct AuditQuery {
    filter: AuditFilter,
    cursor: Option<AuditCursor>,
    limit: u64,
    include_total: bool,
}

impl Input for AuditQuery {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let entity_type = word::<EntityType>(request, "entityType");
        let entity_id = entity(request);
        let (action, user_id) = (action(request), request.query_user("userId"));
        let (from, to) = (time(request, "from"), time(request, "to"));
        let (cursor, limit) = (cursor(request), page_size(request));
        let include_total = word::<bool>(request, "includeTotal");
        Some(Self {
            filter: AuditFilter {
                entity_type: entity_type?,
                entity_id: entity_id?,
                action: action?,
                actor_id: user_id?.map(|user| user.id.as_uuid()),
                from: from?,
                to: to?,
            },
            cursor: cursor?,
            limit: limit?,
            include_total: include_total?.unwrap_or(false),
        })
    }
}

/// Reads the id of the affected entity, which can have any type. A user can also be identified by external id.
fn entity(request: &mut RequestReader<'_>) -> Option<Option<uuid::Uuid>> {
    if request.query::<String>("entityId")?.is_some_and(|text| ExternalId::may_be(&text)) {
        return Some(request.query_user("entityId")?.map(|user| user.id.as_uuid()));
    }
    request.query::<uuid::Uuid>("entityId")
}

fn action(request: &mut RequestReader<'_>) -> Option<Option<String>> {
    let action = request.query::<String>("action")?;
    if action.as_ref().is_some_and(|action| action.contains('\0')) {
        return request.reject("action", FieldCode::Nul, "must not contain NUL characters");
    }
    Some(action)
}

fn time(request: &mut RequestReader<'_>, name: &'static str) -> Option<Option<Timestamp>> {
    match request.query::<String>(name)? {
        None => Some(None),
        Some(text) => match Timestamp::parse(&text) {
            Some(time) => Some(Some(time)),
            None => request.reject(
                name,
                FieldCode::Time,
                "must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z",
            ),
        },
    }
}

fn cursor(request: &mut RequestReader<'_>) -> Option<Option<AuditCursor>> {
    match request.query::<String>("cursor")? {
        None => Some(None),
        Some(text) => match decode(&text) {
            Some(cursor) => Some(Some(cursor)),
            None => request.reject("cursor", FieldCode::Invalid, "was not issued by this service"),
        },
    }
}

/// Encodes a cursor as an opaque string.
fn encode(cursor: AuditCursor) -> String {
    URL_SAFE_NO_PAD.encode(cursor.to_string())
}

fn decode(text: &str) -> Option<AuditCursor> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?.parse().ok()
}

/// Lists the audit records of the company, or of the platform if the request specifies no company.
#[utoipa::path(
    tag = "Audit",
    params(
        ("entityType" = Option<EntityType>, Query, description = "The type of the affected entity"),
        (
            "entityId" = Option<String>,
            Query,
            description = "The id of the affected entity; for a user, also the pathId or issuer|subject",
        ),
        ("action" = Option<String>, Query, description = "The exact action, such as user_level.created"),
        ("userId" = Option<String>, Query, description = "The actor's user id, pathId or issuer|subject"),
        ("from" = Option<Timestamp>, Query, description = "The start of the time range, inclusive"),
        ("to" = Option<Timestamp>, Query, description = "The end of the time range, exclusive"),
        (
            "limit" = Option<u64>,
            Query,
            minimum = 1,
            maximum = 200,
            description = "The maximum number of records on the page. Default: 50",
        ),
        ("cursor" = Option<String>, Query, description = "The nextCursor of the previous page"),
        (
            "includeTotal" = Option<bool>,
            Query,
            description = "If true, the response contains the total number of records",
        ),
    ),
    responses((status = 200, body = Success<AuditData>)),
)]
#[get("/api/iam/audit-logs")]
pub(crate) async fn list_audit_logs(call: Authorized<ReadAudit, AuditQuery>) -> ApiResult {
    let AuditQuery { filter, cursor, limit, include_total } = &call.input;
    let page = call.application().audit_logs(call.company_if_any(), filter, *cursor, *limit, *include_total).await?;
    ApiResponse::ok().large_data(|| page_data(page)).await
}

fn page_data(page: AuditPage) -> AuditData {
    let external = |user: UserId| page.external_ids.get(&user).cloned();
    let entry = |NamedRecord { record, names }: NamedRecord| {
        let external_user_id = record.actor.user_id().and_then(external);
        let external_entity_id = external(UserId::from_uuid(record.entity_id));
        AuditEntry {
            user_path_id: external_user_id.as_ref().map(ExternalId::path_id),
            entity_path_id: external_entity_id.as_ref().map(ExternalId::path_id),
            external_user_id,
            external_entity_id,
            names,
            record,
        }
    };
    let logs = page.records.into_iter().map(entry).collect();
    let (total, total_is_lower_bound) = match page.total {
        None => (None, false),
        Some(Total::Exactly(count)) => (Some(count), false),
        Some(Total::MoreThan(count)) => (Some(count), true),
    };
    AuditData { logs, next_cursor: page.next.map(encode), total, total_is_lower_bound }
}
