//! Runs the commands with which an operator exports and imports data.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use iam_application::causes;
use iam_domain::{Clock, CompanyId, QuotaLimits};
use iam_identity::system_clock;
use iam_storage::{Storage, StorageError};
use iam_storage_postgres::{PostgresOptions, PostgresStorage, Unreachable};
use iam_transfer::{ExportError, ExportOptions, Exported, ImportError, ImportOptions, Progress, Report};

use crate::Settings;
use crate::mode::StorageMode;
use crate::wiring::{StartError, System, open, service_options};

/// Timeout of an import for the change of one company or of the catalog.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Timeout of an import for a lock. Changes of a running service may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why an export or an import failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MovingError {
    /// A setting is invalid.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The settings select in-memory storage, which the server process does not share with this process.
    #[error("the command reads and writes the database: set DATABASE_URL")]
    InMemory,
    /// The settings select a database, but the operation loads a file into memory.
    #[error("the option needs in-memory storage; for a database, use `iam import` and `iam export`")]
    Database,
    /// No connection to the database can be opened. The message contains the host and port of the database server, and
    /// ends with the cause.
    #[error("{}", causes(.0))]
    Unreachable(Unreachable),
    /// The schema of the database is not that of this release. The message ends with the cause.
    #[error("the schema of the database cannot be used; run `iam migrate`: {}", causes(.0))]
    Schema(StorageError),
    /// The export failed. The message ends with the cause.
    #[error("{}", causes(.0))]
    Export(#[from] ExportError),
    /// The import failed. The message ends with the cause.
    #[error("{}", causes(.0))]
    Import(#[from] ImportError),
}

/// Exports the data of a storage, and imports files into it. In the audit records, the actor is the command line.
pub struct Mover {
    storage: Arc<dyn Storage>,
    clock: Clock,
    quotas: QuotaLimits,
}

impl std::fmt::Debug for Mover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mover").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

impl Mover {
    /// Opens the configured database, and checks its schema.
    ///
    /// # Errors
    ///
    /// Returns [`MovingError`] if no database is configured, if a setting is invalid, or if the database cannot be used.
    pub async fn open(settings: &Settings) -> Result<Self, MovingError> {
        let url = match StorageMode::try_from(settings).map_err(StartError::from)? {
            StorageMode::InMemory => return Err(MovingError::InMemory),
            StorageMode::Postgres(url) => url,
        };
        let options = PostgresOptions {
            statement_timeout: CHANGE_TIMEOUT,
            change_timeout: CHANGE_TIMEOUT,
            lock_timeout: LOCK_TIMEOUT,
            ..service_options(url, settings)
        };
        let storage: PostgresStorage = open(&options)?;
        storage.contact().await.map_err(MovingError::Unreachable)?;
        storage.check_schema().await.map_err(MovingError::Schema)?;
        Ok(Self::over(Arc::new(storage), settings))
    }

    /// Returns the export and the import of an in-memory service. They may also be used after the service has stopped.
    ///
    /// # Errors
    ///
    /// Returns [`MovingError::Database`] if the storage of the service is a database.
    pub fn of_memory(system: &System, settings: &Settings) -> Result<Self, MovingError> {
        match system.database {
            None => Ok(Self::over(Arc::clone(&system.storage), settings)),
            Some(_) => Err(MovingError::Database),
        }
    }

    fn over(storage: Arc<dyn Storage>, settings: &Settings) -> Self {
        Self { storage, clock: system_clock(), quotas: settings.quotas.limits() }
    }

    /// Exports data, as [`iam_transfer::export`] does. The release and the time of the options are set.
    ///
    /// # Errors
    ///
    /// Returns [`MovingError::Export`] if the export fails.
    pub async fn export(
        &self,
        out: impl Write + Send,
        choice: Choice,
        progress: &mut Progress<'_>,
    ) -> Result<Exported, MovingError> {
        let options = ExportOptions {
            companies: choice.companies,
            with_credentials: choice.with_credentials,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            schema: migration::command_line::migrations().pop().unwrap_or_default(),
            now: self.clock.now(),
        };
        Ok(iam_transfer::export(self.storage.as_ref(), out, &options, progress).await?)
    }

    /// Verifies a file and returns what its import would do, as [`iam_transfer::preview`] does.
    ///
    /// # Errors
    ///
    /// Returns [`MovingError::Import`] if the file is rejected or the storage fails.
    pub async fn preview(&self, file: impl BufRead + Send, options: &ImportOptions) -> Result<Report, MovingError> {
        let options = self.with_quotas(options);
        Ok(iam_transfer::preview(self.storage.as_ref(), file, &options).await?)
    }

    /// Imports a file, as [`iam_transfer::import`] does.
    ///
    /// # Errors
    ///
    /// Returns [`MovingError::Import`] if the import fails.
    pub async fn import(
        &self,
        file: impl BufRead + Send,
        options: &ImportOptions,
        trail: Option<&mut (dyn Write + Send)>,
    ) -> Result<Report, MovingError> {
        let options = self.with_quotas(options);
        Ok(iam_transfer::import(self.storage.as_ref(), file, &options, trail).await?)
    }

    fn with_quotas(&self, options: &ImportOptions) -> ImportOptions {
        ImportOptions { quotas: self.quotas, ..options.clone() }
    }
}

/// What to export.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The companies. `None`: everything.
    pub companies: Option<BTreeSet<CompanyId>>,
    /// Whether to export API keys and token cut-offs.
    pub with_credentials: bool,
}
