//! Carries out the operator's commands on API keys, in the database.

use std::sync::Arc;

use async_trait::async_trait;
use iam_application::{CreateApiKey, causes};
use iam_domain::{ApiKey, ApiKeyId, Clock, CompanyId, Name, ServiceRole, Timestamp};
use iam_identity::{NewApiKey, RandomnessError, system_clock};
use iam_storage::{ChangeContext, Storage, StorageError, Target, UnitOfWork, Work, transact};
use iam_storage_postgres::{PostgresStorage, Unreachable};
use secrecy::SecretString;

use crate::Settings;
use crate::mode::StorageMode;
use crate::wiring::{StartError, open, options};

/// A command could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A setting is wrong.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The settings select memory. Keys in the memory of this process would be useless to other processes.
    #[error("keys are kept in the database: set DATABASE_URL")]
    InMemory,
    /// There is no such key.
    #[error("there is no such key")]
    NotFound,
    /// The key would have expired already.
    #[error("the key would be expired already")]
    Expired,
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The database cannot be used. The text names its host and port, and ends with the cause.
    #[error("{}", causes(.0))]
    Unreachable(Unreachable),
    /// The database failed during a command. The text ends with the cause.
    #[error("the database: {}", causes(.0))]
    Storage(StorageError),
}

impl From<StorageError> for OperatorError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound => Self::NotFound,
            other => Self::Storage(other),
        }
    }
}

/// Carries out the operator's commands in the configured database. The audit trail records the command line as the
/// origin of the changes.
#[derive(Debug)]
pub struct Operator {
    storage: Arc<PostgresStorage>,
    clock: Clock,
}

/// The key that an operator creates.
#[derive(Debug, Clone)]
pub struct WantedApiKey {
    /// Its name for people.
    pub name: Name,
    /// Its role.
    pub role: ServiceRole,
    /// The only company that it is valid for; `None` is every company, and the platform.
    pub company: Option<CompanyId>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

struct Create(CreateApiKey);

#[async_trait]
impl Work for Create {
    type Output = ApiKey;
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<ApiKey, StorageError> {
        let key = self.0.key(None, tx.now());
        tx.api_keys_mut().create(&key, &self.0.digest).await?;
        Ok(key)
    }
}

struct Revoke(ApiKeyId);

#[async_trait]
impl Work for Revoke {
    type Output = ();
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<(), StorageError> {
        tx.api_keys_mut().revoke(self.0).await.map(drop)
    }
}

impl Operator {
    /// Opens the configured database. It connects once, outside the pool, which would not report why connecting fails.
    ///
    /// # Errors
    ///
    /// [`OperatorError::InMemory`] without a database; [`OperatorError::Start`] names the wrong setting, and
    /// [`OperatorError::Unreachable`] says why there is no session.
    pub async fn open(settings: &Settings) -> Result<Self, OperatorError> {
        let url = match StorageMode::try_from(&settings.database).map_err(StartError::from)? {
            StorageMode::InMemory => return Err(OperatorError::InMemory),
            StorageMode::Postgres(url) => url,
        };
        let storage = open(&options(url, &settings.database))?;
        storage.contact().await.map_err(OperatorError::Unreachable)?;
        Ok(Self { storage: Arc::new(storage), clock: system_clock() })
    }

    /// The current time, by which keys expire.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates a key, and returns it with the text that is shown once.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn create_api_key(&self, wanted: WantedApiKey) -> Result<(ApiKey, SecretString), OperatorError> {
        let WantedApiKey { name, role, company, expires_at } = wanted;
        if expires_at.is_some_and(|expires_at| expires_at <= self.now()) {
            return Err(OperatorError::Expired);
        }
        let NewApiKey { prefix, digest, secret } = NewApiKey::generate()?;
        let create = Create(CreateApiKey { prefix, digest, name, role, company, expires_at });
        Ok((self.execute(&create).await?, secret))
    }

    /// Lists all keys, including revoked and expired ones, by name.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Storage`].
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, OperatorError> {
        Ok(self.storage.reader().api_keys().find_all().await?)
    }

    /// Revokes a key, by its id or its prefix.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`]; [`OperatorError::Storage`].
    pub async fn revoke_api_key(&self, id_or_prefix: &str) -> Result<(), OperatorError> {
        let keys = self.api_keys().await?;
        let is_meant = |key: &ApiKey| key.id.to_string() == id_or_prefix || key.prefix.as_str() == id_or_prefix;
        let key = keys.into_iter().find(is_meant).ok_or(OperatorError::NotFound)?;
        self.execute(&Revoke(key.id)).await
    }

    async fn execute<W: Work<Error = StorageError>>(&self, work: &W) -> Result<W::Output, OperatorError> {
        let context = ChangeContext::command_line();
        let (output, _) = transact(self.storage.as_ref(), Target::Credentials, &context, work).await?;
        Ok(output)
    }
}
