//! Loads the catalog, and the permissions of one or several users of a company.

use std::sync::Arc;

use iam_domain::{CompanyId, CompanySnapshot, UserId};
use iam_storage::{Reader, Result, Stamped, StorageError};
use iam_traces::carry;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tracing::Instrument;

use crate::engine::compiled::CompiledSet;
use crate::engine::entitlements::CommonParts;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;
use crate::loading::batches::{Batches, Limits};
use crate::loading::coalescer::Coalescer;
use crate::loading::context::{Context, Source, within_span};
use crate::loading::error::{Loaded, shared, unavailable};
use crate::loading::polls::Polls;
use crate::loading::results::Load;

/// The limits of the loads of users of one company. With two loads at a time, a load on a connection that hangs does not
/// delay the other users of the company.
const LIMITS: Limits = Limits { loads: 2, members: 64 };

/// Number of users whose loaded permissions are compiled before the task yields to other tasks.
const USERS_BETWEEN_YIELDS: usize = 16;

/// The compiled set that a load of one user returned, and a time at which the set is up to date: the beginning of the
/// load, or of the latest poll before a load from a replica.
#[derive(Clone)]
pub(crate) struct LoadedUser {
    pub(crate) set: Arc<CompiledSet>,
    pub(crate) at: Moment,
}

/// Batches of loads of users.
type Users = Arc<Batches<CompanyId, UserId, Loaded<LoadedUser>>>;

/// Loads permissions and the catalog. Concurrent loads of the same user or of the catalog are coalesced (single
/// flight), and waiting users of the same company are loaded in batches.
pub(crate) struct Loads {
    context: Context,
    polls: Arc<Polls>,
    gate: Arc<Semaphore>,
    users: Users,
    users_of_replicas: Users,
    catalogs: Coalescer<(), Loaded<()>>,
}

impl Loads {
    /// Creates the loader. The semaphore `gate` limits the number of concurrent loads.
    pub(crate) fn new(context: &Context, polls: Arc<Polls>, gate: Arc<Semaphore>) -> Self {
        let tickets = || Arc::clone(&context.cache.tickets);
        let batches = |source: Source| {
            let loading = context.clone();
            Batches::new(
                tickets(),
                Arc::clone(&gate),
                context.runtime.clone(),
                LIMITS,
                move |company, users: Vec<UserId>, began| {
                    let context = loading.clone();
                    Box::pin(async move { load_batch(&context, source, company, &users, began).await })
                },
            )
        };
        let users = batches(Source::Primary);
        let users_of_replicas = match context.storage.reader_of_replicas() {
            Some(_) => batches(Source::Replicas),
            None => Arc::clone(&users),
        };
        let loading = context.clone();
        let catalogs = Coalescer::new(tickets(), Arc::clone(&gate), context.runtime.clone(), move |(), began| {
            let context = loading.clone();
            Box::pin(async move {
                let stamped = context.timed(context.storage.reader().snapshots().load_catalog()).await?;
                context.cache.keep_catalog(stamped, began);
                Ok(())
            })
        });
        Self { context: context.clone(), polls, gate, users, users_of_replicas, catalogs }
    }

    /// Returns the result of loading one user. The load began after the ticket `since` was issued.
    pub(crate) async fn user(&self, (company, user): Key, since: Ticket, source: Source) -> Result<LoadedUser> {
        let users = if source == Source::Primary { &self.users } else { &self.users_of_replicas };
        self.context.in_time("load user", users.get(company, user, since)).await
    }

    /// Waits for the catalog to be loaded by a load that began after the ticket `since` was issued.
    pub(crate) async fn catalog(&self, since: Ticket) -> Result<()> {
        self.context.in_time("load catalog", self.catalogs.get((), since)).await
    }

    /// Loads several users of a company in one statement. The load begins after this function is called, and continues
    /// even if the call is cancelled. Returns the results in the order of `users`.
    ///
    /// The load does not share batches with other requests, because all its users must be from one snapshot.
    pub(crate) async fn users_together(
        &self,
        company: CompanyId,
        users: Vec<UserId>,
        source: Source,
    ) -> Result<Vec<LoadedUser>> {
        self.polls.ensure_polled().await?;
        let (context, gate) = (self.context.clone(), Arc::clone(&self.gate));
        let load = async move {
            let Context { cache, options, .. } = &context;
            let permit = tokio::time::timeout(options.load_timeout, gate.acquire());
            let _permit = permit.await.map_err(|_| unavailable("too many loads are in progress"))?;
            let load = cache.begin(company, cache.tickets.begin(), context.up_to_date_at(source));
            let stamped = context.timed(context.reader(source).snapshots().load_users(company, &users)).await;
            let stamped = stamped.map_err(|error| shared(&error))?;
            let sets = keep_users(&context, &load, &users, &stamped).await;
            Ok(sets.into_iter().map(|set| LoadedUser { set, at: load.up_to_date_at() }).collect())
        };
        let spawned = async {
            let load = carry(load.in_current_span());
            self.context.runtime.spawn(load).await.map_err(unavailable)?
        };
        let loaded: Vec<_> = within_span("load users", spawned).await?;
        for LoadedUser { set, .. } in &loaded {
            if !self.polls.is_of_the_primary(set).await? {
                return Err(unavailable("the response is not from the current primary database"));
            }
        }
        Ok(loaded)
    }
}

/// Loads a batch of users of a company, and returns their results in the order of `users`. The load began at the ticket
/// `began`.
async fn load_batch(
    context: &Context,
    source: Source,
    company: CompanyId,
    users: &[UserId],
    began: Ticket,
) -> Vec<Loaded<LoadedUser>> {
    let load = context.cache.begin(company, began, context.up_to_date_at(source));
    let reader = context.reader(source);
    if let [user] = users {
        return vec![load_user(context, reader, &load, company, *user).await];
    }
    match context.timed(reader.snapshots().load_users(company, users)).await {
        Ok(stamped) => {
            let sets = keep_users(context, &load, users, &stamped).await;
            sets.into_iter().map(|set| Ok(LoadedUser { set, at: load.up_to_date_at() })).collect()
        }
        // A row that cannot be parsed must affect only the users whose permissions it determines.
        Err(error) if matches!(*error, StorageError::Corrupt { .. }) => {
            let one_by_one = async {
                let mut loaded = Vec::with_capacity(users.len());
                for user in users {
                    loaded.push(load_user(context, reader, &load, company, *user).await);
                }
                loaded
            };
            let loaded = tokio::time::timeout(context.options.load_timeout, one_by_one).await;
            loaded.unwrap_or_else(|_| vec![Err(error); users.len()])
        }
        Err(error) => vec![Err(error); users.len()],
    }
}

/// Loads one user of a company.
async fn load_user(
    context: &Context,
    reader: &dyn Reader,
    load: &Load,
    company: CompanyId,
    user: UserId,
) -> Loaded<LoadedUser> {
    let Stamped { versions, stamps, next_boundary, value: snapshot } =
        context.timed(reader.snapshots().load_user(company, user)).await?;
    let common = Stamped { versions, stamps, next_boundary, value: CommonParts::from(&snapshot) };
    let held: Vec<_> = snapshot.levels.iter().collect();
    Ok(LoadedUser { set: context.cache.keep(load, user, &common, &held), at: load.up_to_date_at() })
}

/// Compiles the permissions of users of a company, and returns their compiled sets in the order of `users`. Caches the
/// sets, unless they are already outdated.
async fn keep_users(
    context: &Context,
    load: &Load,
    users: &[UserId],
    stamped: &Stamped<CompanySnapshot>,
) -> Vec<Arc<CompiledSet>> {
    let Stamped { versions, stamps, next_boundary, value: snapshot } = stamped;
    let common = Stamped {
        versions: *versions,
        stamps: *stamps,
        next_boundary: *next_boundary,
        value: CommonParts::from(snapshot),
    };
    let mut sets = Vec::with_capacity(users.len());
    for users in users.chunks(USERS_BETWEEN_YIELDS) {
        if !sets.is_empty() {
            yield_now().await;
        }
        for user in users {
            let held: Vec<_> = snapshot.levels_of(*user).collect();
            sets.push(context.cache.keep(load, *user, &common, &held));
        }
    }
    sets
}
