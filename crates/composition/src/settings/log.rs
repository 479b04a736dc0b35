//! The log settings.

use serde::{Deserialize, Deserializer};

use super::parse::{boolean, word};
use crate::Mode;

/// The default log filter in production mode. It omits the lines that the HTTP server logs about its threads.
const PRODUCTION_FILTER: &str = "info,actix_server=warn";

/// The default log filter in development mode. The log also contains every statement.
const DEVELOPMENT_FILTER: &str = "info,actix_server=warn,iam_storage_postgres::statements=debug";

/// The log settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The log filter: a minimum level, optionally with levels per module, such as `info,iam_http=debug`. Default: the
    /// value of the variable `RUST_LOG` if it is set, and otherwise a filter that depends on the mode.
    pub filter: Option<String>,
    /// The format of log lines: `text` or `json`.
    pub format: LogFormat,
    /// If `true`, each request is logged at the level `info`. If `false`, each request is logged at the level `debug`.
    #[serde(deserialize_with = "boolean")]
    pub requests: bool,
}

impl LogSettings {
    /// Returns the log filter of a process that runs in this mode.
    #[must_use]
    pub fn filter(&self, mode: Mode) -> &str {
        self.filter.as_deref().unwrap_or(match mode {
            Mode::Development => DEVELOPMENT_FILTER,
            Mode::Production => PRODUCTION_FILTER,
        })
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
