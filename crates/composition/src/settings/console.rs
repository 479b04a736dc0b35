//! The settings of the admin console.

use std::time::Duration;

use serde::Deserialize;

use super::parse::{boolean, seconds};

/// The settings of the admin console.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Whether the process serves the console at `/console`.
    #[serde(deserialize_with = "boolean")]
    pub enabled: bool,
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
            idle_timeout: Duration::from_secs(30 * 60),
            absolute_timeout: Duration::from_secs(12 * 60 * 60),
        }
    }
}
