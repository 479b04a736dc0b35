//! The model of the acknowledged changes. It decides whether a response is consistent with these changes.
//!
//! A [`Register`] is an entity that changes atomically and has one writer at a time. Its history of changes determines
//! which states a response may show. A state is possible until a later change is acknowledged. A response from a cache
//! may show this state until the staleness bound has elapsed after the acknowledgement.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::common::locked;

/// The state of a register as a bit set. An assignment has one bit per level, a matrix has one bit per view, and an
/// entity has one bit for its existence.
pub(crate) type Bits = u8;

/// The entity whose state a register tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The fixed levels of the company that the user holds.
    Assignment { user: String, token: String },
    /// The views that a level allows. The token belongs to the only user who holds the level.
    Matrix { level: String, token: String },
    /// The existence of a level.
    Level { id: String },
    /// The validity of an API key.
    Key { id: String, secret: String },
    /// The validity of a user's token. A cut-off at `not_before` revokes the token.
    Token { user: String, token: String, not_before: String },
}

impl Subject {
    /// Returns `true` if the subject is a credential. No request header can require a minimum version for credentials.
    pub(crate) fn is_credential(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::Token { .. })
    }

    /// Returns `true` if the subject can only be deleted or revoked. Such a change is idempotent, so it can be retried
    /// if its response is lost.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Level { .. } | Self::Key { .. } | Self::Token { .. })
    }

    /// Returns the name of the subject for reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Assignment { user, .. } => format!("levels of user {user}"),
            Self::Matrix { level, .. } => format!("view matrix of level {level}"),
            Self::Level { id } => format!("level {id}"),
            Self::Key { id, .. } => format!("API key {id}"),
            Self::Token { user, .. } => format!("token of user {user}"),
        }
    }
}

/// A write to a register.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) bits: Bits,
    /// The replica that acknowledged the change. `None` if the outcome was only observed, and for the initial state and
    /// for restores.
    pub(crate) replica: Option<usize>,
    pub(crate) begin: Instant,
    /// The time at which the change was acknowledged or observed. Until then its outcome is unknown.
    pub(crate) known: Option<Instant>,
    /// The version in the response that acknowledged the change (`X-IAM-Version`).
    pub(crate) version: Option<String>,
    pub(crate) request: String,
}

#[derive(Debug)]
struct History {
    changes: Vec<Change>,
    is_live: bool,
}

/// An entity that changes atomically, and the history of its states.
#[derive(Debug)]
pub(crate) struct Register {
    pub(crate) subject: Subject,
    /// The id of the company.
    pub(crate) company: String,
    /// The time at which the creation of the entity was acknowledged: a dump that began earlier need not contain the
    /// entity. `None` if the entity does not have to be created.
    pub(crate) born: Option<Instant>,
    history: Mutex<History>,
}

/// The read consistency that a request requires: how recent the state in the response must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Bounded staleness: the state may be as old as the lease permits, but not older than a change that the same
    /// replica acknowledged (read-your-writes).
    Lease,
    /// A minimum version: the state must include the register's change with this index.
    NotBefore(usize),
    /// An up-to-date read: the state includes every change that was acknowledged before the request was sent.
    Now,
}

/// An observation: the state that a response showed, the replica that sent it, and the times of the request and the
/// response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) bits: Bits,
    /// The bits that were queried.
    pub(crate) mask: Bits,
    pub(crate) replica: usize,
    pub(crate) freshness: Freshness,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// `true` if a failover of the database overlapped with the request or ended shortly before it. In this case only
    /// bounded staleness is guaranteed, even if the request requires more.
    pub(crate) is_relaxed: bool,
}

/// The model's verdict on a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The state is possible. The duration states how long the state had already been outdated when the request was
    /// sent.
    Possible(Duration),
    /// The response allows a permission that no possible state allows. The duration states how long the response's
    /// state had been outdated.
    AllowTooLate(Duration),
    /// The response reflects an outdated state. Each permission that it allows is also allowed by a currently possible
    /// state. The duration states how long the response's state had been outdated.
    Outdated(Duration),
    /// The register never had this state.
    ImpossibleState,
}

impl Register {
    /// Creates a register whose first change, the initial state, is `change`.
    pub(crate) fn new(subject: Subject, company: &str, born: Option<Instant>, change: Change) -> Self {
        let history = Mutex::new(History { changes: vec![change], is_live: true });
        Self { subject, company: company.to_owned(), born, history }
    }

    /// Adds a change to the state `bits`. The change counts as requested and acknowledged at this moment.
    pub(crate) fn and_now(self, bits: Bits) -> Self {
        let begin = Instant::now();
        let request = "its making".to_owned();
        self.begin(Change { bits, replica: None, begin, known: Some(begin), version: None, request });
        self
    }

    /// Returns `true` if the register is not retired. The model does not judge responses that show a retired register.
    pub(crate) fn is_live(&self) -> bool {
        locked(&self.history).is_live
    }

    /// Retires the register: its state can no longer be determined, so the model no longer judges responses that show
    /// it.
    pub(crate) fn retire(&self) {
        locked(&self.history).is_live = false;
    }

    /// Returns the state that the last change requested, whether or not the change is acknowledged.
    pub(crate) fn current(&self) -> Bits {
        locked(&self.history).changes.last().map_or(0, |change| change.bits)
    }

    /// Returns `true` if the last change was acknowledged or observed.
    pub(crate) fn is_settled(&self) -> bool {
        locked(&self.history).changes.last().is_some_and(|change| change.known.is_some())
    }

    /// Returns the index and the version of the last acknowledged change whose response had a version.
    pub(crate) fn last_version(&self) -> Option<(usize, String)> {
        let history = locked(&self.history);
        let with_place = history.changes.iter().enumerate().rev();
        with_place
            .filter(|(_, change)| change.known.is_some())
            .find_map(|(place, change)| Some((place, change.version.clone()?)))
    }

    /// Returns the number of changes. The initial state counts as one change.
    pub(crate) fn changes(&self) -> usize {
        locked(&self.history).changes.len()
    }

    /// Adds a change that is about to be sent, and returns its index.
    pub(crate) fn begin(&self, change: Change) -> usize {
        let mut history = locked(&self.history);
        history.changes.push(change);
        history.changes.len() - 1
    }

    /// Records the time at which the change with this index was acknowledged or observed. Records the replica and the
    /// version of the acknowledgement too.
    pub(crate) fn known(&self, place: usize, replica: Option<usize>, version: Option<String>, at: Instant) {
        if let Some(change) = locked(&self.history).changes.get_mut(place) {
            change.known = Some(at);
            change.replica = replica;
            change.version = version;
        }
    }

    /// Returns the states that a database snapshot from this period can contain.
    pub(crate) fn possible_within(&self, from: Instant, to: Instant) -> Vec<Bits> {
        let history = locked(&self.history);
        let mut states = Vec::new();
        for (place, change) in history.changes.iter().enumerate() {
            let is_over = history.changes.iter().skip(place + 1).any(|later| later.known.is_some_and(|at| at < from));
            if change.begin <= to && !is_over && !states.contains(&change.bits) {
                states.push(change.bits);
            }
        }
        states
    }

    /// Records that a restore between `begin` and `end` returned the register to this state. Retires the register if a
    /// change was acknowledged since the restore began or has an unknown outcome.
    pub(crate) fn restored(&self, bits: Bits, begin: Instant, end: Instant) {
        let mut history = locked(&self.history);
        if history.changes.iter().any(|change| change.known.is_none_or(|at| at >= begin)) {
            history.is_live = false;
            return;
        }
        let request = "a restore".to_owned();
        history.changes.push(Change { bits, replica: None, begin, known: Some(end), version: None, request });
    }

    /// Checks a response against the model. `bound` is the maximum staleness of a response from the cache.
    pub(crate) fn judge(&self, seen: &Seen, bound: Duration) -> Verdict {
        let history = locked(&self.history);
        // Returns the time from which a response must show a change. The change was acknowledged at `known`.
        let must_show = |place: usize, change: &Change, known: Instant| {
            let is_own = change.replica == Some(seen.replica);
            let is_asked_for = match seen.freshness {
                Freshness::Lease => false,
                Freshness::NotBefore(version) => place <= version,
                Freshness::Now => true,
            };
            let at_once = !seen.is_relaxed && (is_own || is_asked_for);
            if at_once { known } else { known + bound }
        };
        let mut staleness = None;
        let (mut was_so, mut allowed) = (false, 0);
        // The loop starts with the newest change. If a state occurred more than once, its latest occurrence therefore
        // determines the verdict.
        for (place, change) in history.changes.iter().enumerate().rev() {
            let later = || history.changes.iter().enumerate().skip(place + 1);
            let is_over = later()
                .any(|(place, later)| later.known.is_some_and(|known| must_show(place, later, known) < seen.begin));
            if change.begin > seen.end {
                continue;
            }
            let is_possible = !is_over;
            if is_possible {
                allowed |= change.bits & seen.mask;
            }
            if change.bits & seen.mask == seen.bits {
                was_so = true;
                let outdated = later().filter_map(|(_, later)| later.known).min();
                let age = outdated.map_or(Duration::ZERO, |at| seen.begin.saturating_duration_since(at));
                if is_possible {
                    return Verdict::Possible(age);
                }
                staleness = staleness.or(Some(age));
            }
        }
        let age = staleness.unwrap_or_default();
        if seen.bits & !allowed != 0 && was_so {
            Verdict::AllowTooLate(age)
        } else if was_so {
            Verdict::Outdated(age)
        } else {
            Verdict::ImpossibleState
        }
    }

    /// Returns the last eight changes as text, for reports.
    pub(crate) fn tell(&self, start: Instant) -> String {
        let history = locked(&self.history);
        let mut lines = format!("{} in company {}\n", self.subject.name(), self.company);
        let skipped = history.changes.len().saturating_sub(8);
        for change in history.changes.iter().skip(skipped) {
            let at = |instant: Instant| instant.saturating_duration_since(start).as_secs_f64();
            let known = change
                .known
                .map_or("with an unknown outcome".to_owned(), |known| format!("completed by {:.3} s", at(known)));
            let by = change.replica.map_or("no replica".to_owned(), |replica| format!("replica {replica}"));
            lines.push_str(&format!(
                "    {:06b} requested at {:.3} s, {known}, by {by}, request {}, version {}\n",
                change.bits,
                at(change.begin),
                change.request,
                change.version.as_deref().unwrap_or("-")
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(2100);

    /// Creates a register with these changes. Each change consists of the state, the time of the request and the time
    /// of the response. The times are in seconds since `start`.
    fn register(start: Instant, changes: &[(Bits, f64, Option<f64>)]) -> Register {
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let change = |bits, begin, known: Option<f64>| Change {
            bits,
            replica: Some(0),
            begin: at(begin),
            known: known.map(at),
            version: None,
            request: String::new(),
        };
        let subject = Subject::Assignment { user: String::new(), token: String::new() };
        let register = Register::new(subject, "", None, change(0, 0.0, Some(0.0)));
        for (bits, begin, known) in changes {
            register.begin(change(*bits, *begin, *known));
        }
        register
    }

    /// Returns an observation: replica 1 responded with this state to a request that was sent `seconds` after `start`.
    fn seen(start: Instant, bits: Bits, seconds: f64, freshness: Freshness) -> Seen {
        let begin = start + Duration::from_secs_f64(seconds);
        let end = begin + Duration::from_millis(10);
        Seen { bits, mask: 0b1111, replica: 1, freshness, begin, end, is_relaxed: false }
    }

    fn is_possible(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Possible(_))
    }

    #[test]
    fn cached_data_may_be_as_old_as_the_bound_and_no_older() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let judge = |bits, at| register.judge(&seen(start, bits, at, Freshness::Lease), BOUND);
        assert!(is_possible(judge(0b11, 6.0)));
        assert!(is_possible(judge(0b01, 3.5)), "a change may be visible before it is acknowledged");
        assert_eq!(judge(0b11, 6.5), Verdict::AllowTooLate(Duration::from_millis(2500)));
        assert_eq!(judge(0b01, 2.9), Verdict::ImpossibleState, "a change must not be visible before it is requested");
    }

    #[test]
    fn a_state_that_allows_less_may_be_outdated() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0))]);
        let verdict = register.judge(&seen(start, 0, 5.0, Freshness::Lease), BOUND);
        assert_eq!(verdict, Verdict::Outdated(Duration::from_secs(3)));
    }

    #[test]
    fn a_mixture_of_states_is_a_violation() {
        let start = Instant::now();
        let register = register(start, &[(0b0011, 1.0, Some(2.0)), (0b1100, 3.0, Some(4.0))]);
        assert_eq!(register.judge(&seen(start, 0b0110, 5.0, Freshness::Lease), BOUND), Verdict::ImpossibleState);
    }

    #[test]
    fn a_consistent_read_shows_every_acknowledged_change() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let judge = |freshness| register.judge(&seen(start, 0b11, 4.5, freshness), BOUND);
        assert!(is_possible(judge(Freshness::Lease)));
        assert!(
            is_possible(judge(Freshness::NotBefore(1))),
            "a request with the minimum version of an earlier change must permit the state after that change"
        );
        assert!(!is_possible(judge(Freshness::NotBefore(2))));
        assert!(!is_possible(judge(Freshness::Now)));
        let relaxed = Seen { is_relaxed: true, ..seen(start, 0b11, 4.5, Freshness::Now) };
        assert!(is_possible(register.judge(&relaxed, BOUND)), "during a failover, only the staleness bound must apply");
    }

    #[test]
    fn a_replica_shows_its_own_changes_immediately() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let own = Seen { replica: 0, ..seen(start, 0b11, 4.5, Freshness::Lease) };
        assert!(!is_possible(register.judge(&own, BOUND)));
    }

    #[test]
    fn a_change_with_unknown_outcome_may_be_visible_or_not() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, None)]);
        for bits in [0b11, 0b01] {
            assert!(is_possible(register.judge(&seen(start, bits, 60.0, Freshness::Now), BOUND)));
        }
        register.known(2, None, None, start + Duration::from_secs(61));
        assert!(!is_possible(register.judge(&seen(start, 0b11, 64.0, Freshness::Lease), BOUND)));
    }

    #[test]
    fn a_state_that_recurs_counts_from_its_last_occurrence() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0, 3.0, Some(4.0)), (0b11, 5.0, Some(6.0))]);
        let verdict = register.judge(&seen(start, 0b11, 60.0, Freshness::Now), BOUND);
        assert_eq!(verdict, Verdict::Possible(Duration::ZERO));
    }

    #[test]
    fn a_restore_brings_back_the_state_of_the_dump() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let changes = [(0b11, 1.0, Some(2.0)), (0b01, 10.0, Some(11.0))];
        let known = register(start, &changes);
        assert_eq!(known.possible_within(at(5), at(6)), [0b11]);
        known.restored(0b11, at(20), at(21));
        assert!(known.is_live());
        assert!(is_possible(known.judge(&seen(start, 0b11, 30.0, Freshness::Now), BOUND)));
        assert!(!is_possible(known.judge(&seen(start, 0b01, 30.0, Freshness::Now), BOUND)));
        let changed_meanwhile = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 20.5, Some(20.8))]);
        changed_meanwhile.restored(0b11, at(20), at(21));
        assert!(!changed_meanwhile.is_live());
    }
}
