//! The settings of the API and of the admin port.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::parse::{boolean, duration, list, number, optional_number, positive_duration, word};

/// The mode of the service, which determines how strictly the settings are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The mode for a developer's machine: a missing secret is generated, and any web origin is allowed by default.
    #[default]
    Development,
    /// The mode for every other environment: missing and weak secrets are rejected.
    Production,
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [("development", Self::Development), ("production", Self::Production)];
        word(deserializer, &words, "must be development or production")
    }
}

/// The place where the process serves the API documentation: `/docs` and `/openapi.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Documentation {
    /// The port of the API.
    #[default]
    Public,
    /// The admin port.
    Admin,
    /// No place: requests for the documentation are answered with 404.
    Off,
}

impl<'de> Deserialize<'de> for Documentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [("public", Self::Public), ("admin", Self::Admin), ("off", Self::Off)];
        word(deserializer, &words, "must be public, admin or off")
    }
}

/// The settings of the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The mode of the service: `development` or `production`.
    pub mode: Mode,
    /// The address or host name to listen on.
    pub host: String,
    /// The port to listen on. `0` selects any free port.
    #[serde(deserialize_with = "number")]
    pub port: u16,
    /// Time for which new requests are still accepted after `/readyz` reports that the process is draining.
    #[serde(deserialize_with = "duration")]
    pub drain_delay: Duration,
    /// Timeout for receiving the head of a request.
    #[serde(deserialize_with = "positive_duration")]
    pub head_timeout: Duration,
    /// Interval in which a client must send at least 16 KiB of a request body, or the rest of it.
    #[serde(deserialize_with = "positive_duration")]
    pub body_timeout: Duration,
    /// Interval in which a client must accept at least 16 KiB of a response, or the rest of it.
    #[serde(deserialize_with = "positive_duration")]
    pub write_timeout: Duration,
    /// Timeout after which a connection without a request is closed.
    #[serde(deserialize_with = "positive_duration")]
    pub idle_timeout: Duration,
    /// Maximum number of open client connections. `0` means as many as the limit on open files allows.
    #[serde(deserialize_with = "number")]
    pub max_connections: usize,
    /// Maximum number of open client connections from one address. `0` means no limit.
    #[serde(deserialize_with = "number")]
    pub max_connections_per_address: usize,
    /// Maximum number of requests that wait for the storage or for another resource. `0` means no limit.
    #[serde(deserialize_with = "number")]
    pub max_requests_in_flight: usize,
    /// Maximum number of bytes of request and response bodies in memory. `0` means no limit.
    #[serde(deserialize_with = "number")]
    pub max_bytes_in_flight: usize,
    /// The addresses and networks of the proxies whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: List,
    /// Timeout for handling a request.
    #[serde(deserialize_with = "positive_duration")]
    pub request_timeout: Duration,
    /// Maximum time that a graceful shutdown waits for running requests.
    #[serde(deserialize_with = "duration")]
    pub shutdown_timeout: Duration,
    /// Number of worker threads that serve requests. Default: one per core.
    #[serde(deserialize_with = "optional_number")]
    pub workers: Option<NonZeroUsize>,
    /// The web origins that may call the API from a browser (CORS). `*` allows any origin. Default: any origin in
    /// development, none in production.
    pub cors_origins: Option<List>,
    /// The place where the process serves the API documentation: `public`, `admin` or `off`.
    pub documentation: Documentation,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            host: "127.0.0.1".to_owned(),
            port: 3001,
            drain_delay: Duration::ZERO,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 4096,
            max_connections_per_address: 1024,
            max_requests_in_flight: 1024,
            max_bytes_in_flight: 64 * 1024 * 1024,
            trusted_proxies: List::default(),
            request_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(20),
            workers: None,
            cors_origins: None,
            documentation: Documentation::default(),
        }
    }
}

impl ServerSettings {
    /// Returns the web origins that may call the API from a browser (CORS). `*` stands for any origin.
    #[must_use]
    pub fn allowed_origins(&self) -> Vec<String> {
        match (&self.cors_origins, self.mode) {
            (Some(List(origins)), _) => origins.clone(),
            (None, Mode::Development) => vec!["*".to_owned()],
            (None, Mode::Production) => Vec::new(),
        }
    }
}

/// A list of strings: an array in the file, a comma-separated string in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer).map(Self)
    }
}

/// The settings of the admin port, which serves metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Whether the process listens on the admin port.
    #[serde(deserialize_with = "boolean")]
    pub enabled: bool,
    /// The address or host name to listen on.
    pub host: String,
    /// The port to listen on. `0` selects any free port.
    #[serde(deserialize_with = "number")]
    pub port: u16,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { enabled: true, host: "127.0.0.1".to_owned(), port: 9464 }
    }
}
