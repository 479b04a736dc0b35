//! Stores the times at which API keys were last used.

use crate::Permissions;

impl Permissions {
    /// Writes the recorded uses of API keys to the database (write-behind): all uses since the previous call of this
    /// function. If the write fails, these uses are lost. That is acceptable, because only the time of the last use is
    /// stored, and a later use updates it.
    pub async fn note_uses(&self) {
        let uses = self.context.cache.credentials.take_uses();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.context.storage.api_key_uses().record(&uses).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last uses of API keys could not be stored");
        }
    }
}
