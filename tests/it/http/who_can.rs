//! Tests of the question who may see a view or perform an action.

use std::collections::BTreeMap;

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, new_company, new_user};

const WHO_CAN: &str = "/api/iam/who-can";

async fn ask(api: &TestApi, company: Company, query: &str) -> Answer {
    api.get(&format!("{WHO_CAN}?{query}")).by(company.admin).within(company.id).send().await
}

/// Returns a generator of pseudo-random numbers below a bound. The same seed generates the same numbers.
fn random(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    }
}

/// Returns the users on all pages.
async fn all(api: &TestApi, company: Company, query: &str) -> Vec<Value> {
    let (mut users, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ask(api, company, &format!("{query}{cursor}")).await.expect(200).data();
        users.extend(page["users"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return users,
        }
    }
}

/// Returns what `POST /checks` answers about each of the users whom it allows, in the form of the list.
async fn allowed_by_checks(api: &TestApi, company: Company, users: &[UserId], check: &Value) -> Vec<Value> {
    let checks: Vec<_> = users
        .iter()
        .map(|user| {
            let mut check = check.clone();
            check["userId"] = json!(user);
            check
        })
        .collect();
    let request = api.post("/api/iam/checks").by_super_admin().within(company.id).json(&json!({ "checks": checks }));
    let results = request.send().await.expect(200).data()["results"].take();
    let mut allowed = Vec::new();
    for (user, result) in users.iter().zip(results.as_array().unwrap()) {
        if result["allowed"] == true {
            allowed.push(json!({
                "id": user, "externalId": null, "pathId": null, "displayName": null, "email": null, "profileSource": null,
                "scope": result["scope"],
                "reasonCode": result["reasonCode"], "decidedBy": result["decidedBy"],
                "decidedByCount": result["decidedByCount"],
            }));
        }
    }
    allowed
}

/// The cells of a level that the random test chooses from.
const SCOPES: [&str; 4] = ["own", "team", "company", "any"];

both_adapters! {
    /// The list contains exactly the users whom `POST /check` allows, with the same scope, reason and deciding levels.
    /// The company, its levels and the sets of levels of its users are random.
    async fn the_list_contains_exactly_the_users_whom_a_check_allows(api: TestApi) {
        let mut next = random(7);
        let company = api.company().await;
        let public = json!({ "name": "Public", "url": format!("/public/{}", company.id), "requiresAuth": false });
        let public = api.make("views", None, public).await["url"].as_str().unwrap().to_owned();
        let (dashboard, closed) = (api.view_id("/dashboard").await, api.view_id("/modules/risks").await);
        let features = [api.feature_id("general.read").await, api.feature_id("risks.create").await];
        for round in 0..3 {
            let mut levels = Vec::new();
            for number in 0..6 {
                let level = api.new_level(company, &format!("{round}/{number}")).await;
                let states = [&dashboard, &closed].map(|view| {
                    let state = ["allow", "deny", "inherit"][next(3)];
                    json!({ "viewId": view, "state": state })
                });
                api.set_matrix(company, &level, "views", json!(states)).await;
                let cells: Vec<_> = features
                    .iter()
                    .filter_map(|feature| {
                        let is_allowed = [Some(true), Some(true), Some(false), None][next(4)]?;
                        let scope = SCOPES[next(4)];
                        Some(json!({ "featureId": feature, "action": "Read", "value": is_allowed, "scope": scope }))
                    })
                    .collect();
                api.set_matrix(company, &level, "features", json!(cells)).await;
                levels.push(level);
            }
            let mut users = vec![company.admin, company.member, company.visitor];
            for _ in 0..12 {
                let user = new_user();
                let held: Vec<_> = levels.iter().filter(|_| next(3) == 0).map(String::as_str).collect();
                api.assign(company, user, &held).await;
                users.push(user);
            }
            users.sort_unstable();
            let mut questions = vec![
                ("view=%2Fdashboard".to_owned(), json!({ "view": "/dashboard" })),
                (format!("view={dashboard}"), json!({ "view": dashboard })),
                (format!("view={closed}"), json!({ "view": closed })),
                (format!("view={}", public.replace('/', "%2F")), json!({ "view": public })),
                (format!("feature={}&action=Read", features[0]), json!({ "feature": features[0], "action": "Read" })),
                ("feature=risks.create&action=Read".to_owned(), json!({ "feature": "risks.create", "action": "Read" })),
                ("feature=general.read&action=Update".to_owned(), json!({ "feature": "general.read", "action": "Update" })),
            ];
            for scope in SCOPES {
                let query = format!("feature=general.read&action=Read&scope={scope}");
                questions.push((query, json!({ "feature": "general.read", "action": "Read", "scope": scope })));
            }
            for (query, check) in questions {
                let mut expected = allowed_by_checks(&api, company, &users, &check).await;
                expected.sort_by_key(|user| user["id"].as_str().unwrap().to_owned());
                for limit in [1, 4, 200] {
                    let found = all(&api, company, &format!("{query}&limit={limit}")).await;
                    let counted = ask(&api, company, &format!("{query}&limit={limit}&total=true")).await.expect(200).data();
                    assert_eq!(counted["total"], json!(found.len()), "{query}");
                    assert_eq!(counted.get("totalIsLowerBound"), None);
                    let found: Vec<_> = found.into_iter().filter(|user| users.iter().any(|own| user["id"] == json!(own))).collect();
                    assert_eq!(found, expected, "{query} limit {limit}");
                }
            }
        }
    }

    /// All pages reflect the versions of the first page. After a change to the company or to the catalog, the next page
    /// is answered with 410, and the first page can be read again.
    async fn pages_are_pinned_to_the_versions_of_the_first_page(api: TestApi) {
        let company = api.company().await;
        let level = api.level_id(company, "Member").await;
        let query = "view=%2Fdashboard&limit=1";
        let change_company = async || api.assign(company, new_user(), &[&level]).await;
        let change_catalog = async || {
            let view = json!({ "name": "New", "url": format!("/new/{}", new_company()) });
            api.make("views", None, view).await;
        };
        for is_catalog in [false, true] {
            let first = ask(&api, company, query).await.expect(200);
            let version = first.header("x-iam-version").unwrap().to_owned();
            let cursor = first.data()["nextCursor"].as_str().unwrap().to_owned();
            let second = format!("{query}&cursor={cursor}");
            let answer = ask(&api, company, &second).await.expect(200);
            assert_eq!(answer.header("x-iam-version"), Some(version.as_str()));
            if is_catalog {
                change_catalog().await;
            } else {
                change_company().await;
            }
            let message = "The data has changed since the first page was read";
            assert_eq!(ask(&api, company, &second).await.error(), (410, "ERR_CURSOR_001".into(), message.into()));
            let again = ask(&api, company, query).await.expect(200);
            assert_ne!(again.header("x-iam-version"), Some(version.as_str()));
        }
        // A change to another company does not matter.
        let first = ask(&api, company, query).await.expect(200).data();
        let other = api.company().await;
        let second = format!("{query}&cursor={}", first["nextCursor"].as_str().unwrap());
        ask(&api, company, &second).await.expect(200);
        // The cursor is bound to the check, the caller and the company.
        let cursor = first["nextCursor"].as_str().unwrap();
        let elsewhere = api.get(&format!("{WHO_CAN}?{second}")).by_super_admin().within(company.id).send().await;
        let check = ask(&api, company, &format!("feature=general.read&action=Read&cursor={cursor}")).await;
        let admin = api.get(&format!("{WHO_CAN}?{second}")).by(other.admin).within(other.id).send().await;
        for answer in [elsewhere, check, admin] {
            assert_eq!(answer.expect(400).json()["errors"][0]["code"], "cursor");
        }
    }

    /// If most holders of an allowing level also hold a denying level, pages may be shorter than the limit. The pages
    /// still contain every allowed user, and only the last page has no cursor.
    async fn users_are_found_among_many_who_are_denied(api: TestApi) {
        let company = api.company().await;
        let view = api.make("views", None, json!({ "name": "Rare", "url": format!("/rare/{}", company.id) })).await;
        let (view, url) = (view["id"].clone(), view["url"].as_str().unwrap().replace('/', "%2F"));
        let (allowing, denying) = (api.new_level(company, "Allow").await, api.new_level(company, "Deny").await);
        for (level, state) in [(&allowing, "allow"), (&denying, "deny")] {
            api.set_matrix(company, level, "views", json!([{ "viewId": view, "state": state }])).await;
        }
        let mut users: Vec<_> = (0..24).map(|_| new_user()).collect();
        users.sort_unstable();
        let (last, denied) = users.split_last().unwrap();
        for user in denied {
            api.assign(company, *user, &[&allowing, &denying]).await;
        }
        api.assign(company, *last, &[&allowing]).await;
        let query = format!("view={url}&limit=1");
        let first = ask(&api, company, &query).await.expect(200).data();
        assert_eq!((first["users"].as_array().unwrap().len(), first["nextCursor"].is_string()), (0, true));
        let found = all(&api, company, &query).await;
        assert_eq!(each(&json!(found), "id"), [last.to_string()]);
    }

    /// The response lists the callers to whom levels do not apply: super admins, and the keys that may administer the
    /// company.
    async fn callers_without_levels_are_listed_separately(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let mut ids = BTreeMap::new();
        for (name, role, of) in [
            ("own", "administer", Some(company.id)),
            ("platform", "administer", None),
            ("theirs", "administer", Some(other.id)),
            ("reader", "read", Some(company.id)),
            ("revoked", "administer", Some(company.id)),
        ] {
            let mut body = json!({ "name": name, "role": role });
            body["companyId"] = json!(of);
            if of.is_none() {
                body.as_object_mut().unwrap().remove("companyId");
            }
            let made = api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201).data();
            ids.insert(name, made["apiKey"]["id"].as_str().unwrap().to_owned());
        }
        let path = format!("/api/iam/api-keys/{}", ids["revoked"]);
        api.delete(&path).by_super_admin().send().await.expect(200);
        let answer = ask(&api, company, "view=%2Fdashboard").await.expect(200).data();
        let also = answer["alsoAllowed"].as_array().unwrap();
        assert_eq!(also[0], json!({ "kind": "superAdmins" }));
        let key = |name: &str| json!({ "kind": "apiKey", "id": ids[name] });
        assert!(also.contains(&key("own")) && also.contains(&key("platform")), "{answer}");
        assert!(["theirs", "reader", "revoked"].iter().all(|name| !also.contains(&key(name))), "{answer}");
    }

    /// A question that cannot be answered is rejected, with the reason.
    async fn invalid_questions_are_rejected(api: TestApi) {
        let company = api.company().await;
        for (query, status, message) in [
            ("view=%2Fnowhere", 404, "View not found"),
            ("feature=no.such&action=Read", 404, "Feature not found"),
            ("feature=general.read&action=Fly", 400, "action is not an action of the feature"),
            ("", 400, "view or feature is required"),
            ("view=%2Fdashboard&feature=general.read&action=Read", 400, "view cannot be combined with feature"),
            ("view=%2Fdashboard&action=Read", 400, "view cannot be combined with action or scope"),
            ("view=%2Fdashboard&scope=own", 400, "view cannot be combined with action or scope"),
            ("feature=general.read", 400, "action is required"),
            ("feature=general.read&action=Read&scope=all", 400, "scope must be one of: own, team, company, any"),
            ("view=%2Fdashboard&limit=0", 400, "limit must be between 1 and 200"),
            ("view=%2Fdashboard&limit=201", 400, "limit must be between 1 and 200"),
            ("view=%2Fdashboard&total=yes", 400, "total must be true or false"),
            ("view=%2Fdashboard&userId=1", 400, "userId is unknown"),
        ] {
            let answer = ask(&api, company, query).await;
            assert_eq!((answer.error().0, answer.error().2.as_str()), (status, message), "{query}");
        }
        // Reading IAM data does not suffice.
        let read = json!([{ "featureId": api.feature_id("iam.manage_levels").await, "action": "Read", "scope": "any" }]);
        let (reader, _) = api.holder_of(company, json!([]), read).await;
        let request = |user| api.get(&format!("{WHO_CAN}?view=%2Fdashboard")).by(user).within(company.id);
        let message = "You do not have permission to check other users";
        assert_eq!(request(reader).send().await.error(), (403, "ERR_AUTH_003".into(), message.into()));
        assert_eq!(request(new_user()).send().await.error(), (403, "ERR_AUTH_003".into(), message.into()));
    }
}
