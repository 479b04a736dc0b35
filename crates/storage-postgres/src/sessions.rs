//! The sessions of people who are signed in to the console.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::Timestamp;
use iam_storage::{Result, SessionDigest, Sessions, StoredSession};
use sea_orm::entity::prelude::DateTimeUtc;

use crate::connections::shares::Class;
use crate::operation::operation;
use crate::pool::Pool;
use crate::repository::Repository;
use crate::statement::{column, limit, statement};

#[async_trait]
impl Sessions for Repository<Arc<Pool>> {
    async fn find(&self, digest: &SessionDigest, now: Timestamp) -> Result<Option<StoredSession>> {
        operation("sessions.find", async {
            let sql = "SELECT content::text AS content, ends_at, expires_at
            FROM console_sessions WHERE digest = $1 AND expires_at > $2";
            let values = [digest.0.to_vec().into(), now.as_datetime().into()];
            let Some(row) = self.row(self.for_company(None, statement(sql, values))).await? else { return Ok(None) };
            Ok(Some(StoredSession {
                content: column(&row, "content")?,
                ends_at: Timestamp::new(column::<DateTimeUtc>(&row, "ends_at")?),
                expires_at: Timestamp::new(column::<DateTimeUtc>(&row, "expires_at")?),
            }))
        })
        .await
    }

    async fn create(&self, digest: &SessionDigest, session: &StoredSession) -> Result<()> {
        operation("sessions.create", async {
            let sql = "INSERT INTO console_sessions (digest, content, ends_at, expires_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT ON CONSTRAINT console_sessions_pkey DO UPDATE
            SET content = excluded.content, ends_at = excluded.ends_at, expires_at = excluded.expires_at RETURNING 1";
            let StoredSession { content, ends_at, expires_at } = session;
            let values = [
                digest.0.to_vec().into(),
                content.as_str().into(),
                ends_at.as_datetime().into(),
                expires_at.as_datetime().into(),
            ];
            self.execute(self.for_company(None, statement(sql, values))).await.map(drop)
        })
        .await
    }

    async fn update(&self, digest: &SessionDigest, content: &str, expires_at: Timestamp) -> Result<bool> {
        operation("sessions.update", async {
            let sql = "UPDATE console_sessions SET content = $2, expires_at = least($3, ends_at) WHERE digest = $1 RETURNING 1";
            let values = [digest.0.to_vec().into(), content.into(), expires_at.as_datetime().into()];
            Ok(self.execute(self.for_company(None, statement(sql, values))).await? > 0)
        })
        .await
    }

    async fn extend(&self, digest: &SessionDigest, expires_at: Timestamp) -> Result<bool> {
        operation("sessions.extend", async {
            let sql = "UPDATE console_sessions SET expires_at = least($2, ends_at) WHERE digest = $1 RETURNING 1";
            let values = [digest.0.to_vec().into(), expires_at.as_datetime().into()];
            Ok(self.execute(self.for_company(None, statement(sql, values))).await? > 0)
        })
        .await
    }

    async fn delete(&self, digest: &SessionDigest) -> Result<()> {
        operation("sessions.delete", async {
            let sql = "DELETE FROM console_sessions WHERE digest = $1 RETURNING 1";
            self.execute(self.for_company(None, statement(sql, [digest.0.to_vec().into()]))).await.map(drop)
        })
        .await
    }

    async fn delete_expired(&self, at_most: u64) -> Result<u64> {
        operation("sessions.delete_expired", async {
            let sql = "DELETE FROM console_sessions WHERE digest = ANY(ARRAY(
                SELECT digest FROM console_sessions WHERE expires_at <= now() ORDER BY expires_at
                LIMIT $1 FOR UPDATE SKIP LOCKED
            )) RETURNING 1";
            let delete = self.for_company(None, statement(sql, [limit(at_most).cast_signed().into()]));
            self.execute(delete.of(Class::Loads)).await
        })
        .await
    }
}
