//! Records the time of the last use of each API key.

use async_trait::async_trait;
use iam_domain::{ApiKeyId, Timestamp};
use iam_storage::{ApiKeyUses, Result};

use crate::shared::SharedStorage;

#[async_trait]
impl ApiKeyUses for SharedStorage {
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        let state = self.state.load();
        self.auxiliary.change(|auxiliary| {
            for (id, at) in uses.iter().filter(|(id, _)| state.credentials.api_keys.contains_key(id)) {
                let last = auxiliary.api_key_uses.entry(*id).or_insert(*at);
                *last = (*last).max(*at);
            }
        });
        Ok(())
    }
}
