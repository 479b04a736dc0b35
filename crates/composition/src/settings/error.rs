//! The error of the settings, which names the wrong one.

use std::path::PathBuf;

use config::ConfigError;

/// The settings cannot be used. Messages name keys, never values: any of them may be a misplaced secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file does not exist, or the process may not read it.
    #[error("IAM_CONFIG: cannot read {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {problem}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where parsing failed.
        problem: String,
    },
    /// A variable begins with `IAM__` but cannot name a setting.
    #[error("{0}: not a setting, expected IAM__SECTION__KEY")]
    Variable(String),
    /// A variable's value is not UTF-8. A secret of random bytes must be encoded, in hexadecimal digits or base64.
    #[error("{0}: must be valid UTF-8 text; encode random bytes, for example in base64")]
    NotUnicode(String),
    /// A key does not exist, or its value is invalid.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key: `server.port`.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

impl SettingsError {
    pub(super) fn invalid(key: String, error: ConfigError) -> Self {
        Self::Invalid { key, problem: problem(error) }
    }
}

/// Describes the problem without the value.
fn problem(error: ConfigError) -> String {
    match error {
        ConfigError::Type { expected, .. } => format!("must be {expected}"),
        ConfigError::At { error, .. } => problem(*error),
        other => match other.to_string() {
            // `invalid type: string "the value", expected so and so`.
            text if text.starts_with("invalid ") => {
                let (_, expected) = text.rsplit_once(", expected ").unwrap_or(("", "something else"));
                format!("must be {expected}")
            }
            text => text,
        },
    }
}
