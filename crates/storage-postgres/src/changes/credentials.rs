//! Changes to users (their external identities and cut-offs) and to API keys.

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ExternalId, Timestamp, UserId};
use iam_storage::{ApiKeysMut, Result, Target, UsersMut};
use sea_orm::entity::prelude::DateTimeUtc;
use uuid::Uuid;

use super::Unit;
use crate::convert::api_key_row;
use crate::entities::{api_keys, columns};
use crate::error::Operation;
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::{column, statement};

#[async_trait]
impl UsersMut for Repository<Unit> {
    async fn remember(&mut self, external_ids: &[&ExternalId]) -> Result<()> {
        operation("users.remember", async {
            self.change(self.0.recorder.target(), async |unit| {
                // The rows are inserted in the order of the arrays.
                let sql = "INSERT INTO user_identities (user_id, issuer, subject, created_at)
                SELECT user_id, issuer, subject, $4
                FROM unnest($1::uuid[], $2::text[], $3::text[]) AS named (user_id, issuer, subject)
                ON CONFLICT DO NOTHING";
                let texts = |part: fn(&ExternalId) -> &str| -> Vec<String> {
                    external_ids.iter().map(|external_id| part(external_id).to_owned()).collect()
                };
                let users: Vec<Uuid> = external_ids.iter().map(|external_id| external_id.user_id().as_uuid()).collect();
                let values = [
                    users.into(),
                    texts(|external_id| external_id.issuer.as_str()).into(),
                    texts(|external_id| external_id.subject.as_str()).into(),
                    unit.at(),
                ];
                unit.execute(statement(sql, values)).await?;
                Ok(())
            })
            .await
        })
        .await
    }

    async fn cut_off(&mut self, user: UserId, not_before: Timestamp) -> Result<Option<Timestamp>> {
        operation("users.cut_off", async {
            self.change(Target::Credentials, async |unit| {
                let sql = "WITH before AS (SELECT not_before FROM user_cutoffs WHERE user_id = $1)
                INSERT INTO user_cutoffs (user_id, not_before, version) VALUES ($1, $2, $3)
                ON CONFLICT (user_id) DO UPDATE SET not_before = excluded.not_before, version = excluded.version
                RETURNING (SELECT not_before FROM before) AS before";
                let values = [user.as_uuid().into(), not_before.as_datetime().into(), unit.0.raised.version.into()];
                let row = unit.single(statement(sql, values)).await?;
                let before = column::<Option<DateTimeUtc>>(&row, "before")?.map(Timestamp::new);
                unit.0.recorder.user_cut_off(user, before, not_before);
                Ok(before)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl ApiKeysMut for Repository<Unit> {
    async fn create(&mut self, key: &ApiKey, digest: &ApiKeyDigest) -> Result<()> {
        operation("api_keys.create", async {
            self.change(Target::Credentials, async |unit| {
                unit.insert(api_key_row(key, digest, unit.0.raised.version), &[]).await?;
                unit.0.recorder.api_key_created(key);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn revoke(&mut self, id: ApiKeyId) -> Result<ApiKey> {
        operation("api_keys.revoke", async {
            self.change(Target::Credentials, async |unit| {
                let sql = format!(
                    "UPDATE api_keys AS key SET revoked_at = coalesce(key.revoked_at, $2),
                    version = CASE WHEN key.revoked_at IS NULL THEN $3 ELSE key.version END
                FROM api_keys AS old WHERE key.id = $1 AND old.id = key.id RETURNING {}",
                    columns::<api_keys::Entity>("old")
                );
                let values = [id.as_uuid().into(), unit.at(), unit.0.raised.version.into()];
                let before: ApiKey =
                    unit.changed::<api_keys::Model, _>(statement(sql, values), Operation::Write(&[])).await?;
                if before.revoked_at.is_none() {
                    let after = ApiKey { revoked_at: Some(unit.0.recorder.now()), ..before.clone() };
                    unit.0.recorder.api_key_revoked(&before, &after);
                }
                Ok(before)
            })
            .await
        })
        .await
    }
}
