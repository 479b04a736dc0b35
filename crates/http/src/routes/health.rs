//! The health endpoints: liveness and readiness of the process, and health of the storage.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use iam_application::{Readiness, ReadinessCheck, SchemaVersions};
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

/// The schema versions that the service accepts, and the version of the database. A version is the name of a migration.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaBody {
    /// The oldest accepted version.
    min: String,
    /// The newest accepted version; `null` if every newer version is accepted.
    #[schema(required = true)]
    max: Option<String>,
    /// The version of the database; `null` if no migration is applied.
    #[schema(required = true)]
    found: Option<String>,
}

impl From<SchemaVersions> for SchemaBody {
    fn from(versions: SchemaVersions) -> Self {
        let SchemaVersions { min, max, found } = versions;
        Self { min, max, found }
    }
}

/// One condition of readiness.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckBody {
    /// The name of the condition.
    name: &'static str,
    /// Whether the condition holds.
    ok: bool,
    /// The stable code of the problem with the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::readiness_reason)]
    reason: Option<&'static str>,
    /// The description of the problem with the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<String>,
    /// The versions of the schema. Present in the condition `schema` as soon as the schema has been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    schema: Option<SchemaBody>,
}

impl From<ReadinessCheck> for CheckBody {
    fn from(check: ReadinessCheck) -> Self {
        let ReadinessCheck { name, problem, schema } = check;
        let (reason, problem) = problem.map(|problem| (problem.reason.code(), problem.text)).unzip();
        Self { name, ok: problem.is_none(), reason, problem, schema: schema.map(Into::into) }
    }
}

/// The response to a liveness or readiness check.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProbeBody {
    /// `ok`, `degraded` or `unavailable`.
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
    probe(Readiness::default(), &request)
}

/// Checks readiness.
///
/// The process is ready if it has reached the storage, the schema of the storage is up to date, and the process is not
/// shutting down. While the storage cannot be polled, the process is `degraded` as long as it may serve cached decisions,
/// and not ready afterwards.
#[utoipa::path(
    tag = "Health",
    params(("verbose" = Option<bool>, Query, description = "Lists the conditions")),
    responses((status = 200, body = ProbeBody), (status = 503, body = ProbeBody)),
)]
#[get("/readyz")]
pub(crate) async fn ready(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    probe(api.services().probe.readiness(), &request)
}

/// Builds the response to a liveness or readiness check.
pub(crate) fn probe(readiness: Readiness, request: &HttpRequest) -> HttpResponse {
    let (is_ready, has_problem) = (readiness.is_ready(), readiness.problems().next().is_some());
    let status = match (is_ready, has_problem) {
        (true, false) => "ok",
        (true, true) => "degraded",
        (false, _) => "unavailable",
    };
    respond(is_ready, status, readiness.checks.into_iter().map(Into::into).collect(), request)
}

/// Builds the response to a liveness check from the time for which each runtime has been silent.
pub(crate) fn liveness(silences: &[(&'static str, Duration)], limit: Duration, request: &HttpRequest) -> HttpResponse {
    let check = |(name, silence): &(&'static str, Duration)| {
        let is_stalled = *silence > limit;
        let problem = is_stalled.then(|| format!("has executed no task for {} s", silence.as_secs()));
        CheckBody { name, ok: !is_stalled, reason: is_stalled.then_some("stalled"), problem, schema: None }
    };
    let checks: Vec<_> = silences.iter().map(check).collect();
    let is_live = checks.iter().all(|check| check.ok);
    respond(is_live, if is_live { "ok" } else { "unavailable" }, checks, request)
}

fn respond(succeeds: bool, status: &'static str, checks: Vec<CheckBody>, request: &HttpRequest) -> HttpResponse {
    let mut response = if succeeds { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    // Unknown query parameters are ignored, so that they never make a probe fail.
    let is_verbose = request.query_string().split('&').any(|part| {
        let (name, word) = part.split_once('=').unwrap_or((part, ""));
        name == "verbose" && word != "false"
    });
    // A probe with a problem lists the conditions even without `?verbose`, since operators need the reason.
    let checks = (is_verbose || status != "ok").then_some(checks);
    uncached(response.json(ProbeBody { status, checks }))
}

/// Adds `Cache-Control: no-store` to a response.
fn uncached(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;
    use actix_web::test::TestRequest;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_process_is_alive_unless_a_runtime_is_silent_for_long() {
        let request = TestRequest::with_uri("/livez").to_http_request();
        let ask = |of_http: u64| {
            let silences = [("main", Duration::from_secs(1)), ("http", Duration::from_secs(of_http))];
            let response = liveness(&silences, Duration::from_secs(10), &request);
            let status = response.status().as_u16();
            let body = response.into_body().try_into_bytes().unwrap();
            (status, serde_json::from_slice::<Value>(&body).unwrap())
        };
        assert_eq!(ask(10), (200, json!({ "status": "ok" })));
        let problem = "has executed no task for 11 s";
        let checks = json!([
            { "name": "main", "ok": true },
            { "name": "http", "ok": false, "reason": "stalled", "problem": problem },
        ]);
        assert_eq!(ask(11), (503, json!({ "status": "unavailable", "checks": checks })));
    }
}
