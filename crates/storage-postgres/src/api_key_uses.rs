//! Records when API keys were last used.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{ApiKeyId, Timestamp};
use iam_storage::{ApiKeyUses, Result};
use uuid::Uuid;

use crate::connections::shares::Class;
use crate::operation::operation;
use crate::pool::Pool;
use crate::repository::{Asked, Repository};
use crate::statement::statement;

#[async_trait]
impl ApiKeyUses for Repository<Arc<Pool>> {
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        operation("api_key_uses.record", async {
            // Rows are locked in the order of their ids, so that concurrent updates of the same keys do not deadlock.
            let sql = "UPDATE api_keys AS key SET last_used_at = used.at
            FROM (
                SELECT id FROM api_keys WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
            ) AS locked
            JOIN (
                SELECT id, max(at) AS at FROM unnest($1::uuid[], $2::timestamptz[]) AS use (id, at) GROUP BY id
            ) AS used USING (id)
            WHERE key.id = locked.id AND (key.last_used_at IS NULL OR key.last_used_at < used.at)";
            let (ids, times): (Vec<Uuid>, Vec<_>) =
                uses.iter().map(|(id, at)| (id.as_uuid(), at.as_datetime())).unzip();
            let record = Asked::from(statement(sql, [ids.into(), times.into()]));
            self.execute(record.of(Class::Loads)).await.map(drop)
        })
        .await
    }
}
