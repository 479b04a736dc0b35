//! Counts decisions by their outcome and reason.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use iam_domain::Reason;

const DECISIONS: &str = "iam_decisions_total";

/// The number of stripes. Each thread increments the counters of one stripe, so that threads rarely contend.
const STRIPES: usize = 16;

/// The counters of one stripe, in the order of [`Reason::ALL`]. They are aligned to separate CPU cache lines to prevent
/// false sharing.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe([AtomicU64; Reason::ALL.len()]);

static COUNTERS: [Stripe; STRIPES] = [const { Stripe([const { AtomicU64::new(0) }; Reason::ALL.len()]) }; STRIPES];

static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Counts a decision. The reason determines the outcome.
#[inline]
pub(crate) fn count(reason: Reason) {
    let stripe = STRIPE.get().unwrap_or_else(|| {
        let stripe = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
        STRIPE.set(Some(stripe));
        stripe
    });
    if let Some(counter) = COUNTERS.get(stripe).and_then(|Stripe(counters)| counters.get(reason as usize)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Describes the metric, and creates its series.
pub(crate) fn describe() {
    metrics::describe_counter!(DECISIONS, "Decisions that were returned to callers, by outcome and reason");
    publish();
}

/// Publishes the numbers of decisions as metrics. The admin port calls this function before it renders the metrics. A
/// program that embeds the API and exports metrics itself must call it, too.
pub fn publish() {
    for (nth, reason) in Reason::ALL.into_iter().enumerate() {
        let count = COUNTERS.iter().filter_map(|Stripe(counters)| counters.get(nth));
        let count = count.map(|counter| counter.load(Ordering::Relaxed)).sum();
        let outcome = if reason.allows() { "allow" } else { "deny" };
        metrics::counter!(DECISIONS, "outcome" => outcome, "reason" => reason.code()).absolute(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_reason_is_its_index() {
        for (nth, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, nth);
        }
    }
}
