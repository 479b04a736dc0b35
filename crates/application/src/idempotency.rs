//! Requests with idempotency keys: a repetition of a request creates no further entity.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iam_domain::{Actor, CompanyId, IdempotencyKey};
use iam_storage::{IdempotencyRecord, IdempotentRequest, RecordOutcome, UnitOfWork};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Change, Failure};

/// The time for which a key identifies a request.
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

const IN_PROGRESS: &str = "A request with this idempotency key is in progress";

/// The keys of the requests that this process is executing.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeysInFlight(Arc<Mutex<HashSet<(Actor, IdempotencyKey)>>>);

/// A key that is in flight until this value is dropped.
pub(crate) struct KeyInFlight {
    keys: KeysInFlight,
    place: (Actor, IdempotencyKey),
}

impl KeysInFlight {
    /// Marks the key of a request as in flight. Returns [`Failure::Conflict`] if another request with this key is in
    /// progress.
    pub(crate) fn enter(&self, request: &IdempotentRequest) -> Result<KeyInFlight, Failure> {
        let place = (request.actor, request.key.clone());
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone()) {
            Ok(KeyInFlight { keys: self.clone(), place })
        } else {
            Err(Failure::Conflict(IN_PROGRESS.to_owned()))
        }
    }
}

impl Drop for KeyInFlight {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// Returns the digest that identifies the content of a request: its company and its body, as it was sent.
#[must_use]
pub fn request_digest(company: Option<CompanyId>, body: &[u8]) -> [u8; 32] {
    let company = company.map_or_else(String::new, |company| company.to_string());
    Sha256::new().chain_update(company).chain_update([0]).chain_update(body).finalize().into()
}

/// Returns the result of the earlier execution of a request. Returns `None` if the request has not been executed within
/// the validity of its key.
pub(crate) async fn find_earlier<C: Change>(
    change: &C,
    tx: &mut dyn UnitOfWork,
    request: &IdempotentRequest,
) -> Result<Option<C::Answer>, Failure> {
    let Some(record) = tx.idempotency_keys_mut().find_record(request.actor, &request.key).await? else {
        return Ok(None);
    };
    if record.request != *request {
        return Err(Failure::KeyReused);
    }
    let gone =
        || Failure::Conflict("The request was already executed, and what it created no longer exists".to_owned());
    change.find_created(tx, record.entity).await?.map(Some).ok_or_else(gone)
}

/// Stores that a request has created the entity, in the unit of work that creates it.
pub(crate) async fn record(
    tx: &mut dyn UnitOfWork,
    request: &IdempotentRequest,
    entity: Uuid,
    limit: u32,
) -> Result<(), Failure> {
    let record = IdempotencyRecord { request: request.clone(), entity, expires_at: tx.now().plus(VALIDITY) };
    match tx.idempotency_keys_mut().record(&record, limit).await? {
        RecordOutcome::Stored => Ok(()),
        // A concurrent request on another replica, or for another company, has used the key.
        RecordOutcome::KeyInUse => Err(Failure::Conflict(IN_PROGRESS.to_owned())),
        RecordOutcome::LimitReached => Err(Failure::TooManyKeys(limit)),
    }
}
