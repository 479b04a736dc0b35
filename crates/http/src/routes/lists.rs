//! The parameters and the response members that all lists share.

use iam_application::{Direction, FieldCode, MemberOrder, PageRequest, SearchText, Total};
use iam_domain::ExternalId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{flag, page_size};
use crate::extract::{Input, RequestReader};

/// Maximum length of a search text in characters.
const MAX_SEARCH: usize = 255;

/// Reads the parameters `limit` and `cursor`.
pub(crate) fn page(request: &mut RequestReader<'_>) -> Option<PageRequest> {
    let (limit, cursor) = (page_size(request), request.query::<String>("cursor"));
    if cursor.as_ref().is_some_and(|cursor| cursor.as_ref().is_some_and(|text| text.contains('\0'))) {
        return request.reject("cursor", FieldCode::Nul, "must not contain NUL characters");
    }
    Some(PageRequest { limit: limit?, cursor: cursor?, include_total: false })
}

impl Input for PageRequest {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        page(request)
    }
}

/// Reads the parameters `limit`, `cursor` and `total`.
pub(crate) fn counted_page(request: &mut RequestReader<'_>) -> Option<PageRequest> {
    let (page, include_total) = (page(request), flag(request, "total"));
    Some(PageRequest { include_total: include_total?, ..page? })
}

/// Reads the parameter `sort` of a list with these sort orders. The first one is the default.
pub(crate) fn sort<S: Copy>(request: &mut RequestReader<'_>, orders: &[(&str, S)]) -> Option<S> {
    let named = request.query::<String>("sort")?;
    let mut found = orders.iter().filter(|(name, _)| named.as_deref().is_none_or(|named| named == *name));
    if let Some((_, order)) = found.next() {
        return Some(*order);
    }
    let names: Vec<_> = orders.iter().map(|(name, _)| *name).collect();
    request.reject("sort", FieldCode::Unknown, format_args!("must be one of: {}", names.join(", ")))
}

/// Reads the parameter `q`, a search text.
pub(crate) fn search(request: &mut RequestReader<'_>) -> Option<Option<String>> {
    let text = request.query::<String>("q")?;
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_SEARCH) {
        return request.reject("q", FieldCode::TooLong, format_args!("must be at most {MAX_SEARCH} characters"));
    }
    if text.as_ref().is_some_and(|text| text.contains('\0')) {
        return request.reject("q", FieldCode::Nul, "must not contain NUL characters");
    }
    Some(text)
}

/// Reads the parameter `q` of a list of members.
pub(crate) fn member_search(request: &mut RequestReader<'_>) -> Option<Option<SearchText>> {
    let Some(text) = search(request)? else { return Some(None) };
    if ExternalId::may_be(&text) {
        return Some(request.query_user("q")?.map(|user| SearchText::User(user.id)));
    }
    Some(Some(SearchText::Text(text)))
}

/// The sort orders of lists of members.
pub(crate) const MEMBER_ORDERS: [(&str, MemberOrder); 3] = [
    ("id", MemberOrder::Id(Direction::Ascending)),
    ("-id", MemberOrder::Id(Direction::Descending)),
    ("name", MemberOrder::Name),
];

/// The total number of elements of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TotalData {
    /// The total number of elements, if requested. Counting stops at 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<u64>,
    /// `true` if there are more elements than `total`. Otherwise omitted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    total_is_lower_bound: bool,
}

impl From<Option<Total>> for TotalData {
    fn from(total: Option<Total>) -> Self {
        match total {
            None => Self { total: None, total_is_lower_bound: false },
            Some(Total::Exactly(total)) => Self { total: Some(total), total_is_lower_bound: false },
            Some(Total::MoreThan(total)) => Self { total: Some(total), total_is_lower_bound: true },
        }
    }
}
