//! An in-process instance of the API with the same components as the server. It stores its data in memory or in a
//! PostgreSQL database that no other test uses.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{App, test};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, LocalBoxStream};
use iam_application::{Application, HealthProbe, Readiness};
use iam_domain::{Clock, CompanyId, QuotaLimits, UserId};
use iam_http::{Api, HttpOptions, Services};
use iam_identity::{TokenSigner, TokenVerifier, system_clock};
use iam_permissions_cache::{CacheOptions, Permissions};
use iam_storage::Storage;
use iam_storage_memory::{MemorySimulator, MemoryStorage};
use secrecy::SecretString;
use serde_json::{Value, json};

pub use super::answer::Answer;
use super::database::{Content, TestDatabase};
pub use super::options::{TestOptions, bytes_in_flight, one_a_second};
pub use super::unread::Unread;

/// Returns the HS256 secret that signs the test tokens.
pub fn secret() -> SecretString {
    SecretString::from("the secret of the tests has more than thirty-two bytes")
}

/// Returns a token of this user that is valid for one hour.
pub fn token(user: UserId, is_super_admin: bool) -> String {
    TokenSigner::hs256(&secret()).sign(user, is_super_admin, now(), 3600).unwrap()
}

/// Returns a token with the given claims, signed with [`secret`].
pub fn token_with_claims(claims: &Value) -> String {
    TokenSigner::hs256(&secret()).sign_claims(claims).unwrap()
}

/// Generates a new user id.
pub fn new_user() -> UserId {
    UserId::generate(system_clock().now())
}

/// Generates a new company id.
pub fn new_company() -> CompanyId {
    CompanyId::generate(system_clock().now())
}

/// Returns the current time, in seconds since the Unix epoch.
pub fn now() -> u64 {
    u64::try_from(system_clock().now().millis() / 1000).unwrap()
}

/// Returns the default cache options with a load timeout of 60 s, which is long enough even on a busy machine.
pub fn patient() -> CacheOptions {
    CacheOptions { load_timeout: Duration::from_secs(60), ..CacheOptions::default() }
}

/// A probe that reports no problem.
pub struct Fine;

#[async_trait::async_trait]
impl HealthProbe for Fine {
    async fn storage_is_healthy(&self) -> bool {
        true
    }

    fn readiness(&self) -> Readiness {
        Readiness::default()
    }
}

/// A request under construction.
pub struct Request {
    inner: test::TestRequest,
    /// A body that is sent in parts, each as soon as it is available. `None` if the body is sent as a whole.
    parts: Option<Parts>,
    body: Vec<u8>,
    api: TestApi,
}

type Parts = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

impl Request {
    /// Authenticates as a user who is not a super admin.
    pub fn by(self, user: UserId) -> Self {
        self.header("authorization", &format!("Bearer {}", token(user, false)))
    }

    /// Authenticates as a super admin.
    pub fn by_super_admin(self) -> Self {
        let super_admin = self.api.super_admin;
        self.header("authorization", &format!("Bearer {}", token(super_admin, true)))
    }

    /// Authenticates as a service, with its API key.
    pub fn by_key(self, key: &str) -> Self {
        self.bearer(key)
    }

    /// Authenticates with a token or an API key.
    pub fn bearer(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    /// Sets the company of the request in the `X-Company-Id` header.
    pub fn within(self, company: CompanyId) -> Self {
        self.header("x-company-id", &company.to_string())
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.inner = self.inner.append_header((name, value));
        self
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    /// Sets an arbitrary body of the given content type.
    pub fn bytes(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", content_type).payload(body)
    }

    /// Sets an arbitrary body without a `Content-Type` header.
    pub fn payload(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.inner = self.inner.set_payload(self.body.clone());
        self
    }

    /// Sets a JSON body whose last byte is sent only after the given future completes.
    pub fn json_after(mut self, body: &Value, something: impl Future<Output = ()> + 'static) -> Self {
        self.body = body.to_string().into_bytes();
        let mut first = Bytes::from(self.body.clone());
        let last = first.split_off(first.len() - 1);
        let last = async {
            something.await;
            Ok(last)
        };
        self.parts = Some(stream::iter([Ok(first)]).chain(stream::once(last)).boxed_local());
        self.header("content-type", "application/json")
    }

    /// Sends the request and returns the response. Request and response must conform to the OpenAPI document.
    pub async fn send(self) -> Answer {
        let body = self.body.clone();
        self.send_unread().await.read(&body).await
    }

    /// Sends the request and returns the response before its body is read, as a slow client does.
    pub async fn send_unread(self) -> Unread {
        (self.api.call)(self.inner, self.parts).await
    }
}

/// Sends a request.
type Call = Rc<dyn Fn(test::TestRequest, Option<Parts>) -> LocalBoxFuture<'static, Unread>>;

/// Creates an API with these services.
async fn serve(services: Services, options: HttpOptions) -> Call {
    let api = Api::new(services, options);
    let service = Rc::new(test::init_service(App::new().configure(|config| iam_http::configure(config, &api))).await);
    Rc::new(move |request, parts| {
        let service = Rc::clone(&service);
        Box::pin(async move {
            let mut request = request.to_request();
            if let Some(parts) = parts {
                *request.payload() = Payload::from(parts);
            }
            let (method, uri) = (request.method().clone(), request.uri().to_string());
            // The Actix server converts a service error into a response. The test does the same.
            let response = match test::try_call_service(service.as_ref(), request).await {
                Ok(response) => response.into_parts().1.map_into_boxed_body(),
                Err(error) => error.error_response(),
            };
            Unread { method, uri, response }
        })
    })
}

/// Sends a `GET` with this `Authorization` header to an API with these services.
pub async fn get_from(services: Services, path: &str, authorization: &str) -> Answer {
    let request = test::TestRequest::get().uri(path).insert_header(("authorization", authorization));
    serve(services, HttpOptions::default()).await(request, None).await.read(&[]).await
}

/// An API instance that uses one storage with the seeded catalog.
#[derive(Clone)]
pub struct TestApi {
    call: Call,
    pub storage: Arc<dyn Storage>,
    pub application: Arc<Application>,
    pub permissions: Arc<Permissions>,
    pub super_admin: UserId,
    pub database: Option<Rc<TestDatabase>>,
}

/// A provisioned company with one user for each default level.
#[derive(Debug, Clone, Copy)]
pub struct Company {
    pub id: CompanyId,
    pub admin: UserId,
    pub member: UserId,
    pub visitor: UserId,
}

impl TestApi {
    /// Creates the API on in-memory storage.
    pub async fn memory() -> Self {
        let storage = Arc::new(MemoryStorage::seeded(system_clock()).await.unwrap());
        Self::over(storage, None, HttpOptions::default()).await
    }

    /// Creates the API on a new PostgreSQL database.
    pub async fn postgres() -> Self {
        let database = TestDatabase::new(Content::Seeded).await;
        let storage = Arc::new(database.storage());
        Self::over(storage, Some(Rc::new(database)), HttpOptions::default()).await
    }

    /// Creates the API on the given storage. The `database`, if there is one, is dropped together with the last clone
    /// of the API.
    pub async fn over(
        storage: Arc<dyn Storage>,
        database: Option<Rc<TestDatabase>>,
        options: impl Into<TestOptions>,
    ) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let permissions = Permissions::new(Arc::clone(&storage), runtime, patient());
        Self::answering(storage, Arc::new(permissions), database, options).await
    }

    /// Creates the API on the given storage, with the given permissions cache.
    pub async fn answering(
        storage: Arc<dyn Storage>,
        permissions: Arc<Permissions>,
        database: Option<Rc<TestDatabase>>,
        options: impl Into<TestOptions>,
    ) -> Self {
        let services = (TokenVerifier::hs256(&secret()), system_clock(), QuotaLimits::default());
        Self::trusting(storage, permissions, services, database, options).await
    }

    /// Creates the API like [`Self::answering`], with the given token verifier, clock and default quotas.
    async fn trusting(
        storage: Arc<dyn Storage>,
        permissions: Arc<Permissions>,
        (verifier, clock, quotas): (TokenVerifier, Clock, QuotaLimits),
        database: Option<Rc<TestDatabase>>,
        options: impl Into<TestOptions>,
    ) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let TestOptions { http, budgets } = options.into();
        let simulator = Arc::new(MemorySimulator);
        let application = Application::new(Arc::clone(&storage), Arc::clone(&permissions), simulator, runtime);
        let application = Arc::new(application.with_budgets(budgets).with_quotas(quotas));
        let services = Services {
            application: Arc::clone(&application),
            verifier: Arc::new(verifier.with_clock(clock.clone())),
            probe: Arc::new(Fine),
            clock,
        };
        let call = serve(services, http).await;
        Self { call, storage, application, permissions, super_admin: new_user(), database }
    }

    /// Creates a request for the given method and path.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let inner = test::TestRequest::default().method(method).uri(path);
        Request { inner, parts: None, body: Vec::new(), api: self.clone() }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// Provisions a company and assigns each default level to a new user.
    pub async fn company(&self) -> Company {
        let company = Company { id: new_company(), admin: new_user(), member: new_user(), visitor: new_user() };
        let path = format!("/api/iam/companies/{}/provision", company.id);
        let body = json!({ "adminUserId": company.admin });
        self.post(&path).by_super_admin().json(&body).send().await.expect(201);
        for (user, level) in [(company.member, "Member"), (company.visitor, "Visitor")] {
            let ids = json!({ "userLevelIds": [self.level_id(company, level).await] });
            let path = format!("/api/iam/users/{user}/user-levels");
            self.put(&path).by(company.admin).within(company.id).json(&ids).send().await.expect(200);
        }
        company
    }

    /// Creates an API key for one company, or for all companies if `company` is `None`.
    pub async fn api_key(&self, role: &str, company: Option<CompanyId>) -> String {
        let mut body = json!({ "name": format!("To {role}"), "role": role });
        if let Some(company) = company {
            body["companyId"] = json!(company);
        }
        let made = self.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
        made["key"].as_str().unwrap().to_owned()
    }

    /// Returns the id of the company's level with this name.
    pub async fn level_id(&self, company: Company, name: &str) -> String {
        let levels = self.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.data();
        let levels = levels["userLevels"].as_array().unwrap();
        let level = levels.iter().find(|level| level["name"] == name);
        level.unwrap_or_else(|| panic!("no level {name}"))["id"].as_str().unwrap().to_owned()
    }

    /// Returns the id of the view with this URL.
    pub async fn view_id(&self, url: &str) -> String {
        let view = self.storage.reader().views().find_by_url(url).await.unwrap();
        view.unwrap_or_else(|| panic!("no view {url}")).id.to_string()
    }

    /// Returns the id of the feature with this key.
    pub async fn feature_id(&self, key: &str) -> String {
        let feature = self.storage.reader().features().find_by_key(key).await.unwrap();
        feature.unwrap_or_else(|| panic!("no feature {key}")).id.to_string()
    }

    /// Returns the id of the module with this code.
    pub async fn module_id(&self, code: &str) -> String {
        let module = self.storage.reader().modules().find_by_code(code).await.unwrap();
        module.unwrap_or_else(|| panic!("no module {code}")).id.to_string()
    }
}

/// Helpers that many tests use.
impl TestApi {
    /// Creates another API instance on the same storage, with the given options.
    pub async fn with_options(&self, options: impl Into<TestOptions>) -> Self {
        Self::over(Arc::clone(&self.storage), self.database.clone(), options).await
    }

    /// Creates another API instance on the same storage, with this timeout for bodies, in milliseconds.
    pub async fn with_body_timeout(&self, milliseconds: u64) -> Self {
        let body_timeout = Duration::from_millis(milliseconds);
        self.with_options(HttpOptions { body_timeout, ..HttpOptions::default() }).await
    }

    /// Creates another API instance on a storage that wraps this instance's storage.
    pub async fn behind(&self, storage: Arc<dyn Storage>) -> Self {
        Self::over(storage, self.database.clone(), HttpOptions::default()).await
    }

    /// Creates another API instance on the same storage, with the given token verifier.
    pub async fn with_verifier(&self, verifier: TokenVerifier) -> Self {
        self.using((verifier, system_clock(), QuotaLimits::default())).await
    }

    /// Creates another API instance on the same storage, with the given token verifier and its own permissions cache.
    pub async fn with_cache(&self, verifier: TokenVerifier, options: CacheOptions) -> Self {
        self.caching((verifier, system_clock(), QuotaLimits::default()), options).await
    }

    /// Creates another API instance on the same storage, with the given clock instead of the system clock.
    pub async fn with_clock(&self, clock: Clock) -> Self {
        self.using((TokenVerifier::hs256(&secret()), clock, QuotaLimits::default())).await
    }

    /// Creates another API instance on the same storage, with the given default quotas.
    pub async fn with_quotas(&self, quotas: QuotaLimits) -> Self {
        self.using((TokenVerifier::hs256(&secret()), system_clock(), quotas)).await
    }

    async fn using(&self, services: (TokenVerifier, Clock, QuotaLimits)) -> Self {
        self.caching(services, patient()).await
    }

    async fn caching(&self, services: (TokenVerifier, Clock, QuotaLimits), options: CacheOptions) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let permissions = Permissions::new(Arc::clone(&self.storage), runtime, options);
        let (storage, database) = (Arc::clone(&self.storage), self.database.clone());
        Self::trusting(storage, Arc::new(permissions), services, database, HttpOptions::default()).await
    }

    /// Sends a `POST` as a super admin to create an entity, within the given company if there is one. Returns the
    /// entity.
    pub async fn make(&self, collection: &str, company: Option<CompanyId>, body: Value) -> Value {
        let request = self.post(&format!("/api/iam/{collection}")).by_super_admin().json(&body);
        let request = if let Some(company) = company { request.within(company) } else { request };
        let mut data = request.send().await.expect(201).data();
        let made = data.as_object_mut().unwrap().values_mut().next().unwrap();
        made.take()
    }

    /// Creates a level of a company and returns its id.
    pub async fn new_level(&self, company: Company, name: &str) -> String {
        let level = self.make("user-levels", Some(company.id), json!({ "name": name })).await;
        level["id"].as_str().unwrap().to_owned()
    }

    /// Replaces the matrix of a level as a super admin. `matrix` is `views` or `features`. The request sets `force`.
    pub async fn set_matrix(&self, company: Company, level: &str, matrix: &str, cells: Value) {
        let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}?force=true");
        self.put(&path).by_super_admin().within(company.id).json(&json!({ matrix: cells })).send().await.expect(200);
    }

    /// Returns the cells of a level's matrix. `matrix` is `views` or `features`.
    pub async fn matrix(&self, company: Company, level: &str, matrix: &str) -> Vec<Value> {
        let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}");
        let data = self.get(&path).by_super_admin().within(company.id).send().await.expect(200).data();
        data["permissions"].as_array().unwrap().clone()
    }

    /// Replaces the levels of a user as a super admin. The request sets `force`.
    pub async fn assign(&self, company: Company, user: UserId, levels: &[&str]) {
        let path = format!("/api/iam/users/{user}/user-levels?force=true");
        let body = json!({ "userLevelIds": levels });
        self.put(&path).by_super_admin().within(company.id).json(&body).send().await.expect(200);
    }

    /// Creates a user who holds one new level with these matrices. Returns the ids of the user and the level.
    pub async fn holder_of(&self, company: Company, views: Value, features: Value) -> (UserId, String) {
        let user = new_user();
        let level = self.new_level(company, &format!("Level of {user}")).await;
        self.set_matrix(company, &level, "views", views).await;
        self.set_matrix(company, &level, "features", features).await;
        self.assign(company, user, &[&level]).await;
        (user, level)
    }

    /// Sends a check as `user` and returns the decision.
    pub async fn check(&self, company: Company, user: UserId, question: Value) -> Value {
        self.post("/api/iam/check").by(user).within(company.id).json(&question).send().await.expect(200).data()
    }
}

/// Returns the field names of a JSON object in ascending order.
pub fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Returns the value of the given string field from each object in a JSON array.
pub fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|element| element[field].as_str().unwrap()).collect()
}

/// Returns `true` if the value is a string in the format of timestamps in responses, such as
/// `2026-11-22T12:00:00.000Z`.
pub fn is_time(value: &Value) -> bool {
    let shape: String =
        value.as_str().unwrap().chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

/// Defines each test twice: on in-memory storage and on PostgreSQL.
macro_rules! both_adapters {
    ($($(#[doc = $doc:literal])* async fn $name:ident($api:ident: TestApi) $body:block)+) => {
        $($(#[doc = $doc])* async fn $name($api: $crate::support::api::TestApi) $body)+

        mod memory {
            $(#[actix_web::test]
            async fn $name() {
                super::$name($crate::support::api::TestApi::memory().await).await;
            })+
        }

        mod postgres {
            $(#[actix_web::test]
            async fn $name() {
                super::$name($crate::support::api::TestApi::postgres().await).await;
            })+
        }
    };
}
pub(crate) use both_adapters;
