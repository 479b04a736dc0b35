//! The HTTP API of the IAM service, built on Actix.
//!
//! A request passes `middleware` and then `extract::Authorized`, which authenticates the caller, determines the
//! company, authorizes the caller, and only then parses parameters and body. The handler in `routes` calls one use
//! case, and `respond` builds the response. [`configure`] mounts the whole API; the server, its tests and other Actix
//! applications all use it.
//!
//! # In your own Actix application
//!
//! Without the default feature `server` this crate does not depend on a storage adapter.
//!
//! ```
//! use std::sync::Arc;
//! use actix_web::App;
//! use iam_application::{Application, HealthProbe};
//! use iam_http::{HttpOptions, Services};
//! use iam_identity::{TokenVerifier, system_clock};
//!
//! fn mount(application: Arc<Application>, verifier: Arc<TokenVerifier>, probe: Arc<dyn HealthProbe>) {
//!     let services = Services { application, verifier, probe, clock: system_clock() };
//!     let api = iam_http::Api::new(services, HttpOptions::default());
//!     let _app = App::new().configure(|config| iam_http::configure(config, &api));
//! }
//! ```

mod api;
mod extract;
mod fast_path;
mod middleware;
mod mount;
mod respond;
mod routes;
mod server;

pub use api::{Api, HttpOptions, Services};
pub use middleware::{AllowedOrigins, OriginError, RateLimit, RequestSpans};
pub use mount::configure;
pub use routes::openapi::document;
pub use server::{AdminServer, AdminServerHandle, Server, ServerHandle};
