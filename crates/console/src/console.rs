//! The state of the console, which all workers share: services and options.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use iam_application::{Application, FigureSource, HealthProbe};
use iam_domain::{Clock, UserId};
use iam_identity::TokenVerifier;
use url::Url;

use crate::provider::SignInIssuer;

/// The services that the console depends on.
#[derive(Clone)]
pub struct ConsoleServices {
    /// The application, which provides the use cases.
    pub application: Arc<Application>,
    /// The verifier of tokens.
    pub verifier: Arc<TokenVerifier>,
    /// The clock.
    pub clock: Clock,
    /// The probe that reports the readiness of the process.
    pub probe: Arc<dyn HealthProbe>,
    /// The figures of the process in the last minutes.
    pub figures: Arc<dyn FigureSource>,
}

impl std::fmt::Debug for ConsoleServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleServices").finish_non_exhaustive()
    }
}

/// A user of the demo, who signs in with a button.
#[derive(Debug, Clone)]
pub struct DemoUser {
    /// The user.
    pub user: UserId,
    /// The label of the button.
    pub label: String,
    /// What the user may do.
    pub description: String,
    /// Whether the user is a super admin.
    pub is_super_admin: bool,
}

/// The options of the console.
#[derive(Debug, Clone)]
pub struct ConsoleOptions {
    /// The duration after which a session without requests ends. Default: 30 min.
    pub idle_timeout: Duration,
    /// The duration after which a session ends in any case. Default: 12 h.
    pub absolute_timeout: Duration,
    /// The address at which browsers reach the service, without a path. Default: unknown.
    pub public_url: Option<Url>,
    /// The issuers at whose identity providers people sign in, which needs [`Self::public_url`]. Default: none.
    pub issuers: Vec<SignInIssuer>,
    /// The users who sign in with a button, in the demo. Default: none.
    pub demo_users: Vec<DemoUser>,
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            absolute_timeout: Duration::from_secs(12 * 60 * 60),
            public_url: None,
            issuers: Vec::new(),
            demo_users: Vec::new(),
        }
    }
}

/// The state of the console, which all workers share.
#[derive(Debug)]
pub struct Console {
    pub(crate) services: ConsoleServices,
    pub(crate) options: ConsoleOptions,
}

impl Console {
    /// Creates the shared state. Call this function once per process.
    #[must_use]
    pub fn new(services: ConsoleServices, options: ConsoleOptions) -> Data<Self> {
        Data::new(Self { services, options })
    }

    /// Returns the application, which provides the use cases.
    pub(crate) fn application(&self) -> &Application {
        &self.services.application
    }
}
