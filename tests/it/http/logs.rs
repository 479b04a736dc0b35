//! Tests of the log lines of a request. Each line has the request id, route, company and actor. Each error is logged
//! exactly once.

use std::io;
use std::sync::{Arc, Mutex, Once};

use iam_http::RequestSpans;
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Reader, Result, Sessions, Storage, StorageError, Target, UnitOfWork,
};
use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, new_user, token};

/// A writer that collects the log lines of this file's requests, as JSON. All tests of the process share one
/// subscriber. Subscribers per thread would be unreliable, because `tracing` caches the interest of callsites for the
/// whole process.
struct Lines;

static LINES: Mutex<Vec<Value>> = Mutex::new(Vec::new());

impl io::Write for Lines {
    /// Stores a line if its request id begins with `logs-`.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let parsed: Value = serde_json::from_slice(line)?;
        if parsed["span"]["request_id"].as_str().is_some_and(|id| id.starts_with("logs-")) {
            LINES.lock().unwrap().push(parsed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Installs the global subscriber, once per process.
    fn begin() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| {
            let logs = tracing_subscriber::fmt().json().with_span_list(false).with_writer(|| Self);
            tracing::subscriber::set_global_default(RequestSpans::new(Box::new(logs.finish()))).unwrap();
        });
    }

    /// Returns the collected lines with this request id.
    fn of(request_id: &str) -> Vec<Value> {
        let lines = LINES.lock().unwrap();
        lines.iter().filter(|line| line["span"]["request_id"] == request_id).cloned().collect()
    }
}

/// A storage in which no unit of work can begin. Every attempt fails with the given error.
pub struct Failing {
    pub inner: Arc<dyn Storage>,
    pub error: fn() -> StorageError,
}

#[async_trait::async_trait]
impl Storage for Failing {
    fn reader(&self) -> &dyn Reader {
        self.inner.reader()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        self.inner.snapshot().await
    }

    async fn begin(&self, _: Target, _: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        tracing::warn!("no change can begin");
        Err((self.error)())
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
        self.inner.sessions()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self.inner.changes()
    }
}

/// Returns the expected log span of a request that the company's administrator sends.
fn span(company: Company, request_id: &str, route: &str) -> Value {
    json!({
        "name": "request",
        "request_id": request_id,
        "route": route,
        "company": company.id.to_string(),
        "actor": format!("user:{}", company.admin),
    })
}

/// Asserts that a storage error is logged in exactly one line, together with its causes. This line has the same span as
/// the other lines of the change.
async fn an_error_has_one_line(error: fn() -> StorageError, status: u16, level: &str, message: &str, causes: &str) {
    let request_id = &format!("logs-{status}");
    let api = TestApi::memory().await;
    let company = api.company().await;
    let router = api.behind(Arc::new(Failing { inner: Arc::clone(&api.storage), error })).await;
    Lines::begin();
    let request = router.post("/api/iam/user-levels").by(company.admin).within(company.id);
    request.header("x-request-id", request_id).json(&json!({ "name": "New" })).send().await.expect(status);
    let lines = Lines::of(request_id);
    let [change, failure] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(change["fields"], json!({ "message": "no change can begin" }));
    assert_eq!(failure["fields"], json!({ "message": message, "error": causes }));
    assert_eq!(failure["level"], level);
    for line in [change, failure] {
        assert_eq!(line["span"], span(company, request_id, "/api/iam/user-levels"));
    }
}

#[actix_web::test]
async fn an_outage_is_logged_once_with_the_fields_of_the_request() {
    let error = || StorageError::Unavailable { retryable: false, source: Some("the disk is full".into()) };
    an_error_has_one_line(error, 503, "WARN", "service unavailable", "storage unavailable: the disk is full").await;
}

#[actix_web::test]
async fn an_internal_error_is_logged_once_with_the_fields_of_the_request() {
    let error = || StorageError::Corrupt { what: "a level".to_owned(), source: Some("no name".into()) };
    an_error_has_one_line(error, 500, "ERROR", "internal error", "storage corrupt: a level: no name").await;
}

#[actix_web::test]
async fn a_denial_is_logged_with_the_fields_of_the_request() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    Lines::begin();
    let request = api.get(&format!("/api/iam/users/{}/user-levels", new_user())).within(company.id);
    let request = request.bearer(&token(company.visitor, false)).header("x-request-id", "logs-denied");
    request.send().await.expect(403);
    let lines = Lines::of("logs-denied");
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("INFO"), &json!("request denied")));
    let company = Company { admin: company.visitor, ..company };
    assert_eq!(line["span"], span(company, "logs-denied", "/api/iam/users/{userId}/user-levels"));
}

#[actix_web::test]
async fn log_lines_of_the_task_of_a_change_have_the_span_of_its_request() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let level = api.level_id(company, "Admin").await;
    Lines::begin();
    let request = api.patch(&format!("/api/iam/user-levels/{level}")).by_super_admin().within(company.id);
    let request = request.header("x-request-id", "logs-super").json(&json!({ "description": "All" }));
    request.send().await.expect(200);
    let lines = Lines::of("logs-super");
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(line["fields"]["message"], "change requested by a super admin");
    assert_eq!(line["span"]["company"], company.id.to_string());
}

#[actix_web::test]
async fn successful_requests_are_not_logged() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    Lines::begin();
    for _ in 0..2 {
        let request =
            api.post("/api/iam/check").by(company.admin).within(company.id).header("x-request-id", "logs-quiet");
        request.json(&json!({ "view": "/admin/user-levels" })).send().await.expect(200);
    }
    assert_eq!(Lines::of("logs-quiet"), Vec::<Value>::new());
}
