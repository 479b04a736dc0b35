//! Previews of changes: the outcome that a change would have, and the decisions that would differ.
//!
//! A preview reads one consistent copy of the company, executes the real change on the copy, and compares the decisions
//! before and after it. It acquires no lock and stores nothing.

use std::ops::Bound;
use std::sync::Arc;

use iam_domain::{CellChange, CompanyId, Impact, UserId, Versions, impact};
use iam_storage::{CompanyCopy, Simulator, Stamped, Stamps};
use serde::{Deserialize, Serialize};

use crate::blocking::compute;
use crate::execute::{ChangeRequest, apply, authorize_change};
use crate::lists::cursor::Binding;
use crate::lists::page::PageRequest;
use crate::{Application, Change, Failure, RequestContext};

/// A request for a page of the preview of a change.
#[derive(Debug, Clone)]
pub struct PreviewRequest<C> {
    /// The change.
    pub change: C,
    /// The company whose users are considered if the change applies to the catalog. A change to a company applies to
    /// that company.
    pub company: CompanyId,
    /// A text that identifies the change. The cursor of a page is valid only for the same change.
    pub parameters: String,
    /// The requested page of the affected users.
    pub page: PageRequest,
    /// `true` if the caller may list users. Otherwise, the page contains no users.
    pub may_list_users: bool,
}

/// The preview of a change.
#[derive(Debug)]
pub struct Preview {
    /// The versions at which the company and the catalog were read.
    pub versions: Versions,
    /// The effect of the change, or the failure with which the change would be rejected.
    pub outcome: Result<PreviewPage, Failure>,
}

/// The effect of a change on the users of a company, with one page of these users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewPage {
    /// All users and cells with altered decisions.
    pub impact: Arc<Impact>,
    /// The users on this page with their altered decisions, in ascending order of id.
    pub users: Vec<(UserId, Arc<[CellChange]>)>,
    /// The cursor of the next page. `None` on the last page.
    pub next_cursor: Option<String>,
}

/// The position of a page: the state of the data, and the last user of the previous page.
#[derive(Serialize, Deserialize)]
struct Position {
    versions: Versions,
    /// The stamps of the catalog and of the company.
    stamps: (i64, i64),
    after: UserId,
}

impl Application {
    /// Returns the outcome that a change to a company or to the catalog would have, and a page of the users of one company
    /// whose decisions would differ. All pages that follow from one first page reflect the same versions of the company and
    /// of the catalog.
    ///
    /// The change runs on a copy of the company, with all its checks. Only the budgets and the menus of other companies
    /// are not checked, and the caller's credentials are not verified again. Previews run one after another, because each
    /// of them reads the whole company; those of several companies take turns. If the future is dropped while a preview is computed, the computation continues,
    /// and the next preview waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Outdated`] if the company or the catalog has changed since the first page was read, and
    /// [`Failure::Invalid`] if the cursor was not issued for this request. Returns [`Failure::Unavailable`] if the
    /// storage cannot be read. The failures of the change are part of the result.
    pub async fn preview<C: Change>(
        &self,
        context: RequestContext,
        request: PreviewRequest<C>,
    ) -> Result<Preview, Failure> {
        let PreviewRequest { change, company, parameters, page, may_list_users } = request;
        let change_request = self.request_of(context, &change);
        let caller = change_request.context.caller;
        let company = change_request.target.company().unwrap_or(company);
        let binding = Binding { list: "previews", caller, company: Some(company), parameters: &parameters };
        let position: Option<Position> = self.open_cursor(&binding, &page).await?;
        let turn = self.previews.enter(company).await.map_err(|error| Failure::Internal(error.into()))?;
        let copy = self.reader().snapshots().load_copy(company).await?;
        let (versions, Stamps { catalog, company }) = (copy.versions, copy.stamps);
        let stamps = (catalog, company);
        if position.as_ref().is_some_and(|pin| pin.versions != versions || pin.stamps != stamps) {
            return Err(Failure::Outdated);
        }
        let (simulator, runtime) = (Arc::clone(&self.simulator), self.runtime.clone());
        let simulate = move || {
            let _turn = turn;
            runtime.block_on(simulate(simulator.as_ref(), &copy, &change_request, &change))
        };
        let impact = match compute(simulate).await? {
            Ok(impact) => Arc::new(impact),
            Err(failure @ (Failure::Unavailable(_) | Failure::Internal(_))) => return Err(failure),
            Err(failure) => return Ok(Preview { versions, outcome: Err(failure) }),
        };
        let from = position.map_or(Bound::Unbounded, |position| Bound::Excluded(position.after));
        let limit = if may_list_users { usize::try_from(page.limit).unwrap_or(usize::MAX) } else { 0 };
        let mut rest = impact.users.range((from, Bound::Unbounded));
        let users: Vec<_> = rest.by_ref().take(limit).map(|(user, changes)| (*user, Arc::clone(changes))).collect();
        let next_cursor = match users.last().filter(|_| rest.next().is_some()) {
            Some((after, _)) => Some(self.seal_cursor(&binding, &Position { versions, stamps, after: *after }).await?),
            None => None,
        };
        Ok(Preview { versions, outcome: Ok(PreviewPage { impact, users, next_cursor }) })
    }
}

/// Executes a change on the copy of a company, and returns the decisions that differ.
async fn simulate<C: Change>(
    simulator: &dyn Simulator,
    copy: &Stamped<CompanyCopy>,
    request: &ChangeRequest,
    change: &C,
) -> Result<Impact, Failure> {
    let mut tx = simulator.begin(copy, request.target, request.audited()).await?;
    let company = copy.value.company;
    let before = tx.snapshots().load_company(company).await?.value;
    let guard = authorize_change(tx.as_mut(), request).await?;
    apply(tx.as_mut(), request, change, guard).await?;
    let after = tx.snapshots().load_company(company).await?.value;
    Ok(impact(&before, &after))
}
