//! Tests of previews: the outcome of a change, and the decisions that it alters, before it is made.

use std::collections::BTreeMap;

use actix_web::http::Method;
use iam_domain::escalation::Cell;
use iam_domain::{CompanyId, CompanySnapshot, Scope, UserId, allowed};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_company, new_user};

const PREVIEWS: &str = "/api/iam/previews";

/// Returns a generator of pseudo-random numbers below a bound. The same seed generates the same numbers.
fn random(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    }
}

/// A change: method, path and body.
type Request = (&'static str, String, Option<Value>);

fn body_of((method, path, body): &Request) -> Value {
    match body {
        Some(body) => json!({ "method": method, "path": path, "body": body }),
        None => json!({ "method": method, "path": path }),
    }
}

/// Requests the preview of a change as a super admin.
async fn preview(api: &TestApi, company: CompanyId, query: &str, body: &Value) -> Answer {
    api.post(&format!("{PREVIEWS}{query}")).by_super_admin().within(company).json(body).send().await
}

/// Makes a change as a super admin, if the company and the catalog still have this version.
async fn make(api: &TestApi, company: CompanyId, (method, path, body): &Request, version: &str) -> Answer {
    let request = api.request(method.parse::<Method>().unwrap(), path).by_super_admin().within(company);
    let request = request.header("x-iam-if-version", version);
    match body {
        Some(body) => request.json(body).send().await,
        None => request.send().await,
    }
}

/// The scope that each user has for each cell. Denied cells are omitted.
type Decisions = BTreeMap<UserId, BTreeMap<Cell, Scope>>;

/// Decides every view and every action of the catalog for these users, one by one.
async fn decisions(api: &TestApi, company: CompanyId, users: &[UserId]) -> Decisions {
    let snapshot: CompanySnapshot = api.storage.reader().snapshots().load_company(company).await.unwrap().value;
    let mut cells: Vec<_> = snapshot.catalog.views().map(|view| Cell::View(view.id)).collect();
    for feature in snapshot.catalog.features() {
        let actions = snapshot.of_user(users[0]).actions(feature);
        cells.extend(actions.into_iter().map(|action| Cell::Action(feature.id, action)));
    }
    let of_user = |user: UserId| {
        let own = snapshot.of_user(user);
        cells.iter().filter_map(|cell| Some((cell.clone(), allowed(&own, cell)?))).collect()
    };
    users.iter().map(|user| (*user, of_user(*user))).collect()
}

/// Returns the decisions that differ, in the form of a preview: the users, and the numbers of gains and losses.
fn difference(before: &Decisions, after: &Decisions) -> (Vec<Value>, usize, usize) {
    let (mut users, mut gaining, mut losing) = (Vec::new(), 0, 0);
    for (user, was) in before {
        let is = &after[user];
        let mut lists = [false, true].map(|_| json!({ "views": [], "actions": [] }));
        let cells: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
        let mut is_affected = false;
        for cell in cells {
            let (was, is) = (was.get(cell), is.get(cell));
            if was == is {
                continue;
            }
            is_affected = true;
            let is_gain = is > was;
            if is_gain {
                gaining += 1
            } else {
                losing += 1
            }
            let list = &mut lists[usize::from(!is_gain)];
            match cell {
                Cell::View(view) => list["views"].as_array_mut().unwrap().push(json!(view)),
                Cell::Action(feature, action) => list["actions"].as_array_mut().unwrap().push(json!({
                    "featureId": feature, "action": action, "scopeBefore": was, "scopeAfter": is,
                })),
            }
        }
        if is_affected {
            let [gains, loses] = lists;
            users.push(json!({ "userId": user, "gains": gains, "loses": loses }));
        }
    }
    (users, gaining, losing)
}

/// The entities of a history.
struct Scene {
    company: Company,
    users: Vec<UserId>,
    views: Vec<String>,
    features: Vec<String>,
    modules: Vec<String>,
    levels: Vec<String>,
}

impl Scene {
    async fn new(api: &TestApi) -> Self {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "V", "url": format!("/v/{}", company.id) })).await;
        let public = json!({ "name": "P", "url": format!("/p/{}", company.id), "requiresAuth": false });
        api.make("views", None, public).await;
        let module = json!({ "name": "M", "code": format!("m-{}", company.id) });
        let module = api.make("modules", None, module).await["id"].as_str().unwrap().to_owned();
        let view = view["id"].as_str().unwrap().to_owned();
        let path = format!("/api/iam/modules/{module}/views");
        api.put(&path).by_super_admin().json(&json!({ "viewIds": [view] })).send().await.expect(200);
        let core = api.module_id("core").await;
        let mut users: Vec<_> = (0..3).map(|_| new_user()).collect();
        users.extend([company.admin, company.member, company.visitor]);
        users.sort();
        let features = vec![api.feature_id("general.read").await, api.feature_id("risks.create").await];
        let views = vec![view, api.view_id("/dashboard").await];
        let levels = vec![api.new_level(company, "A").await, api.new_level(company, "B").await];
        Self { company, users, views, features, modules: vec![module, core], levels }
    }

    /// Returns a random change of any kind.
    fn change(&self, number: &mut impl FnMut(usize) -> usize) -> Request {
        let mut pick = |list: &[String]| list[number(list.len())].clone();
        let (level, other, view) = (pick(&self.levels), pick(&self.levels), pick(&self.views));
        let (feature, module) = (pick(&self.features), pick(&self.modules));
        let (user, company) = (self.users[number(self.users.len())], self.company.id);
        let level_path = format!("/api/iam/user-levels/{level}");
        let user_path = format!("/api/iam/users/{user}/user-levels");
        let company_path = format!("/api/iam/companies/{company}");
        let state = ["allow", "deny", "inherit"][number(3)];
        let scope = ["own", "team", "company", "any"][number(4)];
        let cell = json!({ "viewId": view, "state": state });
        let action = json!({ "featureId": feature, "action": "Read", "value": number(3) > 0, "scope": scope });
        let key = json!({ "featureId": feature, "action": "Read" });
        match number(15) {
            0 => (
                "POST",
                "/api/iam/user-levels".into(),
                Some(json!({ "name": ["A", "C", "D"][number(3)], "copyFrom": level })),
            ),
            1 => ("PATCH", level_path, Some(json!({ "name": ["A", "B", "E"][number(3)] }))),
            2 => ("DELETE", level_path, None),
            3 => ("PUT", format!("{level_path}/permissions/views"), Some(json!({ "views": [cell] }))),
            4 if number(2) == 0 => {
                ("PATCH", format!("{level_path}/permissions/views"), Some(json!({ "unset": [{ "viewId": view }] })))
            }
            4 => ("PATCH", format!("{level_path}/permissions/views"), Some(json!({ "set": [cell] }))),
            5 => ("PUT", format!("{level_path}/permissions/features"), Some(json!({ "features": [action] }))),
            6 if number(2) == 0 => {
                ("PATCH", format!("{level_path}/permissions/features"), Some(json!({ "unset": [key] })))
            }
            6 => ("PATCH", format!("{level_path}/permissions/features"), Some(json!({ "set": [action] }))),
            7 if level == other => ("PUT", user_path, Some(json!({ "userLevelIds": [] }))),
            7 => ("PUT", format!("{user_path}?force=true"), Some(json!({ "userLevelIds": [level, other] }))),
            8 => ("PUT", format!("{user_path}/{level}"), None),
            9 => ("DELETE", format!("{user_path}/{level}"), None),
            10 => {
                let remove = self.users[number(self.users.len())];
                let add = json!([{ "userId": user, "userLevelId": level }]);
                let remove = json!([{ "userId": remove, "userLevelId": other }]);
                ("POST", "/api/iam/assignments".into(), Some(json!({ "add": add, "remove": remove })))
            }
            11 => ("PUT", format!("{company_path}/modules"), Some(json!({ "moduleIds": [module] }))),
            12 => ("PATCH", format!("{company_path}/modules/{module}"), Some(json!({ "enabled": number(2) == 0 }))),
            13 => ("PATCH", company_path, Some(json!({ "status": ["active", "active", "suspended"][number(3)] }))),
            _ => {
                let max = if number(3) == 0 { Value::Null } else { json!(scope) };
                let action = json!({ "featureId": feature, "action": "Read", "maxScope": max });
                let hidden = if number(2) == 0 { json!([view]) } else { json!([]) };
                ("PUT", format!("{company_path}/ceilings"), Some(json!({ "hiddenViews": hidden, "actions": [action] })))
            }
        }
    }

    /// Reads the levels of the company again.
    async fn refresh(&mut self, api: &TestApi) {
        let request = api.get("/api/iam/user-levels").by_super_admin().within(self.company.id);
        let levels = request.send().await.expect(200).data()["userLevels"].take();
        self.levels = each(&levels, "id").into_iter().map(str::to_owned).collect();
    }
}

/// Requests all pages of a preview. Returns the first page, whose list of users contains those of all pages.
async fn all_pages(api: &TestApi, company: CompanyId, body: &Value) -> Value {
    let mut first = preview(api, company, "?limit=2", body).await.expect(200).data();
    let mut cursor = first["impact"]["nextCursor"].take();
    while let Some(next) = cursor.as_str() {
        let mut page = preview(api, company, &format!("?limit=2&cursor={next}"), body).await.expect(200).data();
        assert_eq!(page["impact"]["cells"], first["impact"]["cells"]);
        let users = first["impact"]["users"].as_array_mut().unwrap();
        users.append(page["impact"]["users"].as_array_mut().unwrap());
        cursor = page["impact"]["nextCursor"].take();
    }
    first
}

fn total(cells: &Value, field: &str) -> usize {
    let lists = [&cells["views"], &cells["actions"]].into_iter().flat_map(|list| list.as_array().unwrap());
    lists.map(|cell| usize::try_from(cell[field].as_u64().unwrap()).unwrap()).sum()
}

both_adapters! {
    /// In random histories of all kinds of changes, the preview of each change has the status and the error of the
    /// change, and lists exactly the decisions that the change alters.
    async fn a_preview_is_the_difference_of_the_decisions_before_and_after(api: TestApi) {
        let (mut compared, mut altered, mut rejected) = (0, 0, 0);
        for seed in 0..6 {
            let mut number = random(seed);
            let mut scene = Scene::new(&api).await;
            let company = scene.company.id;
            for _ in 0..25 {
                let change = scene.change(&mut number);
                let before = decisions(&api, company, &scene.users).await;
                let previewed = all_pages(&api, company, &body_of(&change)).await;
                let after = decisions(&api, company, &scene.users).await;
                assert_eq!(before, after, "a preview changes nothing: {change:?}");
                let version = previewed["version"].as_str().expect("the company was read").to_owned();
                let done = make(&api, company, &change, &version).await;
                let (users, gaining, losing) = difference(&before, &decisions(&api, company, &scene.users).await);
                let about = format!("{seed} {change:?}: {previewed}");
                assert_eq!(previewed["status"], done.status.as_u16(), "{about}");
                compared += 1;
                if previewed["wouldSucceed"] == true {
                    let impact = &previewed["impact"];
                    assert!(done.status.is_success(), "{about}");
                    assert_eq!(impact["users"], json!(users), "{about}");
                    assert_eq!(impact["usersAffected"], users.len(), "{about}");
                    assert_eq!(total(&impact["cells"], "usersGaining"), gaining, "{about}");
                    assert_eq!(total(&impact["cells"], "usersLosing"), losing, "{about}");
                    altered += usize::from(!users.is_empty());
                } else {
                    assert_eq!(previewed["error"], done.json(), "{about}");
                    rejected += 1;
                }
                scene.refresh(&api).await;
            }
        }
        assert!(compared == 150 && altered > 30 && rejected > 5, "{compared} {altered} {rejected}");
    }

    /// A preview waits for no lock: it is answered while a change of the catalog excludes all other changes. It creates no
    /// version and no record.
    async fn a_preview_waits_for_no_lock_and_stores_nothing(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Level").await;
        let logs = async || {
            let request = api.get("/api/iam/audit-logs?limit=1&includeTotal=true").by_super_admin().within(company.id);
            request.send().await.expect(200).data()
        };
        let (versions, before) = (api.storage.reader().company_states().versions(Some(company.id)).await, logs().await);
        let path = format!("/api/iam/users/{}/user-levels/{level}", company.member);
        let body = json!({ "method": "PUT", "path": path });
        let catalog = api.storage.begin(Target::Catalog, ChangeContext::command_line()).await.unwrap();
        let data = preview(&api, company.id, "", &body).await.expect(200).data();
        assert_eq!(data["wouldSucceed"], true);
        drop(catalog);
        assert_eq!(api.storage.reader().company_states().versions(Some(company.id)).await.unwrap(), versions.unwrap());
        assert_eq!(logs().await, before);
        let held = api.get(&format!("/api/iam/users/{}/user-levels", company.member)).by_super_admin().within(company.id);
        assert_eq!(held.send().await.expect(200).data()["userLevels"].as_array().unwrap().len(), 1);
    }

    /// A change with `X-IAM-If-Version` is made only if neither the company nor the catalog has changed since. The header
    /// of a preview applies to the previewed change.
    async fn a_change_can_require_the_version_of_its_preview(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Level").await;
        let rename = |name: &str| ("PATCH", format!("/api/iam/user-levels/{level}"), Some(json!({ "name": name })));
        let version = async || {
            let answer = preview(&api, company.id, "", &body_of(&rename("New"))).await.expect(200);
            let version = answer.data()["version"].as_str().unwrap().to_owned();
            assert_eq!(answer.header("x-iam-version"), Some(version.as_str()));
            version
        };
        let first = version().await;
        make(&api, company.id, &rename("First"), &first).await.expect(200);
        make(&api, company.id, &rename("Second"), &first).await.expect(412);
        let second = version().await;
        api.make("views", None, json!({ "name": "V", "url": format!("/v/{}", company.id) })).await;
        make(&api, company.id, &rename("Third"), &second).await.expect(412);
        let stale = api.post(PREVIEWS).by_super_admin().within(company.id).header("x-iam-if-version", &second);
        assert_eq!(stale.json(&body_of(&rename("Third"))).send().await.expect(200).data()["status"], 412);
        make(&api, company.id, &rename("Third"), &version().await).await.expect(200);
        let invalid = make(&api, company.id, &rename("Fourth"), "3").await.expect(400);
        let message = "x-iam-if-version must be a single X-IAM-Version value from an earlier response";
        assert_eq!(invalid.json()["message"], message);
        // A change to the catalog compares the version of the catalog.
        let view = ("POST", "/api/iam/views".to_owned(), Some(json!({ "name": "W", "url": format!("/w/{}", company.id) })));
        make(&api, company.id, &view, &second).await.expect(412);
        make(&api, company.id, &view, &version().await).await.expect(201);
    }

    /// The pages of a preview reflect one version. A cursor is valid only for the same change.
    async fn the_pages_of_a_preview_reflect_one_version(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Level").await;
        for _ in 0..3 {
            api.assign(company, new_user(), &[&level]).await;
        }
        let view = api.view_id("/dashboard").await;
        let path = format!("/api/iam/user-levels/{level}/permissions/views");
        let put = |state: &str| {
            let views = json!([{ "viewId": view, "state": state }]);
            json!({ "method": "PUT", "path": path, "body": { "views": views } })
        };
        let first = preview(&api, company.id, "?limit=2", &put("allow")).await.expect(200).data()["impact"].take();
        assert_eq!((&first["usersAffected"], first["users"].as_array().unwrap().len()), (&json!(3), 2));
        let query = format!("?limit=2&cursor={}", first["nextCursor"].as_str().unwrap());
        let second = preview(&api, company.id, &query, &put("allow")).await.expect(200).data()["impact"].take();
        assert_eq!((second["users"].as_array().unwrap().len(), &second["nextCursor"]), (1, &Value::Null));
        let other = preview(&api, company.id, &query, &put("deny")).await.expect(400).json();
        assert_eq!(other["errors"][0]["code"], "cursor");
        preview(&api, company.id, "?limit=0", &put("allow")).await.expect(400);
        preview(&api, company.id, "?limit=201", &put("allow")).await.expect(400);
        api.new_level(company, "Other").await;
        preview(&api, company.id, &query, &put("allow")).await.expect(410);
    }

    /// A preview requires Update on one of the `iam.*` features. The right that the change requires determines the outcome,
    /// before the input of the change is read. Callers who may not list users see only counts.
    async fn a_preview_requires_the_rights_of_its_change(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let level = api.new_level(company, "Level").await;
        let path = format!("/api/iam/users/{}/user-levels/{level}", company.member);
        let body = json!({ "method": "PUT", "path": path });
        let ask = |user: UserId, body: &Value| api.post(PREVIEWS).by(user).within(company.id).json(body).send();
        for user in [company.member, other.admin, new_user()] {
            ask(user, &body).await.expect(403);
            ask(user, &json!({})).await.expect(403);
        }
        api.post(PREVIEWS).within(company.id).json(&body).send().await.expect(401);
        let ceilings = json!({ "method": "PUT", "path": format!("/api/iam/companies/{}/ceilings", company.id) });
        let refused = ask(company.admin, &ceilings).await.expect(200).data();
        assert_eq!((&refused["wouldSucceed"], &refused["status"]), (&json!(false), &json!(403)));
        assert_eq!((&refused["error"]["code"], &refused["version"]), (&json!("ERR_AUTH_007"), &Value::Null));

        let theirs = api.new_level(other, "Theirs").await;
        let rename = json!({ "method": "PATCH", "path": format!("/api/iam/user-levels/{theirs}"), "body": { "name": "X" } });
        let hidden = ask(company.admin, &rename).await.expect(200).data();
        assert_eq!((&hidden["status"], &hidden["error"]["message"]), (&json!(404), &json!("User level not found")));
        let invalid = json!({ "method": "PATCH", "path": format!("/api/iam/user-levels/{level}"), "body": { "name": "" } });
        let invalid = ask(company.admin, &invalid).await.expect(200).data();
        assert_eq!((&invalid["status"], &invalid["error"]["errors"][0]["field"]), (&json!(400), &json!("name")));
        let stale = json!({
            "method": "PATCH", "path": format!("/api/iam/user-levels/{level}"), "body": { "name": "X" }, "ifMatch": "\"x\"",
        });
        assert_eq!(ask(company.admin, &stale).await.expect(200).data()["status"], 412);

        let assign = api.feature_id("iam.assign_permissions").await;
        let update = json!([{ "featureId": assign, "action": "Update", "scope": "company" }]);
        let (writer, _) = api.holder_of(company, json!([]), update.clone()).await;
        let cells = json!({ "views": [{ "viewId": api.view_id("/dashboard").await, "state": "deny" }] });
        let member = api.level_id(company, "Member").await;
        let path = format!("/api/iam/user-levels/{member}/permissions/views");
        let deny = json!({ "method": "PATCH", "path": path, "body": { "set": cells["views"] } });
        let unlisted = ask(writer, &deny).await.expect(200).data();
        assert_eq!((&unlisted["impact"]["usersAffected"], &unlisted["impact"]["users"]), (&json!(1), &json!([])));
        assert_eq!(unlisted["impact"]["nextCursor"], Value::Null);
        let listed = ask(company.admin, &deny).await.expect(200).data();
        assert_eq!(listed["impact"]["users"][0]["userId"], json!(company.member));
    }

    /// Requests that specify no change that can be previewed are rejected, and the error names the field.
    async fn requests_without_a_change_are_rejected(api: TestApi) {
        let company = api.company().await;
        let other = new_company();
        let body = json!({ "name": "Level" });
        for (request, field, message) in [
            (json!({ "path": "/api/iam/user-levels" }), "method", "Method is required"),
            (json!({ "method": "POST" }), "path", "Path is required"),
            (json!({ "method": "post", "path": "/api/iam/user-levels" }), "method", "must be one of"),
            (json!({ "method": "GET", "path": "/api/iam/user-levels" }), "method", "not of a read"),
            (json!({ "method": "POST", "path": PREVIEWS }), "path", "must not be a preview"),
            (json!({ "method": "POST", "path": "/api/iam/nothing" }), "path", "is not the path of an operation"),
            (json!({ "method": "PUT", "path": "/api/iam/user-levels" }), "method", "is not one of the methods"),
            (json!({ "method": "POST", "path": "/api/iam/views" }), "path", "is an operation without previews"),
            (json!({ "method": "POST", "path": "https://a.example/api/iam/user-levels" }), "path", "must be a path"),
            (json!({ "method": "POST", "path": "//a.example/api/iam/user-levels" }), "path", "must be a path"),
            (json!({ "method": "POST", "path": "api/iam/user-levels" }), "path", "must be a path"),
            (json!({ "method": "POST", "path": "" }), "path", "must be a path"),
            (json!({ "method": "POST", "path": "/api/iam/user-levels", "body": [] }), "body", "must be an object"),
            (json!({ "method": "POST", "path": "/api/iam/user-levels", "ifMatch": "\n" }), "ifMatch", "must be a value"),
            (json!({ "method": "POST", "path": "/api/iam/user-levels", "dryRun": true }), "dryRun", "is unknown"),
            (
                json!({ "method": "PATCH", "path": format!("/api/iam/companies/{other}"), "body": body }),
                "companyId",
                "is specified more than once",
            ),
            (
                json!({ "method": "POST", "path": format!("/api/iam/user-levels?companyId={other}"), "body": body }),
                "companyId",
                "is specified more than once",
            ),
        ] {
            let answer = preview(&api, company.id, "", &request).await.expect(400).json();
            assert_eq!(answer["errors"][0]["field"], field, "{request} {answer}");
            assert!(answer["message"].as_str().unwrap().contains(message), "{request} {answer}");
        }
    }
}
