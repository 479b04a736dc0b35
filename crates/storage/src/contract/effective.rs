//! Test cases for effective-permission rows. Such a row contains a resolved decision, and is returned only while it is
//! current.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Scope, UserId, Versions, ViewState};

use super::effective_rows::{HOUR, Row, Tenant, Times, both_rows};
use super::fixtures::{
    action, begin, change, given, holding, menu_item, some_company, some_module, some_user, some_view,
    version_and_record_count, view_cell,
};
use super::outcomes::assert_stale;
use crate::{LONGEST_VALIDITY, NewEffectiveFeaturePermission, NewEffectiveViewPermission, Storage, Target};

/// Written rows are returned unchanged, individually and as a list in key order. Writing a row again replaces its
/// decision.
pub async fn effective_rows_are_read_as_written(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        assert_eq!(tenant.found::<R>(tenant.user).await, []);
        let rows: Vec<R> = tenant.rows(tenant.user);
        let shuffled = [rows[1].clone(), rows[2].clone(), rows[0].clone()];
        assert_eq!(tenant.upsert(&shuffled).await.unwrap(), 3);
        assert_eq!(tenant.found::<R>(tenant.user).await, rows);
        for row in &rows {
            assert_eq!(row.find(storage, tenant.company).await.as_ref(), Some(row));
        }

        let otherwise = rows[1].clone().decided_otherwise();
        assert_eq!(tenant.upsert(std::slice::from_ref(&otherwise)).await.unwrap(), 1);
        assert_eq!(tenant.found::<R>(tenant.user).await, [rows[0].clone(), otherwise, rows[2].clone()]);
        assert_eq!(tenant.upsert::<R>(&[]).await.unwrap(), 0);
    }
    both_rows!(check, storage);
}

/// The storage's clock determines the timestamps of rows. `computed_at` is the current time. Rows expire after their
/// lifetime or after 365 days, whichever is shorter. Writing rows again updates both timestamps.
pub async fn effective_rows_have_the_time_of_the_storage(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let mut earliest = tenant.clock().await;
        for (valid_for, lives) in [(HOUR, HOUR), (2 * HOUR, 2 * HOUR), (Duration::MAX, LONGEST_VALIDITY)] {
            let rows: Vec<R> = tenant.rows(tenant.user);
            R::upsert(storage, tenant.company, tenant.now().await, valid_for, &rows).await.unwrap();
            let latest = tenant.clock().await;
            let times: BTreeSet<Times> =
                R::of_user(storage, tenant.company, tenant.user).await.into_iter().map(|(_, times)| times).collect();
            assert_eq!(times.len(), 1, "rows that are written together must have the same times");
            for (computed_at, expires_at) in times {
                assert!(
                    (earliest..=latest).contains(&computed_at),
                    "{computed_at} must be between {earliest} and {latest}"
                );
                assert_eq!(u128::from((expires_at.micros() - computed_at.micros()).unsigned_abs()), lives.as_micros());
            }
            earliest = latest;
        }
    }
    both_rows!(check, storage);
}

/// If a decision was never resolved, no row is returned. A missing row means that the decision is unknown.
pub async fn no_effective_row_means_unknown(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let non_member = some_user();
        tenant.stored::<R>(tenant.user).await;
        for row in tenant.rows::<R>(non_member) {
            assert_eq!(row.find(storage, tenant.company).await, None);
        }
        assert_eq!(tenant.found::<R>(non_member).await, []);
    }
    both_rows!(check, storage);
}

/// Rows are deleted by user, by level and by company. Each call returns the number of deleted rows and deletes no other
/// rows.
pub async fn effective_rows_are_dropped_by_user_level_and_company(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let theirs = tenant.neighbour().await;
        let (holder, loner) = (some_user(), some_user());
        given(storage, &[&holding(holder, &tenant.level)]).await;
        for user in [tenant.user, holder, loner] {
            tenant.stored::<R>(user).await;
            theirs.stored::<R>(user).await;
        }
        let left = async || {
            let mut left = Vec::new();
            for tenant in [&tenant, &theirs] {
                for user in [tenant.user, holder, loner] {
                    left.push(tenant.found::<R>(user).await.len());
                }
            }
            left
        };
        theirs.stored::<R>(theirs.user).await;
        assert_eq!(left().await, [3, 3, 3, 3, 3, 3]);
        assert_eq!(R::delete_user(storage, tenant.company, loner).await, 3);
        assert_eq!(left().await, [3, 3, 0, 3, 3, 3]);
        assert_eq!(R::delete_user(storage, tenant.company, loner).await, 0);
        tenant.stored::<R>(loner).await;
        assert_eq!(
            R::delete_level(storage, theirs.company, tenant.level.id).await,
            0,
            "a delete with the id of another company's level must not affect any row"
        );
        assert_eq!(R::delete_level(storage, tenant.company, tenant.level.id).await, 6);
        assert_eq!(left().await, [0, 0, 3, 3, 3, 3]);
        tenant.stored::<R>(holder).await;
        assert_eq!(R::delete_company(storage, tenant.company).await, 6);
        assert_eq!(left().await, [0, 0, 0, 3, 3, 3]);
        assert_eq!(R::delete_company(storage, tenant.company).await, 0);
    }
    both_rows!(check, storage);
}

/// The rows of one user in two companies are isolated from each other.
pub async fn effective_rows_of_two_companies_are_separate(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let mine = Tenant::new(storage).await;
        let theirs = mine.neighbour().await;
        let rows = mine.stored::<R>(mine.user).await;
        assert_eq!(theirs.found::<R>(mine.user).await, []);
        for row in &rows {
            assert_eq!(row.find(storage, theirs.company).await, None);
        }
        let otherwise = rows[0].clone().decided_otherwise();
        theirs.upsert(std::slice::from_ref(&otherwise)).await.unwrap();
        assert_eq!(theirs.found::<R>(mine.user).await, [otherwise]);
        assert_eq!(mine.found::<R>(mine.user).await, rows);
    }
    both_rows!(check, storage);
}

/// Expired rows are not returned, even if their versions are current.
pub async fn expired_rows_are_not_found(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let rows: Vec<R> = tenant.rows(tenant.user);
        let (expired, current) = (&rows[..1], &rows[1..2]);
        tenant.expired(expired).await;
        tenant.upsert(current).await.unwrap();
        assert_eq!(expired[0].find(storage, tenant.company).await, None);
        assert_eq!(tenant.found::<R>(tenant.user).await, current);

        tenant.upsert(expired).await.unwrap();
        assert_eq!(tenant.found::<R>(tenant.user).await, &rows[..2], "a renewed row must be returned");
        tenant.expired(current).await;
        assert_eq!(tenant.found::<R>(tenant.user).await, expired);
    }
    both_rows!(check, storage);
}

/// The sweep deletes at most `limit` expired rows of all companies, and no other rows.
pub async fn expired_rows_are_deleted_in_bounded_batches(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let theirs = tenant.neighbour().await;
        let kept = tenant.stored::<R>(tenant.user).await;
        while R::delete_expired(storage, 1000).await > 0 {}
        for (tenant, nths) in [(&tenant, 0..3), (&theirs, 0..2)] {
            let user = some_user();
            let expired: Vec<R> = nths.map(|nth| R::new(tenant, user, nth)).collect();
            tenant.expired(&expired).await;
        }
        let mut swept = Vec::new();
        for _ in 0..4 {
            swept.push(R::delete_expired(storage, 2).await);
        }
        assert_eq!(swept, [2, 2, 1, 0]);
        assert_eq!(tenant.found::<R>(tenant.user).await, kept);
    }
    both_rows!(check, storage);
}

/// Rows are rejected as stale if their company was never changed, because such a company has no version yet.
pub async fn rows_of_a_company_without_changes_are_stale(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let unchanged = Tenant { company: some_company(), ..Tenant::new(storage).await };
        assert_eq!(unchanged.now().await.company, 0);
        assert_stale(unchanged.upsert(&unchanged.rows::<R>(unchanged.user)).await);
        assert_eq!(unchanged.found::<R>(unchanged.user).await, []);
    }
    both_rows!(check, storage);
}

/// Rows that were resolved at versions other than the current ones, or in another epoch, are rejected as stale.
pub async fn rows_of_other_versions_are_stale(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let now = tenant.now().await;
        for wrong in [
            Versions { company: now.company - 1, ..now },
            Versions { company: now.company + 1, ..now },
            Versions { catalog: now.catalog - 1, ..now },
            Versions { catalog: now.catalog + 1, ..now },
            Versions { epoch: now.epoch ^ 1, ..now },
        ] {
            assert_stale(tenant.upsert_at(wrong, &tenant.rows::<R>(tenant.user)).await);
            assert_eq!(tenant.found::<R>(tenant.user).await, [], "{wrong:?}");
        }
    }
    both_rows!(check, storage);
}

/// A change to a company makes the company's earlier rows outdated: they are no longer returned and cannot be written
/// again.
pub async fn a_change_outdates_earlier_rows(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let Tenant { company, user, level, .. } = &tenant;
        let (company, user) = (*company, *user);
        let (theirs, module) = (tenant.neighbour().await, some_module());
        given(storage, &[&module]).await;
        let kept = theirs.stored::<R>(user).await;
        let outdated = async |versions: Versions, before: Vec<R>| {
            assert_eq!(tenant.found::<R>(user).await, []);
            for row in &before {
                assert_eq!(row.find(storage, company).await, None);
            }
            assert_stale(tenant.upsert_at(versions, &before).await);
            assert_eq!(tenant.found::<R>(user).await, []);
            assert_eq!(theirs.found::<R>(user).await, kept, "the rows of another company must remain current");
        };

        let (then, before) = (tenant.now().await, tenant.stored::<R>(user).await);
        given(storage, &[&view_cell(level, tenant.views[0], ViewState::Deny)]).await;
        outdated(then, before).await;
        let (then, before) = (tenant.now().await, tenant.stored::<R>(user).await);
        change!(*storage, company, tx => tx.assignments_mut().remove(company, user, level.id)).unwrap();
        outdated(then, before).await;
        let (then, before) = (tenant.now().await, tenant.stored::<R>(user).await);
        change!(*storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
        outdated(then, before).await;
        // A change that affects no decision also increments the version, so it makes the rows outdated too.
        let (then, before) = (tenant.now().await, tenant.stored::<R>(user).await);
        given(storage, &[&menu_item(Some(company), "Item")]).await;
        outdated(then, before).await;
    }
    both_rows!(check, storage);
}

/// A change to the catalog makes the rows of all companies outdated.
pub async fn a_catalog_change_outdates_all_rows(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let theirs = tenant.neighbour().await;
        let (then, mine) = (tenant.now().await, tenant.stored::<R>(tenant.user).await);
        let (their_then, other) = (theirs.now().await, theirs.stored::<R>(theirs.user).await);
        given(storage, &[&some_view()]).await;
        assert_eq!(tenant.found::<R>(tenant.user).await, []);
        assert_eq!(theirs.found::<R>(theirs.user).await, []);
        assert_stale(tenant.upsert_at(then, &mine).await);
        assert_stale(theirs.upsert_at(their_then, &other).await);
        assert_eq!(tenant.stored::<R>(tenant.user).await, tenant.found::<R>(tenant.user).await);
    }
    both_rows!(check, storage);
}

/// While a change to a company is in progress, writes of this company's rows are rejected without waiting, and writes
/// of another company's rows are accepted. While a change to the catalog is in progress, all writes of rows are
/// rejected.
pub async fn rows_are_stale_during_a_change(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let theirs = tenant.neighbour().await;
        let (mine, other) = (tenant.rows::<R>(tenant.user), theirs.rows::<R>(theirs.user));

        let change = begin(storage, tenant.company).await;
        assert_stale(tenant.upsert(&mine).await);
        assert_eq!(theirs.upsert(&other).await.unwrap(), 3);
        change.commit().await.unwrap();
        assert_eq!(
            tenant.upsert(&mine).await.unwrap(),
            3,
            "the storage must accept rows after a unit of work that changed nothing"
        );

        let change = begin(storage, Target::Catalog).await;
        assert_stale(tenant.upsert(&mine).await);
        assert_stale(theirs.upsert(&other).await);
        change.commit().await.unwrap();
        assert_eq!(tenant.found::<R>(tenant.user).await, mine);
    }
    both_rows!(check, storage);
}

/// Until a change is committed, reads outside its unit of work still return the rows that the change will make
/// outdated.
pub async fn rows_are_valid_until_the_commit(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let Tenant { company, user, level, .. } = &tenant;
        let rows = tenant.stored::<R>(*user).await;
        let mut tx = begin(storage, *company).await;
        tx.assignments_mut().remove(*company, *user, level.id).await.unwrap();
        assert_eq!(tenant.found::<R>(*user).await, rows);
        tx.commit().await.unwrap();
        assert_eq!(tenant.found::<R>(*user).await, []);
    }
    both_rows!(check, storage);
}

/// Writing and deleting rows increments no version and writes no audit record.
pub async fn writing_effective_rows_is_no_change(storage: Arc<dyn Storage>) {
    async fn check<R: Row>(storage: &Arc<dyn Storage>) {
        let tenant = Tenant::new(storage).await;
        let before = version_and_record_count(storage, tenant.company).await;
        tenant.stored::<R>(tenant.user).await;
        R::delete_company(storage, tenant.company).await;
        assert_eq!(version_and_record_count(storage, tenant.company).await, before);
    }
    both_rows!(check, storage);
}

/// Rows with every scope and with both decisions (allowed and denied) are stored. Actions are compared exactly,
/// including case.
pub async fn effective_actions_are_exact(storage: Arc<dyn Storage>) {
    let tenant = Tenant::new(&storage).await;
    let row = NewEffectiveFeaturePermission::new(&tenant, tenant.user, 0);
    let scopes = [Scope::Own, Scope::Team, Scope::Company, Scope::Any];
    let rows: Vec<_> = ["Any", "Read", "any", "read"]
        .into_iter()
        .zip(scopes)
        .zip([true, false].into_iter().cycle())
        .map(|((word, scope), allowed)| NewEffectiveFeaturePermission {
            action: action(word),
            scope,
            allowed,
            ..row.clone()
        })
        .collect();
    tenant.upsert(&rows).await.unwrap();
    assert_eq!(tenant.found::<NewEffectiveFeaturePermission>(tenant.user).await, rows);
    let wrong = NewEffectiveFeaturePermission { action: action("READ"), ..row };
    assert_eq!(wrong.find(&storage, tenant.company).await, None);
}

/// `find_active` returns the users who have unexpired rows, regardless of the versions of the rows. The users are
/// ordered by expiry (latest first), without duplicates. The list contains at most `limit` users.
pub async fn active_users_are_ordered_by_latest_use(storage: Arc<dyn Storage>) {
    let one = Tenant::new(&storage).await;
    let other = one.neighbour().await;
    let users = [(); 4].map(|()| some_user());
    let (one, other) = (&one, &other);
    // The storage may contain rows of companies from other test cases. The closure therefore filters the result.
    let active = async || {
        let found = storage.effective_view_permissions().find_active(u64::MAX).await.unwrap();
        found.into_iter().filter(|(company, _)| [one.company, other.company].contains(company)).collect::<Vec<_>>()
    };
    let rows = |tenant: &Tenant, user: UserId| tenant.rows::<NewEffectiveViewPermission>(user);

    for (tenant, user) in [(one, users[0]), (other, users[0]), (other, users[1]), (one, users[2])] {
        tenant.upsert(&rows(tenant, user)).await.unwrap();
    }
    // Renewing one of a user's three rows moves the user to the front of the list.
    one.upsert(&rows(one, users[0])[1..2]).await.unwrap();
    one.expired(&rows(one, users[3])).await;
    let expected =
        [(one.company, users[0]), (one.company, users[2]), (other.company, users[1]), (other.company, users[0])];
    assert_eq!(active().await, expected);

    // Users with outdated but unexpired rows are still returned.
    given(&storage, &[&some_view()]).await;
    assert_eq!(one.found::<NewEffectiveViewPermission>(users[0]).await, []);
    assert_eq!(active().await, expected);
    let module = some_module();
    given(&storage, &[&module]).await;
    change!(storage, one.company, tx => tx.company_modules_mut().add(one.company, module.id)).unwrap();
    assert_eq!(one.found::<NewEffectiveViewPermission>(users[2]).await, []);
    assert_eq!(active().await, expected);
    other.expired(&rows(other, users[1])).await;
    assert_eq!(active().await, [expected[0], expected[1], expected[3]]);

    // Users whose rows were written together are returned in a stable order and without duplicates.
    let together: Vec<_> = [users[3], users[0], users[1]].into_iter().flat_map(|user| rows(other, user)).collect();
    other.upsert(&together).await.unwrap();
    let mut found = active().await;
    assert_eq!(found, active().await);
    found.sort_unstable();
    let mut expected = [(other, 0), (other, 1), (other, 3), (one, 0), (one, 2)].map(|(at, n)| (at.company, users[n]));
    expected.sort_unstable();
    assert_eq!(found, expected);

    let all = storage.effective_view_permissions().find_active(u64::MAX).await.unwrap();
    for limit in 0..4 {
        assert_eq!(storage.effective_view_permissions().find_active(limit as u64).await.unwrap(), all[..limit]);
    }
}
