//! Tests of behaviour that is specific to this adapter. The contract suite tests the behaviour that every adapter must
//! have.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use iam_domain::{
    Clock, CompanyId, Description, Label, Name, SessionId, Timestamp, Url, UserId, UserLevel, UserLevelId, ViewId,
    ViewPermission, ViewPermissionId, ViewState, seed,
};
use iam_storage::{
    AuditFilter, ChangeContext, ChangeFeed, Constraint, Health, NewEffectiveViewPermission, NewTrailEntry, Polled,
    Position, Storage, StorageError, Target, UnitOfWork,
};
use iam_storage_memory::{MemoryOptions, MemoryStorage};

/// Returns a clock that starts at a fixed time and advances in real time.
fn clock() -> Clock {
    let (start, begun) = (Timestamp::from_millis(1_800_000_000_000).unwrap(), Instant::now());
    Clock::new(move || start.plus(begun.elapsed()))
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).unwrap()
}

fn company() -> CompanyId {
    CompanyId::generate(at())
}

fn level(company_id: CompanyId, name: &str) -> UserLevel {
    UserLevel {
        id: UserLevelId::generate(at()),
        company_id,
        name: Name::parse(name).unwrap(),
        description: Description::parse("").unwrap(),
        is_default: false,
        created_at: at(),
        updated_at: at(),
    }
}

fn cell(level: &UserLevel, view_id: ViewId, state: ViewState) -> ViewPermission {
    ViewPermission {
        id: ViewPermissionId::generate(at()),
        company_id: level.company_id,
        user_level_id: level.id,
        view_id,
        state,
        modifiable: true,
        created_at: at(),
        updated_at: at(),
    }
}

async fn begin(storage: &MemoryStorage, target: Target) -> Box<dyn UnitOfWork> {
    storage.begin(target, ChangeContext::command_line()).await.unwrap()
}

fn impatient() -> MemoryStorage {
    MemoryStorage::with_options(clock(), MemoryOptions { lock_timeout: Duration::from_millis(10) })
}

/// Returns a storage with a lock timeout that suffices for many concurrent changes to one company on a busy machine.
fn patient() -> MemoryStorage {
    MemoryStorage::with_options(clock(), MemoryOptions { lock_timeout: Duration::from_secs(60) })
}

/// Polls a future once and returns its output. Panics if the future is not ready.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready at the first poll"),
    }
}

fn step(company_id: CompanyId, user_id: UserId, view_id: Option<ViewId>) -> NewTrailEntry {
    NewTrailEntry {
        user_id,
        company_id,
        session_id: SessionId::parse("session").unwrap(),
        view_id,
        url: Url::parse("/somewhere").unwrap(),
        label: Label::parse("Somewhere").unwrap(),
    }
}

#[tokio::test]
async fn the_seed_is_one_change_with_audit_records() {
    let storage = MemoryStorage::seeded(clock()).await.unwrap();
    let seeded = seed::catalog(at()).unwrap();
    let reader = storage.reader();
    assert_eq!(reader.views().find_all().await.unwrap().len(), 14);
    assert_eq!(reader.features().find_all().await.unwrap().len(), 19);
    assert_eq!(reader.modules().find_all().await.unwrap().len(), 4);
    assert_eq!(reader.menu_items().find_all(None).await.unwrap().len(), seeded.menu_items.len());
    assert_eq!(reader.company_states().versions(None).await.unwrap().catalog, 1);
    let records = reader.audit_logs().count_for_company(None, &AuditFilter::default(), 1000).await.unwrap();
    assert_eq!(records, 14 + 19 + 4 + 16 + 14 + 4 + 6 + 6);
    storage.ping().await.unwrap();
}

#[tokio::test]
async fn readers_never_wait_for_a_unit_of_work() {
    let storage = MemoryStorage::new(clock());
    let (a, user) = (company(), UserId::generate(at()));
    let mut tx = begin(&storage, Target::Company(a)).await;
    tx.user_levels_mut().create(&level(a, "Staff")).await.unwrap();
    let reader = storage.reader();
    assert!(at_once(reader.user_levels().find_all(a)).unwrap().is_empty());
    assert_eq!(at_once(reader.company_states().read(a)).unwrap(), None);
    at_once(reader.snapshots().load_user(a, user)).unwrap();
    at_once(storage.nav_trail().track(&step(a, user, None))).unwrap();
    assert_eq!(tx.user_levels().find_all(a).await.unwrap().len(), 1);
    drop(tx);
    assert!(storage.reader().user_levels().find_all(a).await.unwrap().is_empty());
    assert_eq!(storage.reader().company_states().read(a).await.unwrap(), None);
}

#[tokio::test]
async fn units_of_work_of_two_companies_run_concurrently() {
    let storage = impatient();
    let (a, b) = (company(), company());
    let mut one = begin(&storage, Target::Company(a)).await;
    let mut other = begin(&storage, Target::Company(b)).await;
    one.user_levels_mut().create(&level(a, "Staff")).await.unwrap();
    other.user_levels_mut().create(&level(b, "Staff")).await.unwrap();
    assert!(other.now() > one.now());
    assert_eq!(other.commit().await.unwrap().versions().unwrap().company, 1);
    // `one` sees the committed level of `other`. The commit of `one` does not overwrite this level.
    assert_eq!(one.user_levels().find_all(b).await.unwrap().len(), 1);
    assert_eq!(one.commit().await.unwrap().versions().unwrap().company, 1);
    for company in [a, b] {
        assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn waiting_for_a_lock_is_bounded() {
    let storage = impatient();
    let a = Target::Company(company());
    let catalog = Target::Catalog;
    for (first, second) in [(a, a), (catalog, a), (a, catalog), (catalog, catalog)] {
        let held = begin(&storage, first).await;
        let refused = storage.begin(second, ChangeContext::command_line()).await.map(drop);
        assert!(matches!(refused, Err(StorageError::Unavailable { retryable: false, source: None })));
        drop(held);
        drop(begin(&storage, second).await);
    }
}

#[tokio::test]
async fn an_id_is_unique_even_across_concurrent_companies() {
    let storage = MemoryStorage::new(clock());
    let (a, b) = (company(), company());
    let of_a = level(a, "Staff");
    let of_b = UserLevel { company_id: b, ..of_a.clone() };
    let mut one = begin(&storage, Target::Company(a)).await;
    let mut other = begin(&storage, Target::Company(b)).await;
    one.user_levels_mut().create(&of_a).await.unwrap();
    other.user_levels_mut().create(&of_b).await.unwrap();
    one.commit().await.unwrap();
    let duplicate = |error| matches!(error, StorageError::Conflict { constraint: Constraint::Duplicate });
    assert!(duplicate(other.commit().await.unwrap_err()));
    assert_eq!(storage.reader().company_states().read(b).await.unwrap(), None);

    let mut again = begin(&storage, Target::Company(b)).await;
    assert!(duplicate(again.user_levels_mut().create(&of_b).await.unwrap_err()));
    assert!(matches!(again.commit().await, Err(StorageError::Misuse(_))));

    // A released id can be used again, even within one unit of work.
    let mut one = begin(&storage, Target::Company(a)).await;
    one.user_levels_mut().delete(a, of_a.id).await.unwrap();
    one.user_levels_mut().create(&of_a).await.unwrap();
    one.user_levels_mut().delete(a, of_a.id).await.unwrap();
    one.commit().await.unwrap();
    let mut other = begin(&storage, Target::Company(b)).await;
    other.user_levels_mut().create(&of_b).await.unwrap();
    other.commit().await.unwrap();
}

#[tokio::test]
async fn effective_rows_are_rejected_immediately_during_a_change() {
    let storage = MemoryStorage::seeded(clock()).await.unwrap();
    let (a, user) = (company(), UserId::generate(at()));
    let view = storage.reader().views().find_by_url("/home").await.unwrap().unwrap().id;
    let mut tx = begin(&storage, Target::Company(a)).await;
    tx.user_levels_mut().create(&level(a, "Staff")).await.unwrap();
    let versions = tx.commit().await.unwrap().versions().unwrap();
    let row = NewEffectiveViewPermission { user_id: user, view_id: view, has_access: true };
    let rows = storage.effective_view_permissions();
    let write = || rows.upsert_many(a, versions, Duration::from_secs(3600), std::slice::from_ref(&row));
    for target in [Target::Company(a), Target::Catalog] {
        let tx = begin(&storage, target).await;
        assert!(matches!(write().await, Err(StorageError::Stale)));
        drop(tx);
    }
    // An open change to another company does not prevent the write.
    let tx = begin(&storage, Target::Company(company())).await;
    assert_eq!(write().await.unwrap(), 1);
    drop(tx);
    assert!(rows.find(a, user, view).await.unwrap().is_some_and(|row| row.has_access));
}

#[tokio::test]
async fn the_change_log_grows_with_the_companies_and_not_with_their_changes() {
    let storage = MemoryStorage::new(clock());
    let poll = async |since: Option<&Position>| match storage.poll(since).await.unwrap() {
        Polled::Primary(changes) => changes,
        other => panic!("{other:?}"),
    };
    let first = poll(None).await;
    let company = company();
    for version in 1..=2000 {
        let mut tx = begin(&storage, Target::Company(company)).await;
        tx.user_levels_mut().create(&level(company, &format!("Level {version}"))).await.unwrap();
        assert_eq!(tx.commit().await.unwrap().versions().unwrap().company, version);
    }
    let polled = poll(Some(&first.position)).await;
    assert_eq!(polled.companies.iter().map(|(id, state)| (*id, state.version)).collect::<Vec<_>>(), [(company, 2000)]);
}

#[tokio::test]
async fn a_deleted_view_is_cleared_from_trails() {
    let storage = MemoryStorage::seeded(clock()).await.unwrap();
    let (a, user) = (company(), UserId::generate(at()));
    let view = storage.reader().views().find_by_url("/profile").await.unwrap().unwrap().id;
    let trail = storage.nav_trail();
    let step = step(a, user, Some(view));
    assert_eq!(trail.track(&step).await.unwrap().view_id, Some(view));
    let mut tx = begin(&storage, Target::Catalog).await;
    tx.views_mut().delete(view).await.unwrap();
    assert_eq!(trail.track(&step).await.unwrap().depth, 1);
    tx.commit().await.unwrap();
    let steps = trail.find_by_session(a, user, &step.session_id).await.unwrap();
    assert_eq!(steps.iter().map(|step| (step.view_id, step.depth)).collect::<Vec<_>>(), [(None, 0), (None, 1)]);
    assert!(matches!(trail.track(&step).await, Err(StorageError::Unknown { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_change_is_never_visible() {
    let storage = Arc::new(MemoryStorage::seeded(clock()).await.unwrap());
    let views: Vec<ViewId> = storage.reader().views().find_all().await.unwrap().iter().map(|view| view.id).collect();
    let a = company();
    let staff = level(a, "Staff");
    let mut tx = begin(&storage, Target::Company(a)).await;
    tx.user_levels_mut().create(&staff).await.unwrap();
    tx.commit().await.unwrap();

    let (done, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reading = tokio::spawn({
        let (storage, done, reads) = (Arc::clone(&storage), Arc::clone(&done), Arc::clone(&reads));
        async move {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let stamped = storage.reader().snapshots().load_company(a).await.unwrap();
                assert!(stamped.versions.company >= last);
                last = stamped.versions.company;
                // Version 1 creates the level. Of the later versions, even versions allow all views, and odd versions
                // deny all views.
                let expected = if last % 2 == 0 { ViewState::Allow } else { ViewState::Deny };
                let cells = &stamped.value.levels[&staff.id].views;
                assert_eq!(cells.len(), if last == 1 { 0 } else { 14 });
                assert!(
                    cells.values().all(|state| *state == expected),
                    "at version {last}, every cell must have the state of this version"
                );
                reads.fetch_add(1, Ordering::AcqRel);
                tokio::task::yield_now().await;
            }
        }
    });
    let staff = storage.reader().user_levels().find_by_name(a, "Staff").await.unwrap().unwrap();
    for round in 0..200 {
        // The reader starts before the first change, and completes another read before every twentieth change.
        let seen = reads.load(Ordering::Acquire);
        while round % 20 == 0 && reads.load(Ordering::Acquire) == seen && !reading.is_finished() {
            tokio::task::yield_now().await;
        }
        let state = if round % 2 == 0 { ViewState::Allow } else { ViewState::Deny };
        let mut tx = begin(&storage, Target::Company(a)).await;
        for view in &views {
            tx.view_permissions_mut().upsert(&cell(&staff, *view, state)).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    done.store(true, Ordering::Release);
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_to_one_company_lose_no_update() {
    let storage = Arc::new(patient());
    let a = company();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let mut tx = begin(&storage, Target::Company(a)).await;
                tokio::task::yield_now().await;
                tx.user_levels_mut().create(&level(a, &format!("Level {n}"))).await.unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(storage.reader().user_levels().find_all(a).await.unwrap().len(), 50);
    assert_eq!(storage.reader().company_states().read(a).await.unwrap().unwrap().version, 50);
}
