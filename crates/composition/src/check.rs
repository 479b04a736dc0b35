//! Checks all settings as the start of the service does, and collects every problem.

use std::collections::BTreeMap;

use crate::settings::Collected;
use crate::wiring::{StartError, open, service_options};
use crate::{Settings, SettingsError, StorageMode, issuers, telemetry, traces};

/// The outcome of a check of all settings.
#[derive(Debug)]
pub struct SettingsCheck {
    /// The settings, in which keys with problems have their defaults. `None` if a source of settings cannot be read.
    pub settings: Option<Settings>,
    /// The descriptions of the problems. Each begins with the name of the setting, and contains no secret.
    pub problems: Vec<String>,
}

/// Checks all settings in the environment and in the file whose path is in `IAM_CONFIG`. Reads key files, but connects
/// neither to the database nor to an issuer. Rules that combine several settings are checked only if these settings are
/// valid on their own. Call this function on a Tokio runtime.
pub async fn check_settings(environment: &BTreeMap<String, String>) -> SettingsCheck {
    let Collected { settings, problems: errors } = Settings::collect(environment);
    let mut problems: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let has_problem = |prefix: &str| {
        let key_of =
            |error: &SettingsError| matches!(error, SettingsError::Invalid { key, .. } if key.starts_with(prefix));
        errors.iter().any(key_of)
    };
    if let Some(settings) = &settings {
        if !has_problem("database") {
            problems.extend(storage_problem(settings).map(|error| error.to_string()));
        }
        if !has_problem("auth") && !has_problem("server.mode") && !has_problem("console.public_url") {
            problems.extend(issuers::problems(settings).await.iter().map(ToString::to_string));
        }
        problems.extend(port_problem(settings));
        problems.extend(telemetry::stderr_logs(settings).err().map(|error| error.to_string()));
        problems.extend(traces::headers(&settings.tracing).err().map(|error| error.to_string()));
    }
    SettingsCheck { settings, problems }
}

/// Returns the problem if both servers would listen on the same port of the same address.
fn port_problem(settings: &Settings) -> Option<String> {
    let Settings { server, admin, .. } = settings;
    let is_all = |host: &str| matches!(host, "0.0.0.0" | "::");
    let is_shared = server.host == admin.host || is_all(&server.host) || is_all(&admin.host);
    (admin.enabled && server.port == admin.port && server.port != 0 && is_shared)
        .then(|| "admin.port (IAM__ADMIN__PORT): must differ from server.port (IAM__SERVER__PORT or PORT)".to_owned())
}

/// Returns the reason why these settings select no storage, if any.
fn storage_problem(settings: &Settings) -> Option<StartError> {
    match StorageMode::try_from(settings) {
        Ok(StorageMode::InMemory) => None,
        Ok(StorageMode::Postgres(url)) => open(&service_options(url, settings)).err(),
        Err(error) => Some(error.into()),
    }
}
