//! The requests with idempotency keys that created an entity.

use async_trait::async_trait;
use iam_domain::{Actor, IdempotencyKey, Timestamp};
use uuid::Uuid;

use crate::Result;

/// A request with an idempotency key. Two requests of a caller with the same key are repetitions of one request if they
/// are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The caller.
    pub actor: Actor,
    /// The idempotency key. Each caller has separate keys.
    pub key: IdempotencyKey,
    /// The method of the request.
    pub method: String,
    /// The path of the operation.
    pub path: String,
    /// The digest of the company and of the body.
    pub digest: [u8; 32],
}

/// A request that created an entity. The record contains no content of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The request.
    pub request: IdempotentRequest,
    /// The id of the created entity.
    pub entity: Uuid,
    /// The time at which the record expires.
    pub expires_at: Timestamp,
}

/// The result of storing a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The record is stored.
    Stored,
    /// The caller has another record with this key, which has not expired.
    KeyInUse,
    /// The caller already has the maximum number of records.
    LimitReached,
}

/// Operations on the records of requests with idempotency keys. Units of work for all targets allow them, and find the
/// records of all targets. A record belongs to the company that the unit of work changes, if it changes a company. A
/// record does not count as a change: it is stored only if the unit of work changes something else.
#[async_trait]
pub trait IdempotencyKeysMut: Send + Sync {
    /// Returns the record of a caller with this key, unless it has expired.
    async fn find_record(&mut self, actor: Actor, key: &IdempotencyKey) -> Result<Option<IdempotencyRecord>>;
    /// Stores a record, if the caller has fewer than `limit` records that have not expired. An expired record with this
    /// key is replaced.
    async fn record(&mut self, record: &IdempotencyRecord, limit: u32) -> Result<RecordOutcome>;
}

/// The operation that deletes the expired records of requests with idempotency keys, outside units of work.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Deletes at most `limit` expired records and returns their number.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
}
