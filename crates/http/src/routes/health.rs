//! The health endpoints: liveness and readiness of the process, and health of the storage.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use iam_application::Readiness;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::respond::schema;

/// The response to a health check of the process.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(schema_with = schema::ok_status)]
    status: &'static str,
    /// The current time.
    #[schema(value_type = String, format = DateTime)]
    timestamp: iam_domain::Timestamp,
}

/// Returns 200 as long as the process is running.
#[utoipa::path(tag = "Health", responses((status = 200, body = Health)))]
#[get("/health")]
pub(crate) async fn health(api: Data<Api>) -> HttpResponse {
    uncached(HttpResponse::Ok().json(Health { status: "ok", timestamp: api.services().clock.now() }))
}

/// The health of the storage.
#[derive(Serialize, ToSchema)]
pub(crate) struct DatabaseHealth {
    /// Whether the storage responds to a ping.
    healthy: bool,
}

/// Checks whether the storage responds to a ping.
#[utoipa::path(tag = "Health", responses((status = 200, body = DatabaseHealth), (status = 503, body = DatabaseHealth)))]
#[get("/health/db")]
pub(crate) async fn database_health(api: Data<Api>) -> HttpResponse {
    let healthy = api.services().probe.storage_is_healthy().await;
    let mut response = if healthy { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    uncached(response.json(DatabaseHealth { healthy }))
}

/// One condition of readiness.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckBody {
    /// The name of the condition.
    name: &'static str,
    /// Whether the condition holds.
    ok: bool,
    /// The reason why the condition does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<String>,
}

/// The response to a liveness or readiness check.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProbeBody {
    /// `ok` or `unavailable`.
    #[schema(schema_with = schema::probe_status)]
    status: &'static str,
    /// The conditions that were checked. Present with `?verbose`, or if a condition does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checks: Option<Vec<CheckBody>>,
}

/// Checks liveness: whether the event loop of the process is running.
///
/// This check never reads the storage.
#[utoipa::path(
    tag = "Health",
    params(("verbose" = Option<bool>, Query, description = "Lists the conditions")),
    responses((status = 200, body = ProbeBody)),
)]
#[get("/livez")]
pub(crate) async fn live(request: HttpRequest) -> HttpResponse {
    probe(&Readiness::default(), &request)
}

/// Checks readiness.
///
/// The process is ready if it has reached the storage, the schema of the storage is up to date, and the process is not
/// shutting down.
#[utoipa::path(
    tag = "Health",
    params(("verbose" = Option<bool>, Query, description = "Lists the conditions")),
    responses((status = 200, body = ProbeBody), (status = 503, body = ProbeBody)),
)]
#[get("/readyz")]
pub(crate) async fn ready(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    probe(&api.services().probe.readiness(), &request)
}

/// Builds the response to a liveness or readiness check.
pub(crate) fn probe(readiness: &Readiness, request: &HttpRequest) -> HttpResponse {
    let is_ready = readiness.is_ready();
    let mut response = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    // Unknown query parameters are ignored, so that they never make a probe fail.
    let is_verbose = request.query_string().split('&').any(|part| {
        let (name, word) = part.split_once('=').unwrap_or((part, ""));
        name == "verbose" && word != "false"
    });
    // A failed probe lists the conditions even without `?verbose`, since operators need the reason.
    let checks = (is_verbose || !is_ready).then(|| {
        readiness
            .checks
            .iter()
            .map(|check| CheckBody { name: check.name, ok: check.problem.is_none(), problem: check.problem.clone() })
            .collect()
    });
    uncached(response.json(ProbeBody { status: if is_ready { "ok" } else { "unavailable" }, checks }))
}

/// Adds `Cache-Control: no-store` to a response.
fn uncached(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
