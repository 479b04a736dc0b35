//! Wires the services, starts their background tasks, and shuts them down.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use iam_application::{Application, FigureSource, HealthProbe};
use iam_domain::Clock;
use iam_identity::{SharedSecret, TokenVerifier, system_clock};
use iam_permissions_cache::{FillOptions, Permissions};
use iam_storage::{Health, Storage, StorageError};
use iam_storage_memory::{MemorySimulator, MemoryStorage};
use iam_storage_postgres::{OptionsError, PostgresOptions, PostgresStorage};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::expiry::remove_expired_assignments;
use crate::figures::{FigureHistory, record_figures};
use crate::issuers::{self, AuthError};
use crate::open_files::OpenFilesError;
use crate::probe::{Progress, SystemProbe};
use crate::profiles::record_claimed_profiles;
use crate::traces::span_counts;
use crate::{
    DatabaseSettings, Mode, ModeError, Samples, Settings, SettingsError, StorageMode, TelemetryError, background_runs,
    monitor, open_files, probe,
};

/// The reason why the service cannot start. The message is one line and contains no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings do not select a storage backend.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The authentication settings cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Logs or metrics cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The limit on open files is too low.
    #[error(transparent)]
    OpenFiles(#[from] OpenFilesError),
    /// The in-memory storage rejected its initial catalog.
    #[error("the in-memory storage cannot be seeded")]
    Storage(#[from] StorageError),
}

/// The storage as two trait objects, and the PostgreSQL adapter if the storage backend is PostgreSQL.
type StorageHandles = (Arc<dyn Storage>, Arc<dyn Health>, Option<Arc<PostgresStorage>>);

/// The wired services.
pub struct System {
    /// The use cases of the service.
    pub application: Arc<Application>,
    /// The verifier of the tokens that callers send.
    pub verifier: Arc<TokenVerifier>,
    /// The probe that reports the readiness of the process and the health of the storage.
    pub probe: Arc<dyn HealthProbe>,
    /// The state that is published as metrics.
    pub samples: Samples,
    /// The figures of the last minutes, for people.
    pub figures: Arc<dyn FigureSource>,
    /// The clock that all services of the process use.
    pub clock: Clock,
    /// Maximum number of client connections of the API; `0` means no limit. It is at most the number that the limit on
    /// open files allows.
    pub max_connections: usize,
    /// The shared secret that signs HS256 tokens, if there is one.
    pub(crate) secret: Option<SharedSecret>,
    progress: Arc<Progress>,
    pub(crate) database: Option<Arc<PostgresStorage>>,
    pub(crate) storage: Arc<dyn Storage>,
    /// The background tasks. They are aborted when the system is dropped.
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("application", &self.application)
            .field("progress", &self.progress)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl System {
    /// Wires the services. PostgreSQL need not be reachable yet: until it is reachable and its schema is up to date,
    /// the readiness probe reports not-ready, with the reason. The schema is never changed.
    ///
    /// Call this function on a Tokio runtime that runs until the process ends. Changes run on this runtime, and
    /// continue when their requests are cancelled.
    ///
    /// # Errors
    ///
    /// Returns [`StartError`] if a setting is invalid, or if the process lacks a resource that the settings require.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let mode = StorageMode::try_from(settings)?;
        iam_permissions_cache::describe_metrics();
        iam_application::describe_metrics();
        iam_identity::describe_metrics();
        let workers = settings.server.workers.map_or_else(available_parallelism, Ok);
        let connections = match mode {
            StorageMode::InMemory => 0,
            StorageMode::Postgres(_) => settings.database.max_connections.get(),
        };
        let open_files = open_files::allow(workers.map_or(1, Into::into), connections)?;
        let max_connections = client_connections(settings.server.max_connections, open_files);
        let progress = Arc::<Progress>::default();
        let mut tasks = JoinSet::new();
        let (verifier, secret) = issuers::verifier(settings).await?;
        let clock = system_clock();
        let verifier = Arc::new(verifier.with_clock(clock.clone()));
        tasks.spawn(keep_fresh(Arc::clone(&verifier)));
        let (storage, health, database): StorageHandles = match mode {
            StorageMode::InMemory => {
                tracing::info!("[IAM Database] Using in-memory storage");
                if settings.server.mode == Mode::Production {
                    tracing::warn!("production mode with in-memory storage: all data is lost when the process exits");
                }
                let storage = Arc::new(MemoryStorage::seeded(clock.clone()).await?);
                progress.set_ready(None);
                (Arc::clone(&storage) as _, storage, None)
            }
            StorageMode::Postgres(url) => {
                iam_storage_postgres::describe_metrics();
                let storage = Arc::new(open(&service_options(url, settings))?);
                tracing::info!(address = storage.address(), "[IAM Database] Using PostgreSQL persistence");
                tasks.spawn(monitor::until_ready(Arc::clone(&storage), Arc::clone(&progress)));
                let shared = || Arc::clone(&storage);
                (shared() as _, shared() as _, Some(storage))
            }
        };
        let refusal = refusal_of(database.clone());
        let runtime = Handle::current();
        let options = settings.cache.options(settings.database.max_connections.get());
        let permissions = Arc::new(Permissions::new(Arc::clone(&storage), runtime.clone(), options));
        tasks.spawn(follow(Arc::clone(&permissions), Arc::clone(&progress)));
        tasks.spawn(maintain(Arc::clone(&permissions), settings.cache.fill(), Arc::clone(&progress)));
        let fresh = Arc::clone(&permissions);
        let freshness = Box::new(move || fresh.freshness());
        let probe: Arc<dyn HealthProbe> = Arc::new(SystemProbe::new(health, Arc::clone(&progress), refusal, freshness));
        let samples =
            Samples { probe: Arc::clone(&probe), permissions: Arc::clone(&permissions), database: database.clone() };
        samples.describe();
        background_runs::describe();
        span_counts::describe();
        let figures = Arc::new(FigureHistory::new(samples.clone(), clock.clone()));
        tasks.spawn(record_figures(Arc::clone(&figures)));
        let application = Application::new(Arc::clone(&storage), permissions, Arc::new(MemorySimulator), runtime);
        let application = application.with_budgets(settings.rate_limit.budgets());
        let application = Arc::new(application.with_quotas(settings.quotas.limits()));
        let (removing, expiry) = (Arc::clone(&application), settings.assignments.clone());
        tasks.spawn(remove_expired_assignments(removing, expiry, Arc::clone(&progress)));
        tasks.spawn(record_claimed_profiles(Arc::clone(&application), Arc::clone(&progress)));
        Ok(Self {
            application,
            verifier,
            probe,
            samples,
            figures,
            clock,
            max_connections,
            secret,
            progress,
            database,
            storage,
            tasks,
        })
    }

    /// Waits until the storage is ready for requests.
    pub async fn ready(&self) {
        self.progress.ready().await;
    }

    /// Makes the readiness probe report that the process is draining. Requests are still served.
    pub fn drain(&self) {
        self.progress.drain();
    }

    /// Shuts down gracefully: waits for the changes in progress, and then closes the database connections. Call this
    /// method when no more requests can arrive.
    pub async fn stop(mut self) {
        self.application.finish().await;
        self.tasks.shutdown().await;
        if let Some(database) = &self.database {
            database.close().await;
        }
    }
}

/// Returns the maximum number of client connections: the configured number, or the number that the limit on open files
/// allows if that is lower. In the result, `0` means no limit, as in the setting.
fn client_connections(configured: usize, open_files: Option<usize>) -> usize {
    match open_files {
        Some(most) if configured == 0 || most < configured => {
            tracing::warn!(
                configured,
                effective = most,
                "the limit on open files (ulimit -n) allows fewer client connections than configured"
            );
            most
        }
        _ => configured,
    }
}

/// Creates the PostgreSQL storage with these options. This function does not connect to the database. It returns an
/// error if the URL or an option is invalid.
pub(crate) fn open(options: &PostgresOptions) -> Result<PostgresStorage, StartError> {
    PostgresStorage::connect(options).map_err(|error| {
        let (key, problem) = match error {
            OptionsError::Url(problem) => ("database.url (DATABASE_URL)", problem.to_string()),
            OptionsError::ListenerUrl(problem) => {
                ("database.direct_url (IAM__DATABASE__DIRECT_URL)", problem.to_string())
            }
            OptionsError::ReplicaUrl(problem) => {
                ("database.replica_urls (IAM__DATABASE__REPLICA_URLS)", problem.to_string())
            }
            OptionsError::ReplicasWithPoll => {
                let problem = "must be empty if database.feed (IAM__DATABASE__FEED) is poll";
                ("database.replica_urls (IAM__DATABASE__REPLICA_URLS)", problem.to_owned())
            }
            other => ("database", other.to_string()),
        };
        SettingsError::Invalid { key: key.to_owned(), problem }.into()
    })
}

/// Returns the options of the PostgreSQL adapter of the service, which may read from replicas.
pub(crate) fn service_options(url: SecretString, settings: &Settings) -> PostgresOptions {
    PostgresOptions {
        replica_urls: settings.database.replica_urls.clone(),
        replica_max_age: settings.cache.lease,
        ..options(url, &settings.database)
    }
}

/// Returns the options of the PostgreSQL adapter.
pub(crate) fn options(url: SecretString, settings: &DatabaseSettings) -> PostgresOptions {
    let unless_zero = |duration: Duration| Some(duration).filter(|duration| !duration.is_zero());
    PostgresOptions {
        listener_url: settings.direct_url.clone().filter(|url| !url.expose_secret().is_empty()),
        max_connections: settings.max_connections.get(),
        min_connections: settings.min_connections.min(settings.max_connections.get()),
        acquire_timeout: settings.acquire_timeout,
        idle_timeout: unless_zero(settings.idle_timeout),
        max_lifetime: unless_zero(settings.max_lifetime),
        statement_timeout: settings.statement_timeout,
        lock_timeout: settings.lock_timeout,
        change_timeout: settings.change_timeout,
        silence_timeout: settings.silence_timeout,
        slow_statement: settings.slow_statement,
        gate: settings.gate,
        feed: settings.feed,
        ..PostgresOptions::new(url)
    }
}

/// Creates the readiness check that reports why new database connections are rejected.
fn refusal_of(database: Option<Arc<PostgresStorage>>) -> probe::RefusalCheck {
    Box::new(move || {
        let database = database.as_ref()?;
        let refusal = monitor::unusable(database)?;
        Some(format!("{refusal} ({})", database.address()))
    })
}

/// Refreshes the keys that verify tokens, until the task is cancelled.
async fn keep_fresh(verifier: Arc<TokenVerifier>) {
    verifier.keep_fresh().await;
}

/// Waits until the storage is ready, and then polls the database for changes until the task is cancelled. Before that,
/// the lease is not valid, so the permissions cache serves no cached data. Polling a database that is unreachable or
/// has no schema would only log further errors.
async fn follow(permissions: Arc<Permissions>, progress: Arc<Progress>) {
    progress.ready().await;
    permissions.follow().await;
}

/// Waits until the storage is ready, and then maintains the permissions cache until the task is cancelled.
async fn maintain(permissions: Arc<Permissions>, options: FillOptions, progress: Arc<Progress>) {
    progress.ready().await;
    permissions.maintain(options).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_for_an_invalid_url_contains_the_setting_but_not_the_url() {
        const URL: &str = "postgres://iam:hunter2@localhost/iam";
        let opened = |url: &str, direct: Option<&str>| {
            let settings =
                DatabaseSettings { direct_url: direct.map(SecretString::from), ..DatabaseSettings::default() };
            open(&options(SecretString::from(url), &settings)).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(opened(URL, None), Ok(()));
        assert_eq!(opened(URL, Some("")), Ok(()));
        assert_eq!(opened(URL, Some("postgresql://iam:hunter2@direct/iam")), Ok(()));
        for wrong in ["mysql://iam:hunter2@direct/iam", "postgres://iam:hunter2@direct:x/iam", "hunter2"] {
            let error = opened(URL, Some(wrong)).unwrap_err();
            assert!(error.contains("database.direct_url") && !error.contains("hunter2"), "{error}");
        }
        let error = opened("postgres://iam:hunter2@localhost:x/iam", Some(URL)).unwrap_err();
        assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
    }
}
