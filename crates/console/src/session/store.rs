//! Keeps sessions in the storage of the service, so that all replicas know them.

use std::collections::HashMap;
use std::time::Duration;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key};
use actix_web::cookie::time;
use actix_web::web::Data;
use iam_application::{Application, Failure, StoredSession};
use iam_domain::Timestamp;

use super::identity::IDENTITY;
use crate::console::Console;
use crate::error::PageError;

/// The time for which a session without a signed-in person is kept: long enough for a sign-in.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// A session is extended at most once in this part of its idle time-out, so that most requests write nothing.
const EXTENSIONS: u32 = 10;

type State = HashMap<String, String>;

/// The sessions of the console.
pub(super) struct Store(pub(super) Data<Console>);

/// Logs the failure of an operation on sessions. The response does not contain it.
fn failed(failure: Failure) -> anyhow::Error {
    anyhow::Error::new(PageError::from(failure))
}

fn encode(state: &State) -> Result<String, anyhow::Error> {
    Ok(serde_json::to_string(state)?)
}

fn stored(key: &SessionKey) -> iam_application::SessionKey<'_> {
    iam_application::SessionKey(key.as_ref())
}

impl Store {
    fn application(&self) -> &Application {
        self.0.application()
    }

    fn now(&self) -> Timestamp {
        self.0.services.clock.now()
    }

    /// Returns the time at which a session expires if it is not used again.
    fn expiry(&self, state: &State) -> Timestamp {
        let timeout = if state.contains_key(IDENTITY) { self.0.options.idle_timeout } else { SIGN_IN_TIMEOUT };
        self.now().plus(timeout)
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<State>, Failure> {
        let Some(session) = self.application().session(&stored(key), self.now()).await? else { return Ok(None) };
        let state = serde_json::from_str::<State>(&session.content).unwrap_or_default();
        let expires_at = self.expiry(&state);
        let is_due = session.expires_at < expires_at.minus(self.0.options.idle_timeout / EXTENSIONS);
        if state.contains_key(IDENTITY) && is_due && session.expires_at < session.ends_at {
            self.application().extend_session(&stored(key), expires_at).await?;
        }
        Ok(Some(state))
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        self.find(key).await.map_err(|failure| LoadError::Other(failed(failure)))
    }

    async fn save(&self, state: State, _: &time::Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        let ends_at = self.now().plus(self.0.options.absolute_timeout);
        let session = StoredSession {
            content: encode(&state).map_err(SaveError::Serialization)?,
            ends_at,
            expires_at: self.expiry(&state).min(ends_at),
        };
        let begun = self.application().begin_session(&stored(&key), &session).await;
        begun.map(|()| key).map_err(|failure| SaveError::Other(failed(failure)))
    }

    async fn update(&self, key: SessionKey, state: State, _: &time::Duration) -> Result<SessionKey, UpdateError> {
        let content = encode(&state).map_err(UpdateError::Serialization)?;
        let changed = self.application().change_session(&stored(&key), &content, self.expiry(&state)).await;
        changed.map(|()| key).map_err(|failure| UpdateError::Other(failed(failure)))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &time::Duration) -> Result<(), anyhow::Error> {
        // `find` extends sessions.
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.application().end_session(&stored(key)).await.map_err(failed)
    }
}
