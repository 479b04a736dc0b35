//! The settings of the admin console.

use std::time::Duration;

use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::parse::{boolean, seconds};

/// The settings of the admin console.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Whether the process serves the console at `/console`.
    #[serde(deserialize_with = "boolean")]
    pub enabled: bool,
    /// The address at which browsers reach the service, without a path.
    #[serde(deserialize_with = "origin")]
    pub public_url: Option<Url>,
    /// The duration after which a session without requests ends.
    #[serde(deserialize_with = "seconds")]
    pub idle_timeout: Duration,
    /// The duration after which a session ends in any case.
    #[serde(deserialize_with = "seconds")]
    pub absolute_timeout: Duration,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            public_url: None,
            idle_timeout: Duration::from_secs(30 * 60),
            absolute_timeout: Duration::from_secs(12 * 60 * 60),
        }
    }
}

/// Deserializes the address of the service: an `https` URL without a path. `http` is accepted for this machine.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text).ok().filter(|url| {
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        is_safe && is_origin && url.username().is_empty() && url.password().is_none()
    });
    url.map(Some).ok_or_else(|| D::Error::custom("must be an https URL without a path; http only for localhost"))
}
