//! The unit of work: a transaction that locks its target and increments the target's version before it reads anything.
//! The last statement before `COMMIT` writes the audit records.

mod assignments;
pub(crate) mod blockers;
mod catalog;
mod company;
mod contents;
mod credentials;
mod edits;
mod erasure;
mod expiry;
mod gate;
pub(crate) mod global_lock;
mod idempotency;
mod lock_error;
mod matrices;
mod menu;
mod profiles;
pub(crate) mod read_matrices;
pub(crate) mod row_gate;
mod sets;
pub(crate) mod write_admission;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use iam_domain::{
    Actor, AuditRecord, AuditRecordId, CommitStamp, CompanyId, CompanyStatus, EntityType, QuotaOverrides, Timestamp,
    Versions,
};
use iam_storage::{
    AuditLogsMut, ChangeContext, Constraint, Growth, Recorded, Recorder, Result, StorageError, Target, UnitOfWork,
};
use sea_orm::entity::prelude::{DateTimeUtc, Json};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, QueryResult, QueryTrait, Statement,
    Value,
};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::catalog_cache::CatalogCache;
use crate::changes::blockers::{Blockers, terminating_blockers};
use crate::changes::lock_error::LockError;
use crate::changes::read_matrices::ReadMatrices;
use crate::changes::write_admission::WritePermit;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::runtime::on_runtime;
use crate::connections::shares::Permit;
use crate::connections::transaction::Transaction;
use crate::engine::{Feed, Gate};
use crate::entities::company_states::{CATALOG, CREDENTIALS, is_company};
use crate::error::{Operation, from_db, is_retryable, operation_error};
use crate::feed::epoch::{current_epoch, epoch};
use crate::metric_list::AUDIT_RECORDS;
use crate::operation::operation;
use crate::pool::Pool;
use crate::replicas::requirements::Requirements;
use crate::repository::{Executor, Repository, Work};
use crate::row_security::{for_company_within, setting};
use crate::statement::{column, convert, from_json, incomplete, statement};

/// A unit of work in progress.
#[derive(Debug)]
pub(crate) struct Unit {
    tx: Transaction,
    runtime: Handle,
    outdated: Arc<OutdatedConnections>,
    recorder: Recorder,
    /// The ids of the audit records that `append` has already inserted. The commit does not insert them again.
    written: BTreeSet<AuditRecordId>,
    /// The epoch and the versions after this unit has incremented the version of its target.
    raised: Raised,
    /// The token cut-off of the user who makes the change. `None` if no user makes the change, or if the user has no
    /// cut-off.
    actor_not_before: Option<Timestamp>,
    /// The overrides of the quotas of the target's company.
    quota_overrides: QuotaOverrides,
    /// The status of the target's company when the unit acquired its locks.
    company_status: CompanyStatus,
    /// The signal that each commit sends to the notifier, which then wakes the followers.
    committed: watch::Sender<()>,
    feed: Feed,
    /// What a replica must have before its data is used, which each commit raises. `None` if there is no replica.
    requirements: Option<Arc<Requirements>>,
    /// The catalog cache of this process. `None` for a change to the catalog. Such a change reads its own uncommitted
    /// rows, and these must not be cached under the new version before the commit.
    catalog: Option<Arc<CatalogCache>>,
    /// The matrices that this unit has read since its last mutation.
    read_matrices: ReadMatrices,
    /// The write permit. It is the last field, so it is dropped after the transaction.
    _permit: WritePermit,
}

impl Executor for Unit {
    const ATTEMPTS: u32 = 1;

    type Connection = Transaction;

    fn connection(&self, _work: Work) -> &Transaction {
        &self.tx
    }

    async fn admit(&self, _work: Work) -> Result<Option<Permit>> {
        Ok(None)
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn outdated(&self) -> &OutdatedConnections {
        &self.outdated
    }

    fn feed(&self) -> Feed {
        self.feed
    }

    fn catalog(&self) -> Option<&Arc<CatalogCache>> {
        self.catalog.as_ref()
    }

    fn read_matrices(&self) -> Option<&ReadMatrices> {
        Some(&self.read_matrices)
    }

    fn for_company(&self, company: Option<CompanyId>, statement: Statement) -> Statement {
        // The first statement of the transaction has set `iam.company` for the whole transaction. The value is the
        // target's company, or `all` if the target is not a company.
        match self.recorder.target().company() {
            Some(own) if company != Some(own) => for_company_within(own, company, statement),
            _ => statement,
        }
    }
}

/// The epoch and the versions after a unit has incremented the version of its target.
#[derive(Debug, Clone, Copy)]
struct Raised {
    epoch: u64,
    /// The version of the catalog.
    catalog: i64,
    /// The version of the target.
    version: i64,
}

impl Raised {
    fn of(row: &QueryResult) -> Result<Self> {
        Ok(Self { epoch: epoch(row)?, catalog: column(row, "catalog")?, version: column(row, "version")? })
    }

    /// Returns the commit stamp: the epoch and the versions that apply after a commit.
    const fn stamp(self, target: Target) -> CommitStamp {
        let Self { epoch, catalog, version } = self;
        match target {
            Target::Catalog => CommitStamp::Catalog { epoch, version },
            Target::Company(_) => CommitStamp::Company(Versions { epoch, catalog, company: version, boundary: 0 }),
            Target::Credentials => CommitStamp::Credentials { epoch, version },
        }
    }

    /// Returns the epoch and the versions that apply after a rollback. A rollback undoes the increment of the target's
    /// version.
    const fn undone(self) -> Self {
        Self { version: self.version - 1, ..self }
    }
}

/// Returns the select list of a unit's first statement. The statement sets the company whose rows the unit can see
/// (row-level security), and tries to acquire the global lock without waiting.
fn opening(gate: Gate, target: Target) -> String {
    let setting = setting(target.company());
    format!("set_config('iam.company', '{setting}', true), {}", gate::try_acquire(gate, target))
}

/// Returns the statement that locks the target's row and increments its version. The transaction must already hold the
/// global lock; otherwise two changes could deadlock. The wait for the global lock is a separate statement, so that the
/// snapshot of this statement includes everything that was committed during the wait. This statement also reads the
/// token cut-off of the actor, which cannot change while the transaction holds the global lock, and the overrides of
/// the company's quotas, the company's status, and whether the company was erased. The statement returns no row if the target is a company without a row in `company_states`.
fn raise(feed: Feed, target: Target, actor: Actor) -> Statement {
    let row = match target {
        Target::Company(_) => "$2",
        Target::Catalog => CATALOG,
        Target::Credentials => CREDENTIALS,
    };
    let catalog = format!("(SELECT version FROM company_states WHERE company_id = {CATALOG})");
    let catalog = if target == Target::Catalog { "state.version" } else { catalog.as_str() };
    let sql = format!(
        "UPDATE company_states AS state SET version = state.version + 1, updated_at = clock_timestamp()
        WHERE state.company_id = {row}
        RETURNING {catalog} AS catalog, state.version, {} AS epoch, clock_timestamp() AS now,
            (SELECT not_before FROM user_cutoffs WHERE user_id = $1) AS actor_not_before, state.quotas::text AS quotas,
            state.status::text AS status, state.erased_at IS NOT NULL AS is_erased",
        current_epoch(feed)
    );
    let actor = actor.user_id().map(|user| user.as_uuid());
    let values = [Some(actor.into()), target.company().map(|company| company.as_uuid().into())];
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values.into_iter().flatten())
}

/// Returns the statement that inserts the row of a company into `company_states` if the row does not exist yet.
fn add_state(company: CompanyId) -> Statement {
    let sql = "INSERT INTO company_states (company_id) VALUES ($1) ON CONFLICT DO NOTHING";
    statement(sql, [company.as_uuid().into()])
}

/// Acquires the global lock if the transaction does not hold it yet. `opened` is the row of the query from [`opening`].
/// Then locks the row of the target and increments its version. Returns the result of the statement from [`raise`].
async fn lock(
    pool: &Pool,
    tx: &Transaction,
    target: Target,
    actor: Actor,
    opened: &QueryResult,
) -> Result<Option<QueryResult>, LockError> {
    if !opened.try_get("", "has_global_lock")? {
        gate::wait(pool, tx, target, opened).await?;
    }
    let raise = raise(pool.feed, target, actor);
    let row = tx.query_one_raw(raise.clone()).await?;
    match target {
        Target::Company(company) if row.is_none() => {
            tx.execute_raw(add_state(company)).await?;
            Ok(tx.query_one_raw(raise).await?)
        }
        _ => Ok(row),
    }
}

/// Begins a unit of work, and acquires its locks.
pub(crate) async fn begin(pool: &Arc<Pool>, target: Target, context: ChangeContext) -> Result<Repository<Unit>> {
    // The nil UUID and the max UUID are reserved: their rows contain the versions of the catalog and of the
    // credentials. A change to a company must not increment these versions.
    if target.company().is_some_and(|company| !is_company(company.as_uuid())) {
        return Err(StorageError::Misuse("the nil UUID and the max UUID cannot be company ids"));
    }
    let permit = pool.write_admission.acquire(target).await?;
    let sent_at = Instant::now();
    let blockers = match target {
        // A session that blocks a change to a company usually ends its transaction soon. Only the sessions of a hanging
        // process must be terminated.
        Target::Company(_) => Blockers::Silent(pool.silence_timeout),
        Target::Catalog => Blockers::OfCatalog,
        Target::Credentials => Blockers::OfRevocation,
    };
    let locked = async {
        let (tx, opened) =
            Transaction::begin(&pool.connections, pool.change_timeout, &opening(pool.gate, target)).await?;
        let lock = lock(pool, &tx, target, context.actor, &opened);
        let row = terminating_blockers(pool, tx.pid(), blockers, lock).await?;
        Ok::<_, LockError>((tx, row))
    };
    let locked = on_runtime(pool.runtime(), locked).await;
    let (tx, row) = locked.map_err(|error| match error {
        LockError::Database(error) => {
            pool.outdated.record_error(&error, sent_at);
            from_db(error)
        }
        LockError::Refused(error) => error,
    })?;
    let row = row.ok_or_else(incomplete)?;
    if column(&row, "is_erased")? {
        // The transaction is dropped, and so rolled back.
        return Err(StorageError::conflict(Constraint::CompanyErased));
    }
    let raised = Raised::of(&row)?;
    let now = Timestamp::new(column::<DateTimeUtc>(&row, "now")?);
    let actor_not_before = column::<Option<DateTimeUtc>>(&row, "actor_not_before")?.map(Timestamp::new);
    let quotas = column::<Option<String>>(&row, "quotas")?;
    let quota_overrides = quotas.map(|text| from_json(&text)).transpose()?.unwrap_or_default();
    let company_status = column::<String>(&row, "status")?.parse().map_err(StorageError::corrupt)?;
    let (runtime, outdated) = (pool.runtime().clone(), Arc::clone(&pool.outdated));
    let recorder = Recorder::new(target, context, now);
    let catalog = pool.catalog().filter(|_| target != Target::Catalog).cloned();
    Ok(Repository(Unit {
        tx,
        runtime,
        outdated,
        recorder,
        written: BTreeSet::new(),
        raised,
        actor_not_before,
        quota_overrides,
        company_status,
        committed: pool.notifier.committed().clone(),
        feed: pool.feed(),
        requirements: pool.requirements.clone(),
        catalog,
        read_matrices: ReadMatrices::default(),
        _permit: permit,
    }))
}

impl Repository<Unit> {
    /// Executes a mutation of `target`. If the mutation fails, or if its future is dropped before it completes, the
    /// unit is poisoned: it can no longer be committed.
    async fn change<T>(&mut self, target: Target, change: impl AsyncFnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.0.recorder.touch(target)?;
        self.0.read_matrices = ReadMatrices::default();
        let value = change(self).await?;
        self.0.recorder.done();
        Ok(value)
    }

    /// Returns the timestamp of all changes in this unit of work, as a bind parameter.
    fn at(&self) -> Value {
        self.0.recorder.now().as_datetime().into()
    }

    /// Inserts a row. `references` are the entities that the row refers to. If the row violates a foreign key, the
    /// error contains the id of the missing entity.
    async fn insert<M>(&self, row: M, references: &[(EntityType, Option<Uuid>)]) -> Result<()>
    where
        M: IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + sea_orm::ModelTrait,
        <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
    {
        let insert = M::Entity::insert(row.into_active_model().reset_all()).build(DbBackend::Postgres);
        self.attempt(|| self.0.tx.execute_raw(insert.clone()))
            .await
            .map_err(|error| operation_error(Operation::Write(references), error))
            .map(drop)
    }

    /// Executes a statement that changes at most one row, and returns the row of its `RETURNING` clause. Fails with
    /// `NotFound` if no row was changed.
    async fn changed<M, D>(&self, statement: Statement, operation: Operation<'_>) -> Result<D>
    where
        M: sea_orm::FromQueryResult,
        D: TryFrom<M, Error = StorageError>,
    {
        convert::<M, D>(&self.operation_row(statement, operation).await?.ok_or(StorageError::NotFound)?)
    }

    /// Executes a statement that may violate a constraint, and returns its row, if any.
    async fn operation_row(&self, statement: Statement, operation: Operation<'_>) -> Result<Option<QueryResult>> {
        self.attempt(|| self.0.tx.query_one_raw(statement.clone()))
            .await
            .map_err(|error| operation_error(operation, error))
    }
}

/// Returns the statement that inserts audit records.
fn insert_records(records: &[AuditRecord]) -> Statement {
    statement(INSERT_RECORDS, [json_rows(records).into()])
}

/// Returns audit records as the JSON that [`INSERT_RECORDS`] reads. The records' own serialization is not used, because
/// its timestamps have only millisecond precision.
fn json_rows(records: &[AuditRecord]) -> Json {
    let row = |record: &AuditRecord| {
        json!({
            "id": record.id,
            "company_id": record.company_id,
            "user_id": record.actor.id(),
            "actor_kind": record.actor.kind(),
            "action": record.action,
            "entity_type": record.entity_type,
            "entity_id": record.entity_id,
            "changes": record.changes,
            "metadata": record.metadata,
            "timestamp": record.timestamp.as_datetime(),
        })
    };
    records.iter().map(row).collect()
}

/// The statement that inserts audit records. $1 is the JSON that [`json_rows`] returns.
const INSERT_RECORDS: &str = r#"INSERT INTO iam_audit_logs (id, company_id, user_id, actor_kind, action, entity_type,
        entity_id, changes, metadata, "timestamp")
    SELECT id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes, metadata, "timestamp"
    FROM jsonb_to_recordset($1::jsonb) AS record (id uuid, company_id uuid, user_id uuid, actor_kind text,
        action text, entity_type text, entity_id uuid, changes jsonb, metadata jsonb, "timestamp" timestamptz)"#;

#[async_trait]
impl UnitOfWork for Repository<Unit> {
    fn now(&self) -> Timestamp {
        self.0.recorder.now()
    }

    fn actor_not_before(&self) -> Option<Timestamp> {
        self.0.actor_not_before
    }

    fn quota_overrides(&self) -> &QuotaOverrides {
        &self.0.quota_overrides
    }

    fn company_status(&self) -> CompanyStatus {
        self.0.company_status
    }

    fn growth(&self) -> &Growth {
        self.0.recorder.growth()
    }

    fn recorded(&self) -> Recorded {
        self.0.recorder.recorded()
    }

    async fn commit(self: Box<Self>) -> Result<CommitStamp> {
        operation("unit_of_work.commit", async {
            // On an early return, the transaction is dropped and so rolled back.
            self.0.recorder.check()?;
            let target = self.0.recorder.target();
            let outdated = Arc::clone(&self.0.outdated);
            let Unit { tx, recorder, written, raised, committed, requirements, .. } = self.0;
            if recorder.is_empty() {
                tx.rollback().await.map_err(from_db)?;
                return Ok(raised.undone().stamp(target));
            }
            let mut records = recorder.finish().records;
            records.retain(|record| !written.contains(&record.id));
            let sent_at = Instant::now();
            if target.company().is_some() && records.iter().any(|record| record.company_id.is_none()) {
                // Row-level security allows records of the platform only for statements across companies.
                tx.execute_raw(statement("SELECT set_config('iam.company', 'all', true)", []))
                    .await
                    .map_err(from_db)?;
            }
            let inserted = tx.execute_raw(insert_records(&records)).await;
            inserted.inspect_err(|error| outdated.record_error(error, sent_at)).map_err(from_db)?;
            let outcome = tx.commit().await;
            // Other processes are notified even if the outcome of the commit is unknown.
            committed.send_replace(());
            if let Some(requirements) = requirements {
                match &outcome {
                    Ok(_) => requirements.committed(target.company(), raised.stamp(target)),
                    Err(error) if is_retryable(error) => {}
                    Err(_) => requirements.distrust(),
                }
            }
            outcome.map_err(from_db)?;
            metrics::counter!(AUDIT_RECORDS).increment((records.len() + written.len()) as u64);
            Ok(raised.stamp(target))
        })
        .await
    }
}

#[async_trait]
impl AuditLogsMut for Repository<Unit> {
    async fn append(&mut self, record: &AuditRecord) -> Result<()> {
        operation("audit_logs.append", async {
            self.change(Target::of_menu(record.company_id), async |unit| {
                // The record is inserted immediately, so that a duplicate id causes an error here and not at the
                // commit.
                unit.execute(insert_records(std::slice::from_ref(record))).await?;
                unit.0.written.insert(record.id);
                unit.0.recorder.appended(record.clone());
                Ok(())
            })
            .await
        })
        .await
    }

    async fn restore(&mut self, owner: Option<CompanyId>, records: &[AuditRecord]) -> Result<u64> {
        operation("audit_logs.restore", async {
            self.change(Target::of_menu(owner), async |unit| {
                if records.iter().any(|record| record.company_id != owner) {
                    return Err(StorageError::Misuse("an audit record belongs to another owner"));
                }
                let sql = format!("{INSERT_RECORDS} ON CONFLICT DO NOTHING RETURNING id");
                let added = unit.column::<Uuid>(statement(sql, [json_rows(records).into()]), "id").await?;
                let added: BTreeSet<_> = added.into_iter().map(AuditRecordId::from_uuid).collect();
                for record in records.iter().filter(|record| added.contains(&record.id)) {
                    unit.0.recorder.appended(record.clone());
                }
                let count = added.len() as u64;
                unit.0.written.extend(added);
                Ok(count)
            })
            .await
        })
        .await
    }
}
