//! Records, returns and deletes the caller's own navigation trail.

use actix_web::{delete, get, post};
use iam_application::NewTrailEntry;
use iam_domain::{Label, SessionId, Timestamp, TrailEntry, Url, ViewId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Authorized, Input, Member, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

/// A page visit in the trail of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailStep {
    /// The position of the visit in the trail, counted from 0.
    depth: i32,
    /// The label of the page.
    label: Label,
    /// The URL of the page.
    url: Url,
}

/// A page that the caller visited recently.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecentPage {
    /// The label of the page.
    label: Label,
    /// The URL of the page.
    url: Url,
    /// The time of the latest visit.
    visited_at: Timestamp,
}

/// The navigation trail of a session, and the recently visited pages of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailData {
    /// The page visits in the session, sorted from oldest to newest. At most 100.
    trail: Vec<TrailStep>,
    /// The most recently visited pages in all sessions of the caller, sorted from newest to oldest. At most 10.
    recents: Vec<RecentPage>,
}

/// The page visit that was added.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepData {
    /// The added page visit.
    entry: TrailStep,
}

impl From<TrailEntry> for TrailStep {
    fn from(entry: TrailEntry) -> Self {
        Self { depth: entry.depth, label: entry.label, url: entry.url }
    }
}

impl From<TrailEntry> for RecentPage {
    fn from(entry: TrailEntry) -> Self {
        Self { label: entry.label, url: entry.url, visited_at: entry.created_at }
    }
}

/// A page visit to add to a trail.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewStep {
    /// The view of the page, if the catalog contains it.
    #[schema(nullable = false)]
    view_id: Option<ViewId>,
    /// The URL of the page.
    url: Url,
    /// The label of the page.
    label: Label,
    /// The id of the application session, chosen by the client.
    session_id: SessionId,
}

impl Input for NewStep {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let (view_id, url) = (body.optional("viewId"), body.required("url"));
        let (label, session_id) = (body.required("label"), body.required("sessionId"));
        Some(Self { view_id: view_id?, url: url?, label: label?, session_id: session_id? })
    }
}

/// Adds a page visit to the trail of one of the caller's sessions.
#[utoipa::path(tag = "Navigation trail", request_body = NewStep, responses((status = 201, body = Success<StepData>)))]
#[post("/api/iam/nav-trail")]
pub(crate) async fn track(call: Authorized<Member, NewStep>) -> ApiResult {
    let entry = NewTrailEntry {
        user_id: call.user()?,
        company_id: call.company()?,
        session_id: call.input.session_id.clone(),
        view_id: call.input.view_id,
        url: call.input.url.clone(),
        label: call.input.label.clone(),
    };
    let entry = call.application().track(&entry).await?;
    let session = utf8_percent_encode(entry.session_id.as_str(), NON_ALPHANUMERIC);
    let location = format!("/api/iam/nav-trail?sessionId={session}&companyId={}", entry.company_id);
    ApiResponse::created(&location).data(StepData { entry: entry.into() })
}

/// The session specified in the query.
pub(crate) struct OneSession(SessionId);

impl Input for OneSession {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.required_query("sessionId").map(Self)
    }
}

/// Returns the trail of one of the caller's sessions, and the most recently visited pages in all sessions.
#[utoipa::path(
    tag = "Navigation trail",
    params(("sessionId" = String, Query, min_length = 1, max_length = 255, description = "The id of the application session")),
    responses((status = 200, body = Success<TrailData>)),
)]
#[get("/api/iam/nav-trail")]
pub(crate) async fn get_trail(call: Authorized<Member, OneSession>) -> ApiResult {
    let trail = call.application().trail(call.company()?, call.user()?, &call.input.0).await?;
    ApiResponse::ok().data(TrailData {
        trail: trail.steps.into_iter().map(TrailStep::from).collect(),
        recents: trail.recents.into_iter().map(RecentPage::from).collect(),
    })
}

/// Deletes the trail of one of the caller's sessions.
#[utoipa::path(
    tag = "Navigation trail",
    params(("sessionId" = String, Query, min_length = 1, max_length = 255, description = "The id of the application session")),
    responses((status = 200, body = Success<Message>)),
)]
#[delete("/api/iam/nav-trail")]
pub(crate) async fn clear_trail(call: Authorized<Member, OneSession>) -> ApiResult {
    call.application().clear_trail(call.company()?, call.user()?, &call.input.0).await?;
    ApiResponse::ok().message("Navigation trail cleared successfully")
}
