//! Limits the duration of every request, and turns a panic into an error response.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use futures_util::FutureExt;

use crate::Api;
use crate::respond::ApiError;

/// The innermost middleware. The response is 503 if a request times out, and 500 if its handler panics.
pub(crate) async fn timeout_and_panic(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let timeout = request.app_data::<Data<Api>>().map(|api| api.options().request_timeout);
    // Requests share state only through locks that a panic cannot leave inconsistent.
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind();
    let outcome = match timeout {
        Some(timeout) => tokio::time::timeout(timeout, answer).await.map_err(|_| timeout),
        None => Ok(answer.await),
    };
    let failure = match outcome {
        Ok(Ok(answer)) => return answer.map(ServiceResponse::map_into_boxed_body),
        Ok(Err(_panic)) => ApiError::internal("the request handler panicked"),
        Err(timeout) => ApiError::unavailable(format!("the request took longer than {timeout:?}")),
    };
    Err(failure.into())
}
