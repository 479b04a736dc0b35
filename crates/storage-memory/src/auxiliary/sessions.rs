//! The sessions of people who are signed in to the console.

use async_trait::async_trait;
use iam_domain::Timestamp;
use iam_storage::{Result, SessionDigest, Sessions, StoredSession};

use super::Auxiliary;
use crate::shared::SharedStorage;

/// Changes a session, if it exists, and extends it until this time, but not beyond its end.
fn change(
    auxiliary: &mut Auxiliary,
    digest: &SessionDigest,
    expires_at: Timestamp,
    work: impl FnOnce(&mut StoredSession),
) -> bool {
    let Some(session) = auxiliary.sessions.get_mut(digest) else { return false };
    session.expires_at = expires_at.min(session.ends_at);
    work(session);
    true
}

#[async_trait]
impl Sessions for SharedStorage {
    async fn find(&self, digest: &SessionDigest, now: Timestamp) -> Result<Option<StoredSession>> {
        Ok(self.auxiliary.load().sessions.get(digest).filter(|session| session.expires_at > now).cloned())
    }

    async fn create(&self, digest: &SessionDigest, session: &StoredSession) -> Result<()> {
        self.auxiliary.change(|auxiliary| drop(auxiliary.sessions.insert(*digest, session.clone())));
        Ok(())
    }

    async fn update(&self, digest: &SessionDigest, content: &str, expires_at: Timestamp) -> Result<bool> {
        Ok(self.auxiliary.change(|auxiliary| {
            change(auxiliary, digest, expires_at, |session| content.clone_into(&mut session.content))
        }))
    }

    async fn extend(&self, digest: &SessionDigest, expires_at: Timestamp) -> Result<bool> {
        Ok(self.auxiliary.change(|auxiliary| change(auxiliary, digest, expires_at, |_| {})))
    }

    async fn delete(&self, digest: &SessionDigest) -> Result<()> {
        self.auxiliary.change(|auxiliary| drop(auxiliary.sessions.remove(digest)));
        Ok(())
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        let (now, limit) = (self.clock.read(), usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(self.auxiliary.change(|auxiliary| {
            let expired = auxiliary.sessions.iter().filter(|(_, session)| session.expires_at <= now);
            let expired: Vec<_> = expired.take(limit).map(|(digest, _)| *digest).collect();
            for digest in &expired {
                auxiliary.sessions.remove(digest);
            }
            u64::try_from(expired.len()).unwrap_or(u64::MAX)
        }))
    }
}
