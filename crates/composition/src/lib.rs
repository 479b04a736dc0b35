//! The composition root of the IAM service: raw settings in, wired services out.
//!
//! This is the only crate that names concrete storage adapters, and the only one that reads the environment. It knows
//! no HTTP: the program that serves the services (the binary `iam-http`, a test, another program) takes them from
//! [`System`].
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use iam_composition::{Settings, System};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), iam_composition::StartError> {
//! // A program takes `iam_composition::environment()`.
//! let environment = BTreeMap::from([("IAM__SERVER__MODE".to_owned(), "development".to_owned())]);
//! let settings = Settings::load(&environment)?;
//!
//! let system = System::start(&settings).await?;
//! assert!(system.probe.readiness().is_ready());
//! let views = system.application.views().await.unwrap_or_default();
//! assert_eq!(views.len(), 14);
//!
//! system.drain(); // The probe reports it, so that load balancers send no more requests.
//! assert!(!system.probe.readiness().is_ready());
//! system.stop().await; // Running changes end first.
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * **Settings** come from defaults, then a TOML file, then the environment ([`Settings::load`]). A key that does not
//!   exist is an error that names it. Every key is described in `docs/settings.md`.
//! * **Secrets** are never printed: not by `Debug`, not in errors, not in logs. Production does not start with a secret
//!   that can be guessed ([`signing_secret`]).
//! * **Public keys** come from files and URLs that are read periodically. An invalid document or an unavailable server
//!   changes nothing.
//! * **Storage** is PostgreSQL or memory, by unambiguous rules ([`StorageMode::select`]).
//! * **Starting** does not need a reachable database. Until it is reachable and its schema is current, the probe of the
//!   process reports what it waits for. The process never changes the schema.
//! * **Stopping** ([`System::drain`], then [`System::stop`]) loses no running change.

mod demo;
mod issuers;
mod mode;
mod monitor;
mod open_files;
mod operator;
mod probe;
mod secret;
mod settings;
mod telemetry;
mod wiring;

pub use demo::{Demo, DemoError, DemoGuide};
pub use issuers::AuthError;
pub use mode::{ModeError, StorageMode};
pub use operator::{Operator, OperatorError, WantedApiKey};
pub use secret::{SecretError, signing_secret};
pub use settings::{
    AdminSettings, AuthSettings, CacheSettings, DatabaseSettings, IssuerSettings, LogFormat, LogSettings, Mode,
    Origins, RateLimitSettings, ServerSettings, Settings, SettingsError, environment,
};
pub use telemetry::{Metrics, TelemetryError, stderr_logs};
pub use wiring::{StartError, System};
