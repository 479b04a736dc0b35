//! The unit of work. It changes a copy of the state while it holds the locks of its target, and the commit publishes
//! the copy (copy-on-write).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Actor, ApiKeyId, CommitStamp, CompanyId, CompanyStatus, ExternalId, IdempotencyKey, QuotaOverrides, Timestamp,
    UserId,
};
use iam_storage::{
    AuditCursor, ChangeContext, Constraint, CursorKey, Growth, IdempotencyRecord, Recorded, Recorder, Result, Target,
    UnitOfWork,
};
use imbl::OrdMap;

use crate::auxiliary::{Auxiliary, Removed};
use crate::constraints::refuse_if;
use crate::locks::HeldLocks;
use crate::repository::{Repository, StateSource};
use crate::shared::SharedStorage;
use crate::state::{CatalogData, IdChanges, RowId, RowKind, State};

/// The data of a unit of work. Its write operations are in [`crate::changes`].
pub(crate) struct Unit {
    shared: Arc<SharedStorage>,
    pub(crate) recorder: Recorder,
    /// A copy of the state, made when the unit of work began. The copy contains the changes of this unit of work. The
    /// locks prevent other units of work from changing the target or the catalog.
    pub(crate) work: State,
    ids: IdChanges,
    pub(crate) removed: Removed,
    /// The external ids that the commit stores, keyed by user.
    pub(crate) external_ids: BTreeMap<UserId, ExternalId>,
    /// The records of requests with idempotency keys that the commit stores, by caller and key.
    pub(crate) idempotency: BTreeMap<(Actor, IdempotencyKey), (Option<CompanyId>, IdempotencyRecord)>,
    actor_not_before: Option<Timestamp>,
    pub(crate) quota_overrides: QuotaOverrides,
    company_status: CompanyStatus,
    /// The locks of the unit of work. Fields are dropped in declaration order, so this last field releases the locks
    /// after all other fields are dropped.
    held: HeldLocks,
}

impl Unit {
    pub(crate) async fn begin(
        shared: Arc<SharedStorage>,
        target: Target,
        context: ChangeContext,
    ) -> Result<Repository<Self>> {
        let held = shared.locks.acquire(target, shared.options.lock_timeout).await?;
        let mut work = State::clone(&shared.state.load());
        if let Some(company) = target.company() {
            refuse_if(work.company(company).erased_at.is_some(), Constraint::CompanyErased)?;
        }
        let actor_not_before = context.actor.user_id().and_then(|user| work.credentials.not_before(user));
        let quota_overrides = target.company().map(|company| work.company(company).quotas.clone()).unwrap_or_default();
        let company_status = target.company().map(|company| work.company(company).details.status).unwrap_or_default();
        match target {
            Target::Catalog => work.catalog_mut().version += 1,
            Target::Company(company) => work.company_mut(company).version += 1,
            Target::Credentials => work.credentials_mut().version += 1,
        }
        let recorder = Recorder::new(target, context, shared.clock.tick());
        Ok(Repository(Self {
            shared,
            recorder,
            work,
            ids: IdChanges::default(),
            removed: Removed::default(),
            external_ids: BTreeMap::new(),
            idempotency: BTreeMap::new(),
            actor_not_before,
            quota_overrides,
            company_status,
            held,
        }))
    }

    /// Runs a mutation of `target`. An error poisons the unit of work, so that a partial mutation is never committed.
    pub(crate) fn change<T>(&mut self, target: Target, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.recorder.touch(target)?;
        let answer = change(self)?;
        self.recorder.done();
        Ok(answer)
    }

    pub(crate) fn catalog(&self) -> &CatalogData {
        &self.work.catalog
    }

    /// Returns the auxiliary data of the storage. Units of work do not change it before they are committed.
    pub(crate) fn auxiliary(&self) -> Arc<Auxiliary> {
        self.shared.auxiliary.load()
    }

    /// Reserves the id of a new row. Returns `Conflict` if the id is in use.
    pub(crate) fn take_id(&mut self, id: RowId) -> Result<()> {
        self.ids.take(id, &self.shared.state.load().ids)
    }

    /// Releases the ids of deleted rows.
    pub(crate) fn release_ids(&mut self, ids: impl IntoIterator<Item = RowId>) {
        ids.into_iter().for_each(|id| self.ids.release(id));
    }

    fn commit(self) -> Result<CommitStamp> {
        // The locks are released last: bindings are dropped in reverse order, and `_held` is bound first.
        let Self { held: _held, shared, recorder, mut work, mut ids, removed, external_ids, idempotency, .. } = self;
        recorder.check()?;
        let target = recorder.target();
        let company = target.company();
        if recorder.is_empty() {
            return Ok(shared.state.load().stamp(shared.epoch, target));
        }
        let derived = recorder.finish();
        let mut of_platform = Vec::new();
        for record in derived.records {
            ids.add((RowKind::AuditLogs, record.id.as_uuid()));
            let cursor = AuditCursor { timestamp: record.timestamp, id: record.id };
            if record.company_id == company {
                work.audit_mut(company).insert(cursor, Arc::new(record));
            } else {
                of_platform.push((cursor, Arc::new(record)));
            }
        }
        let stamp = shared.state.try_change(|latest| {
            latest.adopt(target, &work);
            // The shared global lock excludes changes to the catalog and to the credentials, so nothing else has changed
            // the audit log of the platform or the API keys since this unit of work began.
            if let Some(company) = removed.company {
                latest.audit_mut(None).extend(of_platform.iter().cloned());
                latest.credentials_mut().delete_keys_of(company);
                let requests = std::mem::take(&mut latest.idempotency);
                latest.idempotency = requests.into_iter().filter(|(_, (of, _))| *of != Some(company)).collect();
            }
            latest.ids.keep(&ids)?;
            latest.external_ids.extend(external_ids);
            latest.idempotency.extend(idempotency);
            Ok(latest.stamp(shared.epoch, target))
        })?;
        shared.auxiliary.change(|auxiliary| auxiliary.forget(&removed));
        shared.commits.send_replace(());
        Ok(stamp)
    }
}

impl StateSource for Unit {
    /// Returns the latest committed state, combined with the uncommitted changes of this unit of work to its target.
    fn state(&self) -> Arc<State> {
        let mut state = State::clone(&self.shared.state.load());
        state.adopt(self.recorder.target(), &self.work);
        Arc::new(state)
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn now(&self) -> Timestamp {
        self.recorder.now()
    }

    fn api_key_uses(&self) -> OrdMap<ApiKeyId, Timestamp> {
        self.shared.api_key_uses()
    }

    fn cursor_key(&self) -> CursorKey {
        self.shared.cursor_key
    }
}

#[async_trait]
impl UnitOfWork for Repository<Unit> {
    fn now(&self) -> Timestamp {
        self.0.recorder.now()
    }

    fn actor_not_before(&self) -> Option<Timestamp> {
        self.0.actor_not_before
    }

    fn quota_overrides(&self) -> &QuotaOverrides {
        &self.0.quota_overrides
    }

    fn company_status(&self) -> CompanyStatus {
        self.0.company_status
    }

    fn growth(&self) -> &Growth {
        self.0.recorder.growth()
    }

    fn recorded(&self) -> Recorded {
        self.0.recorder.recorded()
    }

    async fn commit(self: Box<Self>) -> Result<CommitStamp> {
        self.0.commit()
    }
}
