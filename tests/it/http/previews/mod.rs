//! Tests of previews: the outcome of a change, and the decisions that it alters, before it is made.

mod decisions;
mod scene;

use std::collections::BTreeSet;

use actix_web::http::Method;
use iam_domain::{CompanyId, UserId};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use self::decisions::{decisions, difference};
use self::scene::{KINDS, LEVEL_DELETION, NEW_COMPANY, NEW_VIEW, Request, Scene, random};
use crate::support::api::{Answer, TestApi, both_adapters, new_company, new_user};

const PREVIEWS: &str = "/api/iam/previews";

/// The number of random histories, and the number of changes in each of them.
const HISTORIES: u64 = 8;
const CHANGES: usize = 40;

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

/// Requests all pages of a preview. Returns the first page, whose list of users contains those of all pages.
async fn all_pages(api: &TestApi, company: CompanyId, body: &Value) -> Value {
    let mut first = preview(api, company, "?limit=2", body).await.expect(200).data();
    let mut cursor = first["impact"]["nextCursor"].take();
    while let Some(next) = cursor.as_str() {
        let mut page = preview(api, company, &format!("?limit=2&cursor={next}"), body).await.expect(200).data();
        for field in ["usersGaining", "usersLosing"] {
            assert_eq!(total(&page["impact"]["cells"], field), total(&first["impact"]["cells"], field));
        }
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
        let mut successful = BTreeSet::new();
        for seed in 0..HISTORIES {
            let mut number = random(seed);
            let mut scene = Scene::new(&api).await;
            let company = scene.company.id;
            for _ in 0..CHANGES {
                let kind = number(KINDS);
                let change = scene.change(kind, &mut number);
                let before = decisions(&api, company, &scene.users).await;
                let previewed = all_pages(&api, company, &body_of(&change)).await;
                let after = decisions(&api, company, &scene.users).await;
                assert_eq!(before, after, "a preview changes nothing: {change:?}");
                let about = format!("{seed} {change:?}: {previewed}");
                // A change with invalid input is rejected before the company is read.
                let current = api.storage.reader().company_states().versions(Some(company)).await.unwrap().to_string();
                let version = previewed["version"].as_str().unwrap_or(&current);
                let done = make(&api, company, &change, version).await;
                assert_eq!(previewed["status"], done.status.as_u16(), "{about} {}", done.json());
                compared += 1;
                if previewed["wouldSucceed"] == true {
                    assert!(done.status.is_success(), "{about}");
                    // The first administrator of a new company is affected in the new company only.
                    if kind != NEW_COMPANY {
                        let later = decisions(&api, company, &scene.users).await;
                        let (users, gaining, losing) = difference(&before, &later);
                        let impact = &previewed["impact"];
                        // A new view has another id in each preview.
                        if kind != NEW_VIEW {
                            assert_eq!(impact["users"], json!(users), "{about}");
                        }
                        assert_eq!(impact["usersAffected"], users.len(), "{about}");
                        assert_eq!(total(&impact["cells"], "usersGaining"), gaining, "{about}");
                        assert_eq!(total(&impact["cells"], "usersLosing"), losing, "{about}");
                        altered += usize::from(!users.is_empty());
                    }
                    successful.insert(kind);
                } else {
                    assert_eq!(previewed["error"], done.json(), "{about}");
                    rejected += 1;
                }
                scene.refresh(&api).await;
            }
        }
        println!("{HISTORIES} histories, {compared} previews compared: {altered} alter decisions, {rejected} are rejected");
        assert!(altered > compared / 8 && rejected > compared / 20, "{compared} {altered} {rejected}");
        // Only a level without holders can be deleted, and these histories delete no such level.
        let all: BTreeSet<_> = (0..KINDS).filter(|kind| *kind != LEVEL_DELETION).collect();
        assert!(all.is_subset(&successful), "{successful:?}");
    }

    /// A preview waits for no lock: it is answered while another change holds the lock of the company or of the catalog. It
    /// creates no version and no record.
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
        for target in [Target::Company(company.id), Target::Catalog] {
            let held = api.storage.begin(target, ChangeContext::command_line()).await.unwrap();
            let data = preview(&api, company.id, "", &body).await.expect(200).data();
            assert_eq!(data["wouldSucceed"], true);
            drop(held);
        }
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
            (json!({ "method": "POST", "path": "/api/iam/menu-items" }), "path", "is an operation without previews"),
            (json!({ "method": "DELETE", "path": format!("/api/iam/companies/{other}") }), "path", "is an operation without previews"),
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
