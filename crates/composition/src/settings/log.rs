//! The settings of the log.

use serde::{Deserialize, Deserializer};

use super::parse::word;

/// The settings of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The least level that is logged, also by module: `info,iam_http=debug`. Left out: the value of the variable
    /// `RUST_LOG`, else `info`. If both are set, this setting wins.
    pub filter: String,
    /// The format of log lines: `text` or `json`.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::default() }
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// Machine-readable: one JSON object per line.
    Json,
}

impl<'de> Deserialize<'de> for LogFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, &[("text", Self::Text), ("json", Self::Json)], "must be text or json")
    }
}
