//! Helpers for the tests of effective-permission rows: both kinds of rows, and a company with users and permissions.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, Feature, FeatureId, Scope, Timestamp, UserId, UserLevel, UserLevelId, Versions, View, ViewId,
};

use super::fixtures::{
    action, ascending, begin, given, given_all, holding, level, some_company, some_feature, some_user, some_view,
    versions,
};
use crate::{NewEffectiveFeaturePermission, NewEffectiveViewPermission, Result, Storage};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The time when a row was computed, and the time when it expires.
pub(super) type Times = (Timestamp, Timestamp);

/// An effective-permission row for a view or for an action of a feature. The trait contains the operations that both
/// kinds of rows have in common. [`Self::new`] creates the row for the nth view or action of the tenant. The read
/// operations of this trait assert that the rows have the right company and the current versions.
#[async_trait]
pub(super) trait Row: Clone + PartialEq + Debug + Send + Sync + Sized {
    fn new(tenant: &Tenant, user: UserId, nth: usize) -> Self;
    /// Returns the same row with the opposite decision.
    fn decided_otherwise(self) -> Self;
    async fn find(&self, storage: &Arc<dyn Storage>, company: CompanyId) -> Option<Self>;
    async fn of_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> Vec<(Self, Times)>;
    async fn upsert(
        storage: &Arc<dyn Storage>,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[Self],
    ) -> Result<u64>;
    async fn delete_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> u64;
    async fn delete_level(storage: &Arc<dyn Storage>, company: CompanyId, level: UserLevelId) -> u64;
    async fn delete_company(storage: &Arc<dyn Storage>, company: CompanyId) -> u64;
    async fn delete_expired(storage: &Arc<dyn Storage>, limit: u64) -> u64;
}

macro_rules! row {
    ($row:ident, $accessor:ident, new |$tenant:ident, $nth:ident| { $($field:ident: $value:expr),+ },
        otherwise $otherwise:ident, find_by $($key:ident)+) => {
        #[async_trait]
        impl Row for $row {
            fn new($tenant: &Tenant, user_id: UserId, $nth: usize) -> Self {
                Self { user_id, $($field: $value,)+ }
            }

            fn decided_otherwise(self) -> Self {
                Self { $otherwise: !self.$otherwise, ..self }
            }

            async fn find(&self, storage: &Arc<dyn Storage>, company: CompanyId) -> Option<Self> {
                let found = storage.$accessor().find(company, self.user_id, $(row!(@key self $key)),+).await.unwrap()?;
                Some(Self { user_id: found.user_id, $($field: found.$field,)+ })
            }

            async fn of_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> Vec<(Self, Times)> {
                let now = versions(storage, Some(company)).await;
                let found = storage.$accessor().find_all_for_user(company, user).await.unwrap();
                let check = found.into_iter().map(|row| {
                    let current = (company, now.company, now.catalog);
                    assert_eq!((row.company_id, row.company_version, row.catalog_version), current);
                    (Self { user_id: row.user_id, $($field: row.$field,)+ }, (row.computed_at, row.expires_at))
                });
                check.collect()
            }

            async fn upsert(
                storage: &Arc<dyn Storage>,
                company: CompanyId,
                versions: Versions,
                valid_for: Duration,
                rows: &[Self],
            ) -> Result<u64> {
                storage.$accessor().upsert_many(company, versions, valid_for, rows).await
            }

            async fn delete_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> u64 {
                storage.$accessor().delete_for_user(company, user).await.unwrap()
            }

            async fn delete_level(storage: &Arc<dyn Storage>, company: CompanyId, level: UserLevelId) -> u64 {
                storage.$accessor().delete_for_user_level(company, level).await.unwrap()
            }

            async fn delete_company(storage: &Arc<dyn Storage>, company: CompanyId) -> u64 {
                storage.$accessor().delete_for_company(company).await.unwrap()
            }

            async fn delete_expired(storage: &Arc<dyn Storage>, limit: u64) -> u64 {
                storage.$accessor().delete_expired(limit).await.unwrap()
            }
        }
    };
    (@key $row:ident action) => { &$row.action };
    (@key $row:ident $key:ident) => { $row.$key };
}

row!(NewEffectiveViewPermission, effective_view_permissions,
    new |tenant, nth| { view_id: tenant.views[nth], has_access: true },
    otherwise has_access, find_by view_id);
row!(NewEffectiveFeaturePermission, effective_feature_permissions,
    new |tenant, nth| {
        feature_id: tenant.actions[nth].0, action: tenant.actions[nth].1.clone(), allowed: true, scope: Scope::Team
    },
    otherwise allowed, find_by feature_id action);

/// A company with a level that a user holds, three views, and three actions of two features. Views and features are in
/// ascending order of their ids.
pub(super) struct Tenant {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) company: CompanyId,
    pub(super) user: UserId,
    pub(super) level: UserLevel,
    pub(super) views: Vec<ViewId>,
    pub(super) actions: Vec<(FeatureId, Action)>,
}

impl Tenant {
    pub(super) async fn new(storage: &Arc<dyn Storage>) -> Self {
        let views = ascending!(ViewId, 3);
        let features = ascending!(FeatureId, 2);
        given_all(storage, &[0, 1, 2].map(|n| View { id: views[n], ..some_view() })).await;
        given_all(storage, &[0, 1].map(|n| Feature { id: features[n], ..some_feature() })).await;
        let actions =
            vec![(features[0], action("Read")), (features[0], action("Update")), (features[1], action("Create"))];
        Self::in_catalog(storage, views, actions).await
    }

    async fn in_catalog(storage: &Arc<dyn Storage>, views: Vec<ViewId>, actions: Vec<(FeatureId, Action)>) -> Self {
        let (company, user) = (some_company(), some_user());
        let level = level(company, "Held");
        given(storage, &[&level, &holding(user, &level)]).await;
        Self { storage: Arc::clone(storage), company, user, level, views, actions }
    }

    /// Creates another company with the same views and features.
    pub(super) async fn neighbour(&self) -> Self {
        Self::in_catalog(&self.storage, self.views.clone(), self.actions.clone()).await
    }

    pub(super) async fn now(&self) -> Versions {
        versions(&self.storage, Some(self.company)).await
    }

    /// Creates the user's rows for the tenant's three views or three actions.
    pub(super) fn rows<R: Row>(&self, user: UserId) -> Vec<R> {
        (0..3).map(|nth| R::new(self, user, nth)).collect()
    }

    /// Writes rows at the current versions, with a lifetime of one hour.
    pub(super) async fn upsert<R: Row>(&self, rows: &[R]) -> Result<u64> {
        self.upsert_at(self.now().await, rows).await
    }

    pub(super) async fn upsert_at<R: Row>(&self, versions: Versions, rows: &[R]) -> Result<u64> {
        R::upsert(&self.storage, self.company, versions, HOUR, rows).await
    }

    /// Writes rows that expire immediately.
    pub(super) async fn expired<R: Row>(&self, rows: &[R]) {
        let now = self.now().await;
        let written = R::upsert(&self.storage, self.company, now, Duration::ZERO, rows).await.unwrap();
        assert_eq!(written, rows.len() as u64);
    }

    /// Returns the current time of the storage's clock.
    pub(super) async fn clock(&self) -> Timestamp {
        begin(&self.storage, some_company()).await.now()
    }

    pub(super) async fn stored<R: Row>(&self, user: UserId) -> Vec<R> {
        let rows = self.rows(user);
        assert_eq!(self.upsert(&rows).await.unwrap(), rows.len() as u64);
        rows
    }

    pub(super) async fn found<R: Row>(&self, user: UserId) -> Vec<R> {
        R::of_user(&self.storage, self.company, user).await.into_iter().map(|(row, _)| row).collect()
    }
}

/// Runs a generic check function for view rows and for feature rows.
macro_rules! both_rows {
    ($check:ident, $storage:expr) => {
        $check::<NewEffectiveViewPermission>(&$storage).await;
        $check::<NewEffectiveFeaturePermission>(&$storage).await;
    };
}
pub(super) use both_rows;
