//! The model of the acknowledged changes, which decides whether a response agrees with them.
//!
//! A [`Register`] is an entity that changes atomically, with one writer at a time. Its history determines which states
//! a response may show: a state is possible until a later change is acknowledged, or for up to the bound longer if the
//! response may come from the cache.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::common::locked;

/// A state of a register: one bit for each level, view or property.
pub(crate) type Bits = u8;

/// The entity whose state a register tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The fixed levels of the company that the user holds.
    Assignment { user: String, token: String },
    /// The views that a level allows, as its only holder sees them.
    Matrix { level: String, token: String },
    /// Whether a level exists.
    Level { id: String },
    /// Whether an API key is admitted.
    Key { id: String, secret: String },
    /// Whether the token of a user is admitted.
    Token { user: String, token: String, not_before: String },
}

impl Subject {
    /// Returns whether the subject is a credential, for which no request header can require a newer state.
    pub(crate) fn is_credential(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::Token { .. })
    }

    /// Returns whether the subject only ever goes from present to removed, so that a change without a response can be
    /// retried.
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

/// A change of a register.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) bits: Bits,
    /// The replica that acknowledged the change; `None` for the initial state and for restores.
    pub(crate) replica: Option<usize>,
    pub(crate) begin: Instant,
    /// The time at which the change was acknowledged or observed. Until then its outcome is unknown.
    pub(crate) known: Option<Instant>,
    /// The version that the acknowledgement contained.
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
    /// The time at which its creation was acknowledged: an earlier dump need not contain it. `None` if nothing has to
    /// be created.
    pub(crate) born: Option<Instant>,
    history: Mutex<History>,
}

/// How recent the state in a response must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// At most as old as the lease permits, and not older than a change that the same replica acknowledged.
    Lease,
    /// Not older than this change of the register.
    NotBefore(usize),
    /// The state of the database after the request arrived.
    Now,
}

/// The state that a response showed, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) bits: Bits,
    /// The bits that were queried.
    pub(crate) mask: Bits,
    pub(crate) replica: usize,
    pub(crate) freshness: Freshness,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// Whether the database failed over during the request, so that only the lease is guaranteed.
    pub(crate) is_relaxed: bool,
}

/// The model's verdict on a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The state is possible. It had been outdated for this long when the request began.
    Possible(Duration),
    /// The response allows more than any possible state.
    AllowTooLate(Duration),
    /// The response shows an outdated state, but does not allow more than the possible states.
    Outdated(Duration),
    /// The register never had this state.
    NeverSo,
}

impl Register {
    /// Creates a register with a known state.
    pub(crate) fn new(subject: Subject, company: &str, born: Option<Instant>, change: Change) -> Self {
        let history = Mutex::new(History { changes: vec![change], is_live: true });
        Self { subject, company: company.to_owned(), born, history }
    }

    /// Adds a change that was acknowledged just now.
    pub(crate) fn and_now(self, bits: Bits) -> Self {
        let begin = Instant::now();
        let request = "its making".to_owned();
        self.begin(Change { bits, replica: None, begin, known: Some(begin), version: None, request });
        self
    }

    /// Returns whether the model still knows enough to judge responses.
    pub(crate) fn is_live(&self) -> bool {
        locked(&self.history).is_live
    }

    /// Retires the register, because its state can no longer be known.
    pub(crate) fn retire(&self) {
        locked(&self.history).is_live = false;
    }

    /// Returns the last requested state.
    pub(crate) fn current(&self) -> Bits {
        locked(&self.history).changes.last().map_or(0, |change| change.bits)
    }

    /// Returns whether the last change is known to have happened.
    pub(crate) fn is_settled(&self) -> bool {
        locked(&self.history).changes.last().is_some_and(|change| change.known.is_some())
    }

    /// Returns the last acknowledged change with a version: its index and the version.
    pub(crate) fn last_version(&self) -> Option<(usize, String)> {
        let history = locked(&self.history);
        let with_place = history.changes.iter().enumerate().rev();
        with_place
            .filter(|(_, change)| change.known.is_some())
            .find_map(|(place, change)| Some((place, change.version.clone()?)))
    }

    /// Returns the number of changes, including the initial state.
    pub(crate) fn changes(&self) -> usize {
        locked(&self.history).changes.len()
    }

    /// Begins a change and returns its index.
    pub(crate) fn begin(&self, change: Change) -> usize {
        let mut history = locked(&self.history);
        history.changes.push(change);
        history.changes.len() - 1
    }

    /// Records that the change at this index has happened.
    pub(crate) fn known(&self, place: usize, replica: Option<usize>, version: Option<String>, at: Instant) {
        if let Some(change) = locked(&self.history).changes.get_mut(place) {
            change.known = Some(at);
            change.replica = replica;
            change.version = version;
        }
    }

    /// Returns the possible states of a snapshot that was taken in this period.
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

    /// Records that a restore from `begin` to `end` brought this state back. Retires the register if a change completed
    /// since the restore began, or has an unknown outcome.
    pub(crate) fn restored(&self, bits: Bits, begin: Instant, end: Instant) {
        let mut history = locked(&self.history);
        if history.changes.iter().any(|change| change.known.is_none_or(|at| at >= begin)) {
            history.is_live = false;
            return;
        }
        let request = "a restore".to_owned();
        history.changes.push(Change { bits, replica: None, begin, known: Some(end), version: None, request });
    }

    /// Judges a response. `bound` is the maximum age of cached state.
    pub(crate) fn judge(&self, seen: &Seen, bound: Duration) -> Verdict {
        let history = locked(&self.history);
        // Returns the time from which a response must show a change that was acknowledged at `known`.
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
        // Starts with the newest change: if a state occurred twice, the response may show the later occurrence.
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
            Verdict::NeverSo
        }
    }

    /// Returns the last changes, for reports.
    pub(crate) fn tell(&self, start: Instant) -> String {
        let history = locked(&self.history);
        let mut lines = format!("{} in company {}\n", self.subject.name(), self.company);
        let skipped = history.changes.len().saturating_sub(8);
        for change in history.changes.iter().skip(skipped) {
            let at = |instant: Instant| instant.saturating_duration_since(start).as_secs_f64();
            let known =
                change.known.map_or("of unknown outcome".to_owned(), |known| format!("known at {:.3}", at(known)));
            let by = change.replica.map_or("no replica".to_owned(), |replica| format!("replica {replica}"));
            lines.push_str(&format!(
                "    {:06b} asked for at {:.3} s, {known}, by {by}, request {}, version {}\n",
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

    /// Creates a register at the start, and its changes: state, second of the request, and second of the response.
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

    /// Returns the state that replica 1 showed in response to a request at this second.
    fn seen(start: Instant, bits: Bits, seconds: f64, freshness: Freshness) -> Seen {
        let begin = start + Duration::from_secs_f64(seconds);
        let end = begin + Duration::from_millis(10);
        Seen { bits, mask: 0b1111, replica: 1, freshness, begin, end, is_relaxed: false }
    }

    fn is_possible(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Possible(_))
    }

    #[test]
    fn memory_may_be_as_old_as_the_bound_and_no_older() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let judge = |bits, at| register.judge(&seen(start, bits, at, Freshness::Lease), BOUND);
        assert!(is_possible(judge(0b11, 6.0)));
        assert!(is_possible(judge(0b01, 3.5)), "a change may be visible before it is acknowledged");
        assert_eq!(judge(0b11, 6.5), Verdict::AllowTooLate(Duration::from_millis(2500)));
        assert_eq!(judge(0b01, 2.9), Verdict::NeverSo, "the change was not requested yet");
    }

    #[test]
    fn a_state_that_allows_less_is_outdated() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0))]);
        let verdict = register.judge(&seen(start, 0, 5.0, Freshness::Lease), BOUND);
        assert_eq!(verdict, Verdict::Outdated(Duration::from_secs(3)));
    }

    #[test]
    fn a_mixture_of_states_never_was() {
        let start = Instant::now();
        let register = register(start, &[(0b0011, 1.0, Some(2.0)), (0b1100, 3.0, Some(4.0))]);
        assert_eq!(register.judge(&seen(start, 0b0110, 5.0, Freshness::Lease), BOUND), Verdict::NeverSo);
    }

    #[test]
    fn what_the_database_says_now_shows_every_acknowledged_change() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let judge = |freshness| register.judge(&seen(start, 0b11, 4.5, freshness), BOUND);
        assert!(is_possible(judge(Freshness::Lease)));
        assert!(is_possible(judge(Freshness::NotBefore(1))), "the request required the version of an earlier change");
        assert!(!is_possible(judge(Freshness::NotBefore(2))));
        assert!(!is_possible(judge(Freshness::Now)));
        let relaxed = Seen { is_relaxed: true, ..seen(start, 0b11, 4.5, Freshness::Now) };
        assert!(is_possible(register.judge(&relaxed, BOUND)), "during a failover only the bound applies");
    }

    #[test]
    fn a_replica_shows_its_own_changes_at_once() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, Some(4.0))]);
        let own = Seen { replica: 0, ..seen(start, 0b11, 4.5, Freshness::Lease) };
        assert!(!is_possible(register.judge(&own, BOUND)));
    }

    #[test]
    fn a_change_of_unknown_outcome_may_have_happened_or_not() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0b01, 3.0, None)]);
        for bits in [0b11, 0b01] {
            assert!(is_possible(register.judge(&seen(start, bits, 60.0, Freshness::Now), BOUND)));
        }
        register.known(2, None, None, start + Duration::from_secs(61));
        assert!(!is_possible(register.judge(&seen(start, 0b11, 64.0, Freshness::Lease), BOUND)));
    }

    #[test]
    fn a_state_that_came_back_is_judged_by_its_last_time() {
        let start = Instant::now();
        let register = register(start, &[(0b11, 1.0, Some(2.0)), (0, 3.0, Some(4.0)), (0b11, 5.0, Some(6.0))]);
        let verdict = register.judge(&seen(start, 0b11, 60.0, Freshness::Now), BOUND);
        assert_eq!(verdict, Verdict::Possible(Duration::ZERO));
    }

    #[test]
    fn a_restore_brings_back_what_the_dump_had() {
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
