//! The state of the API that all workers share: its services, options, limits and caches.

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

/// The services that the API uses.
#[derive(Clone)]
pub struct Services {
    /// The use cases.
    pub application: Arc<Application>,
    /// The verifier of callers' tokens.
    pub verifier: Arc<TokenVerifier>,
    /// The liveness and readiness of the process.
    pub probe: Arc<dyn HealthProbe>,
    /// The clock by which API keys expire.
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
    /// The web origins whose pages may call the API from a browser. Default: none.
    pub cors_origins: AllowedOrigins,
    /// Timeout for a request. On timeout, the response is 503; a running change still completes. Default: 30 s.
    pub request_timeout: Duration,
    /// The rate limit per caller. `None` means no limit. Default: `None`.
    pub rate_limit: Option<RateLimit>,
    /// The rate limit per caller for requests that force a read of the storage although a cached decision exists.
    /// Default: 20 requests per second with bursts of 100.
    pub forced_loads: RateLimit,
    /// Maximum size of cached response bodies, in bytes. Callers with the same response share a body. Default: 64 MiB.
    pub max_body_bytes: u64,
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
        }
    }
}

/// The API: services and options, shared by all workers.
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
    /// Creates the API. Create only one per process: its limits and caches span all workers.
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

    /// Checks the rate limit of the caller. If it is exceeded, the response is 429.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        self.requests.as_ref().map_or(Ok(()), |limiter| limiter.admit(caller))
    }

    /// Checks the caller's rate limit for forced loads, unless the cache has an access that is as fresh as required. If
    /// the limit is exceeded, the response is 429.
    pub(crate) fn admit_load(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        consistency: Consistency,
    ) -> Result<(), ApiError> {
        let is_kept = || {
            let context = company.map(|company| DecisionContext { caller, company, consistency });
            context.is_some_and(|context| self.services.application.has_cached_access(&context))
        };
        // The subject of such a caller's request is not known yet, and a read at a version that the caller has seen is
        // not limited.
        let asks_about_others = caller.is_super_admin() || matches!(caller, Caller::Service(_));
        let has_seen = asks_about_others && matches!(consistency, Consistency::AtLeast(_));
        if consistency == Consistency::Cached || has_seen || is_kept() {
            Ok(())
        } else {
            self.forced_loads.admit(caller)
        }
    }
}
