//! Auxiliary data: navigation trails, effective-permission rows, the last uses of API keys, and sessions. No decision depends on
//! it. Writing auxiliary data never waits for a unit of work.

mod api_key_uses;
mod effective_rows;
mod sessions;
mod trails;

use std::collections::BTreeSet;

use iam_domain::{
    Action, ApiKeyId, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, FeatureId, SessionId, Timestamp,
    TrailEntry, UserId, Versions, ViewId,
};
use iam_storage::{NewEffectiveFeaturePermission, NewEffectiveViewPermission, Result, SessionDigest, StoredSession};
use imbl::{OrdMap, Vector};

use crate::state::CatalogData;

/// The auxiliary data of all companies.
#[derive(Clone, Default)]
pub(crate) struct Auxiliary {
    trails: OrdMap<(CompanyId, UserId), Sessions>,
    pub(crate) api_key_uses: OrdMap<ApiKeyId, Timestamp>,
    sessions: OrdMap<SessionDigest, StoredSession>,
    views: Rows<EffectiveViewPermission>,
    features: Rows<EffectiveFeaturePermission>,
}

/// The navigation trails of a user: the steps of each session, oldest first. The depth of a step is its position in
/// this list. The stored field `depth` of a step is ignored.
type Sessions = OrdMap<SessionId, Vector<TrailEntry>>;

/// Effective-permission rows of one kind, keyed by company, user and row key. The rows may be outdated.
type Rows<R> = OrdMap<CompanyId, OrdMap<UserId, OrdMap<<R as EffectiveRow>::Key, R>>>;

/// An effective-permission row for a view or for an action of a feature.
trait EffectiveRow: Clone {
    /// The key that identifies a row among the rows of its user.
    type Key: Ord + Clone;
    /// The resolved decision from which a row is created.
    type New: Clone;
    fn new(batch: Batch, new: Self::New) -> Self;
    fn batch(&self) -> Batch;
    fn user_id(&self) -> UserId;
    fn key(&self) -> Self::Key;
    /// Returns `Unknown` if a row refers to a view or feature that does not exist.
    fn check_references(rows: &[Self::New], catalog: &CatalogData) -> Result<()>;
    fn rows(auxiliary: &Auxiliary) -> &Rows<Self>;
    fn rows_mut(auxiliary: &mut Auxiliary) -> &mut Rows<Self>;
}

/// The fields that all rows of one write operation have in common.
#[derive(Clone, Copy)]
struct Batch {
    company_id: CompanyId,
    company_version: i64,
    catalog_version: i64,
    computed_at: Timestamp,
    expires_at: Timestamp,
}

impl Batch {
    /// Returns `true` if the rows were resolved at these versions.
    const fn is_of(&self, versions: Versions) -> bool {
        self.company_version == versions.company && self.catalog_version == versions.catalog
    }

    /// Returns `true` if the rows have expired.
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

impl EffectiveRow for EffectiveViewPermission {
    type Key = ViewId;
    type New = NewEffectiveViewPermission;

    fn new(batch: Batch, new: Self::New) -> Self {
        let NewEffectiveViewPermission { user_id, view_id, has_access } = new;
        let Batch { company_id, company_version, catalog_version, computed_at, expires_at } = batch;
        Self { user_id, company_id, view_id, has_access, computed_at, expires_at, company_version, catalog_version }
    }

    fn batch(&self) -> Batch {
        let Self { company_id, company_version, catalog_version, computed_at, expires_at, .. } = *self;
        Batch { company_id, company_version, catalog_version, computed_at, expires_at }
    }

    fn user_id(&self) -> UserId {
        self.user_id
    }

    fn key(&self) -> ViewId {
        self.view_id
    }

    fn check_references(rows: &[Self::New], catalog: &CatalogData) -> Result<()> {
        catalog.check_views(rows.iter().map(|row| row.view_id))
    }

    fn rows(auxiliary: &Auxiliary) -> &Rows<Self> {
        &auxiliary.views
    }

    fn rows_mut(auxiliary: &mut Auxiliary) -> &mut Rows<Self> {
        &mut auxiliary.views
    }
}

impl EffectiveRow for EffectiveFeaturePermission {
    type Key = (FeatureId, Action);
    type New = NewEffectiveFeaturePermission;

    fn new(batch: Batch, new: Self::New) -> Self {
        let NewEffectiveFeaturePermission { user_id, feature_id, action, allowed, scope } = new;
        let Batch { company_id, company_version, catalog_version, computed_at, expires_at } = batch;
        Self {
            user_id,
            company_id,
            feature_id,
            action,
            allowed,
            scope,
            computed_at,
            expires_at,
            company_version,
            catalog_version,
        }
    }

    fn batch(&self) -> Batch {
        let Self { company_id, company_version, catalog_version, computed_at, expires_at, .. } = *self;
        Batch { company_id, company_version, catalog_version, computed_at, expires_at }
    }

    fn user_id(&self) -> UserId {
        self.user_id
    }

    fn key(&self) -> Self::Key {
        (self.feature_id, self.action.clone())
    }

    fn check_references(rows: &[Self::New], catalog: &CatalogData) -> Result<()> {
        catalog.check_features(rows.iter().map(|row| row.feature_id))
    }

    fn rows(auxiliary: &Auxiliary) -> &Rows<Self> {
        &auxiliary.features
    }

    fn rows_mut(auxiliary: &mut Auxiliary) -> &mut Rows<Self> {
        &mut auxiliary.features
    }
}

/// What a change deleted, and the auxiliary data that its commit must delete too: views and features of the catalog, an
/// erased company, and the navigation trails of users who left a company.
#[derive(Default)]
pub(crate) struct Removed {
    pub(crate) views: BTreeSet<ViewId>,
    pub(crate) features: BTreeSet<FeatureId>,
    pub(crate) company: Option<CompanyId>,
    pub(crate) trails: BTreeSet<(CompanyId, UserId)>,
}

impl Auxiliary {
    /// Deletes the auxiliary data of deleted views, features, companies and users, and clears deleted views from the steps
    /// of navigation trails.
    pub(crate) fn forget(&mut self, removed: &Removed) {
        if !removed.views.is_empty() {
            drop_rows::<EffectiveViewPermission>(self, usize::MAX, |row| removed.views.contains(&row.view_id));
            self.clear_views_of_trails(&removed.views);
        }
        if !removed.features.is_empty() {
            drop_rows::<EffectiveFeaturePermission>(self, usize::MAX, |row| removed.features.contains(&row.feature_id));
        }
        for user in &removed.trails {
            self.trails.remove(user);
        }
        if let Some(company) = removed.company {
            let users: Vec<_> = self.trails.keys().filter(|(of, _)| *of == company).copied().collect();
            for user in users {
                self.trails.remove(&user);
            }
            self.views.remove(&company);
            self.features.remove(&company);
        }
    }

    /// Returns the number of steps of the navigation trails in a company: of one user or, for `None`, of all users.
    pub(crate) fn trail_len(&self, company: CompanyId, user: Option<UserId>) -> u64 {
        let is_of = |(of, by): &(CompanyId, UserId)| *of == company && user.is_none_or(|user| *by == user);
        let trails = self.trails.iter().filter(|(owner, _)| is_of(owner)).flat_map(|(_, sessions)| sessions.values());
        trails.map(|steps| steps.len() as u64).sum()
    }

    /// Returns the numbers of effective-permission rows of a company: of views and of features.
    pub(crate) fn effective_row_counts(&self, company: CompanyId) -> (u64, u64) {
        (count_rows(&self.views, company), count_rows(&self.features, company))
    }

    fn clear_views_of_trails(&mut self, removed: &BTreeSet<ViewId>) {
        let still_there = |view: &ViewId| !removed.contains(view);
        let concerned = |step: &TrailEntry| !step.view_id.iter().all(still_there);
        for (user, sessions) in &self.trails.clone() {
            for (session, steps) in sessions.iter().filter(|(_, steps)| steps.iter().any(concerned)) {
                let clear = |step: TrailEntry| TrailEntry { view_id: step.view_id.filter(still_there), ..step };
                let cleared = steps.iter().cloned().map(clear).collect();
                self.trails.entry(*user).or_default().insert(session.clone(), cleared);
            }
        }
    }
}

/// Returns the number of effective-permission rows of a company.
fn count_rows<R: EffectiveRow>(rows: &Rows<R>, company: CompanyId) -> u64 {
    rows.get(&company).into_iter().flat_map(OrdMap::values).map(|rows| rows.len() as u64).sum()
}

/// Deletes the effective-permission rows of a user in a company and returns their number.
fn drop_user<R: EffectiveRow>(auxiliary: &mut Auxiliary, company: CompanyId, user: UserId) -> u64 {
    let table = R::rows_mut(auxiliary);
    let Some(users) = table.get_mut(&company) else { return 0 };
    let dropped = users.remove(&user).map_or(0, |rows| rows.len() as u64);
    if users.is_empty() {
        table.remove(&company);
    }
    dropped
}

/// Deletes at most `limit` effective-permission rows for which `matches` returns `true`, across all companies. Returns
/// the number of deleted rows.
fn drop_rows<R: EffectiveRow>(auxiliary: &mut Auxiliary, limit: usize, matches: impl Fn(&R) -> bool) -> u64 {
    let rows = R::rows(auxiliary).values().flat_map(OrdMap::values).flat_map(OrdMap::values);
    let matching: Vec<R> = rows.filter(|row| matches(row)).take(limit).cloned().collect();
    for row in &matching {
        let (company, user) = (row.batch().company_id, row.user_id());
        let users = R::rows_mut(auxiliary).get_mut(&company);
        let Some(rows) = users.and_then(|users| users.get_mut(&user)) else { continue };
        rows.remove(&row.key());
        if rows.is_empty() {
            drop_user::<R>(auxiliary, company, user);
        }
    }
    matching.len() as u64
}
