//! Keeps sessions in the storage of the service, so that all replicas know them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key};
use actix_web::cookie::time;
use actix_web::web::Data;
use iam_application::{Application, Failure, StoredSession};
use iam_domain::Timestamp;

use crate::console::Console;
use crate::error::PageError;

/// A session is extended at most once in this part of its idle time-out, so that most requests write nothing.
const EXTENSIONS: u32 = 10;

type State = HashMap<String, String>;

/// The sessions of the console, as one request uses them.
pub(super) struct Store {
    pub(super) console: Data<Console>,
    /// The page for the first failure.
    pub(super) failure: Rc<OnceCell<PageError>>,
}

fn encode(state: &State) -> Result<String, anyhow::Error> {
    Ok(serde_json::to_string(state)?)
}

fn stored(key: &SessionKey) -> iam_application::SessionKey<'_> {
    iam_application::SessionKey(key.as_ref())
}

impl Store {
    fn application(&self) -> &Application {
        self.console.application()
    }

    fn now(&self) -> Timestamp {
        self.console.services.clock.now()
    }

    /// Returns the time at which a session expires if it is not used again.
    fn expiry(&self) -> Timestamp {
        self.now().plus(self.console.options.idle_timeout)
    }

    /// Logs and remembers the failure of an operation on sessions.
    fn failed(&self, failure: Failure) -> anyhow::Error {
        anyhow::Error::new(self.failure.get_or_init(|| PageError::from(failure)).clone())
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<State>, Failure> {
        let Some(session) = self.application().session(&stored(key), self.now()).await? else { return Ok(None) };
        let state = serde_json::from_str::<State>(&session.content).unwrap_or_default();
        let expires_at = self.expiry();
        let is_due = session.expires_at < expires_at.minus(self.console.options.idle_timeout / EXTENSIONS);
        if is_due && session.expires_at < session.ends_at {
            self.application().extend_session(&stored(key), expires_at).await?;
        }
        Ok(Some(state))
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        self.find(key).await.map_err(|failure| LoadError::Other(self.failed(failure)))
    }

    async fn save(&self, state: State, _: &time::Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        let ends_at = self.now().plus(self.console.options.absolute_timeout);
        let session = StoredSession {
            content: encode(&state).map_err(SaveError::Serialization)?,
            ends_at,
            expires_at: self.expiry().min(ends_at),
        };
        let begun = self.application().begin_session(&stored(&key), &session).await;
        begun.map(|()| key).map_err(|failure| SaveError::Other(self.failed(failure)))
    }

    async fn update(&self, key: SessionKey, state: State, _: &time::Duration) -> Result<SessionKey, UpdateError> {
        let content = encode(&state).map_err(UpdateError::Serialization)?;
        let changed = self.application().change_session(&stored(&key), &content, self.expiry()).await;
        changed.map(|()| key).map_err(|failure| UpdateError::Other(self.failed(failure)))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &time::Duration) -> Result<(), anyhow::Error> {
        // `find` extends sessions.
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.application().end_session(&stored(key)).await.map_err(|failure| self.failed(failure))
    }
}
