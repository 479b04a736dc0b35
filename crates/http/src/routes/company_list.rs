//! Lists all companies, for super admins.

use actix_web::get;
use iam_application::{CompanyOrder, ListCompanies, ListedCompany, Page};
use iam_domain::{CompanyId, CompanyStatus, Name, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::lists::{TotalData, counted_page, search, sort};
use crate::extract::{Authorized, Input, Platform, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Success};

/// A company in the list of companies.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedCompanyData {
    /// The id of the company.
    id: CompanyId,
    /// The display name of the company. `null` until a super admin sets it.
    #[schema(required = true)]
    name: Option<Name>,
    /// The status of the company.
    status: CompanyStatus,
    /// The time when the company was provisioned. `null` if it was not.
    #[schema(required = true)]
    provisioned_at: Option<Timestamp>,
}

impl From<ListedCompany> for ListedCompanyData {
    fn from(ListedCompany { id, details, provisioned_at }: ListedCompany) -> Self {
        Self { id, name: details.name, status: details.status, provisioned_at }
    }
}

/// A page of companies.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompaniesData {
    /// The companies on this page.
    companies: Vec<ListedCompanyData>,
    /// The cursor of the next page (keyset pagination). `null` on the last page, and only there.
    #[schema(required = true)]
    next_cursor: Option<String>,
    #[serde(flatten)]
    total: TotalData,
}

impl From<Page<ListedCompany>> for CompaniesData {
    fn from(page: Page<ListedCompany>) -> Self {
        let companies = page.elements.into_iter().map(ListedCompanyData::from).collect();
        Self { companies, next_cursor: page.next_cursor, total: page.total.into() }
    }
}

impl Input for ListCompanies {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (status, search) = (request.query("status"), search(request));
        let order = sort(request, &[("id", CompanyOrder::Id), ("name", CompanyOrder::Name)]);
        let page = counted_page(request);
        Some(Self { status: status?, search: search?, order: order?, page: page? })
    }
}

/// Lists all companies: those that were ever changed or provisioned, and that are not erased.
///
/// A company in the request does not filter the list.
#[utoipa::path(
    tag = "Companies",
    params(
        ("status" = Option<CompanyStatus>, Query, description = "Only companies with this status"),
        (
            "q" = Option<String>,
            Query,
            max_length = 255,
            description = "Only companies whose name contains this text, regardless of case, or whose id begins with it",
        ),
        (
            "sort" = Option<String>,
            Query,
            description = "`id`, or `name` (companies without a name are last). Default: `id`",
        ),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "The page size. Default: 50"),
        (
            "cursor" = Option<String>,
            Query,
            description = "The nextCursor of the previous page. The filters and the sort order must be the same",
        ),
        ("total" = Option<bool>, Query, description = "If true, the response contains the number of all companies"),
    ),
    responses((status = 200, body = Success<CompaniesData>)),
)]
#[get("/api/iam/companies")]
pub(crate) async fn list_companies(call: Authorized<Platform, ListCompanies>) -> ApiResult {
    let page = call.application().list_companies(call.caller(), &call.input).await?;
    ApiResponse::ok().data(CompaniesData::from(page))
}
