//! Decisions: navigation, all permissions of a user, single checks.

use actix_web::{HttpRequest, get, post};
use iam_application::Requirement;
use iam_domain::{Scope, UserId, UserLevelId};
use iam_permissions_cache::{EffectivePermissions, Navigation, Question, Subject};
use serde::Serialize;
use utoipa::ToSchema;

use super::user_levels::OneUser;
use crate::answer::{Answer, Reply, Success, conditional};
use crate::call::{Anyone, Guarded, Input, ReadIam, Reading};

/// The caller's menu. May be kept for five minutes: it is for display only.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<Navigation>), (status = 304)))]
#[get("/api/iam/navigation")]
pub(crate) async fn navigation(request: HttpRequest, call: Guarded<Anyone>) -> Answer {
    let navigation = call
        .permissions()
        .navigation(call.company()?, call.caller.into())
        .await
        .map_err(iam_application::Failure::from)?;
    conditional(request.headers(), navigation, "private, max-age=300")
}

/// Everything that the caller may see and do.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<EffectivePermissions>), (status = 304)))]
#[get("/api/iam/permissions/current")]
pub(crate) async fn current_permissions(request: HttpRequest, call: Guarded<Anyone>) -> Answer {
    let permissions = call
        .permissions()
        .effective(call.company()?, call.caller.into())
        .await
        .map_err(iam_application::Failure::from)?;
    conditional(request.headers(), permissions, "private, no-cache")
}

/// Everything that a user may see and do.
#[utoipa::path(tag = "Decisions", responses((status = 200, body = Success<EffectivePermissions>)))]
#[get("/api/iam/users/{userId}/permissions")]
pub(crate) async fn permissions_of_user(call: Guarded<ReadIam, OneUser>) -> Answer {
    let subject = Subject::User(call.input.0);
    let permissions =
        call.permissions().effective(call.company()?, subject).await.map_err(iam_application::Failure::from)?;
    Reply::ok().version(permissions.versions).data(permissions.value)
}

/// A question: a view, or a feature with an action.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; the question is read from its members")]
pub(crate) struct CheckRequest {
    /// A view's url or id.
    view: Option<String>,
    /// A feature's key or id.
    feature: Option<String>,
    /// The action, with a feature.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    action: Option<iam_domain::Action>,
    /// The least scope, with a feature.
    scope: Option<Scope>,
    /// About whom; the caller if left out.
    user_id: Option<UserId>,
}

/// What was asked.
pub(crate) struct Asked {
    question: Question,
    user: Option<UserId>,
}

impl Input for Asked {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let mut body = reading.body()?;
        let user = body.optional("userId");
        let question = match (body.has("view"), body.has("feature")) {
            (true, false) => {
                if body.has("action") || body.has("scope") {
                    return body.reject("view", "alone", "takes neither action nor scope");
                }
                body.required("view").map(Question::View)
            }
            (false, true) => {
                let feature = body.required("feature");
                let action = body.required("action");
                let least_scope = body.optional("scope");
                Some(Question::Feature { feature: feature?, action: action?, least_scope: least_scope? })
            }
            (false, false) => body.reject("view", "required", "or feature is required"),
            (true, true) => body.reject("view", "alone", "cannot be asked together with feature"),
        };
        Some(Self { question: question?, user: user? })
    }
}

/// A decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionData {
    /// Yes or no.
    allowed: bool,
    /// How far an action reaches; `null` for views.
    scope: Option<Scope>,
    /// Why, for people.
    reason: &'static str,
    /// Why, for programs.
    reason_code: &'static str,
    /// The levels that decided it.
    decided_by: Vec<UserLevelId>,
}

/// Decides one question, about the caller or, for those who administer, about somebody else.
#[utoipa::path(tag = "Decisions", request_body = CheckRequest, responses((status = 200, body = Success<DecisionData>)))]
#[post("/api/iam/check")]
pub(crate) async fn check(call: Guarded<Anyone, Asked>) -> Answer {
    let company = call.company()?;
    let subject = match call.input.user {
        Some(other) if other != call.caller.user_id => {
            call.application().authorize(call.caller, Some(company), Requirement::CheckOthers).await?;
            Subject::User(other)
        }
        _ => Subject::from(call.caller),
    };
    let decision = call
        .permissions()
        .check(company, subject, &call.input.question)
        .await
        .map_err(iam_application::Failure::from)?;
    Reply::ok().version(decision.versions).data(DecisionData {
        allowed: decision.value.allowed,
        scope: decision.value.scope,
        reason: decision.value.reason.text(),
        reason_code: decision.value.reason.code(),
        decided_by: decision.value.decided_by,
    })
}
