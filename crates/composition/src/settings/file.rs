//! Reads the TOML file with settings.

use std::path::PathBuf;

use config::{Config, File, FileFormat};

use super::SettingsError;

/// Reads the TOML file at this path.
pub(super) fn read(path: PathBuf) -> Result<Config, SettingsError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(SettingsError::File { path, source }),
    };
    // Only the first line of the parser's message is kept. It states the position of the error. The other lines quote
    // the file, which may contain secrets.
    let parsed = Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build();
    parsed.map_err(|error| SettingsError::Syntax {
        path,
        problem: error.to_string().lines().next().unwrap_or_default().to_owned(),
    })
}
