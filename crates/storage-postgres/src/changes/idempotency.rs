//! The records of requests with idempotency keys, in a unit of work, and the deletion of expired records.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{Actor, IdempotencyKey, Timestamp};
use iam_storage::{
    IdempotencyKeys, IdempotencyKeysMut, IdempotencyRecord, IdempotentRequest, RecordOutcome, Result, StorageError,
};
use sea_orm::Value;
use sea_orm::entity::prelude::DateTimeUtc;

use super::Unit;
use crate::connections::shares::Class;
use crate::operation::operation;
use crate::pool::Pool;
use crate::repository::Repository;
use crate::row_security::setting;
use crate::statement::{column, limit, statement};

/// Returns the kind and the id of an actor as bind parameters. The command line sends no requests.
fn parts(actor: Actor) -> Result<[Value; 2]> {
    let id = actor.id().ok_or(StorageError::Misuse("the command line has no idempotency keys"))?;
    Ok([actor.kind().to_string().into(), id.into()])
}

#[async_trait]
impl IdempotencyKeysMut for Repository<Unit> {
    async fn find_record(&mut self, actor: Actor, key: &IdempotencyKey) -> Result<Option<IdempotencyRecord>> {
        operation("idempotency_keys.find_record", async {
            let sql = "SELECT method::text AS method, path::text AS path, digest, entity_id, expires_at
            FROM idempotency_keys WHERE actor_kind = $1 AND actor_id = $2 AND key = $3 AND expires_at > $4";
            let [kind, id] = parts(actor)?;
            let values = [kind, id, key.as_str().into(), self.at()];
            let Some(row) = self.row(self.for_company(None, statement(sql, values))).await? else { return Ok(None) };
            let digest: Vec<u8> = column(&row, "digest")?;
            let digest = digest.try_into().map_err(|_| StorageError::corrupt("a digest has a wrong length"))?;
            let (method, path) = (column(&row, "method")?, column(&row, "path")?);
            Ok(Some(IdempotencyRecord {
                request: IdempotentRequest { actor, key: key.clone(), method, path, digest },
                entity: column(&row, "entity_id")?,
                expires_at: Timestamp::new(column::<DateTimeUtc>(&row, "expires_at")?),
            }))
        })
        .await
    }

    async fn record(&mut self, record: &IdempotencyRecord, most: u32) -> Result<RecordOutcome> {
        operation("idempotency_keys.record", async {
            let target = self.0.recorder.target();
            let company = target.company();
            self.change(target, async |unit| {
                // If another transaction is storing a record with the same key, the insertion waits for this
                // transaction. The caller may have used the key for another company, so the statement reads and changes
                // the rows of all companies. It then restores the setting `iam.company` of the transaction.
                let sql = "WITH tenant AS MATERIALIZED (SELECT set_config('iam.company', 'all', true) AS company),
                used AS MATERIALIZED (
                    SELECT count(*) AS records FROM tenant, LATERAL (
                        SELECT FROM idempotency_keys
                        WHERE actor_kind = $1 AND actor_id = $2 AND expires_at > $9 AND tenant.company <> ''
                        LIMIT $10
                    ) AS counted
                ),
                stored AS (
                    INSERT INTO idempotency_keys AS there
                        (actor_kind, actor_id, key, method, path, digest, entity_id, expires_at, company_id)
                    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $11 FROM used WHERE records < $10
                    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE
                    SET method = excluded.method, path = excluded.path, digest = excluded.digest,
                        entity_id = excluded.entity_id, expires_at = excluded.expires_at,
                        company_id = excluded.company_id
                    WHERE there.expires_at <= $9
                    RETURNING 1
                ),
                outcome AS MATERIALIZED (
                    SELECT (SELECT count(*) FROM stored) > 0 AS stored, records < $10 AS permitted FROM used
                )
                SELECT outcome.stored, outcome.permitted FROM outcome,
                    LATERAL (
                        SELECT set_config('iam.company', $12, true) AS company WHERE outcome.stored IS NOT NULL OFFSET 0
                    ) AS own
                WHERE own.company <> ''";
                let IdempotencyRecord { request, entity, expires_at } = record;
                let [kind, id] = parts(request.actor)?;
                let values = [
                    kind,
                    id,
                    request.key.as_str().into(),
                    request.method.as_str().into(),
                    request.path.as_str().into(),
                    request.digest.to_vec().into(),
                    (*entity).into(),
                    expires_at.as_datetime().into(),
                    unit.at(),
                    i64::from(most).into(),
                    company.map(|company| company.as_uuid()).into(),
                    setting(company).into(),
                ];
                let row = unit.single(statement(sql, values)).await?;
                Ok(match (column(&row, "stored")?, column(&row, "permitted")?) {
                    (true, _) => RecordOutcome::Stored,
                    (false, true) => RecordOutcome::KeyInUse,
                    (false, false) => RecordOutcome::LimitReached,
                })
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl IdempotencyKeys for Repository<Arc<Pool>> {
    async fn delete_expired(&self, at_most: u64) -> Result<u64> {
        operation("idempotency_keys.delete_expired", async {
            let sql = "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at
                LIMIT $1 FOR UPDATE SKIP LOCKED
            )) RETURNING 1";
            let delete = self.for_company(None, statement(sql, [limit(at_most).cast_signed().into()]));
            self.execute(delete.of(Class::Loads)).await
        })
        .await
    }
}
