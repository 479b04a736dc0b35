//! The one place where the Actix application is put together.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use iam_application::{Application, Probe};
use iam_domain::{Caller, CompanyId};
use iam_identity::TokenVerifier;
use iam_permissions_cache::Consistency;

use crate::cors::{AllowedOrigins, cors};
use crate::error::ApiError;
use crate::limit::Limiter;
use crate::response_cache::ResponseCache;
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
    /// Origins whose pages may call from a browser. None by default.
    pub cors_origins: AllowedOrigins,
    /// How long a request may take before it is answered with 503. A change that is under way goes on to its end.
    pub request_timeout: Duration,
    /// Limits callers; `None` does not.
    pub rate_limit: Option<RateLimit>,
    /// Limits how often one caller may have the store asked though an answer is kept.
    pub forced_loads: RateLimit,
    /// The most bytes of bodies that are kept for all who are told the same.
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
    document: utoipa::openapi::OpenApi,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Api {
    /// Puts the API together, once a process: its limits hold for all workers.
    #[must_use]
    pub fn new(services: Services, options: HttpOptions) -> Data<Self> {
        Data::new(Self {
            services,
            requests: options.rate_limit.map(Limiter::new),
            forced_loads: Limiter::new(options.forced_loads),
            response_cache: ResponseCache::new(options.max_body_bytes),
            options,
            document: openapi::document(),
        })
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

    /// The bodies that many are sent.
    pub(crate) const fn response_cache(&self) -> &ResponseCache {
        &self.response_cache
    }

    /// Whether the caller may ask now.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        self.requests.as_ref().map_or(Ok(()), |limiter| limiter.admit(caller))
    }

    /// Whether the caller may have the store asked now, if a state is asked for that only the store may have.
    pub(crate) fn admit_load(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        consistency: Consistency,
    ) -> Result<(), ApiError> {
        let is_kept = || {
            let permissions = self.services.application.permissions();
            company.is_some_and(|company| permissions.try_access(company, caller.into(), consistency).is_some())
        };
        // About whom these ask is not known yet, and what they have seen they may see again.
        let asks_about_others = caller.is_super_admin() || matches!(caller, Caller::Service(_));
        let has_seen = asks_about_others && matches!(consistency, Consistency::AtLeast(_));
        if consistency == Consistency::Cached || has_seen || is_kept() {
            Ok(())
        } else {
            self.forced_loads.admit(caller)
        }
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
