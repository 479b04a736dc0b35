//! The question who may see a view or perform an action: the members of a company whom a check allows.

use std::collections::BTreeMap;

use iam_domain::escalation::Cell;
use iam_domain::{
    ApiKeyId, Caller, CompanyId, Decision, LevelPermissions, Reason, Scope, Snapshot, Timestamp, UserId, UserLevelId,
    Versions,
};
use iam_permissions_cache::{Check, FeatureRef, ViewRef};
use iam_storage::{CellName, IdOrText, LevelRules, Member, Stamped, Stamps, StorageError};
use serde::{Deserialize, Serialize};

use crate::changes::features::FEATURE;
use crate::changes::views::VIEW;
use crate::lists::cursor::Binding;
use crate::lists::page::PageRequest;
use crate::reads::{COUNT_LIMIT, Total};
use crate::{Application, Failure, FieldCode, FieldError};

/// Maximum number of attempts to read the first page, if the data changes during an attempt.
const ATTEMPTS: usize = 3;

/// Maximum number of parts that are read for one page. A page of a company in which most holders of allowing levels
/// also hold denying levels may contain fewer users than requested.
const PARTS: usize = 4;

/// A request for a page of the members whom a check allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoCan {
    /// The company.
    pub company: CompanyId,
    /// The check.
    pub check: Check,
    /// The requested page.
    pub page: PageRequest,
}

/// A member whom the check allows, with the decision of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedMember {
    /// The member.
    pub member: Member,
    /// The decision.
    pub decision: Decision,
}

/// A page of the members whom a check allows.
#[derive(Debug, Clone)]
pub struct AllowedPage {
    /// The members, ordered by id.
    pub members: Vec<AllowedMember>,
    /// The cursor of the next page. `None` on the last page.
    pub next_cursor: Option<String>,
    /// The versions at which all pages were read.
    pub versions: Versions,
    /// The number of all members whom the check allows, if it was requested.
    pub total: Option<Total>,
    /// The API keys that may administer the company, ordered by id. They hold no levels.
    pub administering_keys: Vec<ApiKeyId>,
}

/// The state of the data at which the pages of one answer are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pin {
    versions: Versions,
    /// The stamps of the catalog and of the company.
    stamps: (i64, i64),
}

impl Pin {
    const fn of<T>(read: &Stamped<T>) -> Self {
        let Stamps { catalog, company } = read.stamps;
        Self { versions: read.versions, stamps: (catalog, company) }
    }
}

/// The position of a page: the state of the data, and the last examined user.
#[derive(Serialize, Deserialize)]
struct Position {
    pin: Pin,
    after: UserId,
}

impl Application {
    /// Returns a page of the members of a company whom a check allows, with the decision for each of them. All pages
    /// that one first page leads to reflect the same versions of the company and of the catalog.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Outdated`] if the company or the catalog has changed since the first page was read,
    /// [`Failure::NotFound`] if the view or the feature does not exist, and [`Failure::Invalid`] if the feature has no
    /// such action or if the cursor was not issued for this request. Returns [`Failure::Unavailable`] if the storage
    /// cannot be read.
    pub async fn who_can(&self, caller: Caller, question: &WhoCan, now: Timestamp) -> Result<AllowedPage, Failure> {
        let WhoCan { company, check, page } = question;
        let parameters = format!("{check:?}");
        let binding = Binding { list: "who-can", caller, company: Some(*company), parameters: &parameters };
        let position: Option<Position> = self.open_cursor(&binding, page).await?;
        let cell = cell_name(check);
        for _ in 0..ATTEMPTS {
            let rules = self.reader().snapshots().load_cell(*company, &cell).await?;
            let pin = Pin::of(&rules);
            if position.as_ref().is_some_and(|position| position.pin != pin) {
                return Err(Failure::Outdated);
            }
            let judge = Judge::new(rules.value, check)?;
            let after = position.as_ref().map(|position| position.after);
            let Some((members, next)) = self.allowed_members(*company, &judge, pin, after, page.limit).await? else {
                // The data has changed since the rules were read.
                if position.is_some() {
                    return Err(Failure::Outdated);
                }
                continue;
            };
            let total = match page.include_total {
                false => None,
                true => {
                    let (allowing, denying) = judge.levels();
                    let rules = LevelRules { allowing: &allowing, denying: &denying };
                    let count = self.reader().members().count_selected(*company, rules, COUNT_LIMIT + 1).await?;
                    if Pin::of(&count) != pin {
                        if position.is_some() {
                            return Err(Failure::Outdated);
                        }
                        continue;
                    }
                    Some(Total::counted(count.value))
                }
            };
            let next_cursor = match next {
                Some(after) => Some(self.seal_cursor(&binding, &Position { pin, after }).await?),
                None => None,
            };
            let administering_keys = self.permissions.credentials().administering_keys(*company, now).await?;
            return Ok(AllowedPage { members, next_cursor, total, versions: pin.versions, administering_keys });
        }
        let source = "the data changed repeatedly while it was read".into();
        Err(Failure::Unavailable(StorageError::Unavailable { retryable: false, source: Some(source) }))
    }

    /// Returns at most `limit` members after `after` whom the judge allows, and the position of the next page. Returns
    /// `None` if the data is not in the state `pin` any more.
    async fn allowed_members(
        &self,
        company: CompanyId,
        judge: &Judge,
        pin: Pin,
        mut after: Option<UserId>,
        limit: u64,
    ) -> Result<Option<(Vec<AllowedMember>, Option<UserId>)>, Failure> {
        let (allowing, denying) = judge.levels();
        let rules = LevelRules { allowing: &allowing, denying: &denying };
        let limit_of_page = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found: Vec<AllowedMember> = Vec::new();
        if allowing.is_empty() {
            return Ok(Some((found, None)));
        }
        for _ in 0..PARTS {
            // One member more than requested is read, to determine whether there is a next page.
            let part = self.reader().members().select(company, rules, after, limit.saturating_add(1)).await?;
            if Pin::of(&part) != pin {
                return Ok(None);
            }
            after = part.value.examined;
            found.extend(part.value.members.into_iter().filter_map(|member| judge.allowed(member)));
            if found.len() > limit_of_page || after.is_none() {
                break;
            }
        }
        if found.len() > limit_of_page {
            found.truncate(limit_of_page);
            after = found.last().map(|last| last.member.user);
        }
        Ok(Some((found, after)))
    }
}

fn cell_name(check: &Check) -> CellName {
    match check {
        Check::View(ViewRef::Id(id)) => CellName::View(IdOrText::Id(*id)),
        Check::View(ViewRef::Url(url)) => CellName::View(IdOrText::Text(url.clone())),
        Check::Feature { feature: FeatureRef::Id(id), action, .. } => {
            CellName::Action(IdOrText::Id(*id), action.clone())
        }
        Check::Feature { feature: FeatureRef::Key(key), action, .. } => {
            CellName::Action(IdOrText::Text(key.clone()), action.clone())
        }
    }
}

/// Decides one check for any set of levels of a company.
struct Judge {
    /// The catalog and the modules of the company, without levels.
    company: Snapshot,
    levels: BTreeMap<UserLevelId, LevelPermissions>,
    cell: Cell,
    least_scope: Option<Scope>,
}

impl Judge {
    /// Creates a judge from the rules of all levels for the cell of the check.
    fn new(rules: Snapshot, check: &Check) -> Result<Self, Failure> {
        let (cell, least_scope) = match check {
            Check::View(view) => {
                let found = match view {
                    ViewRef::Id(id) => rules.catalog.view(*id),
                    ViewRef::Url(url) => rules.catalog.view_by_url(url),
                };
                (Cell::View(found.ok_or(Failure::NotFound(VIEW))?.id), None)
            }
            Check::Feature { feature, action, least_scope } => {
                let found = match feature {
                    FeatureRef::Id(id) => rules.catalog.feature(*id),
                    FeatureRef::Key(key) => rules.catalog.feature_by_key(key),
                };
                let found = found.ok_or(Failure::NotFound(FEATURE))?;
                if !found.knows(action) {
                    let what = "is not an action of the feature";
                    return Err(Failure::Invalid(vec![FieldError::new("action", FieldCode::Unknown, what)]));
                }
                (Cell::Action(found.id, action.clone()), *least_scope)
            }
        };
        let mut company = rules;
        let levels = std::mem::take(&mut company.levels);
        let levels = levels.into_iter().map(|level| (level.level, level)).collect();
        Ok(Self { company, levels, cell, least_scope })
    }

    /// Returns the decision for a user who holds these levels.
    fn decide(&self, held: impl Iterator<Item = UserLevelId>) -> Decision {
        let levels = held.filter_map(|level| self.levels.get(&level)).cloned().collect();
        let own = Snapshot { levels, ..self.company.clone() };
        let decision = match &self.cell {
            Cell::View(view) => own.view(*view),
            Cell::Action(feature, action) => own.feature(*feature, action),
        };
        match self.least_scope {
            Some(least) => decision.reaching(least),
            None => decision,
        }
    }

    /// Returns the levels that alone allow the check, and the levels that alone deny it explicitly. A set of levels
    /// allows the check if it contains one of the former and none of the latter.
    fn levels(&self) -> (Vec<UserLevelId>, Vec<UserLevelId>) {
        let (mut allowing, mut denying) = (Vec::new(), Vec::new());
        for level in self.levels.keys().copied() {
            match self.decide(std::iter::once(level)) {
                Decision { allowed: true, .. } => allowing.push(level),
                Decision { reason: Reason::ExplicitDeny, .. } => denying.push(level),
                Decision { .. } => {}
            }
        }
        (allowing, denying)
    }

    /// Returns the member with its decision if the check allows the member.
    fn allowed(&self, member: Member) -> Option<AllowedMember> {
        let decision = self.decide(member.levels.iter().map(|level| level.id));
        decision.allowed.then_some(AllowedMember { member, decision })
    }
}
