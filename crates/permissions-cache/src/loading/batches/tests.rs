//! Tests of batches of loads, with forced interleavings.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{JoinHandle, yield_now};

use super::*;

/// The limits of most tests.
const TWO_OF_THREE: Limits = Limits { loads: 2, members: 3 };
/// The limits of a group whose members are loaded one at a time.
const ONE_OF_ONE: Limits = Limits { loads: 1, members: 1 };
/// Maximum number of concurrent loads of all groups.
const GATE: usize = 4;

type Group = &'static str;
/// The group and the members of a load.
type Loaded = (Group, Vec<u32>);

/// Batches whose loads block until the test releases them, in the order in which they began. The value of a member is the
/// member and the number of its load, counted from 1.
struct Bench {
    batches: Arc<Batches<Group, u32, (u32, usize)>>,
    tickets: Arc<Tickets>,
    /// The group and the members of each load, in the order in which the loads began.
    begun: Arc<Mutex<Vec<Loaded>>>,
    ended: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
}

/// The member whose loads panic.
const PANICS: u32 = u32::MAX;
/// The member whose loads never end.
const HANGS: u32 = u32::MAX - 1;

fn bench(limits: Limits) -> Bench {
    let tickets = Arc::<Tickets>::default();
    let (begun, ended) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
    let go = Arc::new(Semaphore::new(0));
    let load = {
        let (begun, ended, go) = (Arc::clone(&begun), Arc::clone(&ended), Arc::clone(&go));
        move |group, members: Vec<u32>, _| -> Loading<Vec<(u32, usize)>> {
            let (begun, ended, go) = (Arc::clone(&begun), Arc::clone(&ended), Arc::clone(&go));
            Box::pin(async move {
                let number = {
                    let mut begun = begun.lock().unwrap();
                    begun.push((group, members.clone()));
                    begun.len()
                };
                if members.contains(&HANGS) {
                    std::future::pending::<()>().await;
                }
                go.acquire().await.unwrap().forget();
                ended.fetch_add(1, Ordering::SeqCst);
                assert!(!members.contains(&PANICS), "the load panics, as the test requested");
                members.into_iter().map(|member| (member, number)).collect()
            })
        }
    };
    let gate = Arc::new(Semaphore::new(GATE));
    let batches = Batches::new(Arc::clone(&tickets), gate, Handle::current(), limits, load);
    Bench { batches, tickets, begun, ended, go }
}

type Asking = JoinHandle<Result<(u32, usize), Lost>>;

impl Bench {
    /// Requests a member in a separate task. The request waits in the queue, or for a load, when this call returns.
    async fn ask_since(&self, group: Group, member: u32, since: Ticket) -> Asking {
        let waiting = self.waiting();
        let batches = Arc::clone(&self.batches);
        let asking = tokio::spawn(async move { batches.get(group, member, since).await });
        eventually(|| self.waiting() > waiting || asking.is_finished()).await;
        asking
    }

    /// Requests a member as [`Self::ask_since`] does, from a load that begins after this call.
    async fn ask(&self, group: Group, member: u32) -> Asking {
        self.ask_since(group, member, self.tickets.now()).await
    }

    /// Returns the number of requests that wait.
    fn waiting(&self) -> usize {
        let state = self.batches.state();
        let waiting = state.groups.values().flat_map(|group| group.waiting.values());
        let running = state.groups.values().flat_map(|group| &group.running).flat_map(|batch| &batch.members);
        waiting.chain(running.map(|(_, waiters)| waiters)).map(Vec::len).sum()
    }

    /// Waits until this number of loads have begun, and checks that no further load begins.
    async fn begun(&self, count: usize) {
        eventually(|| self.loads().len() >= count).await;
        settle().await;
        assert_eq!(self.loads().len(), count, "{:?}", self.loads());
    }

    /// Returns the group and the members of each load that has begun.
    fn loads(&self) -> Vec<Loaded> {
        self.begun.lock().unwrap().clone()
    }

    /// Releases the load that has been blocked for longest, and waits until its requests have their values.
    async fn release(&self) {
        let ended = self.ended.load(Ordering::SeqCst);
        self.go.add_permits(1);
        eventually(|| self.ended.load(Ordering::SeqCst) > ended).await;
        settle().await;
    }

    /// Checks that nothing remains after all loads.
    async fn is_empty(&self) {
        eventually(|| self.batches.state().groups.is_empty()).await;
        assert_eq!(self.batches.state().members, 0);
    }
}

/// Waits until a condition holds. Panics if it does not hold after all tasks have run many times: the tests have one thread.
async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        yield_now().await;
    }
    panic!("the condition does not hold");
}

/// Lets all ready tasks run.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_thousand_waiting_requests_share_one_load() {
    for limits in [ONE_OF_ONE, TWO_OF_THREE] {
        let bench = bench(limits);
        let since = bench.tickets.now();
        let mut asking = Vec::new();
        for _ in 0..1000 {
            asking.push(bench.ask_since("a", 1, since).await);
        }
        bench.release().await;
        for asking in asking {
            assert_eq!(asking.await.unwrap(), Ok((1, 1)));
        }
        assert_eq!(bench.loads(), [("a", vec![1])]);
        bench.is_empty().await;
    }
}

#[tokio::test]
async fn a_request_that_arrives_after_a_load_began_is_answered_by_a_later_one() {
    for limits in [ONE_OF_ONE, TWO_OF_THREE] {
        let bench = bench(limits);
        let early = bench.ask("a", 1).await;
        bench.begun(1).await;
        let since = bench.tickets.now();
        let late = [bench.ask_since("a", 1, since).await, bench.ask_since("a", 1, since).await];
        settle().await;
        bench.release().await;
        assert_eq!(early.await.unwrap(), Ok((1, 1)));
        bench.begun(2).await;
        assert!(late.iter().all(|late| !late.is_finished()), "the load began before these requests arrived");
        bench.release().await;
        for late in late {
            assert_eq!(late.await.unwrap(), Ok((1, 2)));
        }
        bench.is_empty().await;
    }
}

#[tokio::test]
async fn a_request_that_accepts_an_earlier_state_joins_a_load_in_progress_of_its_member() {
    for limits in [ONE_OF_ONE, TWO_OF_THREE] {
        let bench = bench(limits);
        let before = bench.tickets.now();
        let first = bench.ask("a", 1).await;
        bench.begun(1).await;
        let second = bench.ask_since("a", 1, before).await;
        // This member is not in the batch.
        let other = bench.ask_since("a", 2, before).await;
        bench.release().await;
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok((1, 1)), Ok((1, 1))));
        bench.release().await;
        assert_eq!(other.await.unwrap(), Ok((2, 2)));
        assert_eq!(bench.loads(), [("a", vec![1]), ("a", vec![2])]);
    }
}

#[tokio::test]
async fn a_load_survives_the_cancellation_of_the_request_that_began_it() {
    let bench = bench(TWO_OF_THREE);
    let before = bench.tickets.now();
    let first = bench.ask("a", 1).await;
    bench.begun(1).await;
    let second = bench.ask_since("a", 1, before).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    bench.release().await;
    assert_eq!(second.await.unwrap(), Ok((1, 1)));
    assert_eq!(bench.loads().len(), 1);
}

/// Begins two loads of the group, of the members 1 and 2.
async fn two_loads(bench: &Bench, group: Group) -> [Asking; 2] {
    let begun = bench.loads().len();
    let first = bench.ask(group, 1).await;
    bench.begun(begun + 1).await;
    let second = bench.ask(group, 2).await;
    bench.begun(begun + 2).await;
    [first, second]
}

#[tokio::test]
async fn waiting_members_share_one_load_and_a_group_has_at_most_two_loads_in_progress() {
    let bench = bench(Limits { loads: 2, members: 64 });
    let first = two_loads(&bench, "a").await;
    let mut waiting = Vec::new();
    for member in 3..=20 {
        waiting.push((member, bench.ask("a", member).await));
    }
    // The gate would admit two more loads.
    bench.begun(2).await;
    bench.release().await;
    bench.begun(3).await;
    assert_eq!(bench.loads().pop(), Some(("a", (3..=20).collect())));
    bench.go.add_permits(2);
    for (member, asking) in waiting {
        assert_eq!(asking.await.unwrap(), Ok((member, 3)));
    }
    for (member, asking) in (1..).zip(first) {
        assert_eq!(asking.await.unwrap().unwrap().0, member);
    }
    assert_eq!(bench.loads().len(), 3);
    bench.is_empty().await;
}

#[tokio::test]
async fn the_number_of_members_of_a_load_is_bounded_and_members_are_loaded_in_order_of_arrival() {
    let bench = bench(TWO_OF_THREE);
    let [first, second] = two_loads(&bench, "a").await;
    let mut waiting = Vec::new();
    for member in (3..=10).rev() {
        waiting.push(bench.ask("a", member).await);
    }
    bench.go.add_permits(5);
    for asking in waiting.into_iter().chain([first, second]) {
        asking.await.unwrap().unwrap();
    }
    let members: Vec<_> = bench.loads().into_iter().map(|(_, members)| members).collect();
    assert_eq!(members, [vec![1], vec![2], vec![10, 9, 8], vec![7, 6, 5], vec![4, 3]]);
    bench.is_empty().await;
}

#[tokio::test]
async fn more_members_than_fit_into_one_load_begin_two_loads_at_once() {
    let bench = bench(TWO_OF_THREE);
    let permits = Arc::clone(&bench.batches.gate).acquire_many_owned(4).await.unwrap();
    let mut asking = Vec::new();
    for member in 1..=7 {
        asking.push(bench.ask("a", member).await);
    }
    bench.begun(0).await;
    drop(permits);
    bench.begun(2).await;
    let begun: BTreeSet<_> = bench.loads().into_iter().map(|(_, members)| members).collect();
    assert_eq!(begun, BTreeSet::from([vec![1, 2, 3], vec![4, 5, 6]]));
    bench.go.add_permits(3);
    for asking in asking {
        asking.await.unwrap().unwrap();
    }
    bench.is_empty().await;
}

#[tokio::test]
async fn a_group_whose_loads_hang_delays_no_other_group() {
    let bench = bench(TWO_OF_THREE);
    let hanging = two_loads(&bench, "a").await;
    let mut waiting = Vec::new();
    for member in 3..=20 {
        waiting.push(bench.ask("a", member).await);
    }
    // The group could otherwise use all four permits.
    let others = [bench.ask("b", 1).await, bench.ask("c", 1).await];
    bench.begun(4).await;
    let mut begun = bench.loads();
    begun.sort();
    assert_eq!(begun, [("a", vec![1]), ("a", vec![2]), ("b", vec![1]), ("c", vec![1])]);
    bench.go.add_permits(100);
    for asking in hanging.into_iter().chain(waiting).chain(others) {
        asking.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_load_that_hangs_does_not_delay_the_other_members_of_its_group() {
    let bench = bench(TWO_OF_THREE);
    let hanging = bench.ask("a", HANGS).await;
    bench.begun(1).await;
    for member in 1..=5 {
        let other = bench.ask("a", member).await;
        bench.release().await;
        assert_eq!(other.await.unwrap().map(|(member, _)| member), Ok(member));
    }
    assert!(!hanging.is_finished());
}

#[tokio::test]
async fn members_whose_requests_were_cancelled_are_not_loaded() {
    let bench = bench(TWO_OF_THREE);
    let first = two_loads(&bench, "a").await;
    let mut waiting = Vec::new();
    for member in 3..=9 {
        waiting.push(bench.ask("a", member).await);
    }
    // A second request waits for member 4.
    let second = bench.ask("a", 4).await;
    for (member, asking) in (3..).zip(&waiting) {
        if member != 9 {
            asking.abort();
        }
    }
    for asking in waiting.drain(..6) {
        assert!(asking.await.unwrap_err().is_cancelled());
    }
    bench.release().await;
    bench.begun(3).await;
    assert_eq!(bench.loads().pop(), Some(("a", vec![4, 9])));
    bench.go.add_permits(2);
    for asking in first.into_iter().chain(waiting).chain([second]) {
        asking.await.unwrap().unwrap();
    }
    bench.is_empty().await;

    // If all requests are cancelled, no load begins.
    let first = two_loads(&bench, "a").await;
    let only = bench.ask("a", 3).await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    let begun = bench.loads().len();
    bench.go.add_permits(2);
    for asking in first {
        asking.await.unwrap().unwrap();
    }
    bench.is_empty().await;
    assert_eq!(bench.loads().len(), begun);
}

#[tokio::test]
async fn a_load_that_panics_fails_only_the_requests_of_its_batch() {
    let bench = bench(TWO_OF_THREE);
    let [first, second] = two_loads(&bench, "a").await;
    let batch = [bench.ask("a", 3).await, bench.ask("a", PANICS).await, bench.ask("a", 4).await];
    let next = bench.ask("a", 5).await;
    bench.release().await;
    bench.begun(3).await;
    bench.go.add_permits(3);
    for asking in batch {
        assert_eq!(asking.await.unwrap(), Err(Lost));
    }
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok((1, 1)), Ok((2, 2))));
    assert_eq!(next.await.unwrap().map(|(member, _)| member), Ok(5));
    bench.is_empty().await;
    // A member of the batch can be loaded again.
    let again = bench.ask("a", 3).await;
    bench.release().await;
    assert_eq!(again.await.unwrap().map(|(member, _)| member), Ok(3));
}

#[tokio::test]
async fn requests_for_further_members_fail_at_the_limit_of_all_groups() {
    let bench = bench(TWO_OF_THREE);
    let first = two_loads(&bench, "a").await;
    let since = bench.tickets.now();
    let mut waiting = Vec::new();
    let mut enqueue = |group, member| {
        let (sender, answer) = oneshot::channel();
        let enqueued = bench.batches.enqueue(&group, member, since, sender);
        waiting.push(answer);
        enqueued
    };
    let members = u32::try_from(MAX_MEMBERS).unwrap();
    for member in 3..=members {
        assert_eq!(enqueue("a", member), Ok(false));
    }
    assert_eq!((enqueue("a", members + 1), enqueue("b", 1)), (Err(Lost), Err(Lost)));
    // A request for a member that already waits needs no further load.
    assert_eq!(enqueue("a", members), Ok(false));
    drop(waiting);
    bench.go.add_permits(2);
    for asking in first {
        asking.await.unwrap().unwrap();
    }
    bench.is_empty().await;
    let other = bench.ask("b", 1).await;
    bench.release().await;
    assert_eq!(other.await.unwrap().map(|(member, _)| member), Ok(1));
}
