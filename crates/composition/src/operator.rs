//! Runs the commands with which an operator manages the API keys in the database.

use std::sync::Arc;

use async_trait::async_trait;
use iam_application::{CreateApiKey, causes};
use iam_domain::{ApiKey, ApiKeyId, Clock, CompanyId, Name, RequestRate, ServiceRole, Timestamp};
use iam_identity::{NewApiKey, RandomnessError, system_clock};
use iam_storage::{ChangeContext, Storage, StorageError, Target, UnitOfWork, Work, transact};
use iam_storage_postgres::{PostgresStorage, Unreachable};
use secrecy::SecretString;

use crate::Settings;
use crate::mode::StorageMode;
use crate::wiring::{StartError, open, options};

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A setting is invalid.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The settings select in-memory storage, which the server process does not share with this process.
    #[error("API keys are stored in the database: set DATABASE_URL")]
    InMemory,
    /// No key has this id or prefix.
    #[error("no API key has this id or prefix")]
    NotFound,
    /// The requested expiry time of the new key has already passed.
    #[error("the expiry time of the key has already passed")]
    Expired,
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// No connection to the database can be opened. The message contains the host and port of the database server, and
    /// ends with the cause.
    #[error("{}", causes(.0))]
    Unreachable(Unreachable),
    /// The database failed during a command. The message ends with the cause.
    #[error("a database operation failed: {}", causes(.0))]
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

/// Runs the operator's commands on the API keys in the configured database. In the audit records, the actor of these
/// changes is the command line.
#[derive(Debug)]
pub struct Operator {
    storage: Arc<PostgresStorage>,
    clock: Clock,
}

/// The attributes of an API key that an operator creates.
#[derive(Debug, Clone)]
pub struct ApiKeyAttributes {
    /// The display name of the key.
    pub name: Name,
    /// The role of the key.
    pub role: ServiceRole,
    /// The company to which the key is restricted. `None` if the key is valid in all companies, and also for
    /// platform-wide requests.
    pub company: Option<CompanyId>,
    /// The key's own limit on its work. `None` if the limit for all API keys applies.
    pub rate: Option<RequestRate>,
    /// The time when the key expires. `None` if it never expires.
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
    /// Opens the configured database, and tests one connection outside the pool. The pool itself does not report why a
    /// connection attempt fails.
    ///
    /// # Errors
    ///
    /// Returns [`OperatorError::InMemory`] if no database is configured; [`OperatorError::Start`] if a setting is
    /// invalid; [`OperatorError::Unreachable`] if the connection fails.
    pub async fn open(settings: &Settings) -> Result<Self, OperatorError> {
        let url = match StorageMode::try_from(settings).map_err(StartError::from)? {
            StorageMode::InMemory => return Err(OperatorError::InMemory),
            StorageMode::Postgres(url) => url,
        };
        let storage = open(&options(url, &settings.database))?;
        storage.contact().await.map_err(OperatorError::Unreachable)?;
        Ok(Self { storage: Arc::new(storage), clock: system_clock() })
    }

    /// Returns the current time of the clock that determines whether keys are expired.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates an API key, and returns the key together with its secret. The secret cannot be retrieved later.
    ///
    /// # Errors
    ///
    /// Returns [`OperatorError::Expired`] if the expiry time has already passed; [`OperatorError::Randomness`] if no
    /// random bytes are available; [`OperatorError::Storage`] if the database fails.
    pub async fn create_api_key(&self, wanted: ApiKeyAttributes) -> Result<(ApiKey, SecretString), OperatorError> {
        let ApiKeyAttributes { name, role, company, rate, expires_at } = wanted;
        if expires_at.is_some_and(|expires_at| expires_at <= self.now()) {
            return Err(OperatorError::Expired);
        }
        let NewApiKey { prefix, digest, secret } = NewApiKey::generate()?;
        let create = Create(CreateApiKey { prefix, digest, name, role, company, rate, expires_at });
        Ok((self.execute(&create).await?, secret))
    }

    /// Returns all API keys, including revoked and expired keys, sorted by name.
    ///
    /// # Errors
    ///
    /// Returns [`OperatorError::Storage`] if the database fails.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, OperatorError> {
        Ok(self.storage.reader().api_keys().find_all().await?)
    }

    /// Revokes the API key with this id or prefix.
    ///
    /// # Errors
    ///
    /// Returns [`OperatorError::NotFound`] if no key has this id or prefix; [`OperatorError::Storage`] if the database
    /// fails.
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
