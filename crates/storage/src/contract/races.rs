//! Test cases for concurrent operations. No case depends on the order in which the operations run. Each case asserts
//! an invariant that must hold in every order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::poll;
use iam_domain::{CompanyId, EntityType, MenuItem, UserId, UserLevel, UserLevelId, View, ViewId};
use uuid::Uuid;

use super::concurrency::{all, at_once, while_reading};
use super::fixtures::{
    Given, at, begin, change_with_retries, given, holding, level, menu_item, name, next_version, some_company,
    some_user, some_view, unique, versions,
};
use super::outcomes::{assert_conflict, assert_unknown};
use crate::{ChangeContext, Constraint, Result, Storage, StorageError, Target, UnitOfWork, Work, transact};

/// Checks that a second unit of work waits for the first. The second must not begin before the first is committed. It
/// must then see the writes of the first.
async fn waits_for(storage: &Arc<dyn Storage>, first: Target, second: Target) {
    async fn write(tx: &mut dyn UnitOfWork, target: Target) -> Uuid {
        match target {
            Target::Company(company) => {
                let made = level(company, unique("Level"));
                made.store(tx).await.unwrap();
                made.id.as_uuid()
            }
            Target::Catalog => {
                let made = some_view();
                made.store(tx).await.unwrap();
                made.id.as_uuid()
            }
            Target::Credentials => {
                let user = some_user();
                tx.users_mut().cut_off(user, at(1)).await.unwrap();
                user.as_uuid()
            }
        }
    }
    async fn sees(tx: &dyn UnitOfWork, target: Target, id: Uuid) -> bool {
        match target {
            Target::Company(company) => {
                tx.user_levels().find_by_id(company, UserLevelId::from_uuid(id)).await.unwrap().is_some()
            }
            Target::Catalog => tx.views().find_by_id(ViewId::from_uuid(id)).await.unwrap().is_some(),
            Target::Credentials => !tx.users().find(&[UserId::from_uuid(id)]).await.unwrap().is_empty(),
        }
    }
    // These two concurrent units of work make the connection pool open two connections. Therefore, the second unit of
    // work below waits for its locks, and not for a connection.
    let (one, other) = (some_company(), some_company());
    let (one, other) = (begin(storage, Target::Company(one)).await, begin(storage, Target::Company(other)).await);
    one.commit().await.unwrap();
    other.commit().await.unwrap();
    let mut tx = begin(storage, first).await;
    let mut waiting = Box::pin(begin(storage, second));
    let id = write(tx.as_mut(), first).await;
    // The reads between the polls give the second unit of work enough time to begin if no lock blocks it.
    for _ in 0..30 {
        assert!(poll!(&mut waiting).is_pending(), "{second:?} must not begin while {first:?} is in progress");
        assert!(sees(&*tx, first, id).await);
        tokio::task::yield_now().await;
    }
    let before = tx.commit().await.unwrap();
    let mut tx = waiting.await;
    assert!(sees(&*tx, first, id).await, "{second:?} must see what {first:?} wrote");
    write(tx.as_mut(), second).await;
    let after = tx.commit().await.unwrap();
    if first == second {
        assert_eq!(after, next_version(before));
    }
}

/// Changes to one company are serialized.
pub async fn changes_to_one_company_are_serialized(storage: Arc<dyn Storage>) {
    let target = Target::Company(some_company());
    waits_for(&storage, target, target).await;
}

/// Changes to the catalog are serialized.
pub async fn changes_to_the_catalog_are_serialized(storage: Arc<dyn Storage>) {
    waits_for(&storage, Target::Catalog, Target::Catalog).await;
}

/// A change to the catalog waits for a change to a company, and vice versa.
pub async fn catalog_and_company_changes_exclude_each_other(storage: Arc<dyn Storage>) {
    waits_for(&storage, Target::Catalog, Target::Company(some_company())).await;
    waits_for(&storage, Target::Company(some_company()), Target::Catalog).await;
}

/// A change to the credentials waits for every other change, and vice versa. Therefore, if a unit of work verifies a
/// credential after acquiring its locks, this credential cannot be revoked until the unit of work is committed.
pub async fn credential_changes_and_others_exclude_each_other(storage: Arc<dyn Storage>) {
    for other in [Target::Catalog, Target::Company(some_company())] {
        waits_for(&storage, Target::Credentials, other).await;
        waits_for(&storage, other, Target::Credentials).await;
    }
}

/// Continuous changes to companies do not starve changes to the catalog and to the credentials. Therefore, no caller
/// can prevent a revocation. The test runs more writing tasks than an adapter has connections.
pub async fn continuous_changes_starve_no_other_change(storage: Arc<dyn Storage>) {
    const WRITERS: usize = 16;
    const MOST: usize = 150;
    for target in [Target::Credentials, Target::Catalog] {
        let (asked, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let begun = Arc::new(AtomicUsize::new(0));
        let writers = (0..WRITERS).map(|_| {
            let (storage, begun) = (Arc::clone(&storage), Arc::clone(&begun));
            let (asked, came) = (Arc::clone(&asked), Arc::clone(&came));
            tokio::spawn(async move {
                let company = some_company();
                let mut overtook = 0;
                while overtook < MOST {
                    let tx = begin(&storage, Target::Company(company)).await;
                    begun.fetch_add(1, Ordering::Relaxed);
                    overtook += usize::from(asked.load(Ordering::Relaxed));
                    for _ in 0..10 {
                        tx.user_levels().find_all(company).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    tx.commit().await.unwrap();
                    if came.load(Ordering::Relaxed) {
                        return true;
                    }
                }
                false
            })
        });
        let writers: Vec<_> = writers.collect();
        while begun.load(Ordering::Relaxed) < WRITERS {
            tokio::task::yield_now().await;
        }
        // `asked` is set after the change to `target` was requested. From then on, each writer counts the units of work
        // that it begins before this change begins. The count does not depend on the scheduling of the threads.
        let mut change = Box::pin(begin(&storage, target));
        let at_once = poll!(&mut change);
        asked.store(true, Ordering::Relaxed);
        let tx = match at_once {
            Poll::Ready(tx) => tx,
            Poll::Pending => change.await,
        };
        came.store(true, Ordering::Relaxed);
        tx.commit().await.unwrap();
        assert_eq!(all(writers).await, [true; WRITERS], "changes to companies must not starve a change to {target:?}");
    }
}

/// If two units of work create levels of the same name concurrently, one succeeds and the other fails with `Conflict`.
pub async fn of_two_concurrent_levels_with_one_name_one_is_created(storage: Arc<dyn Storage>) {
    for _ in 0..5 {
        let company = some_company();
        let create = || {
            let (storage, made) = (Arc::clone(&storage), level(company, "Admin"));
            async move { change_with_retries!(storage, company, tx => tx.user_levels_mut().create(&made)) }
        };
        match at_once(create(), create()).await {
            (Ok(_), lost) | (lost, Ok(_)) => assert_conflict(lost, Constraint::UserLevelName),
            neither => panic!("neither of the concurrent units of work created the level: {neither:?}"),
        }
        assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap().len(), 1);
    }
}

/// If two units of work create views with the same URL concurrently, one succeeds and the other fails with `Conflict`.
pub async fn of_two_concurrent_views_with_one_url_one_is_created(storage: Arc<dyn Storage>) {
    for _ in 0..3 {
        let url = some_view().url;
        let create = || {
            let (storage, made) = (Arc::clone(&storage), View { url: url.clone(), ..some_view() });
            async move { change_with_retries!(storage, Target::Catalog, tx => tx.views_mut().create(&made)) }
        };
        match at_once(create(), create()).await {
            (Ok(_), lost) | (lost, Ok(_)) => assert_conflict(lost, Constraint::ViewUrl),
            neither => panic!("neither of the concurrent units of work created the view: {neither:?}"),
        }
    }
}

/// If a level is deleted and assigned concurrently, exactly one of the two operations succeeds. Either the level is
/// deleted and has no holder, or it is assigned and still exists.
pub async fn a_level_is_not_deleted_during_its_assignment(storage: Arc<dyn Storage>) {
    for round in 0..8 {
        let (company, user) = (some_company(), some_user());
        let contested = level(company, "Contested");
        given(&storage, &[&contested]).await;
        let (giver, deleter, id) = (Arc::clone(&storage), Arc::clone(&storage), contested.id);
        let assignment = holding(user, &contested);
        let give = async move { change_with_retries!(giver, company, tx => tx.assignments_mut().add(&assignment)) };
        let delete =
            async move { change_with_retries!(deleter, company, tx => tx.user_levels_mut().delete(company, id)) };
        let (given, deleted) = if round % 2 == 0 {
            at_once(give, delete).await
        } else {
            let (deleted, given) = at_once(delete, give).await;
            (given, deleted)
        };
        let there = storage.reader().user_levels().find_by_id(company, id).await.unwrap().is_some();
        let held = storage.reader().assignments().get_users(company, id).await.unwrap().contains(&user);
        if deleted.is_ok() {
            assert_unknown(given, EntityType::UserLevel, [id.as_uuid()]);
            assert_eq!((there, held), (false, false));
        } else {
            given.unwrap();
            assert_conflict(deleted, Constraint::UserLevelAssigned);
            assert_eq!((there, held), (true, true));
        }
    }
}

/// If a view is deleted while a menu item that refers to it is created, exactly one of the two operations succeeds.
pub async fn a_view_is_not_deleted_while_a_menu_begins_to_use_it(storage: Arc<dyn Storage>) {
    for _ in 0..4 {
        let (company, view) = (some_company(), some_view());
        given(&storage, &[&view]).await;
        let item = menu_item(Some(company), "Item");
        let item = MenuItem { view_id: Some(view.id), ..item };
        let (user, deleter, id) = (Arc::clone(&storage), Arc::clone(&storage), view.id);
        let (used, deleted) = at_once(
            async move { change_with_retries!(user, company, tx => tx.menu_items_mut().create(&item)) },
            async move { change_with_retries!(deleter, Target::Catalog, tx => tx.views_mut().delete(id)) },
        )
        .await;
        let there = storage.reader().views().find_by_id(id).await.unwrap().is_some();
        let uses = storage.reader().menu_items().find_using_view(id).await.unwrap().len();
        if deleted.is_ok() {
            assert_unknown(used, EntityType::View, [id.as_uuid()]);
            assert_eq!((there, uses), (false, 0));
        } else {
            used.unwrap();
            assert_conflict(deleted, Constraint::ViewInMenu);
            assert_eq!((there, uses), (true, 1));
        }
    }
}

/// Twenty tasks change one company concurrently. Each task commits one of the next twenty versions. A reader that has
/// read a version then sees all changes up to this version.
pub async fn versions_follow_the_order_of_commits(storage: Arc<dyn Storage>) {
    const WRITERS: i64 = 20;
    let company = some_company();
    given(&storage, &[&level(company, "First")]).await;
    let writers = Arc::clone(&storage);
    let write = async move {
        let tasks: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (storage, made) = (Arc::clone(&writers), level(company, format!("Level {n}")));
                tokio::spawn(async move {
                    let (_, committed) =
                        change_with_retries!(storage, company, tx => tx.user_levels_mut().create(&made)).unwrap();
                    let found = storage.reader().user_levels().find_by_id(company, made.id).await.unwrap();
                    assert_eq!(found, Some(made), "a task must be able to read its own committed write");
                    committed.versions().map(|versions| versions.company)
                })
            })
            .collect();
        let mut answered = all(tasks).await;
        answered.sort_unstable();
        assert_eq!(answered, (2..WRITERS + 2).map(Some).collect::<Vec<_>>());
    };
    let reader = Arc::clone(&storage);
    while_reading(write, move || {
        let storage = Arc::clone(&reader);
        async move {
            let version = versions(&storage, Some(company)).await.company;
            let levels = storage.reader().user_levels().find_all(company).await.unwrap().len();
            assert!(
                levels as i64 >= version,
                "a reader of version {version} must see at least as many levels, but saw {levels}"
            );
        }
    })
    .await;
    assert_eq!(versions(&storage, Some(company)).await.company, WRITERS + 1);
}

/// Work that runs concurrently with other work. The work on a company renames a level and creates another level. The
/// work on the catalog creates a view.
enum ConcurrentWork {
    Company(CompanyId),
    Catalog,
}

#[async_trait]
impl Work for ConcurrentWork {
    type Output = ();
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
        match self {
            Self::Company(company) => {
                let known = tx.user_levels().find_all(*company).await?;
                let renamed = UserLevel { name: name(unique("Renamed")), ..known[0].clone() };
                tx.user_levels_mut().update(&renamed).await?;
                level(*company, unique("Level")).store(tx).await
            }
            Self::Catalog => some_view().store(tx).await,
        }
    }
}

/// Interleaved changes to the catalog and to companies finish without a deadlock.
pub async fn catalog_and_company_changes_do_not_deadlock(storage: Arc<dyn Storage>) {
    const ROUNDS: i64 = 6;
    let companies = [some_company(), some_company()];
    for company in companies {
        given(&storage, &[&level(company, "First")]).await;
    }
    let catalog = versions(&storage, None).await.catalog;
    let targets = [companies[0], companies[1], companies[0]].map(Target::Company);
    let tasks: Vec<_> = targets
        .into_iter()
        .chain([Target::Catalog, Target::Catalog])
        .map(|target| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let errand = target.company().map_or(ConcurrentWork::Catalog, ConcurrentWork::Company);
                for _ in 0..ROUNDS {
                    let context = ChangeContext::command_line();
                    while let Err(error) = transact(storage.as_ref(), target, &context, &errand).await {
                        assert!(error.is_retryable(), "{error:?}");
                    }
                }
            })
        })
        .collect();
    tokio::time::timeout(Duration::from_secs(30), all(tasks)).await.expect("all changes must finish in time");
    assert_eq!(versions(&storage, Some(companies[0])).await.company, 2 * ROUNDS + 1);
    assert_eq!(versions(&storage, Some(companies[1])).await.company, ROUNDS + 1);
    assert_eq!(versions(&storage, None).await.catalog, catalog + 2 * ROUNDS);
}

/// Concurrent changes to many companies do not affect one another.
pub async fn many_companies_change_concurrently(storage: Arc<dyn Storage>) {
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let company = some_company();
                for round in 1..=3 {
                    let made = level(company, format!("Level {round}"));
                    let (_, committed) =
                        change_with_retries!(storage, company, tx => tx.user_levels_mut().create(&made)).unwrap();
                    assert_eq!(committed.versions().map(|versions| versions.company), Some(round));
                }
            })
        })
        .collect();
    tokio::time::timeout(Duration::from_secs(30), all(tasks)).await.expect("all changes must finish in time");
}
