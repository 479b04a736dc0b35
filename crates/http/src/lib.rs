//! The HTTP API of the IAM service, built on Actix.
//!
//! A request passes through `middleware` first. The extractor `extract::Authorized` then authenticates the caller,
//! determines the company, authorizes the caller, and only then parses the parameters and the body. The handler in
//! `routes` calls a use case, and `respond` builds the response. [`configure`] mounts all routes and middleware. The
//! server, the tests and other Actix applications call it.
//!
//! # Embedding in another Actix application
//!
//! Without the default feature `server`, this crate depends on no storage adapter.
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
mod decision_metrics;
mod extract;
mod failure_limit;
mod fast_path;
mod in_flight;
mod metric_list;
mod middleware;
mod mount;
mod page_account;
mod page_body;
mod pages;
mod respond;
mod routes;
mod server;

pub use api::{Api, HttpOptions, Services};
pub use decision_metrics::publish as publish_metrics;
pub use in_flight::InFlightLimits;
pub use metric_list::describe_metrics;
pub use middleware::{AllowedOrigins, ClientAddresses, ConnectionTimeouts, OriginError, ProxyError, RequestSpans};
pub use mount::{configure, configure_documentation};
pub use pages::Pages;
pub use routes::openapi::document;
pub use server::{AdminPages, AdminServer, ConnectionLimits, Server, ServerHandle, ServerOptions};
