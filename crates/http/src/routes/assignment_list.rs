//! Lists the assignments of a company that have an end, for access reviews.

use actix_web::get;
use iam_application::{EndingAssignment, ListEndingAssignments, Page};
use iam_domain::{AssignmentState, ExternalId, Name, Timestamp, UserId, UserLevelId};
use serde::Serialize;
use utoipa::ToSchema;

use super::lists::page;
use crate::extract::{Authorized, Input, ReadIam, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// An assignment that has an end.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndingAssignmentData {
    /// The id of the user.
    user_id: UserId,
    /// The external id (`issuer|subject`). `null` for users of the native issuer, and for users whose external id is
    /// not stored.
    #[schema(value_type = Option<String>, required = true)]
    external_id: Option<ExternalId>,
    /// The URL-safe form of the external id.
    #[schema(required = true)]
    path_id: Option<String>,
    /// The display name in the user's profile.
    #[schema(required = true)]
    display_name: Option<Name>,
    /// The id of the level.
    user_level_id: UserLevelId,
    /// The name of the level.
    user_level_name: Name,
    /// The start of the assignment. It is absent if the assignment is in effect since it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    starts_at: Option<Timestamp>,
    /// The end of the assignment.
    expires_at: Timestamp,
    /// The state of the assignment.
    state: AssignmentState,
}

impl From<EndingAssignment> for EndingAssignmentData {
    fn from(EndingAssignment { user, external_id, display_name, level, expires_at }: EndingAssignment) -> Self {
        let path_id = external_id.as_ref().map(ExternalId::path_id);
        Self {
            user_id: user,
            external_id,
            path_id,
            display_name,
            user_level_id: level.id,
            user_level_name: level.name,
            starts_at: level.period.starts_at,
            expires_at,
            state: level.state,
        }
    }
}

/// A page of assignments that have an end.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndingAssignmentsData {
    /// The assignments on this page, ordered by their ends.
    assignments: Vec<EndingAssignmentData>,
    /// The cursor of the next page (keyset pagination). `null` on the last page, and only there.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl From<Page<EndingAssignment>> for EndingAssignmentsData {
    fn from(page: Page<EndingAssignment>) -> Self {
        let assignments = page.elements.into_iter().map(EndingAssignmentData::from).collect();
        Self { assignments, next_cursor: page.next_cursor }
    }
}

impl Input for ListEndingAssignments {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (before, page, company) = (request.required_query("expiresBefore"), page(request), request.company());
        Some(Self { company: company?, before: before?, page: page? })
    }
}

/// Lists the assignments of the company that end before a time, ordered by their ends. An expired assignment is listed
/// until it is removed.
#[utoipa::path(
    tag = "Users",
    params(
        ("expiresBefore" = Timestamp, Query, description = "Only assignments that end before this time (RFC 3339)"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. `expiresBefore` must be the same",
        ),
    ),
    responses((status = 200, body = Success<EndingAssignmentsData>)),
)]
#[get("/api/iam/assignments")]
pub(crate) async fn list_ending_assignments(call: Authorized<ReadIam, ListEndingAssignments>) -> ApiResult {
    let page = call.application().list_ending_assignments(call.caller(), &call.input).await?;
    ApiResponse::ok().data(EndingAssignmentsData::from(page))
}
