//! Reads of users (their external identities and cut-offs), of API keys, and of changes to credentials.

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyId, Timestamp, User, UserId};
use iam_storage::{ApiKeys, CredentialChanges, Credentials, Result, StateId, Users};
use sea_orm::entity::prelude::DateTimeUtc;
use sea_orm::{EntityTrait, QueryOrder};
use uuid::Uuid;

use crate::convert::{UserRow, digest};
use crate::entities::api_keys;
use crate::entities::company_states::CREDENTIALS;
use crate::feed::epoch::{current_epoch, epoch};
use crate::repository::{Executor, Repository};
use crate::statement::{column, json_column, statement};

#[async_trait]
impl<T: Executor> Users for Repository<T> {
    async fn find(&self, users: &[UserId]) -> Result<Vec<User>> {
        let sql = "SELECT asked.id, i.issuer, i.subject, c.not_before
            FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) AS asked
            LEFT JOIN user_identities AS i ON i.user_id = asked.id
            LEFT JOIN user_cutoffs AS c ON c.user_id = asked.id
            WHERE i.user_id IS NOT NULL OR c.user_id IS NOT NULL ORDER BY asked.id";
        let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
        self.query::<UserRow, _>(statement(sql, [ids.into()])).await
    }
}

#[async_trait]
impl<T: Executor> ApiKeys for Repository<T> {
    async fn find_all(&self) -> Result<Vec<ApiKey>> {
        let keys = api_keys::Entity::find();
        self.select(keys.order_by_asc(api_keys::COLUMN.name).order_by_asc(api_keys::COLUMN.id)).await
    }

    async fn find_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.select_one(api_keys::Entity::find_by_id(id.as_uuid())).await
    }
}

#[async_trait]
impl<T: Executor> Credentials for Repository<T> {
    async fn changes_since(&self, version: i64) -> Result<CredentialChanges> {
        let sql = format!(
            "SELECT {} AS epoch, version, stamp,
                (SELECT coalesce(json_agg(json_build_array(user_id, not_before)), '[]')
                 FROM user_cutoffs WHERE version > $1)::text AS cutoffs,
                (SELECT coalesce(json_agg(key), '[]') FROM (
                    SELECT id, prefix, encode(digest, 'base64') AS digest, name, role, company_id, created_by,
                        created_at, expires_at, revoked_at, last_used_at, version
                    FROM api_keys WHERE version > $1
                ) AS key)::text AS api_keys,
                greatest((SELECT max(version) FROM user_cutoffs WHERE version > $1),
                    (SELECT max(version) FROM api_keys WHERE version > $1)) AS latest,
                (SELECT count(*) FROM api_keys) AS api_key_count
            FROM company_states WHERE company_id = {CREDENTIALS}",
            current_epoch()
        );
        let changes = self.for_company(None, statement(sql, [version.into()])).outside_pool();
        let row = self.single(changes).await?;
        let cutoffs = json_column::<Vec<(Uuid, DateTimeUtc)>>(&row, "cutoffs")?;
        let api_keys = json_column::<Vec<api_keys::Model>>(&row, "api_keys")?;
        let with_digest = |row: api_keys::Model| {
            let digest = digest(&row.digest)?;
            Ok((row.try_into()?, digest))
        };
        Ok(CredentialChanges {
            epoch: epoch(&row)?,
            state: StateId { version: column(&row, "version")?, stamp: column(&row, "stamp")? },
            cutoffs: cutoffs.into_iter().map(|(user, at)| (UserId::from_uuid(user), Timestamp::new(at))).collect(),
            api_keys: api_keys.into_iter().map(with_digest).collect::<Result<_>>()?,
            latest: column(&row, "latest")?,
            api_key_count: usize::try_from(column::<i64>(&row, "api_key_count")?).unwrap_or(usize::MAX),
        })
    }
}
