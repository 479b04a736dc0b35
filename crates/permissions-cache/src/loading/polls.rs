//! Polls the primary for changes. A successful poll confirms the cached data, because every change that was committed
//! before the poll began has then been reported to this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iam_storage::{Changes, Polled, Result, StorageError};
use tokio::sync::Semaphore;

use crate::engine::compiled::CompiledSet;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;
use crate::loading::coalescer::Coalescer;
use crate::loading::context::Context;
use crate::loading::error::{Loaded, in_limit, unavailable};
use crate::metric_list::REVOCATION_DELAY;
use crate::stats::Counters;

/// Polls for changes. All requests that wait for a poll share one poll (single flight).
pub(crate) struct Polls {
    pub(crate) context: Context,
    coalescer: Coalescer<(), Loaded<()>>,
    is_followed: Arc<AtomicBool>,
    /// `true` if the database was unavailable for the latest completed poll.
    is_failing: Arc<AtomicBool>,
    /// `true` if the latest completed poll failed for any reason.
    has_failed: Arc<AtomicBool>,
}

impl Polls {
    pub(crate) fn new(context: &Context) -> Self {
        let is_followed = Arc::<AtomicBool>::default();
        let (tickets, alone) = (Arc::clone(&context.cache.tickets), Arc::new(Semaphore::new(1)));
        let (polling, followed) = (context.clone(), Arc::clone(&is_followed));
        let is_failing = Arc::<AtomicBool>::default();
        let has_failed = Arc::<AtomicBool>::default();
        let (failing, failed) = (Arc::clone(&is_failing), Arc::clone(&has_failed));
        let coalescer = Coalescer::new(tickets, alone, context.runtime.clone(), move |(), began| {
            let (context, is_followed) = (polling.clone(), followed.load(Ordering::Acquire));
            let (failing, failed) = (Arc::clone(&failing), Arc::clone(&failed));
            Box::pin(async move {
                let outcome = poll(&context, is_followed, began).await;
                let is_outage =
                    outcome.as_ref().is_err_and(|error| matches!(**error, StorageError::Unavailable { .. }));
                failing.store(is_outage, Ordering::Release);
                failed.store(outcome.is_err(), Ordering::Release);
                outcome
            })
        });
        Self { context: context.clone(), coalescer, is_followed, is_failing, has_failed }
    }

    /// Allows successful polls to renew the lease from now on.
    pub(crate) fn begin_to_follow(&self) {
        self.is_followed.store(true, Ordering::Release);
    }

    /// Returns `true` during an outage of the database: the latest poll could not reach it, and [`Polls::follow`] keeps
    /// polling. Requests within the outage grace then do not wait for a poll of their own, because it would also fail.
    pub(crate) fn is_in_outage(&self) -> bool {
        self.is_followed.load(Ordering::Acquire) && self.is_failing.load(Ordering::Acquire)
    }

    /// Returns `true` if the latest completed poll failed, for any reason.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Waits for a poll that began after the ticket `since` was issued. Returns an error if the poll failed.
    pub(crate) async fn poll_after(&self, since: Ticket) -> Result<()> {
        self.context.in_time("poll", self.coalescer.get((), since)).await
    }

    /// Polls, and renews the lease if the poll confirms the cached data and [`Polls::follow`] runs.
    pub(crate) async fn poll_for_lease(&self) -> Result<()> {
        self.poll_after(self.context.cache.tickets.now()).await
    }

    /// Polls if no poll has reported the versions of the current database history yet. Call this function before a
    /// load, because the result of a load that began before the first poll is not cached.
    pub(crate) async fn ensure_polled(&self) -> Result<()> {
        if self.context.cache.has_position() { Ok(()) } else { self.poll_for_lease().await }
    }

    /// Ensures that the data that was just read comes from the primary. With synchronous replication, a valid lease
    /// proves this (protection against split brain). If the lease has expired, this function polls to renew the lease,
    /// and returns an error if the poll fails.
    pub(crate) async fn ensure_primary(&self) -> Result<()> {
        let lease = &self.context.cache.lease;
        if lease.is_fenced() && !lease.runs() { self.poll_for_lease().await } else { Ok(()) }
    }

    /// Returns `true` if a set that was just loaded belongs to the current database history. If the current history is
    /// unknown, polls first to determine it.
    pub(crate) async fn is_of_the_primary(&self, set: &CompiledSet) -> Result<bool> {
        self.ensure_primary().await?;
        self.ensure_polled().await?;
        Ok(self.context.cache.epoch() == Some(set.versions.epoch))
    }
}

/// Polls once. If the poll confirms the cached data and [`Polls::follow`] runs, the lease is renewed.
async fn poll(context: &Context, is_followed: bool, began: Ticket) -> Loaded<()> {
    let Context { storage, cache, options, .. } = context;
    let feed = storage.changes();
    renew(context).await?;
    let sent = cache.lease.sending();
    let (since, generation) = cache.next_poll();
    cache.counters.polls.add(1);
    let changes = match in_limit(options.load_timeout, feed.poll(since.as_ref())).await.map_err(Arc::new)? {
        Polled::Primary(changes) => changes,
        Polled::NotPrimary(why) => {
            cache.not_primary(why, generation);
            return Err(Arc::new(unavailable(why.to_string())));
        }
    };
    cache.clock.measured(changes.now, sent.at());
    if cache.polled(&changes, generation, began) {
        record_delays(&changes, sent.at(), &cache.counters);
    }
    // If this poll detected a restore without a new epoch, the epoch is replaced immediately. If a load detects such a
    // restore, the next poll replaces the epoch.
    renew(context).await?;
    if changes.needs_acknowledgement {
        if !cache.lease.wants_acknowledgement(options.lease) {
            return Ok(());
        }
        let at = Moment::now();
        in_limit(options.load_timeout, feed.acknowledge()).await.map_err(Arc::new)?;
        cache.lease.acknowledged(at);
    }
    cache.confirmed(generation, began, sent, is_followed.then_some(options.lease));
    Ok(())
}

/// Records the time from each reported change until now, when the cached data that it made outdated is invalidated. The
/// poll was sent at `sent`, and the database read its clock later, so the recorded times are upper bounds.
fn record_delays(changes: &Changes, sent: Moment, counters: &Counters) {
    if changes.delays.is_empty() {
        return;
    }
    let (histogram, poll) = (metrics::histogram!(REVOCATION_DELAY), Moment::now().since(sent));
    for delay in &changes.delays {
        histogram.record((*delay + poll).as_secs_f64());
        counters.delayed(*delay + poll);
    }
}

/// Replaces the epoch of the database, if a restore without a new epoch was detected.
async fn renew(context: &Context) -> Loaded<()> {
    let Context { storage, cache, options, .. } = context;
    if let Some(epoch) = cache.to_renew() {
        in_limit(options.load_timeout, storage.changes().renew(epoch)).await.map_err(Arc::new)?;
        cache.renewed(epoch);
    }
    Ok(())
}
