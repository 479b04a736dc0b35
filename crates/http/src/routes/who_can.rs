//! Returns the users whom a check allows.

use actix_web::get;
use iam_application::{AllowedMember, FieldCode, WhoCan};
use iam_domain::{Action, ApiKeyId, Email, ExternalId, Name, ProfileSource, Scope, UserId, UserLevelId};
use iam_permissions_cache::{Check, FeatureRef, ViewRef};
use serde::Serialize;
use utoipa::ToSchema;

use super::lists::{TotalData, counted_page};
use crate::extract::{Authorized, FindAllowed, Input, RequestReader};
use crate::respond::{ApiResponse, ApiResult, MAX_DECIDING_LEVELS, Success, schema};

/// A user whom the check allows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllowedUser {
    /// The id of the user.
    id: UserId,
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
    /// The e-mail address in the user's profile.
    #[schema(value_type = Option<String>, required = true)]
    email: Option<Email>,
    /// The source of the user's profile. `null` if the user has none. A name whose source is `token` may be chosen by the
    /// user.
    #[schema(required = true)]
    profile_source: Option<ProfileSource>,
    /// The scope with which the action is allowed. `null` for views.
    #[schema(required = true)]
    scope: Option<Scope>,
    /// The machine-readable code of the reason.
    #[schema(schema_with = schema::reason_code)]
    reason_code: &'static str,
    /// The ids of the user levels that determined the decision, in ascending order: at most the first ten.
    #[schema(max_items = 10)]
    decided_by: Vec<UserLevelId>,
    /// The number of all user levels that determined the decision.
    decided_by_count: usize,
}

impl From<AllowedMember> for AllowedUser {
    fn from(AllowedMember { member, decision }: AllowedMember) -> Self {
        let decided_by_count = decision.decided_by.len();
        let mut decided_by = decision.decided_by;
        decided_by.truncate(MAX_DECIDING_LEVELS);
        Self {
            id: member.user,
            path_id: member.external_id.as_ref().map(ExternalId::path_id),
            external_id: member.external_id,
            display_name: member.display_name,
            email: member.email,
            profile_source: member.profile_source,
            scope: decision.scope,
            reason_code: decision.reason.code(),
            decided_by,
            decided_by_count,
        }
    }
}

/// Callers to whom levels do not apply, and who may also act in the company.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum AlsoAllowed {
    /// All super admins.
    SuperAdmins {},
    /// An API key that may administer the company.
    ApiKey {
        /// The id of the API key.
        id: ApiKeyId,
    },
}

/// A page of the users whom a check allows, sorted by id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllowedData {
    /// The users on this page. A page that is not the last one may contain fewer users than `limit`.
    users: Vec<AllowedUser>,
    /// The cursor of the next page (keyset pagination). `null` on the last page, and only there.
    #[schema(required = true)]
    next_cursor: Option<String>,
    #[serde(flatten)]
    total: TotalData,
    /// Callers to whom levels do not apply: super admins, and the API keys that may administer the company.
    also_allowed: Vec<AlsoAllowed>,
}

impl Input for WhoCan {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (view, feature) = (request.query::<ViewRef>("view"), request.query::<FeatureRef>("feature"));
        let (action, scope) = (request.query::<Action>("action"), request.query::<Scope>("scope"));
        let (company, page) = (request.company(), counted_page(request));
        let check = match (view?, feature?, action?, scope?) {
            (Some(view), None, None, None) => Check::View(view),
            (Some(_), None, ..) => {
                return request.reject("view", FieldCode::Alone, "cannot be combined with action or scope");
            }
            (None, Some(feature), Some(action), least_scope) => Check::Feature { feature, action, least_scope },
            (None, Some(_), None, _) => return request.reject("action", FieldCode::Required, "is required"),
            (None, None, ..) => return request.reject("view", FieldCode::Required, "or feature is required"),
            (Some(_), Some(_), ..) => {
                return request.reject("view", FieldCode::Alone, "cannot be combined with feature");
            }
        };
        Some(Self { company: company?, check, page: page? })
    }
}

/// Lists the users of the company whom a check of a view or of an action allows, with the decision for each of them.
///
/// The list contains exactly the users for whom `POST /api/iam/check` returns `"allowed": true` at the version in
/// `X-IAM-Version`. All pages reflect the version of the first page. If the company or the catalog changes before the
/// last page is read, the next page is answered with 410.
#[utoipa::path(
    tag = "Decisions",
    params(
        ("view" = Option<String>, Query, description = "The URL or id of a view"),
        ("feature" = Option<String>, Query, description = "The key or id of a feature"),
        ("action" = Option<String>, Query, description = "The action on the feature", min_length = 1, max_length = 50),
        ("scope" = Option<Scope>, Query, description = "The minimum scope with which the action must be allowed"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. The check must be the same",
        ),
        (
            "total" = Option<bool>,
            Query,
            description = "If true, the response contains the number of all users whom the check allows, at the version of \
                the pages",
        ),
    ),
    responses(
        (status = 200, body = Success<AllowedData>),
        (status = 404, description = "The view or the feature does not exist"),
        (status = 410),
    ),
)]
#[get("/api/iam/who-can")]
pub(crate) async fn who_can(call: Authorized<FindAllowed, WhoCan>) -> ApiResult {
    let now = call.api().services().clock.now();
    let page = call.application().who_can(call.caller(), &call.input, now).await?;
    let keys = page.administering_keys.into_iter().map(|id| AlsoAllowed::ApiKey { id });
    let also_allowed = std::iter::once(AlsoAllowed::SuperAdmins {}).chain(keys).collect();
    let users = page.members.into_iter().map(AllowedUser::from).collect();
    let data = AllowedData { users, next_cursor: page.next_cursor, total: page.total.into(), also_allowed };
    ApiResponse::ok().versions(page.versions).data(data)
}
