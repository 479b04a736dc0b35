//! Manages the ceilings of companies, for super admins.

use actix_web::{get, post, put};
use iam_application::{
    ActionCeiling, CeilingsImpact, CellImpact, FieldCode, Patch, RequestedCeilings, SetCompanyCeilings,
};
use iam_domain::escalation::Cell;
use iam_domain::{Action, Ceilings, FeatureId, Scope, UserId, ViewId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::body_reader::FieldReader;
use crate::extract::{Authorized, Input, PlatformCompany, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// The ceiling of a company on an action of a feature.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActionCeilingData {
    /// The feature.
    feature_id: FeatureId,
    /// The action.
    #[schema(value_type = String)]
    action: Action,
    /// The widest scope with which users of the company may perform the action. `null` if no user may perform it.
    #[schema(required = true)]
    max_scope: Option<Scope>,
}

/// The ceilings of a company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompanyCeilingsData {
    /// The views that no user of the company may see, in ascending order of id.
    hidden_views: Vec<ViewId>,
    /// The ceilings on actions, in ascending order of feature id and then of action.
    actions: Vec<ActionCeilingData>,
}

/// The ceilings of a company after a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetCeilingsData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The new ceilings.
    #[serde(flatten)]
    ceilings: CompanyCeilingsData,
}

impl From<&Ceilings> for CompanyCeilingsData {
    fn from(ceilings: &Ceilings) -> Self {
        let actions = ceilings.actions.iter().flat_map(|(feature, actions)| {
            actions.iter().map(move |(action, max)| ActionCeilingData {
                feature_id: *feature,
                action: action.clone(),
                max_scope: *max,
            })
        });
        Self { hidden_views: ceilings.hidden_views.iter().copied().collect(), actions: actions.collect() }
    }
}

/// Returns the ceilings of a company.
///
/// A ceiling limits what all users of the company may see and do, whatever their levels allow. It does not apply to
/// super admins, and it has no effect on public views.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<CompanyCeilingsData>)))]
#[get("/api/iam/companies/{companyId}/ceilings")]
pub(crate) async fn get_company_ceilings(call: Authorized<PlatformCompany>) -> ApiResult {
    let ceilings = call.application().company_ceilings(call.company()?).await?;
    ApiResponse::ok().etag(&ceilings)?.data(CompanyCeilingsData::from(&ceilings))
}

/// The requested ceiling on an action of a feature.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct ActionCeilingBody {
    /// The feature. It must not be one of the service's own features (`iam.*`).
    feature_id: FeatureId,
    /// The action.
    #[schema(value_type = String, min_length = 1, max_length = 50)]
    action: Action,
    /// The widest scope with which users of the company may perform the action: `null` if no user may perform it, and
    /// `any` if the action has no ceiling.
    #[schema(required = true)]
    max_scope: Option<Scope>,
}

/// Requested ceilings, which replace all ceilings of a company.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct CeilingsBody {
    /// The views that no user of the company may see, without duplicates.
    hidden_views: Vec<ViewId>,
    /// The ceilings on actions, at most one per action of a feature.
    actions: Vec<ActionCeilingBody>,
}

impl Input for RequestedCeilings {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let hidden_views = body.list("hiddenViews");
        let actions = body.objects(
            "actions",
            |ceiling| {
                let (feature_id, action) = (ceiling.required("featureId"), ceiling.required("action"));
                let max_scope = max_scope(ceiling);
                Some(ActionCeiling { feature_id: feature_id?, action: action?, max_scope: max_scope? })
            },
            |ceiling| (ceiling.feature_id, ceiling.action.clone()),
            "action",
        );
        Some(Self { hidden_views: hidden_views?, actions: actions? })
    }
}

/// Reads the required field `maxScope`, which may be `null`.
fn max_scope(ceiling: &mut FieldReader<'_>) -> Option<Option<Scope>> {
    match ceiling.patch("maxScope")? {
        Patch::Keep => ceiling.reject("maxScope", FieldCode::Required, "is required"),
        Patch::Clear => Some(None),
        Patch::Set(scope) => Some(Some(scope)),
    }
}

impl Input for SetCompanyCeilings {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let ceilings = RequestedCeilings::read(request);
        Some(Self { company: company?, ceilings: ceilings?, if_match })
    }
}

/// Replaces the ceilings of a company.
///
/// The new ceilings apply to every decision as soon as any other change to the company does. `If-Match` is compared with
/// the entity tag of the ceilings. Ceilings on views and actions that do not exist any more are retained. To see who would
/// gain or lose permissions, preview the change first.
#[utoipa::path(
    tag = "Companies",
    request_body = CeilingsBody,
    responses((status = 200, body = Success<SetCeilingsData>), (status = 412)),
)]
#[put("/api/iam/companies/{companyId}/ceilings")]
pub(crate) async fn set_company_ceilings(call: Authorized<PlatformCompany, SetCompanyCeilings>) -> ApiResult {
    let done = call.execute().await?;
    let data = SetCeilingsData { message: "Company ceilings updated successfully", ceilings: (&done.value).into() };
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(data)
}

/// The users whose access to a view changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ViewImpactData {
    /// The view.
    view_id: ViewId,
    /// The users, in ascending order of id: at most 100, and at most 1,000 in the whole response.
    #[schema(max_items = 100)]
    users: Vec<UserId>,
    /// The number of all users whose access changes.
    user_count: usize,
}

/// The users whose scope of an action changes in the same way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActionImpactData {
    /// The feature.
    feature_id: FeatureId,
    /// The action.
    #[schema(value_type = String)]
    action: Action,
    /// The scope with which the users may perform the action now. `null` if it is denied.
    #[schema(required = true)]
    scope_before: Option<Scope>,
    /// The scope with which the users may perform the action after the change. `null` if it is denied.
    #[schema(required = true)]
    scope_after: Option<Scope>,
    /// The users, in ascending order of id: at most 100, and at most 1,000 in the whole response.
    #[schema(max_items = 100)]
    users: Vec<UserId>,
    /// The number of all users whose scope changes.
    user_count: usize,
}

/// Permissions that change, in ascending order of id.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImpactData {
    /// The views.
    views: Vec<ViewImpactData>,
    /// The actions of features.
    actions: Vec<ActionImpactData>,
}

/// The effect that ceilings would have.
#[derive(Serialize, ToSchema)]
pub(crate) struct CeilingsPreviewData {
    /// The permissions that users would gain.
    gains: ImpactData,
    /// The permissions that users would lose.
    losses: ImpactData,
}

/// Maximum number of users in the whole response.
const MAX_USERS: usize = 1_000;

/// Converts impacts into their data. `left` is the number of users that the response may still contain.
fn impact_data(impacts: Vec<CellImpact>, left: &mut usize) -> ImpactData {
    let mut data = ImpactData { views: Vec::new(), actions: Vec::new() };
    for CellImpact { cell, before, after, users, user_count } in impacts {
        let users: Vec<_> = users.into_iter().take(*left).collect();
        *left -= users.len();
        match cell {
            Cell::View(view_id) => data.views.push(ViewImpactData { view_id, users, user_count }),
            Cell::Action(feature_id, action) => data.actions.push(ActionImpactData {
                feature_id,
                action,
                scope_before: before,
                scope_after: after,
                users,
                user_count,
            }),
        }
    }
    data
}

/// Returns the permissions that users of a company would gain and lose if the ceilings were replaced.
///
/// The request has the body of `PUT`, and changes nothing. `X-IAM-Version` contains the versions from which the effect was
/// computed.
#[utoipa::path(
    tag = "Companies",
    request_body = CeilingsBody,
    responses((status = 200, body = Success<CeilingsPreviewData>)),
)]
#[post("/api/iam/companies/{companyId}/ceilings/preview")]
pub(crate) async fn preview_company_ceilings(call: Authorized<PlatformCompany, RequestedCeilings>) -> ApiResult {
    let CeilingsImpact { versions, gains, losses } =
        call.application().preview_ceilings(call.company()?, &call.input).await?;
    let mut left = MAX_USERS;
    let (gains, losses) = (impact_data(gains, &mut left), impact_data(losses, &mut left));
    ApiResponse::ok().versions(versions).data(CeilingsPreviewData { gains, losses })
}
