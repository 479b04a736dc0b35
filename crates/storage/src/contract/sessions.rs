//! Test cases for the sessions of the console.

use std::sync::Arc;

use iam_domain::Timestamp;
use uuid::Uuid;

use crate::{SessionDigest, Storage, StoredSession};

/// A time long after the tests, in seconds since the Unix epoch.
const LATER: i64 = 4_000_000_000;

fn digest() -> SessionDigest {
    let mut digest = [0; 32];
    for (half, id) in digest.chunks_mut(16).zip([Uuid::new_v4(), Uuid::new_v4()]) {
        half.copy_from_slice(id.as_bytes());
    }
    SessionDigest(digest)
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000).unwrap()
}

/// Returns a session that expires and ends at these seconds.
fn session(expires_at: i64, ends_at: i64) -> StoredSession {
    let content = "{\"text\": \"<script> \u{202e} é 😀\"}".to_owned();
    StoredSession { content, ends_at: second(ends_at), expires_at: second(expires_at) }
}

/// A session is read as it was written, only by its digest, and until it expires.
pub async fn a_session_is_read_as_written_until_it_expires(storage: Arc<dyn Storage>) {
    let (sessions, own, stored) = (storage.sessions(), digest(), session(LATER, LATER + 10));
    sessions.create(&own, &stored).await.unwrap();
    assert_eq!(sessions.find(&own, second(LATER - 1)).await.unwrap(), Some(stored));
    assert_eq!(sessions.find(&own, second(LATER)).await.unwrap(), None);
    assert_eq!(sessions.find(&digest(), second(0)).await.unwrap(), None);
    let printed = format!("{own:?} {:?}", session(LATER, LATER));
    assert!(!printed.contains("script") && printed.contains('…'), "{printed}");
}

/// A session is changed and extended, but never beyond its end.
pub async fn a_session_is_extended_until_its_end(storage: Arc<dyn Storage>) {
    let (sessions, own, other) = (storage.sessions(), digest(), digest());
    sessions.create(&own, &session(LATER, LATER + 10)).await.unwrap();
    sessions.create(&other, &session(LATER, LATER + 10)).await.unwrap();
    assert!(sessions.extend(&own, second(LATER + 5)).await.unwrap());
    let found = sessions.find(&own, second(0)).await.unwrap();
    assert_eq!(found, Some(session(LATER + 5, LATER + 10)));
    assert!(sessions.update(&own, "new", second(LATER + 20)).await.unwrap());
    let changed = StoredSession { content: "new".to_owned(), ..session(LATER + 10, LATER + 10) };
    assert_eq!(sessions.find(&own, second(0)).await.unwrap(), Some(changed));
    assert!(sessions.extend(&own, second(LATER + 30)).await.unwrap());
    assert_eq!(sessions.find(&own, second(LATER + 10)).await.unwrap(), None);
    assert_eq!(sessions.find(&other, second(0)).await.unwrap(), Some(session(LATER, LATER + 10)));
}

/// A session that was ended is neither changed nor extended: a late request does not bring it back.
pub async fn an_ended_session_does_not_come_back(storage: Arc<dyn Storage>) {
    let (sessions, own, other) = (storage.sessions(), digest(), digest());
    for digest in [&own, &other] {
        sessions.create(digest, &session(LATER, LATER)).await.unwrap();
    }
    sessions.delete(&own).await.unwrap();
    sessions.delete(&own).await.unwrap();
    assert!(!sessions.update(&own, "new", second(LATER)).await.unwrap());
    assert!(!sessions.extend(&own, second(LATER)).await.unwrap());
    assert_eq!(sessions.find(&own, second(0)).await.unwrap(), None);
    assert!(sessions.find(&other, second(0)).await.unwrap().is_some());
}

/// Expired sessions are deleted in bounded batches. Other sessions remain.
pub async fn expired_sessions_are_deleted(storage: Arc<dyn Storage>) {
    let (sessions, valid) = (storage.sessions(), digest());
    while sessions.delete_expired(100).await.unwrap() > 0 {}
    sessions.create(&valid, &session(LATER, LATER)).await.unwrap();
    for _ in 0..3 {
        sessions.create(&digest(), &session(1, LATER)).await.unwrap();
    }
    let delete = async || sessions.delete_expired(2).await.unwrap();
    assert_eq!((delete().await, delete().await, delete().await), (2, 1, 0));
    assert!(sessions.find(&valid, second(0)).await.unwrap().is_some());
}
