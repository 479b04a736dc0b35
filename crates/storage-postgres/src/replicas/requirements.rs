//! The requirements that a replica must meet before its data may be used: everything that this process knows to be
//! committed on the primary.
//!
//! Versions are kept only for the companies that changed recently. For all other companies, a *marker* suffices: a row of
//! `iam_heartbeats` that this process has written on the primary. Commits are replayed in their order, so a replica with
//! the marker has every commit that this process knew when it began to write the marker. The versions that it learns from
//! then on are kept beside the marker.
//!
//! A marker is written about every half of the maximum age. A replica must have the marker before the latest one, so that
//! the usual replication lag causes no read from the primary. If no marker could be written for the maximum age, or if the
//! required marker is twice as old, no replica is used: the primary may have been replaced.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iam_domain::{CommitStamp, CompanyId, Timestamp};
use iam_storage::{Changes, StateId};
use sea_orm::entity::prelude::DateTimeUtc;
use uuid::Uuid;

/// A version, and the stamp of the change that produced it. The stamp is `None` if it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) version: i64,
    pub(crate) stamp: Option<i64>,
}

impl From<StateId> for Version {
    fn from(StateId { version, stamp }: StateId) -> Self {
        Self { version, stamp: Some(stamp) }
    }
}

/// What a replica must have, and the time on the primary.
#[derive(Debug, Clone)]
pub(crate) struct Required {
    pub(crate) epoch: u64,
    /// The id of the history of the database.
    pub(crate) history: Uuid,
    /// The row of the marker, and the least time in it.
    pub(crate) marker: (Uuid, DateTimeUtc),
    pub(crate) catalog: Version,
    /// `None` if the read concerns no company, or if the marker suffices.
    pub(crate) company: Option<Version>,
    /// The present time of the primary, as far as this process knows it.
    pub(crate) now: Timestamp,
}

/// The requirements, which polls, commits and reads from the primary raise.
#[derive(Debug)]
pub(crate) struct Requirements {
    /// Maximum time since the latest marker was written.
    max_age: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` before the first poll of a history.
    history: Option<History>,
    /// The marker that a replica must have. `None` before the first marker of a history was written.
    required: Option<Base>,
    /// The latest marker, if it is not the required one.
    latest: Option<Base>,
    /// The marker that is being written.
    pending: Option<Pending>,
    /// The time at which the writing of the latest marker began.
    proven: Option<Instant>,
}

/// A history of the database.
#[derive(Debug, Clone, Copy)]
struct History {
    epoch: u64,
    id: Uuid,
    /// The row of `iam_heartbeats` for the markers of this process in this history.
    row: Uuid,
    catalog: Version,
    /// The time that the latest poll read, and the time at which the poll was sent.
    clock: (Timestamp, Instant),
}

/// A marker, and the versions that were learned since the process began to write it.
#[derive(Debug)]
struct Base {
    /// The time at which the process began to write the marker.
    began: Instant,
    marker: DateTimeUtc,
    companies: Versions,
}

#[derive(Debug)]
struct Pending {
    began: Instant,
    companies: Versions,
}

type Versions = HashMap<CompanyId, Version>;

/// A marker to write: the row of `iam_heartbeats`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MarkerToWrite(pub(crate) Uuid);

impl Requirements {
    /// Creates the requirements of a process without knowledge: no replica meets them.
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { max_age, state: Mutex::default() }
    }

    /// Returns what a replica must have for a read of this company (`None`: of the catalog). Returns `None` if no replica
    /// may be used.
    pub(crate) fn of(&self, company: Option<CompanyId>) -> Option<Required> {
        let state = self.state();
        let (history, base) = (state.history?, state.required.as_ref()?);
        // Data without a version is as old as the required marker.
        if state.proven?.elapsed() >= self.max_age || base.began.elapsed() >= self.max_age * 2 {
            return None;
        }
        let (time, at) = history.clock;
        let elapsed = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        Some(Required {
            epoch: history.epoch,
            history: history.id,
            marker: (history.row, base.marker),
            catalog: history.catalog,
            company: company.and_then(|company| base.companies.get(&company)).copied(),
            now: Timestamp::from_micros(time.micros().saturating_add(elapsed))?,
        })
    }

    /// Records the result of a poll that was sent at `sent`. If the poll does not continue the known history, all
    /// knowledge is discarded. Returns the marker to write, if it is time to write one. The caller then calls
    /// [`Self::written`].
    pub(crate) fn polled(
        &self,
        changes: &Changes,
        history: Uuid,
        continues: bool,
        sent: Instant,
    ) -> Option<MarkerToWrite> {
        let mut state = self.state();
        let known = state.history.filter(|known| continues && (known.epoch, known.id) == (changes.epoch, history));
        if known.is_none() {
            *state = State::default();
        }
        let row = known.map_or_else(Uuid::new_v4, |known| known.row);
        let catalog =
            known.map_or_else(|| changes.catalog.into(), |known| later(known.catalog, changes.catalog.into()));
        state.history = Some(History { epoch: changes.epoch, id: history, row, catalog, clock: (changes.now, sent) });
        for (company, version) in &changes.companies {
            state.learn(*company, (*version).into());
        }
        let is_due = state.proven.is_none_or(|began| began.elapsed() >= self.max_age / 2);
        (is_due && state.pending.is_none()).then(|| {
            state.pending = Some(Pending { began: Instant::now(), companies: Versions::new() });
            MarkerToWrite(row)
        })
    }

    /// Records that this marker was written with the time `at` in its row, or that writing it failed (`None`).
    pub(crate) fn written(&self, marker: &MarkerToWrite, at: Option<DateTimeUtc>) {
        let mut state = self.state();
        if state.history.is_none_or(|history| history.row != marker.0) {
            return;
        }
        let (Some(pending), Some(at)) = (state.pending.take(), at) else { return };
        let base = Base { began: pending.began, marker: at, companies: pending.companies };
        state.proven = Some(pending.began);
        if state.required.is_none() {
            state.required = Some(base);
        } else {
            if let Some(latest) = state.latest.take() {
                state.required = Some(latest);
            }
            state.latest = Some(base);
        }
    }

    /// Records a change that this process has committed.
    pub(crate) fn committed(&self, company: Option<CompanyId>, stamp: CommitStamp) {
        match stamp {
            CommitStamp::Company(versions) => {
                let catalog = Version { version: versions.catalog, stamp: None };
                let company = company.map(|id| (id, Version { version: versions.company, stamp: None }));
                self.learned(versions.epoch, catalog, company);
            }
            CommitStamp::Catalog { epoch, version } => self.learned(epoch, Version { version, stamp: None }, None),
            // No read of credentials is sent to a replica.
            CommitStamp::Credentials { .. } => {}
        }
    }

    /// Records versions that this process has read or committed.
    pub(crate) fn learned(&self, epoch: u64, catalog: Version, company: Option<(CompanyId, Version)>) {
        let mut state = self.state();
        let Some(history) = state.history.as_mut() else { return };
        if history.epoch != epoch {
            // The next poll determines the history.
            *state = State::default();
            return;
        }
        history.catalog = later(history.catalog, catalog);
        if let Some((company, version)) = company {
            state.learn(company, version);
        }
    }

    /// Discards all knowledge, because the outcome of a commit is unknown.
    pub(crate) fn distrust(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, company: CompanyId, version: Version) {
        let bases = self.required.iter_mut().chain(&mut self.latest).map(|base| &mut base.companies);
        for companies in bases.chain(self.pending.as_mut().map(|pending| &mut pending.companies)) {
            companies.entry(company).and_modify(|known| *known = later(*known, version)).or_insert(version);
        }
    }
}

/// Returns the later of two versions. Of the same version, returns the one with a stamp.
fn later(known: Version, learned: Version) -> Version {
    if (learned.version, learned.stamp.is_some()) >= (known.version, known.stamp.is_some()) { learned } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 7;

    fn changes(catalog: i64, companies: &[(CompanyId, i64)]) -> Changes {
        let state = |version| StateId { version, stamp: version * 10 };
        Changes {
            epoch: EPOCH,
            identity: 0,
            position: iam_storage::Position::new("1:1:".to_owned()),
            is_continuous: true,
            catalog: state(catalog),
            credentials: state(0),
            delays: Vec::new(),
            companies: companies.iter().map(|(id, version)| (*id, state(*version))).collect(),
            now: Timestamp::from_micros(0).unwrap(),
            needs_acknowledgement: false,
        }
    }

    fn at(seconds: i64) -> DateTimeUtc {
        Timestamp::from_micros(seconds * 1_000_000).unwrap().as_datetime()
    }

    /// Requirements whose marker is due at each poll, because it is written at once.
    struct Scene {
        requirements: Requirements,
        history: Uuid,
        markers: i64,
    }

    impl Scene {
        fn new() -> Self {
            Self { requirements: Requirements::new(Duration::from_secs(60)), history: Uuid::from_u128(1), markers: 0 }
        }

        fn poll(&self, changes: &Changes) -> Option<MarkerToWrite> {
            self.requirements.polled(changes, self.history, true, Instant::now())
        }

        /// Writes a marker regardless of the time of the previous one.
        fn mark(&mut self) {
            let marker = {
                let mut state = self.requirements.state();
                state.pending.get_or_insert_with(|| Pending { began: Instant::now(), companies: Versions::new() });
                MarkerToWrite(state.history.unwrap().row)
            };
            self.markers += 1;
            self.requirements.written(&marker, Some(at(self.markers)));
        }

        fn required(&self, company: CompanyId) -> Option<(DateTimeUtc, i64, Option<i64>)> {
            let required = self.requirements.of(Some(company))?;
            Some((required.marker.1, required.catalog.version, required.company.map(|version| version.version)))
        }
    }

    fn company(id: u128) -> CompanyId {
        CompanyId::from_uuid(Uuid::from_u128(id))
    }

    #[test]
    fn no_replica_may_be_used_before_the_first_marker_is_written() {
        let mut scene = Scene::new();
        assert_eq!(scene.required(company(1)), None);
        assert!(scene.poll(&changes(1, &[])).is_some());
        assert_eq!(scene.required(company(1)), None);
        scene.mark();
        assert_eq!(scene.required(company(1)), Some((at(1), 1, None)));
        assert_eq!(scene.poll(&changes(1, &[])), None, "the next marker is not due yet");
    }

    #[test]
    fn versions_learned_while_a_marker_is_written_are_required_beside_it() {
        let mut scene = Scene::new();
        scene.poll(&changes(1, &[]));
        scene.requirements.learned(
            EPOCH,
            Version { version: 2, stamp: None },
            Some((company(1), Version { version: 5, stamp: None })),
        );
        scene.mark();
        assert_eq!(scene.required(company(1)), Some((at(1), 2, Some(5))));
        assert_eq!(scene.required(company(2)), Some((at(1), 2, None)));
        scene.poll(&changes(3, &[(company(1), 4), (company(2), 9)]));
        assert_eq!(scene.required(company(1)), Some((at(1), 3, Some(5))), "a version never decreases");
        assert_eq!(scene.required(company(2)), Some((at(1), 3, Some(9))));
    }

    #[test]
    fn the_marker_before_the_latest_one_is_required_with_the_versions_learned_since() {
        let mut scene = Scene::new();
        scene.poll(&changes(1, &[]));
        scene.mark();
        scene.poll(&changes(1, &[(company(1), 2)]));
        scene.mark();
        assert_eq!(scene.required(company(1)), Some((at(1), 1, Some(2))));
        scene.poll(&changes(1, &[(company(2), 3)]));
        scene.mark();
        assert_eq!(scene.required(company(1)), Some((at(2), 1, None)), "the marker proves the earlier version");
        assert_eq!(scene.required(company(2)), Some((at(2), 1, Some(3))));
    }

    #[test]
    fn an_unknown_outcome_another_history_and_a_gap_in_the_polls_discard_all_knowledge() {
        let mut scene = Scene::new();
        let restart = |scene: &mut Scene| {
            scene.poll(&changes(1, &[]));
            scene.mark();
            assert!(scene.required(company(1)).is_some());
        };
        restart(&mut scene);
        scene.requirements.distrust();
        assert_eq!(scene.required(company(1)), None);
        restart(&mut scene);
        scene.requirements.polled(&changes(1, &[]), Uuid::from_u128(2), true, Instant::now());
        assert_eq!(scene.required(company(1)), None);
        restart(&mut scene);
        scene.requirements.polled(&changes(1, &[]), scene.history, false, Instant::now());
        assert_eq!(scene.required(company(1)), None);
        restart(&mut scene);
        scene.requirements.learned(EPOCH + 1, Version { version: 1, stamp: None }, None);
        assert_eq!(scene.required(company(1)), None);
    }

    #[test]
    fn a_marker_of_an_earlier_history_and_a_failed_one_prove_nothing() {
        let scene = Scene::new();
        let marker = scene.poll(&changes(1, &[])).unwrap();
        scene.requirements.distrust();
        scene.poll(&changes(1, &[]));
        scene.requirements.written(&marker, Some(at(1)));
        assert_eq!(scene.required(company(1)), None);
        let state = scene.requirements.state().history.unwrap();
        scene.requirements.written(&MarkerToWrite(state.row), None);
        assert_eq!(scene.required(company(1)), None);
        assert!(scene.poll(&changes(1, &[])).is_some(), "the next poll must write the marker again");
    }

    #[test]
    fn no_replica_may_be_used_if_the_required_marker_is_too_old() {
        let mut scene = Scene::new();
        scene.poll(&changes(1, &[]));
        scene.mark();
        assert!(scene.required(company(1)).is_some());
        let age = scene.requirements.max_age * 2;
        scene.requirements.state().required.as_mut().unwrap().began = Instant::now().checked_sub(age).unwrap();
        assert_eq!(scene.required(company(1)), None, "although the latest marker is recent");
    }

    #[test]
    fn no_replica_may_be_used_if_no_marker_was_written_for_the_maximum_age() {
        let requirements = Requirements::new(Duration::ZERO);
        let marker = requirements.polled(&changes(1, &[]), Uuid::nil(), true, Instant::now()).unwrap();
        requirements.written(&marker, Some(at(1)));
        assert!(requirements.of(None).is_none());
    }
}
