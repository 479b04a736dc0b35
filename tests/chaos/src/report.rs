//! The report of a run: the timeline of events, counters, maximum durations and violations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::common::{Result, locked};

/// A kind of violated guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// A revoked permission was still allowed after the staleness bound. The bound is measured from the acknowledgement
    /// of the revocation.
    AllowTooLate,
    /// A change was visible too late: after the staleness bound, or not at once although the request required this.
    SeenTooLate,
    /// A response showed a state that never existed, for example a partial change.
    HalfChange,
    /// An acknowledged change was lost.
    LostChange,
    /// The audit log does not match the acknowledged changes or the stored levels.
    Audit,
    /// A response had an unexpected status.
    Status,
    /// A replica did not recover in time.
    Recovery,
}

impl Broken {
    fn name(self) -> &'static str {
        match self {
            Self::AllowTooLate => "revoked permission allowed after the staleness bound",
            Self::SeenTooLate => "change visible too late",
            Self::HalfChange => "state that never existed",
            Self::LostChange => "lost change",
            Self::Audit => "audit log mismatch",
            Self::Status => "unexpected status",
            Self::Recovery => "recovery too slow",
        }
    }
}

#[derive(Debug)]
struct Violation {
    broken: Broken,
    at: Instant,
    account: String,
}

#[derive(Debug, Default)]
struct Notes {
    events: Vec<(Instant, String)>,
    counts: BTreeMap<String, usize>,
    maxima: BTreeMap<&'static str, (Duration, Option<Instant>)>,
    violations: Vec<Violation>,
}

/// The events, counters, maximum durations and violations so far. All tasks of a run can add to them concurrently.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) start: Instant,
    notes: Mutex<Notes>,
}

/// Maximum number of violations of each kind that are reported in full.
const TOLD_IN_FULL: usize = 5;

/// The report of a violation contains the events of this period before the violation, and of a quarter of this period
/// after it.
const AROUND: Duration = Duration::from_secs(12);

impl Report {
    /// Creates an empty report.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), notes: Mutex::default() }
    }

    /// Returns the time `at` in seconds since the start of the run.
    pub(crate) fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64()
    }

    /// Adds an event to the timeline.
    pub(crate) fn event(&self, what: impl Into<String>) {
        locked(&self.notes).events.push((Instant::now(), what.into()));
    }

    /// Increments a counter.
    pub(crate) fn count(&self, what: impl Into<String>) {
        *locked(&self.notes).counts.entry(what.into()).or_default() += 1;
    }

    /// Updates the maximum with this name if `duration` exceeds it.
    pub(crate) fn longest(&self, what: &'static str, duration: Duration) {
        let mut notes = locked(&self.notes);
        let longest = notes.maxima.entry(what).or_default();
        if duration >= longest.0 {
            *longest = (duration, Some(Instant::now()));
        }
    }

    /// Records a violation.
    pub(crate) fn violation(&self, broken: Broken, account: impl Into<String>) {
        let violation = Violation { broken, at: Instant::now(), account: account.into() };
        locked(&self.notes).violations.push(violation);
    }

    /// Returns the distinct kinds of the violations so far.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let mut kinds: Vec<_> = locked(&self.notes).violations.iter().map(|violation| violation.broken).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Returns the counters and the maximum durations as text, one per line.
    pub(crate) fn summary(&self) -> String {
        let notes = locked(&self.notes);
        let mut text = String::new();
        for (what, count) in &notes.counts {
            let _ = writeln!(text, "  {count:>8}  {what}");
        }
        for (what, (duration, at)) in &notes.maxima {
            let at = at.map_or(0.0, |at| self.seconds(at));
            let _ = writeln!(text, "  {:>6.2} s  {what} (at {at:.1} s)", duration.as_secs_f64());
        }
        text
    }

    /// Returns the violations as text, each with the events around its time.
    pub(crate) fn violations(&self) -> String {
        let notes = locked(&self.notes);
        let mut counts: BTreeMap<Broken, usize> = BTreeMap::new();
        let mut text = String::new();
        for violation in &notes.violations {
            let count = counts.entry(violation.broken).or_default();
            *count += 1;
            if *count > TOLD_IN_FULL {
                continue;
            }
            let _ = writeln!(
                text,
                "\nVIOLATION ({}) at {:.3} s: {}",
                violation.broken.name(),
                self.seconds(violation.at),
                violation.account
            );
            let around =
                notes.events.iter().filter(|(at, _)| *at + AROUND > violation.at && *at < violation.at + AROUND / 4);
            for (at, event) in around {
                let _ = writeln!(text, "    | {:.3} s: {event}", self.seconds(*at));
            }
        }
        for (broken, count) in counts {
            let _ = writeln!(text, "number of violations of the kind \"{}\": {count}", broken.name());
        }
        text
    }

    /// Writes the timeline and all violations to a directory.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let notes = locked(&self.notes);
        let mut text = String::new();
        for (at, event) in &notes.events {
            let _ = writeln!(text, "{:.3} s: {event}", self.seconds(*at));
        }
        std::fs::write(folder.join("timeline.txt"), text)?;
        let mut text = String::new();
        for violation in &notes.violations {
            let at = self.seconds(violation.at);
            let _ = writeln!(text, "{at:.3} s: {}: {}", violation.broken.name(), violation.account);
        }
        std::fs::write(folder.join("violations.txt"), text)?;
        Ok(())
    }
}
