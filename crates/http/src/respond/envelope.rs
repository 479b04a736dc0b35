//! The JSON envelope of successful responses.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema;

/// The envelope of every successful response.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success<T> {
    /// Always `success`.
    #[schema(schema_with = schema::success_status)]
    status: &'static str,
    /// The data of the response.
    data: T,
}

impl<T> Success<T> {
    pub(crate) const fn new(data: T) -> Self {
        Self { status: "success", data }
    }
}

/// The data of a response that contains only a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// The human-readable result of the operation.
    message: &'static str,
}

impl Message {
    pub(crate) const fn new(message: &'static str) -> Self {
        Self { message }
    }
}
