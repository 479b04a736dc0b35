//! Effective rows: what was resolved, for as long as it is right.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, Feature, FeatureId, Scope, Timestamp,
    UserId, UserLevel, UserLevelId, Versions, View, ViewId, ViewState,
};

use super::fixtures::{
    action, ascending, assert_stale, at, begin, change, given, given_all, holding, level, menu_item, some_company,
    some_feature, some_module, some_user, some_view, traces, versions, view_cell,
};
use crate::{Result, Storage, Target};

/// What effective rows of views and of features have in common. A row is about the nth thing of a case.
#[async_trait]
trait Row: Clone + PartialEq + Debug + Send + Sync + Sized {
    fn new(desk: &Desk, user: UserId, nth: usize, versions: Versions, times: (Timestamp, Timestamp)) -> Self;
    /// The same row, deciding otherwise.
    fn decided_otherwise(self) -> Self;
    fn user(&self) -> UserId;
    async fn find(&self, storage: &Arc<dyn Storage>, company: CompanyId) -> Option<Self>;
    async fn of_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> Vec<Self>;
    async fn upsert(storage: &Arc<dyn Storage>, company: CompanyId, rows: &[Self]) -> Result<u64>;
    async fn delete_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> u64;
    async fn delete_level(storage: &Arc<dyn Storage>, company: CompanyId, level: UserLevelId) -> u64;
    async fn delete_company(storage: &Arc<dyn Storage>, company: CompanyId) -> u64;
    async fn delete_expired(storage: &Arc<dyn Storage>, limit: u64) -> u64;
}

macro_rules! row {
    ($row:ident, $accessor:ident, new |$desk:ident, $nth:ident| { $($field:ident: $value:expr),+ }, otherwise $otherwise:ident, find_by $($key:ident)+) => {
        #[async_trait]
        impl Row for $row {
            fn new($desk: &Desk, user_id: UserId, $nth: usize, versions: Versions, times: (Timestamp, Timestamp)) -> Self {
                Self {
                    user_id,
                    company_id: $desk.company,
                    $($field: $value,)+
                    computed_at: times.0,
                    expires_at: times.1,
                    company_version: versions.company,
                    catalog_version: versions.catalog,
                }
            }

            fn decided_otherwise(self) -> Self {
                Self { $otherwise: !self.$otherwise, ..self }
            }

            fn user(&self) -> UserId {
                self.user_id
            }

            async fn find(&self, storage: &Arc<dyn Storage>, company: CompanyId) -> Option<Self> {
                storage.$accessor().find(company, self.user_id, $(row!(@key self $key)),+).await.unwrap()
            }

            async fn of_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> Vec<Self> {
                storage.$accessor().find_all_for_user(company, user).await.unwrap()
            }

            async fn upsert(storage: &Arc<dyn Storage>, company: CompanyId, rows: &[Self]) -> Result<u64> {
                storage.$accessor().upsert_many(company, rows).await
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

row!(EffectiveViewPermission, effective_view_permissions,
    new |desk, nth| { view_id: desk.views[nth], has_access: true },
    otherwise has_access, find_by view_id);
row!(EffectiveFeaturePermission, effective_feature_permissions,
    new |desk, nth| { feature_id: desk.places[nth].0, action: desk.places[nth].1.clone(), allowed: true, scope: Scope::Team },
    otherwise allowed, find_by feature_id action);

/// A company with a level that a user holds, three views, and three actions of two features, all ascending.
struct Desk {
    storage: Arc<dyn Storage>,
    company: CompanyId,
    user: UserId,
    level: UserLevel,
    views: Vec<ViewId>,
    places: Vec<(FeatureId, Action)>,
}

impl Desk {
    async fn new(storage: &Arc<dyn Storage>) -> Self {
        let views = ascending!(ViewId, 3);
        let features = ascending!(FeatureId, 2);
        given_all(storage, &[0, 1, 2].map(|n| View { id: views[n], ..some_view() })).await;
        given_all(storage, &[0, 1].map(|n| Feature { id: features[n], ..some_feature() })).await;
        let places =
            vec![(features[0], action("Read")), (features[0], action("Update")), (features[1], action("Create"))];
        Self::in_catalog(storage, views, places).await
    }

    async fn in_catalog(storage: &Arc<dyn Storage>, views: Vec<ViewId>, places: Vec<(FeatureId, Action)>) -> Self {
        let (company, user) = (some_company(), some_user());
        let level = level(company, "Held");
        given(storage, &[&level, &holding(user, &level)]).await;
        Self { storage: Arc::clone(storage), company, user, level, views, places }
    }

    /// Another company with the same views and features.
    async fn neighbour(&self) -> Self {
        Self::in_catalog(&self.storage, self.views.clone(), self.places.clone()).await
    }

    async fn now(&self) -> Versions {
        versions(&self.storage, Some(self.company)).await
    }

    /// Rows about the first, second and third thing, of the current versions, with an hour to live.
    async fn rows<R: Row>(&self, user: UserId) -> Vec<R> {
        self.rows_at(user, self.now().await).await
    }

    async fn rows_at<R: Row>(&self, user: UserId, versions: Versions) -> Vec<R> {
        let clock = self.clock().await;
        (0..3).map(|nth| R::new(self, user, nth, versions, (clock, hours_on(clock, 1)))).collect()
    }

    /// The storage's time.
    async fn clock(&self) -> Timestamp {
        begin(&self.storage, some_company()).await.now()
    }

    async fn stored<R: Row>(&self, user: UserId) -> Vec<R> {
        let rows = self.rows(user).await;
        assert_eq!(R::upsert(&self.storage, self.company, &rows).await.unwrap(), rows.len() as u64);
        rows
    }

    async fn found<R: Row>(&self, user: UserId) -> Vec<R> {
        R::of_user(&self.storage, self.company, user).await
    }
}

fn hours_on(time: Timestamp, hours: i64) -> Timestamp {
    Timestamp::from_micros(time.micros() + hours * 3_600_000_000).unwrap()
}

/// Runs a check for both kinds of rows.
macro_rules! both_rows {
    ($check:ident, $storage:expr) => {
        $check::<EffectiveViewPermission>(&$storage).await;
        $check::<EffectiveFeaturePermission>(&$storage).await;
    };
}

/// Rows are found as they were written, alone and in order; writing them again replaces what they decide.
pub async fn effective_rows_are_found_as_they_were_written(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        assert_eq!(desk.found::<R>(desk.user).await, []);
        let rows: Vec<R> = desk.rows(desk.user).await;
        let shuffled = [rows[1].clone(), rows[2].clone(), rows[0].clone()];
        assert_eq!(R::upsert(storage, desk.company, &shuffled).await.unwrap(), 3);
        assert_eq!(desk.found::<R>(desk.user).await, rows);
        for row in &rows {
            assert_eq!(row.find(storage, desk.company).await.as_ref(), Some(row));
        }

        let otherwise = rows[1].clone().decided_otherwise();
        assert_eq!(R::upsert(storage, desk.company, std::slice::from_ref(&otherwise)).await.unwrap(), 1);
        assert_eq!(desk.found::<R>(desk.user).await, [rows[0].clone(), otherwise, rows[2].clone()]);
        assert_eq!(R::upsert(storage, desk.company, &[]).await.unwrap(), 0);
    }
    both_rows!(check, storage);
}

/// What nobody resolved is unknown.
pub async fn no_effective_row_means_unknown(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let stranger = some_user();
        desk.stored::<R>(desk.user).await;
        for row in desk.rows::<R>(stranger).await {
            assert_eq!(row.find(storage, desk.company).await, None);
        }
        assert_eq!(desk.found::<R>(stranger).await, []);
    }
    both_rows!(check, storage);
}

/// Rows are dropped by user, by level and by company; each answers how many, and takes no others.
pub async fn effective_rows_are_dropped_by_user_level_and_company(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let theirs = desk.neighbour().await;
        let (holder, loner) = (some_user(), some_user());
        given(storage, &[&holding(holder, &desk.level)]).await;
        for user in [desk.user, holder, loner] {
            desk.stored::<R>(user).await;
            theirs.stored::<R>(user).await;
        }
        let left = async || {
            let mut left = Vec::new();
            for desk in [&desk, &theirs] {
                for user in [desk.user, holder, loner] {
                    left.push(desk.found::<R>(user).await.len());
                }
            }
            left
        };
        theirs.stored::<R>(theirs.user).await;
        assert_eq!(left().await, [3, 3, 3, 3, 3, 3]);
        assert_eq!(R::delete_user(storage, desk.company, loner).await, 3);
        assert_eq!(left().await, [3, 3, 0, 3, 3, 3]);
        assert_eq!(R::delete_user(storage, desk.company, loner).await, 0);
        desk.stored::<R>(loner).await;
        assert_eq!(R::delete_level(storage, theirs.company, desk.level.id).await, 0, "another company's level");
        assert_eq!(R::delete_level(storage, desk.company, desk.level.id).await, 6);
        assert_eq!(left().await, [0, 0, 3, 3, 3, 3]);
        desk.stored::<R>(holder).await;
        assert_eq!(R::delete_company(storage, desk.company).await, 6);
        assert_eq!(left().await, [0, 0, 0, 3, 3, 3]);
        assert_eq!(R::delete_company(storage, desk.company).await, 0);
    }
    both_rows!(check, storage);
}

/// One user's rows in two companies are apart, and a row cannot be written for a company that is not its own.
pub async fn effective_rows_of_two_companies_stay_apart(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let mine = Desk::new(storage).await;
        let theirs = mine.neighbour().await;
        let rows = mine.stored::<R>(mine.user).await;
        assert_eq!(theirs.found::<R>(mine.user).await, []);
        for row in &rows {
            assert_eq!(row.find(storage, theirs.company).await, None);
        }
        let smuggled = theirs.rows::<R>(theirs.user).await;
        // Refusing them, or taking them for rows of the company that was named, are both safe.
        let _ = R::upsert(storage, mine.company, &smuggled).await;
        assert_eq!(theirs.found::<R>(theirs.user).await, []);
        assert_eq!(rows[0].user(), mine.user);
    }
    both_rows!(check, storage);
}

/// What has expired is never found, though it is of the current versions.
pub async fn expired_rows_are_not_found(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let (clock, now) = (desk.clock().await, desk.now().await);
        let expired = R::new(&desk, desk.user, 0, now, (hours_on(clock, -2), hours_on(clock, -1)));
        let current = R::new(&desk, desk.user, 1, now, (clock, hours_on(clock, 1)));
        assert_eq!(R::upsert(storage, desk.company, &[expired.clone(), current.clone()]).await.unwrap(), 2);
        assert_eq!(expired.find(storage, desk.company).await, None);
        assert_eq!(desk.found::<R>(desk.user).await, [current]);

        let renewed = R::new(&desk, desk.user, 0, now, (clock, hours_on(clock, 1)));
        R::upsert(storage, desk.company, std::slice::from_ref(&renewed)).await.unwrap();
        assert_eq!(renewed.find(storage, desk.company).await, Some(renewed));
    }
    both_rows!(check, storage);
}

/// The sweep drops at most as many expired rows as it was told, of all companies, and no others.
pub async fn expired_rows_are_swept_in_bounds(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let theirs = desk.neighbour().await;
        let kept = desk.stored::<R>(desk.user).await;
        while R::delete_expired(storage, 1000).await > 0 {}
        for (desk, nths) in [(&desk, 0..3), (&theirs, 0..2)] {
            let (clock, now) = (desk.clock().await, desk.now().await);
            let user = some_user();
            let times = (hours_on(clock, -2), hours_on(clock, -1));
            let expired: Vec<R> = nths.map(|nth| R::new(desk, user, nth, now, times)).collect();
            R::upsert(storage, desk.company, &expired).await.unwrap();
        }
        let mut swept = Vec::new();
        for _ in 0..4 {
            swept.push(R::delete_expired(storage, 2).await);
        }
        assert_eq!(swept, [2, 2, 1, 0]);
        assert_eq!(desk.found::<R>(desk.user).await, kept);
    }
    both_rows!(check, storage);
}

/// A company that has never changed has no version that a row could be of.
pub async fn rows_of_a_company_without_changes_are_stale(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let unchanged = Desk { company: some_company(), ..Desk::new(storage).await };
        let versions = storage.reader().company_states().versions(Some(unchanged.company)).await.unwrap();
        assert_eq!(versions.company, 0);
        let rows = unchanged.rows_at::<R>(unchanged.user, versions).await;
        assert_stale(R::upsert(storage, unchanged.company, &rows).await);
        assert_eq!(unchanged.found::<R>(unchanged.user).await, []);
    }
    both_rows!(check, storage);
}

/// Rows of any but the current versions are refused, all of them, also those that came with current ones.
pub async fn rows_of_other_versions_are_stale(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let now = desk.now().await;
        for wrong in [
            Versions { company: now.company - 1, ..now },
            Versions { company: now.company + 1, ..now },
            Versions { catalog: now.catalog - 1, ..now },
            Versions { catalog: now.catalog + 1, ..now },
        ] {
            let mut rows = desk.rows::<R>(desk.user).await;
            rows[1] = desk.rows_at::<R>(desk.user, wrong).await.remove(1);
            assert_stale(R::upsert(storage, desk.company, &rows).await);
            assert_eq!(desk.found::<R>(desk.user).await, [], "{wrong:?}");
        }
    }
    both_rows!(check, storage);
}

/// After a change that affects a user, the rows from before are neither found nor can they be written again.
pub async fn a_change_outdates_the_rows_from_before(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let Desk { company, user, level, .. } = &desk;
        let (company, user) = (*company, *user);
        let (theirs, module) = (desk.neighbour().await, some_module());
        given(storage, &[&module]).await;
        let kept = theirs.stored::<R>(user).await;
        let outdated = async |before: Vec<R>| {
            assert_eq!(desk.found::<R>(user).await, []);
            for row in &before {
                assert_eq!(row.find(storage, company).await, None);
            }
            assert_stale(R::upsert(storage, company, &before).await);
            assert_eq!(desk.found::<R>(user).await, []);
            assert_eq!(theirs.found::<R>(user).await, kept, "another company's");
        };

        let before = desk.stored::<R>(user).await;
        given(storage, &[&view_cell(level, desk.views[0], ViewState::Deny)]).await;
        outdated(before).await;
        let before = desk.stored::<R>(user).await;
        change!(*storage, company, tx => tx.assignments_mut().remove(company, user, level.id)).unwrap();
        outdated(before).await;
        let before = desk.stored::<R>(user).await;
        change!(*storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
        outdated(before).await;
        // Also what changes no decision raises the version, and rows are found only while theirs is current.
        let before = desk.stored::<R>(user).await;
        given(storage, &[&menu_item(Some(company), "Item")]).await;
        outdated(before).await;
    }
    both_rows!(check, storage);
}

/// A change of the catalog outdates the rows of all companies.
pub async fn a_catalog_change_outdates_all_rows(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let theirs = desk.neighbour().await;
        let (mine, other) = (desk.stored::<R>(desk.user).await, theirs.stored::<R>(theirs.user).await);
        given(storage, &[&some_view()]).await;
        assert_eq!(desk.found::<R>(desk.user).await, []);
        assert_eq!(theirs.found::<R>(theirs.user).await, []);
        assert_stale(R::upsert(storage, desk.company, &mine).await);
        assert_stale(R::upsert(storage, theirs.company, &other).await);
        assert_eq!(desk.stored::<R>(desk.user).await, desk.found::<R>(desk.user).await);
    }
    both_rows!(check, storage);
}

/// While a change is under way that would outdate them, rows of its company are refused at once, and those of another
/// company are not; a change of the catalog refuses all.
pub async fn rows_are_stale_while_a_change_is_under_way(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let theirs = desk.neighbour().await;
        let (mine, other) = (desk.rows::<R>(desk.user).await, theirs.rows::<R>(theirs.user).await);

        let change = begin(storage, desk.company).await;
        assert_stale(R::upsert(storage, desk.company, &mine).await);
        assert_eq!(R::upsert(storage, theirs.company, &other).await.unwrap(), 3);
        change.commit().await.unwrap();
        assert_eq!(R::upsert(storage, desk.company, &mine).await.unwrap(), 3, "the change came to nothing");

        let change = begin(storage, Target::Catalog).await;
        assert_stale(R::upsert(storage, desk.company, &mine).await);
        assert_stale(R::upsert(storage, theirs.company, &other).await);
        change.commit().await.unwrap();
        assert_eq!(desk.found::<R>(desk.user).await, mine);
    }
    both_rows!(check, storage);
}

/// Rows that a unit of work dropped or outdated are found by others until it is committed.
pub async fn rows_are_right_until_the_commit(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let Desk { company, user, level, .. } = &desk;
        let rows = desk.stored::<R>(*user).await;
        let mut tx = begin(storage, *company).await;
        tx.assignments_mut().remove(*company, *user, level.id).await.unwrap();
        assert_eq!(desk.found::<R>(*user).await, rows);
        tx.commit().await.unwrap();
        assert_eq!(desk.found::<R>(*user).await, []);
    }
    both_rows!(check, storage);
}

/// Writing and dropping rows raises no version and records nothing.
pub async fn effective_rows_are_no_changes(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let desk = Desk::new(storage).await;
        let before = traces(storage, desk.company).await;
        desk.stored::<R>(desk.user).await;
        R::delete_company(storage, desk.company).await;
        assert_eq!(traces(storage, desk.company).await, before);
    }
    both_rows!(check, storage);
}

/// Every scope and both decisions are kept, and actions are exact.
pub async fn effective_actions_are_exact(storage: Arc<dyn Storage>) {
    let desk = Desk::new(&storage).await;
    let rows = desk.rows::<EffectiveFeaturePermission>(desk.user).await;
    let scopes = [Scope::Own, Scope::Team, Scope::Company, Scope::Any];
    let rows: Vec<_> = ["Any", "Read", "any", "read"]
        .into_iter()
        .zip(scopes)
        .zip([true, false].into_iter().cycle())
        .map(|((word, scope), allowed)| EffectiveFeaturePermission {
            action: action(word),
            scope,
            allowed,
            ..rows[0].clone()
        })
        .collect();
    EffectiveFeaturePermission::upsert(&storage, desk.company, &rows).await.unwrap();
    assert_eq!(desk.found::<EffectiveFeaturePermission>(desk.user).await, rows);
    let wrong = EffectiveFeaturePermission { action: action("READ"), ..rows[0].clone() };
    assert_eq!(wrong.find(&storage, desk.company).await, None);
    assert!(rows[0].computed_at > at(0));
}
