//! The records of requests with idempotency keys, in a unit of work, and the deletion of expired records.

use async_trait::async_trait;
use iam_domain::{Actor, IdempotencyKey};
use iam_storage::{IdempotencyKeys, IdempotencyKeysMut, IdempotencyRecord, RecordOutcome, Result};

use crate::limit::to_usize;
use crate::repository::{Repository, StateSource};
use crate::shared::SharedStorage;
use crate::unit_of_work::Unit;

#[async_trait]
impl IdempotencyKeysMut for Repository<Unit> {
    async fn find_record(&mut self, actor: Actor, key: &IdempotencyKey) -> Result<Option<IdempotencyRecord>> {
        let now = self.0.recorder.now();
        let state = self.0.state();
        let record = state.idempotency.get(&(actor, key.clone())).map(|(_, record)| record);
        Ok(record.filter(|record| record.expires_at > now).cloned())
    }

    async fn record(&mut self, record: &IdempotencyRecord, limit: u32) -> Result<RecordOutcome> {
        let (now, state) = (self.0.recorder.now(), self.0.state());
        let place = (record.request.actor, record.request.key.clone());
        let own = state.idempotency.iter().filter(|((actor, _), _)| *actor == record.request.actor);
        if own.filter(|(_, (_, record))| record.expires_at > now).count() >= to_usize(u64::from(limit)) {
            return Ok(RecordOutcome::LimitReached);
        }
        if state.idempotency.get(&place).is_some_and(|(_, record)| record.expires_at > now) {
            return Ok(RecordOutcome::KeyInUse);
        }
        let target = self.0.recorder.target();
        self.0.change(target, |unit| {
            unit.idempotency.insert(place, (target.company(), record.clone()));
            Ok(RecordOutcome::Stored)
        })
    }
}

#[async_trait]
impl IdempotencyKeys for SharedStorage {
    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        let now = self.clock.read();
        self.state.try_change(|latest| {
            let expired = latest.idempotency.iter().filter(|(_, (_, record))| record.expires_at <= now);
            let expired: Vec<_> = expired.take(to_usize(limit)).map(|(place, _)| place.clone()).collect();
            for place in &expired {
                latest.idempotency.remove(place);
            }
            Ok(u64::try_from(expired.len()).unwrap_or(u64::MAX))
        })
    }
}
