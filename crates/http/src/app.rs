//! The one place where the Actix application is put together.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use iam_application::{Application, Probe};
use iam_domain::{Caller, UserId};
use iam_identity::TokenVerifier;

use crate::error::{ApiError, Code};
use crate::{middleware, openapi, routes};

/// What the API works with.
#[derive(Clone)]
pub struct Services {
    /// The use cases.
    pub application: Arc<Application>,
    /// Knows callers.
    pub verifier: Arc<TokenVerifier>,
    /// Answers about the process.
    pub probe: Arc<dyn Probe>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// How often one caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run, a second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// How the API is served.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Origins of other sites that browsers may call from; `*` is all. None by default.
    pub cors_origins: Vec<String>,
    /// How long a request may take before it is answered with 503. A change that is under way goes on to its end.
    pub request_timeout: Duration,
    /// Limits callers; `None` does not.
    pub rate_limit: Option<RateLimit>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { cors_origins: Vec::new(), request_timeout: Duration::from_secs(30), rate_limit: None }
    }
}

/// The API: services and options, shared by all workers.
pub struct Api {
    services: Services,
    options: HttpOptions,
    limiter: Option<DefaultKeyedRateLimiter<UserId>>,
    /// Requests that asked the limiter.
    admitted: AtomicU64,
    document: utoipa::openapi::OpenApi,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

/// How many callers the rate limiter may remember before it forgets those whose quota is whole again.
const REMEMBERED_CALLERS: usize = 10_000;
/// How many requests pass before it looks again: forgetting goes through all that it remembers.
const CLEAN_EVERY: u64 = 1024;

impl Api {
    /// Puts the API together, once a process: its limits hold for all workers.
    #[must_use]
    pub fn new(services: Services, options: HttpOptions) -> Data<Self> {
        let limiter = options
            .rate_limit
            .map(|limit| RateLimiter::keyed(Quota::per_second(limit.per_second).allow_burst(limit.burst)));
        Data::new(Self { services, options, limiter, admitted: AtomicU64::new(0), document: openapi::document() })
    }

    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) const fn options(&self) -> &HttpOptions {
        &self.options
    }

    pub(crate) const fn document(&self) -> &utoipa::openapi::OpenApi {
        &self.document
    }

    /// Whether the caller may ask now.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let admitted = self.admitted.fetch_add(1, Ordering::Relaxed);
        if admitted.is_multiple_of(CLEAN_EVERY) && limiter.len() > REMEMBERED_CALLERS {
            limiter.retain_recent();
        }
        limiter.check_key(&caller.user_id).map_err(|denied| {
            let wait = denied.wait_time_from(DefaultClock::default().now());
            let error = ApiError::new(Code::RateLimited, "Too many requests");
            // Whole seconds, rounded up: earlier would be refused again.
            ApiError { retry_after: Some(wait.as_secs() + 1), ..error }
        })
    }
}

/// Mounts everything into an Actix application: routes, documentation, health, and what wraps them all.
pub fn configure(config: &mut ServiceConfig, api: &Data<Api>) {
    config.app_data(Data::clone(api)).service(
        web::scope("")
            .wrap(from_fn(middleware::guard))
            .wrap(cors(&api.options().cors_origins))
            .wrap(from_fn(middleware::observe))
            .configure(openapi::register)
            .service(utoipa_swagger_ui::SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", api.document().clone()))
            .route("/docs", web::get().to(routes::health::docs))
            .default_service(web::route().to(routes::health::no_such_route)),
    );
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(["authorization", "content-type", "if-match", "if-none-match", "x-company-id", "x-request-id"])
        .expose_headers(["etag", "retry-after", "x-iam-version", "x-request-id"])
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
