//! The test world: two companies, callers of every kind, the entities to which requests refer, and a transcript of all
//! responses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use actix_web::http::Method;
use iam_domain::{CompanyId, UserId};
use serde_json::{Value, json};

use super::operation::{Entity, Needs, Operation, SERVICES, TestCaller};
use crate::support::api::{Answer, Company, Request, TestApi, new_user};

/// The description of a request, and its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub what: String,
    pub answer: Answer,
}

/// Two companies with their users and API keys, and entities that are created on demand. Tests send every request
/// through [`World::send`], which records the response.
pub struct World {
    pub api: TestApi,
    pub ours: Company,
    pub theirs: Company,
    non_member: UserId,
    reader: UserId,
    team_manager: UserId,
    keys: BTreeMap<&'static str, String>,
    things: RefCell<BTreeMap<Entity, String>>,
    count: Cell<usize>,
    transcript: RefCell<Vec<Exchange>>,
}

/// All data of a company or of the catalog. Each element is a path and the data that the API returns for this path.
pub type Dump = Vec<(String, Value)>;

impl World {
    pub async fn new(api: TestApi) -> Self {
        let (ours, theirs) = (api.company().await, api.company().await);
        let mut keys = BTreeMap::new();
        for (who, role) in SERVICES {
            let company = match who {
                TestCaller::TheirKey => Some(theirs.id),
                TestCaller::PlatformKey => None,
                _ => Some(ours.id),
            };
            keys.insert(who.name(), api.api_key(role, company).await);
        }
        let world = Self {
            ours,
            theirs,
            non_member: new_user(),
            reader: new_user(),
            team_manager: new_user(),
            keys,
            things: RefCell::default(),
            count: Cell::default(),
            transcript: RefCell::default(),
            api,
        };
        world.give(world.reader, &[("Read", "company")]).await;
        world.give(world.team_manager, &[("Read", "team"), ("Update", "team")]).await;
        world
    }

    /// Creates a level that allows these actions of `iam.manage_levels`, each with its scope. Assigns this level to a
    /// user of the first company.
    async fn give(&self, user: UserId, actions: &[(&str, &str)]) {
        let level = self
            .made("/api/iam/user-levels", TestCaller::Admin, Some(self.ours), json!({ "name": self.fresh() }))
            .await;
        let feature = self.api.feature_id("iam.manage_levels").await;
        let cell = |(action, scope)| json!({ "featureId": feature, "action": action, "scope": scope });
        let cells: Vec<_> = actions.iter().copied().map(cell).collect();
        for (path, body) in [
            (format!("/api/iam/user-levels/{level}/permissions/features"), json!({ "features": cells })),
            (format!("/api/iam/users/{user}/user-levels"), json!({ "userLevelIds": [level] })),
        ] {
            self.send(&path, self.request("PUT", &path, TestCaller::Admin, Some(self.ours.id)).json(&body))
                .await
                .expect(200);
        }
    }

    /// Creates an entity with a `POST` and returns its id.
    pub async fn made(&self, path: &str, who: TestCaller, company: Option<Company>, body: Value) -> String {
        let request = self.request("POST", path, who, company.map(|company| company.id));
        let data = self.send(&format!("make {path}"), request.json(&body)).await.expect(201).data();
        let (_, thing) = data.as_object().unwrap().iter().next().unwrap();
        thing["id"].as_str().unwrap().to_owned()
    }

    /// Returns a unique string, such as `n00001`.
    fn fresh(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("n{:05}", self.count.get())
    }

    /// Returns the id of an entity. The entity is created at its first use, and is reused until [`Self::renew`] is
    /// called.
    pub async fn entity(&self, thing: Entity) -> String {
        if let Some(known) = self.things.borrow().get(&thing) {
            return known.clone();
        }
        let (ours, theirs) = (Some(self.ours), Some(self.theirs));
        let (all, name) = (TestCaller::SuperAdmin, json!({ "name": self.fresh() }));
        let label = json!({ "label": self.fresh() });
        let id = match thing {
            Entity::Fresh => return self.fresh(),
            Entity::Gone => uuid::Uuid::new_v4().to_string(),
            Entity::User => new_user().to_string(),
            Entity::Caller => self.ours.admin.to_string(),
            Entity::Member => self.ours.member.to_string(),
            Entity::Company => self.ours.id.to_string(),
            Entity::Level => self.made("/api/iam/user-levels", all, ours, name).await,
            Entity::Item => self.made("/api/iam/menu-items", all, ours, label).await,
            Entity::Sub => self.made_sub_item(ours).await,
            Entity::Key => {
                self.made("/api/iam/api-keys", all, None, json!({ "name": self.fresh(), "role": "check" })).await
            }
            Entity::View => {
                let view = json!({ "name": "V", "url": format!("/{}", self.fresh()) });
                self.made("/api/iam/views", all, None, view).await
            }
            Entity::Feature => {
                self.made("/api/iam/features", all, None, json!({ "name": "F", "key": self.fresh() })).await
            }
            Entity::Module => {
                // Lists of modules are sorted by name. The name must be unique, because the order of modules with equal
                // names is arbitrary.
                let module = json!({ "name": self.fresh(), "code": self.fresh() });
                self.made("/api/iam/modules", all, None, module).await
            }
            Entity::Leaver => {
                let user = new_user();
                let level = self.api.level_id(self.ours, "Member").await;
                let path = format!("/api/iam/users/{user}/user-levels");
                let request = self.request("PUT", &path, all, Some(self.ours.id));
                self.send(&path, request.json(&json!({ "userLevelIds": [level] }))).await.expect(200);
                user.to_string()
            }
            Entity::Doomed => {
                let company = self.made("/api/iam/companies", all, None, name).await;
                let path = format!("/api/iam/companies/{company}");
                let request = self.request("PATCH", &path, all, None).json(&json!({ "status": "suspended" }));
                self.send(&path, request).await.expect(200);
                company
            }
            Entity::Dashboard => self.api.view_id("/dashboard").await,
            Entity::Core => self.api.module_id("core").await,
            Entity::TheirCompany => self.theirs.id.to_string(),
            Entity::TheirAdmin => self.theirs.admin.to_string(),
            Entity::TheirMember => self.theirs.member.to_string(),
            Entity::TheirLevel => self.made("/api/iam/user-levels", all, theirs, name).await,
            Entity::TheirItem => self.made("/api/iam/menu-items", all, theirs, label).await,
            Entity::TheirSub => self.made_sub_item(theirs).await,
        };
        self.things.borrow_mut().insert(thing, id.clone());
        id
    }

    /// Creates a sub-item of a new menu item, in a company's own menu or in the common menu. Returns its id.
    async fn made_sub_item(&self, company: Option<Company>) -> String {
        let item = json!({ "label": self.fresh() });
        let item = self.made("/api/iam/menu-items", TestCaller::SuperAdmin, company, item).await;
        let sub = json!({ "label": self.fresh(), "menuItemId": item });
        self.made("/api/iam/sub-menu-items", TestCaller::SuperAdmin, company, sub).await
    }

    /// Replaces the placeholders in a string with the ids of the entities. A placeholder in upper case is replaced with
    /// the id in upper case.
    pub async fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for thing in Entity::ALL {
            let placeholder = thing.to_string();
            let in_capitals = placeholder.to_uppercase();
            while text.contains(&placeholder) {
                let id = self.entity(thing).await;
                // Each occurrence of `Fresh` is replaced with a different string.
                let count = if thing == Entity::Fresh { 1 } else { usize::MAX };
                text = text.replacen(&placeholder, &id, count);
            }
            if text.contains(&in_capitals) {
                text = text.replace(&in_capitals, &self.entity(thing).await.to_uppercase());
            }
        }
        text
    }

    /// Discards the ids of the created entities. New entities are created when they are next needed.
    pub fn renew(&self) {
        self.things.borrow_mut().clear();
    }

    /// Creates a request with the credential of this caller. The request specifies the company in the header
    /// `X-Company-Id`.
    pub fn request(&self, method: &str, path: &str, who: TestCaller, company: Option<CompanyId>) -> Request {
        let request = self.api.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        let request = match who {
            TestCaller::Anonymous => request,
            TestCaller::NonMember => request.by(self.non_member),
            TestCaller::Visitor => request.by(self.ours.visitor),
            TestCaller::Member => request.by(self.ours.member),
            TestCaller::Admin => request.by(self.ours.admin),
            TestCaller::Reader => request.by(self.reader),
            TestCaller::TeamManager => request.by(self.team_manager),
            TestCaller::SuperAdmin => request.by_super_admin(),
            service => request.by_key(&self.keys[service.name()]),
        };
        match company {
            Some(company) => request.within(company),
            None => request,
        }
    }

    /// Returns the operation's valid request. If the request is for a decision, `userId` is removed from it, so that
    /// the caller is the subject.
    pub async fn valid(&self, operation: Operation, who: TestCaller, company: Option<CompanyId>) -> Request {
        self.valid_at(operation, &operation.valid_path(), who, company).await
    }

    /// Returns the operation's valid request with another path, which may contain placeholders.
    pub async fn valid_at(
        &self,
        operation: Operation,
        path: &str,
        who: TestCaller,
        company: Option<CompanyId>,
    ) -> Request {
        let path = self.fill(path).await;
        let request = self.request(operation.method(), &path, who, company);
        let mut body = (operation.body)();
        if body.is_null() {
            return request;
        }
        if operation.needs == Needs::Token {
            body.as_object_mut().unwrap().remove("userId");
            for check in body.get_mut("checks").and_then(Value::as_array_mut).into_iter().flatten() {
                check.as_object_mut().unwrap().remove("userId");
            }
        }
        request.bytes("application/json", self.fill(&body.to_string()).await)
    }

    /// Sends a request, and asserts the properties that every response must have. Records the response in the
    /// transcript.
    pub async fn send(&self, what: &str, request: Request) -> Answer {
        let answer = request.send().await;
        assert_well_formed(what, &answer);
        self.transcript.borrow_mut().push(Exchange { what: what.to_owned(), answer: answer.clone() });
        answer
    }

    /// Returns all recorded exchanges, in order.
    pub fn transcript(&self) -> Vec<Exchange> {
        self.transcript.borrow().clone()
    }

    /// Sends a `GET` as a super admin and returns the data of the response.
    pub async fn look(&self, path: &str, company: Option<CompanyId>) -> Value {
        self.send(path, self.request("GET", path, TestCaller::SuperAdmin, company)).await.expect(200).data()
    }

    /// Returns all data of a company, including its audit records.
    pub async fn dump(&self, company: Company) -> Dump {
        let mut paths: Vec<_> =
            ["user-levels", "menu-items", "sub-menu-items", "audit-logs?limit=200&includeTotal=true"]
                .map(|list| format!("/api/iam/{list}"))
                .into();
        paths.push(format!("/api/iam/companies/{}/modules", company.id));
        for user in [company.admin, company.member, company.visitor] {
            paths.push(format!("/api/iam/users/{user}/user-levels"));
        }
        let levels = self.look("/api/iam/user-levels", Some(company.id)).await;
        for level in levels["userLevels"].as_array().unwrap() {
            let id = level["id"].as_str().unwrap();
            paths.extend(["views", "features"].map(|of| format!("/api/iam/user-levels/{id}/permissions/{of}")));
        }
        let mut dump = Dump::new();
        for path in paths {
            let found = self.look(&path, Some(company.id)).await;
            dump.push((path, found));
        }
        for user in [company.admin, company.member] {
            let path = "/api/iam/nav-trail?sessionId=s";
            let request = self.api.get(path).by(user).within(company.id);
            dump.push((format!("{path} of {user}"), self.send(path, request).await.expect(200).data()));
        }
        dump
    }

    /// Returns the path for a query of the platform's audit log. The query omits the audit records of the seed.
    pub fn platform_trail(&self, limit: usize) -> String {
        format!("/api/iam/audit-logs?limit={limit}&includeTotal=true&userId={}", self.api.super_admin)
    }

    /// Returns all data of the catalog and of the common menu.
    pub async fn dump_catalog(&self) -> Dump {
        let mut paths: Vec<_> = ["views", "features", "modules", "menu-items", "sub-menu-items"]
            .map(|list| format!("/api/iam/{list}"))
            .into();
        paths.push(self.platform_trail(1));
        for (list, of) in [("features", "views"), ("modules", "views"), ("modules", "features")] {
            let found = self.look(&format!("/api/iam/{list}"), None).await;
            let ids = found[list].as_array().unwrap().iter().map(|thing| thing["id"].as_str().unwrap());
            paths.extend(ids.map(|id| format!("/api/iam/{list}/{id}/{of}")));
        }
        let mut dump = Dump::new();
        for path in paths {
            let found = self.look(&path, None).await;
            dump.push((path, found));
        }
        dump
    }
}

/// Asserts that a response has the common JSON envelope and the headers that every response must have.
fn assert_well_formed(what: &str, answer: &Answer) {
    let is_known = answer.status == 304;
    assert_ne!(answer.status, 500, "{what}: {}", String::from_utf8_lossy(&answer.body));
    if !is_known {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
        let json = answer.json();
        if answer.status.is_success() {
            assert!(json["status"] == "success" || !what.contains("/api/iam"), "{what}: {json}");
        } else {
            assert_eq!(json["status"], "error", "{what}: {json}");
            assert!(json["code"].is_string() && json["message"].is_string(), "{what}: {json}");
        }
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{what}: {name}");
    }
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}: no request id");
    let cache_control = answer.header("cache-control");
    if answer.status.is_success() || is_known {
        let kept = matches!(cache_control, Some("private, max-age=300" | "private, no-cache"));
        assert!(kept || cache_control == Some("no-store"), "{what}: {cache_control:?}");
        let vary: Vec<_> = answer.headers.get_all("vary").map(|value| value.to_str().unwrap()).collect();
        let vary = vary.join(", ").to_lowercase();
        let varies =
            ["authorization", "x-company-id"].into_iter().all(|name| vary.split(", ").any(|part| part == name));
        assert_eq!(kept, varies, "{what}: {vary}");
        assert!(!kept || answer.header("etag").is_some_and(|tag| tag.starts_with('"')), "{what}");
    } else {
        assert_eq!(cache_control, Some("no-store"), "{what}");
    }
}
