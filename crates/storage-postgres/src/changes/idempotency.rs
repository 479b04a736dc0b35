//! The records of requests with idempotency keys, in a unit of work, and the deletion of expired records.

use async_trait::async_trait;
use iam_domain::{Actor, IdempotencyKey, Timestamp};
use iam_storage::{
    IdempotencyKeys, IdempotencyKeysMut, IdempotencyRecord, IdempotentRequest, RecordOutcome, Result, StorageError,
};
use sea_orm::Value;
use sea_orm::entity::prelude::DateTimeUtc;

use super::Unit;
use crate::connections::shares::Class;
use crate::pool::Pool;
use crate::repository::{Asked, Repository};
use crate::statement::{column, limit, statement};

/// Returns the kind and the id of an actor as bind parameters. The command line sends no requests.
fn parts(actor: Actor) -> Result<[Value; 2]> {
    let id = actor.id().ok_or(StorageError::Misuse("the command line has no idempotency keys"))?;
    Ok([actor.kind().to_string().into(), id.into()])
}

#[async_trait]
impl IdempotencyKeysMut for Repository<Unit> {
    async fn find_record(&mut self, actor: Actor, key: &IdempotencyKey) -> Result<Option<IdempotencyRecord>> {
        let sql = "SELECT method::text AS method, path::text AS path, digest, entity_id, expires_at
            FROM idempotency_keys WHERE actor_kind = $1 AND actor_id = $2 AND key = $3 AND expires_at > $4";
        let [kind, id] = parts(actor)?;
        let values = [kind, id, key.as_str().into(), self.at()];
        let Some(row) = self.row(statement(sql, values)).await? else { return Ok(None) };
        let digest: Vec<u8> = column(&row, "digest")?;
        let digest = digest.try_into().map_err(|_| StorageError::corrupt("a digest has a wrong length"))?;
        let (method, path) = (column(&row, "method")?, column(&row, "path")?);
        Ok(Some(IdempotencyRecord {
            request: IdempotentRequest { actor, key: key.clone(), method, path, digest },
            entity: column(&row, "entity_id")?,
            expires_at: Timestamp::new(column::<DateTimeUtc>(&row, "expires_at")?),
        }))
    }

    async fn record(&mut self, record: &IdempotencyRecord, most: u32) -> Result<RecordOutcome> {
        self.change(self.0.recorder.target(), async |unit| {
            // If another transaction is storing a record with the same key, the insertion waits for this transaction.
            let sql = "WITH used AS MATERIALIZED (
                    SELECT count(*) AS records FROM (
                        SELECT FROM idempotency_keys
                        WHERE actor_kind = $1 AND actor_id = $2 AND expires_at > $9 LIMIT $10
                    ) AS counted
                ),
                stored AS (
                    INSERT INTO idempotency_keys AS there
                        (actor_kind, actor_id, key, method, path, digest, entity_id, expires_at)
                    SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM used WHERE records < $10
                    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE
                    SET method = excluded.method, path = excluded.path, digest = excluded.digest,
                        entity_id = excluded.entity_id, expires_at = excluded.expires_at
                    WHERE there.expires_at <= $9
                    RETURNING 1
                )
                SELECT EXISTS (SELECT FROM stored) AS stored, (SELECT records < $10 FROM used) AS permitted";
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
            ];
            let row = unit.single(statement(sql, values)).await?;
            Ok(match (column(&row, "stored")?, column(&row, "permitted")?) {
                (true, _) => RecordOutcome::Stored,
                (false, true) => RecordOutcome::KeyInUse,
                (false, false) => RecordOutcome::LimitReached,
            })
        })
        .await
    }
}

#[async_trait]
impl IdempotencyKeys for Repository<Pool> {
    async fn delete_expired(&self, at_most: u64) -> Result<u64> {
        let sql = "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at
                LIMIT $1 FOR UPDATE SKIP LOCKED
            )) RETURNING 1";
        let delete = Asked::from(statement(sql, [limit(at_most).cast_signed().into()]));
        self.execute(delete.of(Class::Loads)).await
    }
}
