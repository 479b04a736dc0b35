//! Loads the catalog, and the permissions of one or several users of a company.

use std::sync::Arc;

use iam_domain::{CompanyId, UserId};
use iam_storage::{Result, Stamped};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;
use crate::loading::coalescer::Coalescer;
use crate::loading::context::Context;
use crate::loading::error::{Loaded, shared, unavailable};
use crate::loading::polls::Polls;

/// The compiled set that a load of one user returned, and the time at which the load began.
#[derive(Clone)]
pub(crate) struct LoadedUser {
    pub(crate) set: Arc<CompiledSet>,
    pub(crate) at: Moment,
}

/// Loads permissions and the catalog. Concurrent loads of the same user or of the catalog are coalesced (single
/// flight).
pub(crate) struct Loads {
    context: Context,
    polls: Arc<Polls>,
    gate: Arc<Semaphore>,
    users: Arc<Coalescer<Key, Loaded<LoadedUser>>>,
    catalogs: Arc<Coalescer<(), Loaded<()>>>,
}

impl Loads {
    /// Creates the loader. The semaphore `gate` limits the number of concurrent loads.
    pub(crate) fn new(context: &Context, polls: Arc<Polls>, gate: Arc<Semaphore>) -> Self {
        let tickets = || Arc::clone(&context.cache.tickets);
        let loading = context.clone();
        let users = Coalescer::new(
            tickets(),
            Arc::clone(&gate),
            context.runtime.clone(),
            move |(company, user): Key, began| {
                let context = loading.clone();
                Box::pin(async move {
                    let load = context.cache.begin(company, began);
                    let reader = context.storage.reader().snapshots();
                    let (stamped, snapshot) = split(context.timed(reader.load_user(company, user)).await?);
                    Ok(LoadedUser { set: context.cache.keep(&load, user, &stamped, &snapshot), at: load.began_at() })
                })
            },
        );
        let loading = context.clone();
        let catalogs = Coalescer::new(tickets(), Arc::clone(&gate), context.runtime.clone(), move |(), began| {
            let context = loading.clone();
            Box::pin(async move {
                let stamped = context.timed(context.storage.reader().snapshots().load_catalog()).await?;
                context.cache.keep_catalog(stamped, began);
                Ok(())
            })
        });
        Self { context: context.clone(), polls, gate, users, catalogs }
    }

    /// Returns the result of loading one user. The load began after the ticket `since` was issued.
    pub(crate) async fn user(&self, key: Key, since: Ticket) -> Result<LoadedUser> {
        self.context.in_time(self.users.get(key, since)).await
    }

    /// Waits for the catalog to be loaded by a load that began after the ticket `since` was issued.
    pub(crate) async fn catalog(&self, since: Ticket) -> Result<()> {
        self.context.in_time(self.catalogs.get((), since)).await
    }

    /// Loads several users of a company in one statement. The load begins after this function is called, and continues
    /// even if the call is cancelled. Returns the compiled sets in the order of `users`.
    pub(crate) async fn users_together(
        &self,
        company: CompanyId,
        users: Vec<UserId>,
    ) -> Result<Vec<(UserId, Arc<CompiledSet>)>> {
        self.polls.ensure_polled().await?;
        let (context, gate) = (self.context.clone(), Arc::clone(&self.gate));
        let load = async move {
            let Context { storage, cache, options, .. } = &context;
            let permit = tokio::time::timeout(options.load_timeout, gate.acquire());
            let _permit = permit.await.map_err(|_| unavailable("too many loads are in progress"))?;
            let load = cache.begin(company, cache.tickets.begin());
            let stamped = context.timed(storage.reader().snapshots().load_users(company, &users)).await;
            let (stamped, snapshot) = split(stamped.map_err(|error| shared(&error))?);
            let keep = |user: &UserId| (*user, cache.keep(&load, *user, &stamped, &snapshot.of_user(*user)));
            Ok(users.iter().map(keep).collect())
        };
        let loaded: Vec<(UserId, Arc<CompiledSet>)> =
            self.context.runtime.spawn(load.in_current_span()).await.map_err(unavailable)??;
        for (_, set) in &loaded {
            if !self.polls.is_of_the_primary(set).await? {
                return Err(unavailable("the response is not from the current primary database"));
            }
        }
        Ok(loaded)
    }
}

/// Splits a stamped result into its versions and stamps, and its value.
fn split<T>(stamped: Stamped<T>) -> (Stamped<()>, T) {
    let Stamped { versions, stamps, next_boundary, value } = stamped;
    (Stamped { versions, stamps, next_boundary, value: () }, value)
}
