//! The execution of changes. Each change runs in its own task and in one unit of work.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iam_domain::{CommitStamp, ExternalId, QuotaLimits, Versions};
use iam_permissions_cache::Permissions;
use iam_storage::{ChangeContext, Recorded, Target, UnitOfWork, Work, transact};
use iam_traces::{SpanKind, carry, child, traced};
use tracing::Instrument;

use crate::authorization::{EscalationGuard, authorize_within, is_forced_by, recheck_credentials, record_denial};
use crate::idempotency::{KeyInFlight, find_earlier, record};
use crate::quotas::check_quotas;
use crate::{Application, Change, Exhausted, Failure, RequestContext, Requirement};

impl Application {
    /// Runs a change. Returns its result and the version that the commit produced. The change runs in its own task, so
    /// cancelling this future does not cancel the change.
    ///
    /// # Errors
    ///
    /// Returns the failure of the change. Returns [`Failure::Forbidden`] if the caller does not meet the change's
    /// requirement. This requirement is checked again while the target is locked. Returns [`Failure::Unavailable`] if
    /// the storage cannot be reached or a lock times out.
    pub async fn execute<C: Change>(
        &self,
        context: RequestContext,
        change: C,
    ) -> Result<Committed<C::Answer>, Failure> {
        let budgeted = change.target().company().filter(|_| !context.caller.is_super_admin());
        let exhausted = budgeted.and_then(|company| self.budgets.may_record(company).err());
        if let Some(exhausted) = exhausted.filter(|_| !change.may_only_remove()) {
            return Err(exhausted.counted().into());
        }
        let request = ChangeRequest { exhausted, ..self.request_of(context, &change) };
        let idempotent = request.context.idempotency.as_deref().filter(|_| C::CREATES);
        let key = idempotent.map(|request| self.keys_in_flight.enter(request)).transpose()?;
        let work = Arc::new(ChangeWork { request: request.clone(), change, answer: Mutex::new(None) });
        let stamp = self.execute_in_task(request, key, Arc::<ChangeWork<C>>::clone(&work)).await?;
        let answer = work.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (value, is_repeated) =
            answer.ok_or_else(|| Failure::Internal("a committed change has no result".into()))?;
        Ok(Committed { stamp, value, is_repeated })
    }

    /// Returns the request that executes a change.
    pub(crate) fn request_of<C: Change>(&self, context: RequestContext, change: &C) -> ChangeRequest {
        ChangeRequest {
            exhausted: None,
            requirement: C::REQUIREMENT,
            target: change.target(),
            is_forced: is_forced_by(context.caller, change),
            quotas: self.quotas,
            key_limit: self.budgets.idempotency_keys(),
            context,
        }
    }

    /// Runs the unit of work of a change in its own task. This function is not generic, so it is compiled only once and
    /// not for each type of change.
    async fn execute_in_task(
        &self,
        request: ChangeRequest,
        key: Option<KeyInFlight>,
        work: Arc<AnyWork>,
    ) -> Result<CommitStamp, Failure> {
        let storage = Arc::clone(&self.storage);
        let permissions = Arc::clone(&self.permissions);
        let budgets = Arc::clone(&self.budgets);
        let task = async move {
            let _key = key;
            let audited = request.audited();
            let (target, caller) = (request.target, request.context.caller);
            let invalidation = PendingInvalidation::new(permissions, target);
            if caller.is_super_admin() {
                tracing::info!(changes = %target, "change requested by a super admin");
            }
            let span = child("unit of work", SpanKind::Internal, Vec::new);
            let transaction = transact(storage.as_ref(), target, &audited, work.as_ref());
            let outcome = traced(span, transaction, failure_of).await;
            invalidation.settle(&outcome, |recorded| recorded.bytes > 0);
            if let (Ok((recorded, _)), Some(company)) =
                (&outcome, target.company().filter(|_| !caller.is_super_admin()))
            {
                budgets.charge_records(company, recorded.bytes);
            }
            outcome.inspect_err(record_denial)
        };
        let task = self.changes.spawn_on(carry(task.in_current_span()), &self.runtime);
        let (_, stamp) = task.await.map_err(|error| Failure::Internal(Box::new(error)))??;
        Ok(stamp)
    }
}

/// Returns the type of the error if a unit of work failed. Denials and other outcomes are not failures.
fn failure_of<T>(outcome: &Result<T, Failure>) -> Option<Cow<'static, str>> {
    match outcome.as_ref().err()? {
        Failure::Unavailable(_) => Some("unavailable".into()),
        Failure::Internal(_) => Some("internal".into()),
        _ => None,
    }
}

/// The result of a committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// The version that the commit produced. Responses at this version or a later version reflect the change.
    pub stamp: CommitStamp,
    /// The result of the change.
    pub value: T,
    /// `true` if an earlier request with the same idempotency key made the change. This request has changed nothing.
    pub is_repeated: bool,
}

/// The input for executing a change: the context of the request, and the properties of the change.
#[derive(Clone)]
pub(crate) struct ChangeRequest {
    pub(crate) context: RequestContext,
    /// Set if the company has exhausted its budget of audit records, so that the change may only remove data.
    exhausted: Option<Exhausted>,
    requirement: Requirement,
    pub(crate) target: Target,
    is_forced: bool,
    quotas: QuotaLimits,
    /// The maximum number of idempotency keys of the caller.
    key_limit: u32,
}

impl ChangeRequest {
    /// Returns the data of the request that audit records contain.
    pub(crate) fn audited(&self) -> ChangeContext {
        let caller = self.context.caller;
        ChangeContext {
            actor: caller.actor(),
            super_admin: caller.is_super_admin(),
            forced: self.is_forced,
            console: self.context.console,
            request_id: self.context.request_id.as_deref().map(str::to_owned),
        }
    }
}

/// The unit of work of a change of any type. Its output states what the change recorded.
type AnyWork = dyn Work<Output = Recorded, Error = Failure>;

/// A pending invalidation of the cached data that a change makes outdated. It must be settled before the caller
/// receives the result (read-your-writes). If it is dropped without being settled, the outcome of the change is treated
/// as unknown: cached data is served again only after a poll has confirmed it.
pub(crate) struct PendingInvalidation {
    permissions: Arc<Permissions>,
    target: Target,
    is_settled: bool,
}

impl PendingInvalidation {
    /// Creates the invalidation for a change to this target, which has not begun.
    pub(crate) const fn new(permissions: Arc<Permissions>, target: Target) -> Self {
        Self { permissions, target, is_settled: false }
    }

    /// Settles the invalidation, unless the outcome of the change is unknown. If the change was committed and changed
    /// any data (`has_changed`), invalidates the cached data of its target.
    pub(crate) fn settle<T>(
        mut self,
        outcome: &Result<(T, CommitStamp), Failure>,
        has_changed: impl FnOnce(&T) -> bool,
    ) {
        match outcome {
            Ok((output, stamp)) => {
                if has_changed(output) {
                    self.permissions.changed(self.target, *stamp);
                }
                self.is_settled = true;
            }
            // These two failures can be caused by the commit itself. The outcome of the change is then unknown: the
            // commit may or may not have succeeded. All other failures occur before the commit.
            Err(failure) => self.is_settled = !matches!(failure, Failure::Unavailable(_) | Failure::Internal(_)),
        }
    }
}

impl Drop for PendingInvalidation {
    fn drop(&mut self) {
        if !self.is_settled {
            self.permissions.distrust(self.target);
        }
    }
}

/// A change that is executed in one unit of work.
struct ChangeWork<C: Change> {
    request: ChangeRequest,
    change: C,
    /// The result of the latest attempt, and `true` if it is the result of an earlier request.
    answer: Mutex<Option<(C::Answer, bool)>>,
}

#[async_trait]
impl<C: Change> Work for ChangeWork<C> {
    type Output = Recorded;
    type Error = Failure;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Recorded, Failure> {
        let guard = before_change(tx, &self.request).await?;
        let idempotent = self.request.context.idempotency.as_deref().filter(|_| C::CREATES);
        if let Some(request) = idempotent
            && let Some(earlier) = find_earlier(&self.change, tx, request).await?
        {
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((earlier, true));
            return Ok(tx.recorded());
        }
        let answer = apply(tx, &self.request, &self.change, guard).await?;
        let created = self.change.created(&answer);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer, false));
        if let (Some(request), Some(created)) = (idempotent, created) {
            record(tx, request, created, self.request.key_limit).await?;
        }
        let recorded = tx.recorded();
        match self.request.exhausted.filter(|_| !recorded.only_removes) {
            Some(exhausted) => Err(exhausted.counted().into()),
            None => Ok(recorded),
        }
    }
}

/// Checks the caller's credentials while the target is locked, and then as [`authorize_change`] does.
async fn before_change(tx: &mut dyn UnitOfWork, request: &ChangeRequest) -> Result<Option<EscalationGuard>, Failure> {
    if !recheck_credentials(tx, &request.context).await? {
        return Err(Failure::Forbidden(request.requirement));
    }
    authorize_change(tx, request).await
}

/// Checks the caller's permissions and the expected versions. Returns the guard for a change to a company.
pub(crate) async fn authorize_change(
    tx: &mut dyn UnitOfWork,
    request: &ChangeRequest,
) -> Result<Option<EscalationGuard>, Failure> {
    let ChangeRequest { context, requirement, target, is_forced, .. } = request;
    let caller = context.caller;
    let own = authorize_within(tx, caller, target.company(), *requirement).await?;
    check_versions(tx, request).await?;
    Ok(target.company().map(|company| EscalationGuard::new(company, caller, own, *is_forced)))
}

/// Checks that the target and the catalog had the expected versions before the unit of work began, which has incremented
/// the version of its target.
async fn check_versions(tx: &dyn UnitOfWork, request: &ChangeRequest) -> Result<(), Failure> {
    let Some(expected) = request.context.if_version else { return Ok(()) };
    let expected = match request.target {
        Target::Company(_) => Versions { company: expected.company.saturating_add(1), ..expected },
        Target::Catalog => {
            Versions { epoch: expected.epoch, catalog: expected.catalog.saturating_add(1), company: 0, boundary: 0 }
        }
        Target::Credentials => Versions { company: 0, boundary: 0, ..expected },
    };
    let found = tx.company_states().versions(request.target.company()).await?;
    if found == expected { Ok(()) } else { Err(Failure::PreconditionFailed) }
}

/// Applies a change, and checks its effect on permissions and its use of quotas.
pub(crate) async fn apply<C: Change>(
    tx: &mut dyn UnitOfWork,
    request: &ChangeRequest,
    change: &C,
    guard: Option<EscalationGuard>,
) -> Result<C::Answer, Failure> {
    let answer = change.apply(tx, request.context.caller).await?;
    remember_external_ids(tx, request, &change.external_ids()).await?;
    if let Some(guard) = guard {
        guard.check(tx, change.effect(&answer)).await?;
    }
    check_quotas(tx, request.target, &request.quotas).await?;
    Ok(answer)
}

/// Stores the external ids that the request contains.
async fn remember_external_ids(
    tx: &mut dyn UnitOfWork,
    request: &ChangeRequest,
    named: &[&ExternalId],
) -> Result<(), Failure> {
    // The external ids are stored in sorted order, which prevents a deadlock between two changes that store the same
    // two external ids.
    let named: BTreeSet<_> = request.context.external_id.as_deref().into_iter().chain(named.iter().copied()).collect();
    if !named.is_empty() {
        tx.users_mut().remember(&Vec::from_iter(named)).await?;
    }
    Ok(())
}
