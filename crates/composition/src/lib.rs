//! The composition root of the IAM service: it reads the settings and wires the services.
//!
//! This crate selects the concrete storage adapter and reads the environment. No other crate of the service does this.
//! This crate does not depend on HTTP. The program that serves requests (the binary `iam-http`, a test, another
//! program) obtains the services from [`System`].
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use iam_composition::{Settings, System};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), iam_composition::StartError> {
//! // A program passes `iam_composition::environment()`.
//! let environment = BTreeMap::from([("IAM__SERVER__MODE".to_owned(), "development".to_owned())]);
//! let settings = Settings::load(&environment)?;
//!
//! let system = System::start(&settings).await?;
//! assert!(system.probe.readiness().is_ready());
//! let views = system.application.views().await.unwrap_or_default();
//! assert_eq!(views.len(), 14);
//!
//! system.drain(); // The readiness probe fails, so that load balancers stop sending requests.
//! assert!(!system.probe.readiness().is_ready());
//! system.stop().await; // Waits for running changes, and then closes the database connections.
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * **Settings** come from defaults, then a TOML file, then the environment ([`Settings::load`]). An unknown key
//!   causes an error that names the key. `docs/settings.md` describes every key.
//! * **Secrets** are never printed by `Debug`, in errors or in logs. In production, the service does not start with a
//!   guessable secret ([`signing_secret`]).
//! * **Public keys** come from files and URLs. They are read again periodically, to support key rotation. If a key set
//!   is invalid or its server is unavailable, the keys that were loaded before remain in use.
//! * **Storage** is PostgreSQL or memory, selected by unambiguous rules ([`StorageMode::select`]).
//! * **Startup** does not require a reachable database. Until the database is reachable and its schema is up to date,
//!   the readiness probe reports not-ready, with the reason. The process never changes the schema.
//! * **Shutdown** ([`System::drain`], then [`System::stop`]) is graceful: changes in progress are completed first.

mod background_runs;
mod check;
mod demo;
mod development_token;
mod expiry;
mod figures;
mod issuers;
mod json_lines;
mod mode;
mod monitor;
mod moving;
mod open_files;
mod operator;
mod probe;
mod profiles;
mod samples;
mod secret;
mod settings;
mod telemetry;
mod text_fields;
mod traces;
mod wiring;

pub use check::{SettingsCheck, check_settings};
pub use demo::{Demo, DemoError, DemoGuide, DemoPerson};
pub use development_token::{DevelopmentToken, DevelopmentTokenError};
pub use iam_storage::{OperationFigures, RecentOperations};
pub use iam_transfer::{Exported, Finding, Ids, ImportOptions, OnConflict, Outcome, Report};
pub use issuers::AuthError;
pub use mode::{ModeError, StorageMode};
pub use moving::{Choice, Mover, MovingError};
pub use operator::{ApiKeyAttributes, Operator, OperatorError};
pub use samples::Samples;
pub use secret::{SecretError, signing_secret};
pub use settings::{
    AdminSettings, AssignmentSettings, AuthSettings, CacheSettings, CollectorUrl, ConsoleSettings, DatabaseSettings,
    Documentation, IssuerSettings, List, LogFormat, LogSettings, Mode, QuotaSettings, RateLimitSettings,
    ServerSettings, Settings, SettingsError, TracingSettings, environment,
};
pub use telemetry::{Metrics, TelemetryError, command_logs, stderr_logs};
pub use traces::{Traces, TracesError};
pub use wiring::{StartError, System};
