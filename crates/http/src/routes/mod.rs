//! The handlers of all operations, one module per resource.

pub(crate) mod api_keys;
pub(crate) mod assignment_list;
pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod ceilings;
pub(crate) mod companies;
pub(crate) mod company_list;
pub(crate) mod decisions;
pub(crate) mod directory;
pub(crate) mod explain;
pub(crate) mod fallback;
pub(crate) mod features;
pub(crate) mod health;
pub(crate) mod lists;
pub(crate) mod matrices;
pub(crate) mod matrix;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod menu;
pub(crate) mod modules;
pub(crate) mod nullified;
pub(crate) mod openapi;
pub(crate) mod preview_operations;
pub(crate) mod preview_request;
pub(crate) mod previews;
pub(crate) mod profiles;
pub(crate) mod quotas;
pub(crate) mod trail;
pub(crate) mod user_levels;
pub(crate) mod users;
pub(crate) mod views;
pub(crate) mod who_can;

use iam_application::FieldCode;

use crate::extract::RequestReader;

/// Maximum number of elements on a page.
const MAX_LIMIT: u64 = 200;
/// Default number of elements on a page.
const DEFAULT_LIMIT: u64 = 50;

/// Reads the page size from the query parameter `limit`.
fn page_size(request: &mut RequestReader<'_>) -> Option<u64> {
    match word::<u64>(request, "limit")? {
        None => Some(DEFAULT_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Some(limit),
        Some(_) => request.reject("limit", FieldCode::Range, format_args!("must be between 1 and {MAX_LIMIT}")),
    }
}

/// Reads the query parameter with this name, which is `true` or `false`. Default: `false`.
fn flag(request: &mut RequestReader<'_>, name: &'static str) -> Option<bool> {
    match request.query::<String>(name)?.as_deref() {
        None | Some("false") => Some(false),
        Some("true") => Some(true),
        Some(_) => request.reject(name, FieldCode::Type, "must be true or false"),
    }
}

/// Reads an optional query parameter whose type implements `FromStr`, such as a keyword or a number.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    request: &mut RequestReader<'_>,
    name: &'static str,
) -> Option<Option<T>> {
    match request.query::<String>(name)? {
        None => Some(None),
        Some(text) => match text.parse() {
            Ok(word) => Some(Some(word)),
            Err(error) => request.reject(name, FieldCode::Invalid, format_args!("is not valid: {error}")),
        },
    }
}

/// Defines types of response data that have a single field, such as `{"views": […]}`. The data in the response to a
/// change also has a message.
macro_rules! data {
    ($($(#[doc = $doc:tt])+ $name:ident { $field:ident: $type:ty $(, $message:ident)? })+) => {$(
        $(#[doc = $doc])+
        #[derive(serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $name {
            $(
                /// The human-readable result of the operation.
                pub(crate) $message: &'static str,
            )?
            $(#[doc = $doc])+
            pub(crate) $field: $type,
        }
    )+};
}
pub(crate) use data;
