//! The sessions of people who are signed in to the console.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use iam_domain::Timestamp;
use iam_storage::{SessionDigest, StoredSession};
use sha2::{Digest, Sha256, Sha512};

use crate::{Application, Failure};

/// The purpose of the key that encrypts the cookies of the console. It is derived from the key that signs cursors.
const COOKIE_KEY: &[u8] = b"iam console session cookies 1";

/// The key of a session, which only the browser of the signed-in person knows.
pub struct SessionKey<'a>(pub &'a str);

impl fmt::Debug for SessionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl SessionKey<'_> {
    fn digest(&self) -> SessionDigest {
        SessionDigest(Sha256::digest(self.0).into())
    }
}

impl Application {
    /// Returns the key that encrypts the cookies of the console. All replicas that use the same storage have the same key.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn session_cookie_key(&self) -> Result<[u8; 64], Failure> {
        let key = self.known_cursor_key().await?;
        let mac = Hmac::<Sha512>::new_from_slice(&key.0).map_err(|error| Failure::Internal(Box::new(error)))?;
        Ok(mac.chain_update(COOKIE_KEY).finalize().into_bytes().into())
    }

    /// Returns the session with this key, unless it has expired at the time `now`.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn session(&self, key: &SessionKey<'_>, now: Timestamp) -> Result<Option<StoredSession>, Failure> {
        Ok(self.storage.sessions().find(&key.digest(), now).await?)
    }

    /// Stores a new session.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be reached.
    pub async fn begin_session(&self, key: &SessionKey<'_>, session: &StoredSession) -> Result<(), Failure> {
        Ok(self.storage.sessions().create(&key.digest(), session).await?)
    }

    /// Replaces the content of a session, and extends it until this time, but not beyond its end. A session that has ended
    /// is not stored again.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be reached.
    pub async fn change_session(
        &self,
        key: &SessionKey<'_>,
        content: &str,
        expires_at: Timestamp,
    ) -> Result<(), Failure> {
        Ok(self.storage.sessions().update(&key.digest(), content, expires_at).await.map(drop)?)
    }

    /// Extends a session until this time, but not beyond its end.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be reached.
    pub async fn extend_session(&self, key: &SessionKey<'_>, expires_at: Timestamp) -> Result<(), Failure> {
        Ok(self.storage.sessions().extend(&key.digest(), expires_at).await.map(drop)?)
    }

    /// Ends a session on all replicas.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be reached.
    pub async fn end_session(&self, key: &SessionKey<'_>) -> Result<(), Failure> {
        Ok(self.storage.sessions().delete(&key.digest()).await?)
    }
}
