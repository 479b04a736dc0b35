//! Selects the storage backend according to the settings.

use secrecy::{ExposeSecret, SecretString};

use crate::{Mode, Settings};

/// The storage backend that the settings select.
#[derive(Debug, Clone)]
pub enum StorageMode {
    /// The memory of this process. The data is lost when the process exits.
    InMemory,
    /// The PostgreSQL database at this URL.
    Postgres(SecretString),
}

/// The reason why the settings do not select a storage backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// `USE_DATABASE` is `true`, but no URL is set.
    #[error("database.use_database (USE_DATABASE) is true, but database.url (DATABASE_URL) is not set")]
    MissingUrl,
    /// Production mode, and neither a URL nor `USE_DATABASE` is set. A URL that is missing by mistake must not lead to data
    /// that is lost at the next restart.
    #[error(
        "database.url (DATABASE_URL) is not set; production mode requires it. To lose all data at each restart, set \
        database.use_database (USE_DATABASE) to false"
    )]
    NoStorage,
    /// `USE_DATABASE` is neither `true` nor `false`.
    #[error("database.use_database (USE_DATABASE): must be true or false")]
    UnknownChoice,
    /// The URL is not a PostgreSQL URL. The message omits the URL, which may contain a password.
    #[error("database.url (DATABASE_URL): must be a PostgreSQL URL, postgres://user:password@host:port/database")]
    InvalidUrl,
}

impl StorageMode {
    /// Selects memory if no URL is set or `use_database` is `false`. Otherwise, selects PostgreSQL. Production mode selects
    /// memory only if `use_database` is `false`. An empty value counts as not set.
    ///
    /// # Errors
    ///
    /// Returns [`ModeError`] if production mode has no URL, if `use_database` is `true` without a URL, if `use_database` is neither `true` nor
    /// `false`, or if the URL is needed but is not a PostgreSQL URL.
    pub fn select(mode: Mode, url: Option<&SecretString>, use_database: Option<&str>) -> Result<Self, ModeError> {
        let url = url.filter(|url| !url.expose_secret().is_empty());
        match (url, use_database.filter(|choice| !choice.is_empty())) {
            (_, Some("false")) => Ok(Self::InMemory),
            (None, None) if mode == Mode::Production => Err(ModeError::NoStorage),
            (None, None) => Ok(Self::InMemory),
            (Some(url), None | Some("true")) if is_postgres(url) => Ok(Self::Postgres(url.clone())),
            (Some(_), None | Some("true")) => Err(ModeError::InvalidUrl),
            (None, Some("true")) => Err(ModeError::MissingUrl),
            (_, Some(_)) => Err(ModeError::UnknownChoice),
        }
    }
}

impl TryFrom<&Settings> for StorageMode {
    type Error = ModeError;

    fn try_from(settings: &Settings) -> Result<Self, ModeError> {
        let Settings { server, database, .. } = settings;
        Self::select(server.mode, database.url.as_ref(), database.use_database.as_deref())
    }
}

/// Returns `true` if the URL has a PostgreSQL scheme. The storage adapter checks the rest of the URL.
fn is_postgres(url: &SecretString) -> bool {
    matches!(url.expose_secret().split_once("://"), Some(("postgres" | "postgresql", _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_selects_one_storage_backend_or_is_an_error() {
        const URL: &str = "postgres://iam:hunter2@localhost/iam";
        let cases = [
            (None, None, Ok("memory")),
            (None, Some(""), Ok("memory")),
            (None, Some("false"), Ok("memory")),
            (None, Some("true"), Err(ModeError::MissingUrl)),
            (None, Some("yes"), Err(ModeError::UnknownChoice)),
            (Some(""), None, Ok("memory")),
            (Some(""), Some(""), Ok("memory")),
            (Some(""), Some("false"), Ok("memory")),
            (Some(""), Some("true"), Err(ModeError::MissingUrl)),
            (Some(""), Some("1"), Err(ModeError::UnknownChoice)),
            (Some(URL), None, Ok("postgres")),
            (Some(URL), Some(""), Ok("postgres")),
            (Some(URL), Some("false"), Ok("memory")),
            (Some(URL), Some("true"), Ok("postgres")),
            (Some(URL), Some("TRUE"), Err(ModeError::UnknownChoice)),
            (Some("postgresql://localhost/iam"), None, Ok("postgres")),
            (Some("mysql://localhost/iam"), None, Err(ModeError::InvalidUrl)),
            (Some("localhost:5432"), Some("true"), Err(ModeError::InvalidUrl)),
            (Some("mysql://localhost/iam"), Some("false"), Ok("memory")),
            (Some("mysql://localhost/iam"), Some("no"), Err(ModeError::UnknownChoice)),
        ];
        for (url, use_database, expected) in cases {
            let url_setting = url.map(SecretString::from);
            let select = |mode| {
                StorageMode::select(mode, url_setting.as_ref(), use_database).map(|mode| match mode {
                    StorageMode::InMemory => "memory",
                    StorageMode::Postgres(_) => "postgres",
                })
            };
            let case = format!("DATABASE_URL={url:?} USE_DATABASE={use_database:?}");
            assert_eq!(select(Mode::Development), expected, "{case}");
            let is_explicit = expected != Ok("memory") || use_database == Some("false");
            let expected = if is_explicit { expected } else { Err(ModeError::NoStorage) };
            assert_eq!(select(Mode::Production), expected, "{case}");
        }
    }
}
