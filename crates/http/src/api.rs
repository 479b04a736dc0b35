//! The state of the API that all workers share: services, options, work in flight and the response cache.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use iam_application::{Application, Budgets, HealthProbe, Rate};
use iam_domain::Clock;
use iam_identity::TokenVerifier;

use crate::failure_limit::FailureLimit;
use crate::in_flight::{InFlight, InFlightLimits};
use crate::middleware::{AllowedOrigins, ClientAddresses};
use crate::pages::Pages;
use crate::respond::{ApiError, RateLimitState, ResponseCache};

/// The name of the budget of failed authentications, in headers and metrics.
const ADDRESS: &str = "address";

/// The services that the API depends on.
#[derive(Clone)]
pub struct Services {
    /// The application, which provides the use cases.
    pub application: Arc<Application>,
    /// The verifier of the callers' access tokens (JWTs).
    pub verifier: Arc<TokenVerifier>,
    /// The probe that reports the readiness of the process and the health of the storage.
    pub probe: Arc<dyn HealthProbe>,
    /// The clock that determines whether an API key has expired. `GET /health` also returns the time of this clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// The options of the API.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The origins whose web pages may call the API from a browser (CORS). Default: none.
    pub cors_origins: AllowedOrigins,
    /// Determines the addresses of clients, for the limits per address. Default: the peer of the connection is the client.
    pub clients: ClientAddresses,
    /// Interval in which a client must send at least 16 KiB of a request body, or the rest of it. Otherwise, the response
    /// is 408. Default: 5 s.
    pub body_timeout: Duration,
    /// Timeout for a request. On timeout, the response is 503, but a change in progress is not cancelled. Default: 30
    /// s.
    pub request_timeout: Duration,
    /// The rate of failed authentications of each client address, above which further credentials from the address are
    /// not verified: the response is 429. Credentials that were verified recently are still accepted. `None` means no
    /// limit. Default: `None`.
    pub failures_per_address: Option<Rate>,
    /// The bounds of the work in flight.
    pub in_flight: InFlightLimits,
    /// Maximum total size of the response cache, in bytes. Callers with identical responses share one cached body.
    /// Default: 64 MiB.
    pub max_body_bytes: u64,
    /// Whether the access log line of each request has the level `info`. If `false`, the line has the level `debug`.
    /// Default: `false`.
    pub log_requests: bool,
    /// Whether the API serves its documentation at `/docs` and `/openapi.json`. Default: `true`.
    pub documentation: bool,
    /// Pages that are mounted beside the operations of the API. Default: none.
    pub pages: Option<Pages>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            cors_origins: AllowedOrigins::default(),
            clients: ClientAddresses::default(),
            body_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            failures_per_address: None,
            in_flight: InFlightLimits::default(),
            max_body_bytes: 64 * 1024 * 1024,
            log_requests: false,
            documentation: true,
            pages: None,
        }
    }
}

/// The state of the API that all workers share: services, options, work in flight and the response cache.
pub struct Api {
    services: Services,
    options: HttpOptions,
    failures: FailureLimit,
    in_flight: InFlight,
    response_cache: ResponseCache,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Api {
    /// Creates the shared state. Call this function once per process, because all workers must share the limits and the
    /// cache.
    #[must_use]
    pub fn new(services: Services, options: HttpOptions) -> Data<Self> {
        Data::new(Self {
            services,
            failures: FailureLimit::new(options.failures_per_address),
            in_flight: InFlight::new(options.in_flight),
            response_cache: ResponseCache::new(options.max_body_bytes),
            options,
        })
    }

    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) const fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Returns the cache of response bodies.
    pub(crate) const fn response_cache(&self) -> &ResponseCache {
        &self.response_cache
    }

    /// Returns the limit on failed authentications per client address.
    pub(crate) const fn failures(&self) -> &FailureLimit {
        &self.failures
    }

    /// Checks that the client address has not exceeded the limit on failed authentications. If it has, the response is
    /// 429.
    pub(crate) fn check_failures(&self, client: Option<IpAddr>) -> Result<(), ApiError> {
        self.failures.check(client).map_err(|(rate, empty)| {
            metrics::counter!("iam_rate_limited_total", "budget" => ADDRESS).increment(1);
            let limit = RateLimitState::exhausted(ADDRESS, rate, empty.retry_after);
            ApiError::rate_limited("Too many failed authentications from this address", limit, empty.retry_after)
        })
    }

    /// Returns the work in flight.
    pub(crate) const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Returns the budgets of callers and companies.
    pub(crate) fn budgets(&self) -> &Budgets {
        self.services.application.budgets()
    }
}
