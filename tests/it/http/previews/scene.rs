//! The entities of a random history, and random changes to them.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Company, TestApi, each, new_company, new_user};

/// Returns a generator of pseudo-random numbers below a bound. The same seed generates the same numbers.
pub fn random(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    }
}

/// A change: method, path and body.
pub type Request = (&'static str, String, Option<Value>);

/// The number of kinds of changes.
pub const KINDS: usize = 26;

/// The kind of changes that delete a level.
pub const LEVEL_DELETION: usize = 2;

/// The kind of changes that create a company.
pub const NEW_COMPANY: usize = 16;

/// The kind of changes that create a view.
pub const NEW_VIEW: usize = 17;

/// The entities of a history.
pub struct Scene {
    pub company: Company,
    pub users: Vec<UserId>,
    views: Vec<String>,
    features: Vec<String>,
    modules: Vec<String>,
    levels: Vec<String>,
}

/// Returns one of these values.
fn one_of<T: Copy, const N: usize>(values: [T; N], number: &mut impl FnMut(usize) -> usize) -> T {
    values[number(N)]
}

impl Scene {
    pub async fn new(api: &TestApi) -> Self {
        let company = api.company().await;
        let public = json!({ "name": "P", "url": format!("/p/{}", company.id), "requiresAuth": false });
        api.make("views", None, public).await;
        let mut users: Vec<_> = (0..3).map(|_| new_user()).collect();
        users.extend([company.admin, company.member, company.visitor]);
        users.sort();
        let mut scene = Self { company, users, views: vec![], features: vec![], modules: vec![], levels: vec![] };
        scene.refresh(api).await;
        scene
    }

    /// Returns a random change of this kind, which is less than [`KINDS`].
    pub fn change(&self, kind: usize, number: &mut impl FnMut(usize) -> usize) -> Request {
        // A history without levels continues with ids that do not exist.
        let unknown = vec![new_company().to_string()];
        let mut pick = |list: &[String]| {
            let list = if list.is_empty() { &unknown } else { list };
            list[number(list.len())].clone()
        };
        let (level, other, view) = (pick(&self.levels), pick(&self.levels), pick(&self.views));
        let (feature, module, second) = (pick(&self.features), pick(&self.modules), pick(&self.modules));
        let user = self.users[number(self.users.len())];
        let level_path = format!("/api/iam/user-levels/{level}");
        let user_path = format!("/api/iam/users/{user}/user-levels");
        let company_path = format!("/api/iam/companies/{}", self.company.id);
        let scope = one_of(["own", "team", "company", "any"], number);
        let action = one_of(["Read", "Read", "Sign"], number);
        let state = one_of(["allow", "allow", "deny", "inherit"], number);
        let name = one_of(["A", "B", "C", "D"], number);
        let flag = number(2) == 0;
        // No boundary of a period is reached during a history.
        let period = match number(4) {
            0 => Some(json!({ "startsAt": "2020-01-01T00:00:00Z", "expiresAt": "2998-01-01T00:00:00Z" })),
            1 => Some(json!({ "startsAt": "2998-01-01T00:00:00Z" })),
            2 => Some(json!({ "startsAt": null, "expiresAt": null })),
            _ => None,
        };
        let cell = json!({ "viewId": view, "state": state });
        let rule = json!({ "featureId": feature, "action": action, "value": number(3) > 0, "scope": scope });
        let key = json!({ "featureId": feature, "action": action });
        let two = if module == second { json!([module]) } else { json!([module, second]) };
        match kind {
            0 => ("POST", "/api/iam/user-levels".into(), Some(json!({ "name": name, "copyFrom": level }))),
            1 => ("PATCH", level_path, Some(json!({ "name": name }))),
            LEVEL_DELETION => ("DELETE", level_path, None),
            3 => ("PUT", format!("{level_path}/permissions/views"), Some(json!({ "views": [cell] }))),
            4 if flag => {
                ("PATCH", format!("{level_path}/permissions/views"), Some(json!({ "unset": [{ "viewId": view }] })))
            }
            4 => ("PATCH", format!("{level_path}/permissions/views"), Some(json!({ "set": [cell] }))),
            5 => ("PUT", format!("{level_path}/permissions/features"), Some(json!({ "features": [rule] }))),
            6 if flag => ("PATCH", format!("{level_path}/permissions/features"), Some(json!({ "unset": [key] }))),
            6 => ("PATCH", format!("{level_path}/permissions/features"), Some(json!({ "set": [rule] }))),
            7 if level == other => ("PUT", user_path, Some(json!({ "userLevelIds": [] }))),
            7 => ("PUT", format!("{user_path}?force=true"), Some(json!({ "userLevelIds": [level, other] }))),
            8 => ("PUT", format!("{user_path}/{level}"), period),
            9 => ("DELETE", format!("{user_path}/{level}"), None),
            10 => {
                let remove = self.users[number(self.users.len())];
                let mut add = period.unwrap_or_else(|| json!({}));
                add["userId"] = json!(user);
                add["userLevelId"] = json!(level);
                let remove = json!([{ "userId": remove, "userLevelId": other }]);
                ("POST", "/api/iam/assignments".into(), Some(json!({ "add": [add], "remove": remove })))
            }
            11 => ("DELETE", format!("/api/iam/users/{user}?force={flag}"), None),
            12 => ("PUT", format!("{company_path}/modules"), Some(json!({ "moduleIds": two }))),
            13 => ("PATCH", format!("{company_path}/modules/{module}"), Some(json!({ "enabled": flag }))),
            14 => {
                let status = one_of(["active", "active", "suspended"], number);
                ("PATCH", company_path, Some(json!({ "status": status })))
            }
            15 => {
                let max = if number(3) == 0 { Value::Null } else { json!(scope) };
                let action = json!({ "featureId": feature, "action": "Read", "maxScope": max });
                let hidden = if flag { json!([view]) } else { json!([]) };
                ("PUT", format!("{company_path}/ceilings"), Some(json!({ "hiddenViews": hidden, "actions": [action] })))
            }
            NEW_COMPANY => {
                let id = if flag { new_company() } else { self.company.id };
                let body = json!({ "id": id, "name": name, "moduleIds": [module], "adminUserId": user });
                ("POST", "/api/iam/companies".into(), Some(body))
            }
            NEW_VIEW => {
                let url = if flag { "/dashboard".to_owned() } else { format!("/new/{}", new_company()) };
                let body = json!({ "name": name, "url": url, "requiresAuth": number(2) == 0 });
                ("POST", "/api/iam/views".into(), Some(body))
            }
            18 => ("PATCH", format!("/api/iam/views/{view}"), Some(json!({ "requiresAuth": flag }))),
            19 => ("DELETE", format!("/api/iam/views/{view}"), None),
            20 => ("POST", "/api/iam/features".into(), Some(json!({ "name": name, "key": format!("new.{name}") }))),
            21 if flag => ("PATCH", format!("/api/iam/features/{feature}"), Some(json!({ "enabled": number(2) == 0 }))),
            21 => {
                let actions = if number(2) == 0 { json!(["Sign"]) } else { json!([]) };
                ("PATCH", format!("/api/iam/features/{feature}"), Some(json!({ "actions": actions })))
            }
            22 => ("DELETE", format!("/api/iam/features/{}", self.features[0]), None),
            23 if flag => ("PATCH", format!("/api/iam/modules/{module}"), Some(json!({ "enabled": number(2) == 0 }))),
            23 => ("DELETE", format!("/api/iam/modules/{}?ungate={}", self.modules[0], number(2) == 0), None),
            24 => {
                let body = json!({ "viewIds": [view], "ungate": flag });
                ("PUT", format!("/api/iam/modules/{module}/views"), Some(body))
            }
            _ => {
                let features = if number(2) == 0 { json!([feature]) } else { json!([]) };
                let body = json!({ "featureIds": features, "ungate": flag });
                ("PUT", format!("/api/iam/modules/{module}/features"), Some(body))
            }
        }
    }

    /// Reads the entities again, and replaces deleted entities of the catalog.
    pub async fn refresh(&mut self, api: &TestApi) {
        let request = api.get("/api/iam/user-levels").by_super_admin().within(self.company.id);
        let levels = request.send().await.expect(200).data()["userLevels"].take();
        self.levels = each(&levels, "id").into_iter().map(str::to_owned).collect();
        let catalog = api.storage.reader().snapshots().load_catalog().await.unwrap().value;
        let id = |made: Value| made["id"].as_str().unwrap().to_owned();
        self.views.retain(|view| catalog.views().any(|there| there.id.to_string() == *view));
        if self.views.len() < 2 {
            let view = json!({ "name": "V", "url": format!("/v/{}", new_company()) });
            self.views = vec![id(api.make("views", None, view).await), api.view_id("/dashboard").await];
        }
        self.features.retain(|feature| catalog.features().any(|there| there.id.to_string() == *feature));
        if self.features.len() < 2 {
            let feature = json!({ "name": "F", "key": format!("f.{}", new_company()), "actions": ["Sign"] });
            self.features = vec![id(api.make("features", None, feature).await), api.feature_id("general.read").await];
        }
        self.modules.retain(|module| catalog.modules().any(|there| there.id.to_string() == *module));
        if self.modules.len() < 2 {
            let module = id(api.make("modules", None, json!({ "name": "M", "code": new_company().to_string() })).await);
            for (collection, field, gated) in
                [("views", "viewIds", &self.views[0]), ("features", "featureIds", &self.features[0])]
            {
                let path = format!("/api/iam/modules/{module}/{collection}");
                api.put(&path).by_super_admin().json(&json!({ field: [gated] })).send().await.expect(200);
            }
            self.modules = vec![module, api.module_id("core").await];
        }
    }
}
