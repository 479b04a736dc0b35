//! The trace of a request: its id, which log lines contain, and the span of the request, if the trace is sampled.

use actix_web::dev::ServiceRequest;
use actix_web::http::{Method, StatusCode};
use iam_domain::{Caller, CompanyId};
use iam_traces::{Attached, KeyValue, OpenSpan, Parent, SpanKind, TRACE_PARENT, TRACE_STATE, TraceId, root};

use super::request_metrics::method_label;
use super::routes::HEALTH_CHECKS;

/// The trace of a request.
#[derive(Default)]
pub(super) struct RequestTrace {
    /// The id of the trace. `None` if the request has no valid `traceparent` and is not sampled.
    id: Option<TraceId>,
    span: Option<OpenSpan>,
}

impl RequestTrace {
    /// Reads the trace context of a request, and begins the span of the request if the trace is sampled. Health checks
    /// have no span. The path of the request is no attribute of the span, because it can contain names of users.
    pub(super) fn begin(request: &ServiceRequest, route: &str) -> Self {
        let parent = parent(request);
        let id = parent.as_ref().map(Parent::trace_id);
        if !iam_traces::is_enabled() || HEALTH_CHECKS.contains(&route) {
            return Self { id, span: None };
        }
        let method = semantic(request.method());
        let describe = || {
            let name = format!("{} {route}", if method == OTHER { "HTTP" } else { method });
            let attributes =
                vec![KeyValue::new("http.request.method", method), KeyValue::new("http.route", route.to_owned())];
            (name.into(), attributes)
        };
        let span = root(SpanKind::Server, parent.as_ref(), describe);
        Self { id: span.as_ref().map(OpenSpan::trace_id).or(id), span }
    }

    /// Returns the id of the trace, if it is known.
    pub(super) const fn id(&self) -> Option<TraceId> {
        self.id
    }

    /// Makes the span of the request the current span, until the returned guard is dropped.
    pub(super) fn attach(&self) -> Option<Attached> {
        self.span.as_ref().map(OpenSpan::attach)
    }

    /// Records the id of the request in the span.
    pub(super) fn record_request_id(&self, id: &str) {
        self.set(|| KeyValue::new("iam.request_id", id.to_owned()));
    }

    /// Records the company of the request in the span.
    pub(super) fn record_company(&self, company: CompanyId) {
        self.set(|| KeyValue::new("iam.company", company.to_string()));
    }

    /// Records the authenticated caller in the span, as the actor.
    pub(super) fn record_actor(&self, caller: Caller) {
        self.set(|| KeyValue::new("iam.actor", caller.actor().to_string()));
    }

    /// Records the response in the span, and ends the span. Only a status from 500 is an error of the service.
    pub(super) fn end(&self, status: StatusCode, bytes: Option<u64>) {
        let Some(span) = &self.span else { return };
        span.set(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if let Some(bytes) = bytes.and_then(|bytes| i64::try_from(bytes).ok()) {
            span.set(KeyValue::new("http.response.body.size", bytes));
        }
        if status.is_server_error() {
            span.fail(status.as_str().to_owned().into());
        }
        span.end();
    }

    fn set(&self, attribute: impl FnOnce() -> KeyValue) {
        if let Some(span) = &self.span {
            span.set(attribute());
        }
    }
}

/// Returns the parent that the headers of a request specify. Several parents are ambiguous, so they count as absent.
fn parent(request: &ServiceRequest) -> Option<Parent> {
    let mut parents = request.headers().get_all(TRACE_PARENT);
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states: Option<Vec<_>> = request.headers().get_all(TRACE_STATE).map(|state| state.to_str().ok()).collect();
    Parent::parse(parent.to_str().ok()?, states.map(|states| states.join(",")).as_deref())
}

/// The method of the requests whose method the service does not know, in the semantic conventions.
const OTHER: &str = "_OTHER";

/// Returns the name of a method in the semantic conventions, which bound the number of names.
fn semantic(method: &Method) -> &'static str {
    match method_label(method) {
        "other" => OTHER,
        known => known,
    }
}
