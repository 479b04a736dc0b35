//! The error type for invalid settings.

use std::path::PathBuf;

use config::ConfigError;

/// The reason why the settings are rejected. The messages contain the names of keys, but never their values: any value
/// may be a secret that was assigned to the wrong key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("IAM_CONFIG: cannot read {}: {source}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The settings file is not valid TOML.
    #[error("{}: {problem}", .path.display())]
    Syntax {
        /// The path of the file.
        path: PathBuf,
        /// The parser's message, with the position.
        problem: String,
    },
    /// An environment variable has the form of a setting, but no setting has this name.
    #[error("{0}: unknown setting; expected the form IAM__SECTION__KEY")]
    Variable(String),
    /// The value of an environment variable is not valid UTF-8. A secret that consists of random bytes must be encoded,
    /// for example as hexadecimal or Base64.
    #[error("{0}: must be valid UTF-8 text; encode random bytes, for example as Base64")]
    NotUnicode(String),
    /// The key is unknown, or its value is invalid.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key, such as `server.port`.
        key: String,
        /// The description of the problem.
        problem: String,
    },
}

impl SettingsError {
    pub(super) fn invalid(key: String, error: ConfigError) -> Self {
        Self::Invalid { key, problem: problem(error) }
    }
}

/// Describes the problem without quoting the value.
fn problem(error: ConfigError) -> String {
    match error {
        ConfigError::Type { expected, .. } => must_be(expected),
        ConfigError::At { error, .. } => problem(*error),
        other => match other.to_string() {
            // The message has the form `invalid type: string "the value", expected …`.
            text if text.starts_with("invalid ") => {
                let (_, expected) = text.rsplit_once(", expected ").unwrap_or(("", "something else"));
                must_be(expected)
            }
            text => text,
        },
    }
}

/// Returns an error message that names the expected type, in the terms of a settings file.
fn must_be(expected: &str) -> String {
    let rule = match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    };
    format!("must be {rule}")
}
