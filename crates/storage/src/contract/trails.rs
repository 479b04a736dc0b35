//! Test cases for navigation trails.

use std::sync::Arc;

use iam_domain::{
    CompanyId, EntityType, Label, SessionId, TRAIL_LIMIT, TRAIL_USER_LIMIT, TrailEntry, Url, UserId, View, ViewId,
};

use super::concurrency::all;
use super::fixtures::{at, change, given, keys, some_company, some_user, some_view, unique, version_and_record_count};
use super::outcomes::assert_unknown;
use crate::{NewTrailEntry, Storage, Target};

/// A session of a user in a company.
#[derive(Debug, Clone)]
struct Visit {
    company: CompanyId,
    user: UserId,
    session: SessionId,
}

impl Visit {
    fn new(company: CompanyId, user: UserId) -> Self {
        Self { company, user, session: SessionId::parse(unique("session")).unwrap() }
    }

    fn step(&self, url: &str) -> NewTrailEntry {
        NewTrailEntry {
            user_id: self.user,
            company_id: self.company,
            session_id: self.session.clone(),
            view_id: None,
            url: Url::parse(url).unwrap(),
            label: Label::parse(format!("At {url}")).unwrap(),
        }
    }

    async fn track(&self, storage: &Arc<dyn Storage>, url: &str) -> TrailEntry {
        storage.nav_trail().track(&self.step(url)).await.unwrap()
    }

    async fn trail(&self, storage: &Arc<dyn Storage>) -> Vec<TrailEntry> {
        storage.nav_trail().find_by_session(self.company, self.user, &self.session).await.unwrap()
    }

    async fn clear(&self, storage: &Arc<dyn Storage>) -> u64 {
        storage.nav_trail().clear(self.company, self.user, &self.session).await.unwrap()
    }

    async fn recent(&self, storage: &Arc<dyn Storage>, limit: u64) -> Vec<String> {
        let recent = storage.nav_trail().find_recent(self.company, self.user, limit).await.unwrap();
        keys(&recent, |entry| entry.url.to_string())
    }
}

fn some_visit() -> Visit {
    Visit::new(some_company(), some_user())
}

/// Tracked steps are returned unchanged, oldest first. The depth of a step is its position in this list.
pub async fn steps_are_listed_in_the_order_of_their_creation(storage: Arc<dyn Storage>) {
    let (visit, view) = (some_visit(), some_view());
    given(&storage, &[&view]).await;
    assert_eq!(visit.trail(&storage).await, []);

    let mut tracked = Vec::new();
    for url in ["/b", "/a", "/b", "/c?x=1#ä"] {
        tracked.push(visit.track(&storage, url).await);
    }
    let with_view = NewTrailEntry { view_id: Some(view.id), ..visit.step("/view") };
    tracked.push(storage.nav_trail().track(&with_view).await.unwrap());

    let trail = visit.trail(&storage).await;
    assert_eq!(trail, tracked);
    assert_eq!(keys(&trail, |step| step.url.to_string()), ["/b", "/a", "/b", "/c?x=1#ä", "/view"]);
    assert_eq!(keys(&trail, |step| step.depth), [0, 1, 2, 3, 4]);
    assert_eq!(keys(&trail, |step| step.view_id), [None, None, None, None, Some(view.id)]);
    assert_eq!(trail[0].label.as_str(), "At /b");
    assert!(trail.iter().all(|step| (step.company_id, step.user_id) == (visit.company, visit.user)));
    assert!(trail.iter().all(|step| step.session_id == visit.session));
    assert!(trail.is_sorted_by_key(|step| step.created_at));
}

/// A session retains its newest steps, and older steps are deleted. The depths of the retained steps start at 0.
pub async fn a_session_keeps_its_newest_steps(storage: Arc<dyn Storage>) {
    let (visit, other) = (some_visit(), some_visit());
    other.track(&storage, "/other").await;
    let urls: Vec<_> = (0..TRAIL_LIMIT + 5).map(|n| format!("/{n}")).collect();
    for url in &urls {
        visit.track(&storage, url).await;
    }
    let trail = visit.trail(&storage).await;
    assert_eq!(keys(&trail, |step| step.url.to_string()), urls[5..]);
    assert_eq!(keys(&trail, |step| step.depth), (0..TRAIL_LIMIT as i32).collect::<Vec<_>>());
    assert_eq!(other.trail(&storage).await.len(), 1);
    assert_eq!(visit.clear(&storage).await, TRAIL_LIMIT as u64);
}

/// A user retains the newest steps across all sessions in a company, and older steps are deleted. In each session, the
/// depths of the retained steps start at 0.
pub async fn a_user_keeps_the_newest_steps_of_all_sessions(storage: Arc<dyn Storage>) {
    const SESSIONS: usize = 20;
    let visit = some_visit();
    let elsewhere = Visit { company: some_company(), ..visit.clone() };
    let another = Visit { user: some_user(), ..visit.clone() };
    for other in [&elsewhere, &another] {
        other.track(&storage, "/other").await;
    }
    let brief = Visit::new(visit.company, visit.user);
    brief.track(&storage, "/brief").await;
    let sessions: Vec<_> = (0..SESSIONS).map(|_| Visit::new(visit.company, visit.user)).collect();
    let all = TRAIL_USER_LIMIT + 4;
    let mut last = None;
    for n in 0..all {
        last = Some(sessions[n % SESSIONS].track(&storage, &format!("/{n}")).await);
    }

    assert_eq!(brief.trail(&storage).await, []);
    for (n, session) in sessions.iter().enumerate() {
        let trail = session.trail(&storage).await;
        let kept = (n..all).step_by(SESSIONS).filter(|n| *n >= 4).map(|n| format!("/{n}"));
        assert_eq!(keys(&trail, |step| step.url.to_string()), kept.collect::<Vec<_>>());
        assert!(trail.iter().zip(0..).all(|(step, position)| step.depth == position));
        if n == (all - 1) % SESSIONS {
            assert_eq!(trail.last(), last.as_ref(), "the depth that `track` returned must be the current depth");
        }
    }
    assert_eq!(visit.recent(&storage, u64::MAX).await.len(), TRAIL_USER_LIMIT);
    for other in [&elsewhere, &another] {
        assert_eq!(other.trail(&storage).await.len(), 1);
    }

    // Adding a step to a full session deletes the oldest step of this session. The steps of other sessions are
    // preserved.
    for n in 0..=TRAIL_LIMIT {
        brief.track(&storage, &format!("/full/{n}")).await;
    }
    let oldest = format!("/{}", 4 + TRAIL_LIMIT);
    assert_eq!(visit.recent(&storage, u64::MAX).await.last(), Some(&oldest));
    assert_eq!(brief.trail(&storage).await.len(), TRAIL_LIMIT);
}

/// `find_recent` returns the latest step for each URL across all sessions of the user, newest first, up to the limit.
pub async fn recent_views_are_distinct_and_newest_first(storage: Arc<dyn Storage>) {
    let monday = some_visit();
    let tuesday = Visit::new(monday.company, monday.user);
    assert_eq!(monday.recent(&storage, 10).await, Vec::<String>::new());
    for (visit, url) in [(&monday, "/a"), (&monday, "/b"), (&tuesday, "/c"), (&tuesday, "/a"), (&monday, "/d")] {
        visit.track(&storage, url).await;
    }
    assert_eq!(monday.recent(&storage, 10).await, ["/d", "/a", "/c", "/b"]);
    assert_eq!(tuesday.recent(&storage, 2).await, ["/d", "/a"]);
    assert_eq!(monday.recent(&storage, 0).await, Vec::<String>::new());
    let latest = storage.nav_trail().find_recent(monday.company, monday.user, 2).await.unwrap();
    assert_eq!(latest[1].session_id, tuesday.session, "the returned step must be the latest step for its URL");
}

/// Clearing a session deletes its steps. The steps of other sessions are preserved. Clearing the session again deletes
/// nothing.
pub async fn a_session_is_deleted_once(storage: Arc<dyn Storage>) {
    let visit = some_visit();
    let other = Visit::new(visit.company, visit.user);
    for url in ["/a", "/b", "/a"] {
        visit.track(&storage, url).await;
    }
    other.track(&storage, "/c").await;
    assert_eq!(visit.clear(&storage).await, 3);
    assert_eq!(visit.clear(&storage).await, 0);
    assert_eq!(visit.trail(&storage).await, []);
    assert_eq!(visit.recent(&storage, 10).await, ["/c"]);
    assert_eq!(visit.track(&storage, "/again").await.depth, 0);
}

/// Trails are scoped to the company and the user. In another company, or for another user, the same session id
/// identifies another trail.
pub async fn trails_of_two_users_with_one_session_id_are_separate(storage: Arc<dyn Storage>) {
    let mine = some_visit();
    let elsewhere = Visit { company: some_company(), ..mine.clone() };
    let another = Visit { user: some_user(), ..mine.clone() };
    let visits = [(&mine, "/mine"), (&elsewhere, "/elsewhere"), (&another, "/another")];
    for (visit, url) in visits {
        visit.track(&storage, url).await;
    }
    for (visit, url) in visits {
        let trail = visit.trail(&storage).await;
        assert_eq!(keys(&trail, |step| (step.url.to_string(), step.depth)), [(url.to_owned(), 0)]);
        assert_eq!(visit.recent(&storage, 10).await, [url]);
    }
    assert_eq!(mine.clear(&storage).await, 1);
    assert_eq!(elsewhere.trail(&storage).await.len(), 1);
    assert_eq!(another.trail(&storage).await.len(), 1);
}

/// Session ids are case-sensitive.
pub async fn session_ids_are_exact(storage: Arc<dyn Storage>) {
    let lower = some_visit();
    let upper = Visit { session: SessionId::parse(lower.session.as_str().to_uppercase()).unwrap(), ..lower.clone() };
    lower.track(&storage, "/lower").await;
    assert_eq!(upper.trail(&storage).await, []);
    assert_eq!(upper.clear(&storage).await, 0);
}

/// Tracking a step with an unknown view returns `Unknown` with the id of the view, and stores nothing.
pub async fn a_step_with_an_unknown_view_is_rejected(storage: Arc<dyn Storage>) {
    let (visit, unknown) = (some_visit(), ViewId::generate(at(0)));
    let step = NewTrailEntry { view_id: Some(unknown), ..visit.step("/unknown") };
    assert_unknown(storage.nav_trail().track(&step).await, EntityType::View, [unknown.as_uuid()]);
    assert_eq!(visit.trail(&storage).await, []);
}

/// When a view is deleted, the steps that refer to it are preserved, but their view id is cleared.
pub async fn steps_survive_the_deletion_of_their_view(storage: Arc<dyn Storage>) {
    let (visit, gone, stays) = (some_visit(), some_view(), some_view());
    given(&storage, &[&gone, &stays]).await;
    let to = |view: &View| NewTrailEntry { view_id: Some(view.id), ..visit.step("/view") };
    let first = storage.nav_trail().track(&to(&gone)).await.unwrap();
    let second = storage.nav_trail().track(&to(&stays)).await.unwrap();
    change!(storage, Target::Catalog, tx => tx.views_mut().delete(gone.id)).unwrap();
    assert_eq!(visit.trail(&storage).await, [TrailEntry { view_id: None, ..first }, second]);
}

/// Writing a navigation trail increments no version and writes no audit record.
pub async fn writing_trails_is_no_change(storage: Arc<dyn Storage>) {
    let visit = some_visit();
    let before = version_and_record_count(&storage, visit.company).await;
    visit.track(&storage, "/a").await;
    visit.clear(&storage).await;
    assert_eq!(version_and_record_count(&storage, visit.company).await, before);
    assert_eq!(storage.reader().company_states().read(visit.company).await.unwrap(), None);
}

/// Steps that are tracked concurrently are all stored, each with a different depth.
pub async fn concurrent_steps_are_all_stored(storage: Arc<dyn Storage>) {
    let visit = some_visit();
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let (storage, visit) = (Arc::clone(&storage), visit.clone());
            tokio::spawn(async move { visit.track(&storage, &format!("/{n}")).await.id })
        })
        .collect();
    let mut made = all(tasks).await;
    let trail = visit.trail(&storage).await;
    let mut kept = keys(&trail, |step| step.id);
    made.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, made);
    assert_eq!(keys(&trail, |step| step.depth), (0..12).collect::<Vec<_>>());
}
