//! Stores the times at which API keys were last used.

use crate::Permissions;

impl Permissions {
    /// Writes the uses of API keys that were recorded since the previous call of this function to the database
    /// (write-behind). If the write fails, these uses are lost. That is acceptable, because only the time of the last
    /// use is stored, and a later use updates it.
    pub async fn note_uses(&self) {
        let uses = self.context.cache.credentials.take_uses();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.context.storage.api_key_uses().record(&uses).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to store the times at which API keys were last used"
            );
        }
    }
}
