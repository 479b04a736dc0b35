//! Requests to preview a change: the request that makes the change, and its execution as a preview.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::{Path, Url};
use actix_web::http::{Method, StatusCode};
use iam_application::{Change, IfMatch, PageRequest, PreviewPage, PreviewRequest, Requirement};
use iam_domain::Versions;
use serde_json::{Map, Value};

use crate::extract::{Authorized, FindAllowed, Input, RequestLine, agreed};
use crate::respond::ApiError;

/// A request to preview a change.
pub(crate) type PreviewCall = Authorized<FindAllowed, InnerRequest>;

/// The future that computes a preview.
type Previewing<'a> = Pin<Box<dyn Future<Output = Result<Previewed, ApiError>> + 'a>>;

/// An operation whose change can be previewed.
pub(crate) struct Previewable {
    pub(crate) method: Method,
    pub(crate) pattern: &'static str,
    /// The status with which the operation answers if the change succeeds.
    pub(crate) status: StatusCode,
    pub(crate) preview: for<'a> fn(&'a PreviewCall) -> Previewing<'a>,
}

/// The request that makes the change, and the requested page of affected users.
pub(crate) struct InnerRequest {
    pub(crate) operation: &'static Previewable,
    pub(crate) path: Path<Url>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<Result<Map<String, Value>, ApiError>>,
    pub(crate) if_match: IfMatch,
    /// A text that identifies the request.
    pub(crate) text: String,
    pub(crate) page: PageRequest,
}

/// The preview of a change.
pub(crate) struct Previewed {
    /// The versions that were read. `None` if the change was rejected before the company was read.
    pub(crate) versions: Option<Versions>,
    /// The effect of the change, or the error with which it would be rejected.
    pub(crate) outcome: Result<PreviewPage, ApiError>,
}

impl Previewed {
    /// Returns the preview of a change that is rejected with this error. An error of the server is not an outcome.
    fn rejected(versions: Option<Versions>, error: ApiError) -> Result<Self, ApiError> {
        if error.code.status().is_server_error() { Err(error) } else { Ok(Self { versions, outcome: Err(error) }) }
    }
}

/// Previews a change as the operation of the change would make it: checks the requirement, reads the request, and
/// executes the change, in this order.
pub(crate) async fn preview_of<C: Change + Input>(call: &PreviewCall) -> Result<Previewed, ApiError> {
    let InnerRequest { operation, path, query, body, if_match, text, page } = &call.input;
    if let Err(error) = call.authorize_inner(C::REQUIREMENT).await {
        return Previewed::rejected(None, error);
    }
    let (pattern, if_match) = (operation.pattern.into(), if_match.clone());
    let line = RequestLine { method: &operation.method, path, pattern, if_match };
    let change: C = match call.read_inner(line, query, body) {
        Ok(change) => change,
        Err(error) => return Previewed::rejected(None, error),
    };
    let may_list_users = call.meets(Requirement::ReadIam).await?;
    let (company, parameters, page) = (call.company()?, text.clone(), page.clone());
    let request = PreviewRequest { change, company, parameters, page, may_list_users };
    let preview = call.application().preview(call.context(), request).await?;
    let versions = Some(preview.versions);
    match preview.outcome {
        Ok(page) => Ok(Previewed { versions, outcome: Ok(page) }),
        Err(failure) => Previewed::rejected(versions, failure.into()),
    }
}

/// Checks that the change specifies no other company than the request.
pub(crate) fn check_company(call: &PreviewCall) -> Result<(), ApiError> {
    let InnerRequest { path, query, body, .. } = &call.input;
    let own = call.company()?.to_string();
    let path = path.get("companyId").map(Ok);
    let query = query.iter().filter(|(name, _)| name == "companyId").map(|(_, value)| Ok(value.as_str()));
    let body = body.as_ref().and_then(|body| body.as_ref().ok()?.get("companyId"));
    let body = body.map(|id| id.as_str().ok_or(()));
    agreed(std::iter::once(Ok(own.as_str())).chain(path).chain(query).chain(body)).map(drop)
}
