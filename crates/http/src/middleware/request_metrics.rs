//! Records the number and the duration of requests as metrics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};

/// The metric handles for all requests with the same method, route and status.
struct Series {
    method: &'static str,
    status: StatusCode,
    requests: metrics::Counter,
    durations: metrics::Histogram,
}

thread_local! {
    /// The metric handles that this thread has cached, by route. Looking up a series by its labels in the metrics
    /// registry takes longer than handling most requests.
    static SERIES: RefCell<HashMap<String, Vec<Series>>> = RefCell::default();
}

/// Counts a completed request and records its duration.
pub(super) fn count(method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
    let method = method_label(method);
    SERIES.with_borrow_mut(|routes| {
        let of_route = match routes.get_mut(route) {
            Some(of_route) => of_route,
            None => routes.entry(route.to_owned()).or_default(),
        };
        let known = of_route.iter().position(|series| series.method == method && series.status == status);
        if known.is_none() {
            let labels =
                [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_str().to_owned())];
            of_route.push(Series {
                method,
                status,
                requests: metrics::counter!("iam_http_requests_total", &labels),
                durations: metrics::histogram!("iam_http_request_duration_seconds", &labels),
            });
        }
        if let Some(series) = known.map_or(of_route.last(), |known| of_route.get(known)) {
            series.requests.increment(1);
            series.durations.record(elapsed.as_secs_f64());
        }
    });
}

/// Returns the metric label of a method. Unknown methods share one label, so that clients cannot increase the
/// cardinality of the metrics.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
