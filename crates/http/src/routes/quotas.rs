//! Manages the quotas of companies, for super admins.

use std::collections::BTreeMap;

use actix_web::{get, put};
use iam_application::{CompanyQuotas, Patch, SetCompanyQuotas};
use iam_domain::{Quota, QuotaOverrides};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Authorized, Input, PlatformCompany, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// A quota of a company.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuotaData {
    /// The limit that applies to the company. 0 means that the quantity is unlimited.
    limit: u32,
    /// The limit that a super admin has set for the company. `null` if the quota has its default limit.
    #[schema(required = true)]
    r#override: Option<u32>,
    /// The current use. For `levelsPerUser`, it is the largest number of levels that one user holds.
    used: u64,
}

/// The quotas of a company by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompanyQuotasData {
    /// The quotas by name: `levels`, `levelSets`, `menuItems`, `permissionCells`, `apiKeys`, `textBytes` and
    /// `levelsPerUser`.
    #[schema(value_type = BTreeMap<String, QuotaData>)]
    quotas: BTreeMap<&'static str, QuotaData>,
}

/// The quotas of a company after a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetQuotasData {
    /// The human-readable result of the operation.
    message: &'static str,
    /// The quotas by name, with their new limits.
    #[schema(value_type = BTreeMap<String, QuotaData>)]
    quotas: BTreeMap<&'static str, QuotaData>,
}

fn by_name(quotas: &CompanyQuotas) -> BTreeMap<&'static str, QuotaData> {
    let data = |quota: Quota| QuotaData {
        limit: quotas.limits.get(quota),
        r#override: quotas.overrides.0.get(&quota).copied(),
        used: quotas.used.get(&quota).copied().unwrap_or_default(),
    };
    Quota::ALL.iter().map(|quota| (quota.key(), data(*quota))).collect()
}

/// Returns the quotas of a company, each with its limit and its current use.
///
/// The entity tag identifies the overrides, not the current use.
#[utoipa::path(tag = "Companies", responses((status = 200, body = Success<CompanyQuotasData>)))]
#[get("/api/iam/companies/{companyId}/quotas")]
pub(crate) async fn get_company_quotas(call: Authorized<PlatformCompany>) -> ApiResult {
    let quotas = call.application().company_quotas(call.company()?).await?;
    ApiResponse::ok().etag(&quotas.overrides)?.data(CompanyQuotasData { quotas: by_name(&quotas) })
}

/// A request to replace the overrides of a company's quotas. A quota that is `null` or omitted has its default limit,
/// and the limit 0 means that the quantity is unlimited.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct QuotaLimits {
    /// Maximum number of levels of the company.
    levels: Option<u32>,
    /// Maximum number of distinct sets of two or more levels that users of the company hold.
    level_sets: Option<u32>,
    /// Maximum number of menu items and sub-items of the company.
    menu_items: Option<u32>,
    /// Maximum number of cells in the matrices of all levels of the company.
    permission_cells: Option<u32>,
    /// Maximum number of API keys that are restricted to the company and not revoked.
    api_keys: Option<u32>,
    /// Maximum number of bytes of the names and descriptions of levels and the labels of menu items and sub-items.
    text_bytes: Option<u32>,
    /// Maximum number of levels that one user holds in the company.
    levels_per_user: Option<u32>,
}

impl Input for SetCompanyQuotas {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (company, if_match) = (request.company(), request.if_match());
        let mut body = request.body()?;
        // Every field is read, so that the response lists all invalid fields.
        let read: Vec<_> = Quota::ALL.iter().map(|quota| (*quota, body.patch::<u32>(quota.key()))).collect();
        let mut overrides = QuotaOverrides::default();
        for (quota, limit) in read {
            if let Patch::Set(limit) = limit? {
                overrides.0.insert(quota, limit);
            }
        }
        Some(Self { company: company?, overrides, if_match })
    }
}

/// Replaces the overrides of a company's quotas.
///
/// A limit may be lower than the current use. The company can then only reduce its use. `If-Match` is compared with the
/// entity tag of the overrides.
#[utoipa::path(
    tag = "Companies",
    request_body = QuotaLimits,
    responses((status = 200, body = Success<SetQuotasData>), (status = 412)),
)]
#[put("/api/iam/companies/{companyId}/quotas")]
pub(crate) async fn set_company_quotas(call: Authorized<PlatformCompany, SetCompanyQuotas>) -> ApiResult {
    let done = call.make(call.input.clone()).await?;
    let quotas = call.application().with_overrides(call.input.overrides.clone(), done.value);
    let data = SetQuotasData { message: "Company quotas updated successfully", quotas: by_name(&quotas) };
    ApiResponse::ok().commit(done.stamp).etag(&quotas.overrides)?.data(data)
}
