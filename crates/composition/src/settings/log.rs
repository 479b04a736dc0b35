//! The log settings.

use serde::{Deserialize, Deserializer};

use super::parse::{boolean, word};

/// The default log filter. It omits the lines that the HTTP server logs about its threads, and
/// those about malformed requests, which any client can cause.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// The log settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The log filter: a minimum level, optionally with levels per module, such as `info,iam_http=debug`. Default: the
    /// value of the variable `RUST_LOG` if it is set, and otherwise `info,actix_server=warn,actix_http=off`.
    pub filter: Option<String>,
    /// The format of log lines: `text` or `json`.
    pub format: LogFormat,
    /// If `true`, each request is logged at the level `info`. If `false`, each request is logged at the level `debug`.
    #[serde(deserialize_with = "boolean")]
    pub requests: bool,
}

impl LogSettings {
    /// Returns the log filter.
    #[must_use]
    pub fn filter(&self) -> &str {
        self.filter.as_deref().unwrap_or(DEFAULT_FILTER)
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// JSON for log processors: one object per line.
    Json,
}

impl<'de> Deserialize<'de> for LogFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, &[("text", Self::Text), ("json", Self::Json)], "must be text or json")
    }
}
