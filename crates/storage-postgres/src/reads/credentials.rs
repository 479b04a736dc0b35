//! Reads of users (their external identities and cut-offs), of API keys, and of changes to credentials.

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, CompanyId, Timestamp, User, UserId};
use iam_storage::{ApiKeys, CredentialChanges, Credentials, Result, StateId, Users};
use sea_orm::entity::prelude::DateTimeUtc;
use sea_orm::{EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use uuid::Uuid;

use crate::convert::{UserRow, digest};
use crate::entities::api_keys;
use crate::entities::company_states::CREDENTIALS;
use crate::feed::epoch::{current_epoch, epoch};
use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, json_column, statement};
use crate::unreadable::{parse, report};

#[async_trait]
impl<T: Executor> Users for Repository<T> {
    async fn find(&self, users: &[UserId]) -> Result<Vec<User>> {
        operation("users.find", async {
            let sql = "SELECT asked.id, i.issuer, i.subject, c.not_before
            FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) AS asked
            LEFT JOIN user_identities AS i ON i.user_id = asked.id
            LEFT JOIN user_cutoffs AS c ON c.user_id = asked.id
            WHERE i.user_id IS NOT NULL OR c.user_id IS NOT NULL ORDER BY asked.id";
            let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
            self.query::<UserRow, _>(statement(sql, [ids.into()])).await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> ApiKeys for Repository<T> {
    async fn find_all(&self) -> Result<Vec<ApiKey>> {
        operation("api_keys.find_all", async {
            let keys = api_keys::Entity::find();
            self.select(keys.order_by_asc(api_keys::COLUMN.name).order_by_asc(api_keys::COLUMN.id)).await
        })
        .await
    }

    async fn find_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        operation("api_keys.find_by_id", self.select_one(api_keys::Entity::find_by_id(id.as_uuid()))).await
    }

    async fn find_by_company(&self, company: CompanyId) -> Result<Vec<ApiKey>> {
        operation("api_keys.find_by_company", async {
            let keys = api_keys::Entity::find().filter(api_keys::COLUMN.company_id.eq(company.as_uuid()));
            self.select(keys.order_by_asc(api_keys::COLUMN.id)).await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> Credentials for Repository<T> {
    async fn changes_since(&self, version: i64) -> Result<CredentialChanges> {
        operation("credentials.changes_since", async {
            let sql = format!(
                "SELECT {} AS epoch, version, stamp,
                (SELECT coalesce(json_agg(json_build_array(user_id, not_before)), '[]')
                 FROM user_cutoffs WHERE version > $1)::text AS cutoffs,
                (SELECT coalesce(json_agg(json_build_array(key.id, key)), '[]') FROM (
                    SELECT id, prefix, encode(digest, 'base64') AS digest, name, role, company_id, created_by,
                        created_at, expires_at, revoked_at, last_used_at, version, requests_per_second
                    FROM api_keys WHERE version > $1
                ) AS key)::text AS api_keys,
                greatest((SELECT max(version) FROM user_cutoffs WHERE version > $1),
                    (SELECT max(version) FROM api_keys WHERE version > $1)) AS latest,
                (SELECT count(*) FROM api_keys) AS api_key_count
            FROM company_states WHERE company_id = {CREDENTIALS}",
                current_epoch(self.0.feed())
            );
            let changes = self.for_company(None, statement(sql, [version.into()])).outside_pool();
            let row = self.single(changes).await?;
            // All callers depend on the credentials, so a row that cannot be parsed must affect only its user or its
            // key.
            let cutoffs = json_column::<Vec<(Uuid, Value)>>(&row, "cutoffs")?.into_iter();
            let cutoffs = cutoffs.map(|(user, at)| (UserId::from_uuid(user), cutoff(user, at))).collect();
            let (mut api_keys, mut unreadable_api_keys) = (Vec::new(), Vec::new());
            for (id, key) in json_column::<Vec<(Uuid, Value)>>(&row, "api_keys")? {
                match api_key(key) {
                    Ok(key) => api_keys.push(key),
                    Err(error) => {
                        report("api_keys", &id.to_string(), &error);
                        unreadable_api_keys.push(ApiKeyId::from_uuid(id));
                    }
                }
            }
            Ok(CredentialChanges {
                epoch: epoch(&row)?,
                state: StateId { version: column(&row, "version")?, stamp: column(&row, "stamp")? },
                cutoffs,
                api_keys,
                unreadable_api_keys,
                latest: column(&row, "latest")?,
                api_key_count: usize::try_from(column::<i64>(&row, "api_key_count")?).unwrap_or(usize::MAX),
            })
        })
        .await
    }
}

/// Returns the cut-off of a user. If it cannot be parsed, all tokens of the user are rejected.
fn cutoff(user: Uuid, at: Value) -> Timestamp {
    let at = parse::<DateTimeUtc>(at).inspect_err(|error| report("user_cutoffs", &user.to_string(), error));
    Timestamp::new(at.unwrap_or(DateTimeUtc::MAX_UTC))
}

/// Returns an API key and its digest.
fn api_key(row: Value) -> Result<(ApiKey, ApiKeyDigest)> {
    let row = parse::<api_keys::Model>(row)?;
    let digest = digest(&row.digest)?;
    Ok((row.try_into()?, digest))
}
