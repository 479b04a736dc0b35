//! The state of the API that all workers share: services, options, rate limiters and the response cache.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use iam_application::{Application, DecisionContext, HealthProbe};
use iam_domain::{Caller, Clock, CompanyId};
use iam_identity::TokenVerifier;
use iam_permissions_cache::Consistency;

use crate::middleware::{AllowedOrigins, Limiter, RateLimit};
use crate::respond::{ApiError, ResponseCache};

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
    /// Timeout for a request. On timeout, the response is 503, but a change in progress is not cancelled. Default: 30
    /// s.
    pub request_timeout: Duration,
    /// The rate limit per caller. `None` means no limit. Default: `None`.
    pub rate_limit: Option<RateLimit>,
    /// The rate limit per caller for forced loads. A request causes a forced load if it must read the storage, because
    /// the cache cannot satisfy the required consistency. Default: 20 requests per second with bursts of 100.
    pub forced_loads: RateLimit,
    /// Maximum total size of the response cache, in bytes. Callers with identical responses share one cached body.
    /// Default: 64 MiB.
    pub max_body_bytes: u64,
    /// Whether the access log line of each request has the level `info`. If `false`, the line has the level `debug`.
    /// Default: `false`.
    pub log_requests: bool,
    /// Whether the API serves its documentation at `/docs` and `/openapi.json`. Default: `true`.
    pub documentation: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            cors_origins: AllowedOrigins::default(),
            request_timeout: Duration::from_secs(30),
            rate_limit: None,
            forced_loads: RateLimit {
                per_second: NonZeroU32::MIN.saturating_add(19),
                burst: NonZeroU32::MIN.saturating_add(99),
            },
            max_body_bytes: 64 * 1024 * 1024,
            log_requests: false,
            documentation: true,
        }
    }
}

/// The state of the API that all workers share: services, options, rate limiters and the response cache.
pub struct Api {
    services: Services,
    options: HttpOptions,
    requests: Option<Limiter>,
    forced_loads: Limiter,
    response_cache: ResponseCache,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Api {
    /// Creates the shared state. Call this function once per process, because all workers must share the rate limiters
    /// and the cache.
    #[must_use]
    pub fn new(services: Services, options: HttpOptions) -> Data<Self> {
        Data::new(Self {
            services,
            requests: options.rate_limit.map(Limiter::new),
            forced_loads: Limiter::new(options.forced_loads),
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

    /// Counts a request against the caller's rate limit. If the limit is exceeded, the response is 429.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        self.requests.as_ref().map_or(Ok(()), |limiter| limiter.admit(caller))
    }

    /// Counts a request against the caller's rate limit for forced loads if the cache cannot satisfy the required
    /// consistency. If the limit is exceeded, the response is 429.
    pub(crate) fn admit_load(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        consistency: Consistency,
    ) -> Result<(), ApiError> {
        let is_cached = || {
            let context = company.map(|company| DecisionContext { caller, company, consistency });
            context.is_some_and(|context| self.services.application.has_cached_access(&context))
        };
        // Super admins and services may check other subjects. The subject of this request has not been parsed yet, so a
        // cache lookup for the caller would be inconclusive. Therefore, this limit does not apply if such a caller
        // requires a minimum version.
        let may_check_others = caller.is_super_admin() || matches!(caller, Caller::Service(_));
        let has_min_version = may_check_others && matches!(consistency, Consistency::AtLeast(_));
        if consistency == Consistency::Cached || has_min_version || is_cached() {
            Ok(())
        } else {
            self.forced_loads.admit(caller)
        }
    }
}
