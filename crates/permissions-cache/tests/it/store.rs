//! A storage for tests. Tests can delay its responses, replace them with errors, and count the calls.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iam_domain::escalation::{Cell, OtherRules};
use iam_domain::{
    Catalog, Clock, CommitStamp, CompanyId, CompanySnapshot, EffectiveViewPermission, Menu, Snapshot, Timestamp,
    UserId, UserLevelId, Versions, ViewId,
};
use iam_storage::{
    ApiKeyUses, ApiKeys, Assignments, AuditLogs, CellName, ChangeContext, ChangeFeed, CompanyCeilings, CompanyCopy,
    CompanyDirectory, CompanyMatrix, CompanyModules, CompanyQuotas, CompanyState, CompanyStates, CredentialChanges,
    Credentials, CursorKeys, EffectiveFeaturePermissions, EffectiveViewPermissions, EndingAssignments,
    FeaturePermissions, FeatureViews, Features, IdempotencyKeys, Members, MenuItems, ModuleFeatures, ModuleViews,
    Modules, NavTrail, NewEffectiveViewPermission, Polled, Position, Reader, Result, Sessions, Snapshots, Stamped,
    Storage, StorageError, SubMenuItems, Target, UnitOfWork, UserLevels, UserProfiles, Users, ViewPermissions, Views,
    WakeUps,
};
use iam_storage_memory::MemoryStorage;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Returns a clock that starts at a fixed time and advances in real time.
pub(crate) fn clock() -> Clock {
    advancing_clock(Arc::default())
}

/// Returns a clock that starts at a fixed time, advances in real time, and is ahead by a number of seconds.
fn advancing_clock(ahead: Arc<AtomicU64>) -> Clock {
    let (start, begun) = (Timestamp::from_millis(1_800_000_000_000).unwrap(), Instant::now());
    Clock::new(move || start.plus(begun.elapsed() + Duration::from_secs(ahead.load(Ordering::SeqCst))))
}

/// Waits until a condition holds. Panics if the condition does not hold within 30 seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let done = async {
        while !holds() {
            yield_now().await;
        }
    };
    assert!(
        timeout(Duration::from_secs(30), done).await.is_ok(),
        "the condition did not hold within 30 seconds: {what}"
    );
}

/// The kinds of calls to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Poll,
    User,
    Users,
    Catalog,
    Menu,
    Write,
    Credentials,
    Renew,
}

/// How the store handles a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Answer,
    /// Waits until the test releases the call, then reads.
    HoldThenRead,
    /// Reads, then waits until the test releases the call, and returns the result.
    ReadThenHold,
    Fail,
    /// Fails because a row cannot be parsed.
    Corrupt,
    Hang,
    Panic,
}

/// The handling of the calls of one kind, and the counts of these calls.
struct Control {
    always: Does,
    next: VecDeque<Does>,
    asked: usize,
    held: usize,
    go: Arc<Semaphore>,
}

impl Default for Control {
    fn default() -> Self {
        Self { always: Does::Answer, next: VecDeque::new(), asked: 0, held: 0, go: Arc::new(Semaphore::new(0)) }
    }
}

/// An in-memory storage whose responses a test controls.
pub(crate) struct Store {
    /// The storage that receives changes.
    pub(crate) memory: Arc<MemoryStorage>,
    /// The storage that is read by loads and polls. It is the same as `memory` until a test calls [`Store::restore`].
    answers: Mutex<Arc<MemoryStorage>>,
    /// The snapshot that every load of a user returns instead of the stored snapshot.
    script: Mutex<Option<Stamped<Snapshot>>>,
    controls: Mutex<HashMap<Asked, Control>>,
    ahead: Arc<AtomicU64>,
}

impl Store {
    pub(crate) fn new() -> Arc<Self> {
        let ahead = Arc::<AtomicU64>::default();
        let memory = Arc::new(MemoryStorage::new(advancing_clock(Arc::clone(&ahead))));
        Arc::new(Self {
            ahead,
            answers: Mutex::new(Arc::clone(&memory)),
            memory,
            script: Mutex::default(),
            controls: Mutex::default(),
        })
    }

    /// Advances the clock of the storage by a number of seconds.
    pub(crate) fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets how the next call of this kind is handled.
    pub(crate) fn next(&self, asked: Asked, does: Does) {
        self.controls().entry(asked).or_default().next.push_back(does);
    }

    /// Sets how all later calls of this kind are handled.
    pub(crate) fn always(&self, asked: Asked, does: Does) {
        self.controls().entry(asked).or_default().always = does;
    }

    /// Sets how all later reads and polls are handled.
    pub(crate) fn all(&self, does: Does) {
        for asked in [Asked::Poll, Asked::User, Asked::Users, Asked::Catalog, Asked::Menu, Asked::Credentials] {
            self.always(asked, does);
        }
    }

    /// Releases one blocked call of this kind.
    pub(crate) fn let_go(&self, asked: Asked) {
        self.controls().entry(asked).or_default().go.add_permits(1);
    }

    /// Returns the number of calls of this kind.
    pub(crate) fn asked(&self, asked: Asked) -> usize {
        self.controls().entry(asked).or_default().asked
    }

    /// Returns the number of calls that load one or several users.
    pub(crate) fn user_loads(&self) -> usize {
        self.asked(Asked::User) + self.asked(Asked::Users)
    }

    /// Waits until exactly `count` calls of this kind are blocked.
    pub(crate) async fn held(&self, asked: Asked, count: usize) {
        eventually(&format!("{count} calls of the kind {asked:?} are blocked"), || {
            self.controls().entry(asked).or_default().held == count
        })
        .await;
    }

    /// Sets the snapshot that every load of a user returns. With `None`, loads return the stored snapshot again.
    pub(crate) fn script(&self, stamped: impl Into<Option<Stamped<Snapshot>>>) {
        *self.script.lock().unwrap() = stamped.into();
    }

    /// Replaces the database that is read by subsequent loads and polls.
    pub(crate) fn restore(&self, memory: Arc<MemoryStorage>) {
        *self.answers.lock().unwrap() = memory;
    }

    fn answers(&self) -> Arc<MemoryStorage> {
        Arc::clone(&self.answers.lock().unwrap())
    }

    fn controls(&self) -> MutexGuard<'_, HashMap<Asked, Control>> {
        self.controls.lock().unwrap()
    }

    async fn pass<T>(&self, asked: Asked, read: impl Future<Output = Result<T>>) -> Result<T> {
        let does = {
            let mut controls = self.controls();
            let control = controls.entry(asked).or_default();
            control.asked += 1;
            control.next.pop_front().unwrap_or(control.always)
        };
        match does {
            Does::Answer => read.await,
            Does::Fail => Err(StorageError::Unavailable { retryable: false, source: Some("gone".into()) }),
            Does::Corrupt => Err(StorageError::corrupt("a row cannot be parsed, as the test requested")),
            Does::Hang => pending().await,
            Does::Panic => panic!("the driver panics, as the test requested"),
            Does::HoldThenRead => {
                self.hold(asked).await;
                read.await
            }
            Does::ReadThenHold => {
                let answer = read.await;
                self.hold(asked).await;
                answer
            }
        }
    }

    async fn hold(&self, asked: Asked) {
        let go = {
            let mut controls = self.controls();
            let control = controls.entry(asked).or_default();
            control.held += 1;
            Arc::clone(&control.go)
        };
        go.acquire().await.unwrap().forget();
        self.controls().entry(asked).or_default().held -= 1;
    }

    /// Commits a change. Returns `None` if the store rejects the change.
    pub(crate) async fn try_change(
        &self,
        target: Target,
        work: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<()>,
    ) -> Option<CommitStamp> {
        let mut tx = self.memory.begin(target, ChangeContext::command_line()).await.unwrap();
        work(tx.as_mut()).await.ok()?;
        Some(tx.commit().await.unwrap())
    }

    /// Commits a change. Panics if the store rejects the change.
    pub(crate) async fn change(
        &self,
        target: Target,
        work: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<()>,
    ) -> CommitStamp {
        self.try_change(target, work).await.unwrap()
    }

    /// Returns the current snapshot of a user. Tests cannot delay this read or make it fail.
    pub(crate) async fn snapshot(&self, company: CompanyId, user: UserId) -> Stamped<Snapshot> {
        self.memory.reader().snapshots().load_user(company, user).await.unwrap()
    }
}

#[async_trait]
impl Snapshots for Store {
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>> {
        if let Some(stamped) = self.script.lock().unwrap().clone() {
            return Ok(stamped);
        }
        let answers = self.answers();
        self.pass(Asked::User, async { answers.reader().snapshots().load_user(company, user).await }).await
    }

    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>> {
        self.answers().reader().snapshots().load_company(company).await
    }

    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>> {
        let answers = self.answers();
        self.pass(Asked::Users, async { answers.reader().snapshots().load_users(company, users).await }).await
    }

    async fn load_levels(&self, company: CompanyId, levels: &[UserLevelId]) -> Result<Stamped<Snapshot>> {
        self.answers().reader().snapshots().load_levels(company, levels).await
    }

    async fn load_other_rules(
        &self,
        company: CompanyId,
        level: UserLevelId,
        cells: &BTreeSet<Cell>,
        without: Option<UserId>,
    ) -> Result<Stamped<OtherRules>> {
        self.answers().reader().snapshots().load_other_rules(company, level, cells, without).await
    }

    async fn load_cell(&self, company: CompanyId, cell: &CellName) -> Result<Stamped<Snapshot>> {
        self.answers().reader().snapshots().load_cell(company, cell).await
    }

    async fn load_matrix(&self, company: CompanyId) -> Result<Stamped<CompanyMatrix>> {
        self.answers().reader().snapshots().load_matrix(company).await
    }

    async fn load_copy(&self, company: CompanyId) -> Result<Stamped<CompanyCopy>> {
        self.answers().reader().snapshots().load_copy(company).await
    }

    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>> {
        let answers = self.answers();
        self.pass(Asked::Catalog, async { answers.reader().snapshots().load_catalog().await }).await
    }

    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>> {
        let answers = self.answers();
        self.pass(Asked::Menu, async { answers.reader().snapshots().load_menu(owner).await }).await
    }
}

#[async_trait]
impl CompanyStates for Store {
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>> {
        self.answers().reader().company_states().read(company).await
    }

    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions> {
        self.answers().reader().company_states().versions(company).await
    }
}

#[async_trait]
impl Credentials for Store {
    async fn changes_since(&self, version: i64) -> Result<CredentialChanges> {
        let answers = self.answers();
        self.pass(Asked::Credentials, async { answers.reader().credentials().changes_since(version).await }).await
    }
}

macro_rules! forwarded {
    ($($accessor:ident: $name:ident),+ $(,)?) => {
        impl Reader for Store {
            fn company_states(&self) -> &dyn CompanyStates {
                self
            }

            fn snapshots(&self) -> &dyn Snapshots {
                self
            }

            fn credentials(&self) -> &dyn Credentials {
                self
            }

            $(fn $accessor(&self) -> &dyn $name {
                self.memory.reader().$accessor()
            })+
        }
    };
}

forwarded! {
    views: Views,
    modules: Modules,
    features: Features,
    feature_views: FeatureViews,
    module_views: ModuleViews,
    module_features: ModuleFeatures,
    company_modules: CompanyModules,
    company_quotas: CompanyQuotas,
    company_ceilings: CompanyCeilings,
    user_levels: UserLevels,
    view_permissions: ViewPermissions,
    feature_permissions: FeaturePermissions,
    assignments: Assignments,
    members: Members,
    ending_assignments: EndingAssignments,
    cursor_keys: CursorKeys,
    company_directory: CompanyDirectory,
    menu_items: MenuItems,
    sub_menu_items: SubMenuItems,
    user_profiles: UserProfiles,
    audit_logs: AuditLogs,
    users: Users,
    api_keys: ApiKeys,
}

#[async_trait]
impl EffectiveViewPermissions for Store {
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>> {
        self.memory.effective_view_permissions().find(company, user, view).await
    }

    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>> {
        self.memory.effective_view_permissions().find_all_for_user(company, user).await
    }

    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64> {
        let written = self.memory.effective_view_permissions().upsert_many(company, versions, valid_for, rows);
        self.pass(Asked::Write, written).await
    }

    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
        self.memory.effective_view_permissions().delete_for_user(company, user).await
    }

    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
        self.memory.effective_view_permissions().delete_for_user_level(company, level).await
    }

    async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
        self.memory.effective_view_permissions().delete_for_company(company).await
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        self.memory.effective_view_permissions().delete_expired(limit).await
    }

    async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>> {
        self.memory.effective_view_permissions().find_active(limit).await
    }
}

#[async_trait]
impl Storage for Store {
    fn reader(&self) -> &dyn Reader {
        self
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        self.memory.snapshot().await
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        self.memory.begin(target, context).await
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.memory.nav_trail()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.memory.effective_feature_permissions()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.memory.api_key_uses()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.memory.idempotency_keys()
    }

    fn sessions(&self) -> &dyn Sessions {
        self.memory.sessions()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self
    }
}

#[async_trait]
impl ChangeFeed for Store {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        let answers = self.answers();
        self.pass(Asked::Poll, async { answers.poll(since).await }).await
    }

    async fn acknowledge(&self) -> Result<()> {
        self.memory.acknowledge().await
    }

    async fn renew(&self, _epoch: u64) -> Result<()> {
        self.pass(Asked::Renew, async { Ok(()) }).await
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        self.memory.listen().await
    }
}

/// Yields once, so that the other ready tasks run first.
pub(crate) async fn let_others_go_first() {
    let mut went = false;
    poll_fn(|context| {
        if went {
            return Poll::Ready(());
        }
        went = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
