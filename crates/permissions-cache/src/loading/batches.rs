//! Loads of the members of groups, in batches. The members of a group that wait at the same time are loaded together, and
//! all requests that wait for the same member share one load (single flight). Each request specifies a ticket, and
//! receives the result of a load that began after this ticket was issued.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iam_traces::carry;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::freshness::ticket::{Ticket, Tickets};

pub(crate) type Loading<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The function that loads the values of members of a group, in the order of the members. The ticket is that at which the
/// load begins.
type Load<G, M, T> = Box<dyn Fn(G, Vec<M>, Ticket) -> Loading<Vec<T>> + Send + Sync>;

/// Maximum number of members that wait or are loaded at the same time, in all groups. Requests for further members fail
/// immediately (load shedding).
const MAX_MEMBERS: usize = 10_000;

/// The limits of the loads of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of concurrent loads.
    pub(crate) loads: usize,
    /// Maximum number of members of one load.
    pub(crate) members: usize,
}

/// The error that a request receives if a load ended without a result, for example because it panicked, or if too many
/// members wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a load ended without a result, or too many loads are pending")]
pub(crate) struct Lost;

/// The requests that wait for the value of one member.
type Waiters<T> = Vec<oneshot::Sender<T>>;

/// A load in progress.
struct Batch<M, T> {
    began: Ticket,
    /// The loaded members, in the order in which they were passed to the load.
    members: Vec<(M, Waiters<T>)>,
}

/// The members of a group that wait or are loaded.
struct Group<M, T> {
    /// The members that wait for the next load, in order of arrival.
    order: VecDeque<M>,
    waiting: HashMap<M, Waiters<T>>,
    running: Vec<Batch<M, T>>,
    /// The number of tasks that load members of the group. Each of them runs one load at a time. If members wait, there
    /// is at least one such task.
    tasks: usize,
}

impl<M, T> Default for Group<M, T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), running: Vec::new(), tasks: 0 }
    }
}

impl<M: Clone + Eq + Hash, T> Group<M, T> {
    /// Returns the requests that a request for this member may join: those of a load of the member that is in progress and
    /// began after `since`, or those that wait for its next load.
    fn joinable(&mut self, member: &M, since: Ticket) -> Option<&mut Waiters<T>> {
        let recent = self.running.iter_mut().filter(|batch| batch.began > since);
        let loaded = recent.flat_map(|batch| &mut batch.members).find(|(loaded, _)| loaded == member);
        loaded.map(|(_, waiters)| waiters).or_else(|| self.waiting.get_mut(member))
    }

    /// Returns `true` if the waiting members need a further task. Each task that runs no load will load a batch.
    fn needs_task(&self, limits: Limits) -> bool {
        let idle = self.tasks.saturating_sub(self.running.len());
        self.tasks < limits.loads && self.order.len() > idle.saturating_mul(limits.members)
    }

    /// Removes and returns the members of the next batch, at most `count`. Also removes members whose requests were all
    /// cancelled, and returns their number.
    fn take(&mut self, count: usize) -> (Vec<(M, Waiters<T>)>, usize) {
        let (mut members, mut cancelled) = (Vec::new(), 0);
        while members.len() < count
            && let Some(member) = self.order.pop_front()
        {
            let mut waiters = self.waiting.remove(&member).unwrap_or_default();
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                cancelled += 1;
            } else {
                members.push((member, waiters));
            }
        }
        (members, cancelled)
    }
}

/// All groups with waiting members or with loads in progress.
struct State<G, M, T> {
    groups: HashMap<G, Group<M, T>>,
    /// The number of members that wait or are loaded, in all groups.
    members: usize,
}

/// Loads values of members of groups. In each group, the number of concurrent loads and the number of members of one load
/// are limited, regardless of the number of waiting requests. Each load runs in a separate task and continues even if
/// the waiting requests are cancelled.
pub(crate) struct Batches<G, M, T> {
    state: Mutex<State<G, M, T>>,
    limits: Limits,
    tickets: Arc<Tickets>,
    gate: Arc<Semaphore>,
    runtime: Handle,
    load: Load<G, M, T>,
}

impl<G, M, T> Batches<G, M, T>
where
    G: Clone + Eq + Hash + Send + Sync + 'static,
    M: Clone + Eq + Hash + Send + Sync + 'static,
    T: Send + Clone + 'static,
{
    /// Creates batches that `load` loads. The closure receives a group, different members of the group, and the ticket at
    /// which the load begins. It returns the values in the order of the members. The semaphore `gate` limits the number
    /// of concurrent loads of all groups.
    pub(crate) fn new(
        tickets: Arc<Tickets>,
        gate: Arc<Semaphore>,
        runtime: Handle,
        limits: Limits,
        load: impl Fn(G, Vec<M>, Ticket) -> Loading<Vec<T>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = Mutex::new(State { groups: HashMap::new(), members: 0 });
        Arc::new(Self { state, limits, tickets, gate, runtime, load: Box::new(load) })
    }

    /// Returns the value of a member from a load that began after the ticket `since` was issued. Cancelling this call
    /// does not cancel the load.
    pub(crate) async fn get(self: &Arc<Self>, group: G, member: M, since: Ticket) -> Result<T, Lost> {
        let (sender, answer) = oneshot::channel();
        if self.enqueue(&group, member, since, sender)? {
            // The loads belong to the trace of the request that started the task.
            self.runtime.spawn(carry(Arc::clone(self).load_while_awaited(group)));
        }
        answer.await.map_err(|_| Lost)
    }

    /// Adds a request to a load in progress, or to the waiting requests. Returns `true` if the caller must start a task
    /// that loads members of the group.
    fn enqueue(&self, group: &G, member: M, since: Ticket, waiter: oneshot::Sender<T>) -> Result<bool, Lost> {
        let mut state = self.state();
        let State { groups, members } = &mut *state;
        if let Some(waiters) = groups.get_mut(group).and_then(|found| found.joinable(&member, since)) {
            waiters.push(waiter);
            return Ok(false);
        }
        if *members >= MAX_MEMBERS {
            return Err(Lost);
        }
        *members += 1;
        let found = groups.entry(group.clone()).or_default();
        found.order.push_back(member.clone());
        found.waiting.insert(member, vec![waiter]);
        let needs_task = found.needs_task(self.limits);
        found.tasks += usize::from(needs_task);
        Ok(needs_task)
    }

    /// Runs loads of a group, one after the other, for as long as members wait.
    async fn load_while_awaited(self: Arc<Self>, group: G) {
        loop {
            // The semaphore is never closed, so this cannot fail. The batch is formed when the load can begin, so that it
            // contains the members that arrived in the meantime.
            let permit = Arc::clone(&self.gate).acquire_owned().await;
            let Some((members, began)) = self.begin(&group) else { return };
            // The load runs in a separate task. If it panics, the requests of this batch receive an error, and the next
            // load can begin.
            let loaded = self.runtime.spawn(carry((self.load)(group.clone(), members, began))).await;
            drop(permit);
            let (batch, is_over) = self.end(&group, began);
            for ((_, waiters), value) in batch.into_iter().zip(loaded.unwrap_or_default()) {
                for waiter in waiters {
                    // The request may have been cancelled.
                    let _ = waiter.send(value.clone());
                }
            }
            if is_over {
                return;
            }
        }
    }

    /// Begins the next load of a group: returns its members and its ticket. Returns `None`, and ends the task that runs
    /// loads, if no request waits.
    fn begin(&self, group: &G) -> Option<(Vec<M>, Ticket)> {
        let mut state = self.state();
        let State { groups, members: total } = &mut *state;
        let found = groups.get_mut(group)?;
        let (batch, cancelled) = found.take(self.limits.members);
        *total = total.saturating_sub(cancelled);
        if batch.is_empty() {
            found.tasks = found.tasks.saturating_sub(1);
            if found.tasks == 0 {
                groups.remove(group);
            }
            return None;
        }
        let members = batch.iter().map(|(member, _)| member.clone()).collect();
        let began = self.tickets.begin();
        found.running.push(Batch { began, members: batch });
        Some((members, began))
    }

    /// Ends the load that began at this ticket: returns its members, each with the requests that wait for it. Also returns
    /// `true`, and ends the task that runs loads, if no member of the group waits.
    fn end(&self, group: &G, began: Ticket) -> (Vec<(M, Waiters<T>)>, bool) {
        let mut state = self.state();
        let State { groups, members: total } = &mut *state;
        let Some(found) = groups.get_mut(group) else { return (Vec::new(), true) };
        let position = found.running.iter().position(|batch| batch.began == began);
        let batch = position.map(|position| found.running.swap_remove(position).members).unwrap_or_default();
        *total = total.saturating_sub(batch.len());
        let is_over = found.order.is_empty();
        if is_over {
            found.tasks = found.tasks.saturating_sub(1);
            if found.tasks == 0 {
                groups.remove(group);
            }
        }
        (batch, is_over)
    }

    fn state(&self) -> MutexGuard<'_, State<G, M, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
