//! Lookups of API keys and of the token cut-offs of users. A cut-off is a time: tokens that were issued to the user
//! before this time are rejected.

use std::sync::Arc;

use iam_domain::{ApiKeyId, ApiKeyPrefix, CompanyId, Timestamp, UserId};
use iam_storage::{Result, StorageError};
use tokio::sync::Semaphore;

use crate::credentials::table::{KnownApiKey, Table};
use crate::freshness::clock::Moment;
use crate::loading::coalescer::Coalescer;
use crate::loading::context::Context;
use crate::loading::error::{Loaded, unavailable};
use crate::loading::polls::Polls;
use crate::loading::resolver::STEPS;

/// Looks up API keys and the token cut-offs of users. The lease bounds the staleness of the results, as it does for
/// permissions.
pub struct Credentials {
    context: Context,
    polls: Arc<Polls>,
    loads: Coalescer<(), Loaded<()>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(context: &Context, polls: Arc<Polls>) -> Self {
        // Loads of credentials have a separate semaphore, so that authentication does not wait for loads of
        // permissions.
        let gate = Arc::new(Semaphore::new(1));
        let loading = context.clone();
        let tickets = Arc::clone(&context.cache.tickets);
        let loads = Coalescer::new(tickets, gate, context.runtime.clone(), move |(), began| {
            let context = loading.clone();
            Box::pin(async move {
                let Context { storage, cache, .. } = &context;
                let (since, at) = (cache.credentials.table().state(), Moment::now());
                let changes = context.timed(storage.reader().credentials().changes_since(since.version)).await?;
                cache.keep_credentials(changes, since, began, at);
                Ok(())
            })
        });
        Self { context: context.clone(), polls, loads }
    }

    /// Returns the token cut-off of the user. Tokens that were issued (`iat`) before the cut-off are rejected, as are
    /// tokens without `iat`. `None` if the user has no cut-off.
    ///
    /// # Errors
    ///
    /// Returns storage errors. Also returns `Unavailable` on a timeout.
    pub async fn not_before(&self, user: UserId) -> Result<Option<Timestamp>> {
        self.read(|table| table.not_before(user)).await
    }

    /// Returns the API key with this prefix, even if the key was revoked or has expired. `None` if there is no such
    /// key.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::not_before`].
    pub async fn api_key(&self, prefix: &ApiKeyPrefix) -> Result<Option<Arc<KnownApiKey>>> {
        self.read(|table| table.api_key(prefix)).await
    }

    /// Returns the ids of the API keys that may administer the company and are valid at this time, in ascending order.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::not_before`].
    pub async fn administering_keys(&self, company: CompanyId, now: Timestamp) -> Result<Vec<ApiKeyId>> {
        self.read(|table| table.administering_keys(company, now)).await
    }

    /// Records in memory that a key was used. [`Permissions::maintain`](crate::Permissions::maintain) later writes the
    /// time of the last use to the database (write-behind), at most about once a minute per key.
    pub fn note_use(&self, key: &KnownApiKey, at: Timestamp) {
        self.context.cache.credentials.note_use(key, at);
    }

    async fn read<R>(&self, read: impl Fn(&Table) -> R) -> Result<R> {
        let cache = &self.context.cache;
        let table = cache.credentials.table();
        let answer = read(&table);
        // The lease is checked after the table was read. If the process was suspended in between, this check detects
        // that the lease has expired.
        if cache.credentials.is_current(&table) && cache.lease.runs() {
            return Ok(answer);
        }
        let last_known = || {
            let last = cache.last_known_credentials();
            last.filter(|(_, age)| *age < self.context.options.outage_grace).map(|(table, _)| read(&table))
        };
        if self.polls.is_in_outage()
            && let Some(answer) = last_known()
        {
            return Ok(answer);
        }
        let arrived = cache.tickets.now();
        for _ in 0..STEPS {
            if let Err(error) = self.context.in_time("load credentials", self.loads.get((), arrived)).await {
                let is_outage = matches!(error, StorageError::Unavailable { .. });
                return last_known().filter(|_| is_outage).ok_or(error);
            }
            if let Some(table) = cache.credentials_seen_after(arrived) {
                self.polls.ensure_primary().await?;
                return Ok(read(&table));
            }
            self.polls.ensure_polled().await?;
        }
        Err(unavailable("the credentials changed repeatedly while they were loaded"))
    }
}
