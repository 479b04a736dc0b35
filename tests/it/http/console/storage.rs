//! Tests of the sessions that the console stores, and of the console while the storage is unreachable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::http::Method;
use async_trait::async_trait;
use iam_domain::Timestamp;
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Reader, Result, SessionDigest, Sessions, Storage, StorageError, StoredSession, Target, UnitOfWork,
};

use crate::support::api::{TestApi, new_user, token};
use crate::support::console::{Setting, TestConsole, form_token};

/// A storage whose sessions and units of work are unreachable while a test says so. It counts the stored sessions.
struct Watched {
    inner: Arc<dyn Storage>,
    is_down: AtomicBool,
    created: AtomicUsize,
}

impl Watched {
    fn of(api: &TestApi) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(&api.storage),
            is_down: AtomicBool::new(false),
            created: AtomicUsize::new(0),
        })
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StorageError::Unavailable { retryable: false, source: Some("the password is hunter2".into()) }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Sessions for Watched {
    async fn find(&self, digest: &SessionDigest, now: Timestamp) -> Result<Option<StoredSession>> {
        self.check()?;
        self.inner.sessions().find(digest, now).await
    }

    async fn create(&self, digest: &SessionDigest, session: &StoredSession) -> Result<()> {
        self.check()?;
        self.created.fetch_add(1, Ordering::SeqCst);
        self.inner.sessions().create(digest, session).await
    }

    async fn update(&self, digest: &SessionDigest, content: &str, expires_at: Timestamp) -> Result<bool> {
        self.check()?;
        self.inner.sessions().update(digest, content, expires_at).await
    }

    async fn extend(&self, digest: &SessionDigest, expires_at: Timestamp) -> Result<bool> {
        self.check()?;
        self.inner.sessions().extend(digest, expires_at).await
    }

    async fn delete(&self, digest: &SessionDigest) -> Result<()> {
        self.check()?;
        self.inner.sessions().delete(digest).await
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        self.check()?;
        self.inner.sessions().delete_expired(limit).await
    }
}

#[async_trait]
impl Storage for Watched {
    fn reader(&self) -> &dyn Reader {
        self.inner.reader()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        self.check()?;
        self.inner.snapshot().await
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        self.check()?;
        self.inner.begin(target, context).await
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.inner.nav_trail()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self.inner.effective_view_permissions()
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.inner.effective_feature_permissions()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.inner.api_key_uses()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.inner.idempotency_keys()
    }

    fn sessions(&self) -> &dyn Sessions {
        self
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self.inner.changes()
    }
}

#[actix_web::test]
async fn while_the_storage_is_unreachable_pages_contain_no_data_and_ask_to_retry() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let storage = Watched::of(&api);
    let behind = api.behind(Arc::clone(&storage) as Arc<dyn Storage>).await;
    let console = TestConsole::of(&behind, Setting::default()).await;
    let browser = console.signed_in(company.admin, false).await;
    let path = format!("/console/companies/{}/levels", company.id);
    let page = browser.get(&path).await.expect(200);
    let style = page.text().split('"').find(|part| part.ends_with(".css")).unwrap().to_owned();
    let csrf = form_token(&page);

    storage.set_down(true);
    let fields = [("csrf", csrf.as_str()), ("name", "Lost")];
    let create = || browser.post(&path, &fields);
    for unavailable in [browser.get(&path).await, browser.get("/console").await, create().await] {
        let unavailable = unavailable.expect(503);
        assert_eq!(unavailable.header("retry-after"), Some("1"));
        assert!(unavailable.header("content-security-policy").is_some());
        let text = unavailable.text();
        assert!(text.contains("temporarily unavailable") && text.contains("Try again in 1 second"), "{text}");
        for secret in ["Visitor", &company.admin.to_string(), &company.id.to_string(), "hunter2"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    browser.get(&style).await.expect(200);
    let other = console.browser();
    assert!(other.sign_in(&token(company.admin, false)).await.expect(503).text().contains("temporarily unavailable"));

    storage.set_down(false);
    assert!(!other.is_signed_in().await);
    assert!(!browser.get(&path).await.expect(200).text().contains("Lost"));
    create().await.expect(303);
}

#[actix_web::test]
async fn only_a_sign_in_stores_a_session() {
    let api = TestApi::memory().await;
    let storage = Watched::of(&api);
    let console =
        TestConsole::of(&api.behind(Arc::clone(&storage) as Arc<dyn Storage>).await, Setting::default()).await;
    let browser = console.browser();
    browser.send(Method::HEAD, "/console/sign-in", &[], None).await.expect(200);
    browser.get("/console/sign-in").await.expect(200);
    browser.get("/console/companies").await.expect(303);
    browser.get("/console/sign-in/callback?code=a&state=b").await.expect(400);
    browser.sign_in("forged").await.expect(401);
    browser.post("/console/sign-out", &[]).await.expect(303);
    assert_eq!(storage.created.load(Ordering::SeqCst), 0);
    browser.sign_in(&token(new_user(), false)).await.expect(303);
    assert!(browser.is_signed_in().await);
    assert_eq!(storage.created.load(Ordering::SeqCst), 1);
}
