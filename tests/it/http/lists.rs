//! Tests of lists: pages, cursors, filters, sort orders and totals.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Company, Request, TestApi, both_adapters, each, fields, new_user};

const USERS: &str = "/api/iam/users";
const LEVELS: &str = "/api/iam/user-levels";
const COMPANIES: &str = "/api/iam/companies";

/// Returns a company with a level, and the sorted ids of the users who hold this level.
async fn with_holders(api: &TestApi, count: usize) -> (Company, String, Vec<UserId>) {
    let company = api.company().await;
    let level = api.new_level(company, "Auditors").await;
    let mut users: Vec<_> = (0..count).map(|_| new_user()).collect();
    users.sort_unstable();
    for user in users.iter().rev() {
        api.assign(company, *user, &[&level]).await;
    }
    (company, level, users)
}

fn strings(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}

/// Reads all pages of a list, and returns the ids of the users on each page.
async fn pages(api: &TestApi, company: Company, path: &str, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = api.get(&format!("{path}?{query}{cursor}"));
        let page = request.by(company.admin).within(company.id).send().await.expect(200).data();
        pages.push(each(&page["users"], "id").into_iter().map(str::to_owned).collect());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

/// Returns the cursor of the second page.
async fn cursor(request: Request) -> String {
    request.send().await.expect(200).data()["nextCursor"].as_str().unwrap().to_owned()
}

both_adapters! {
    /// The members of a company are listed in pages, sorted by id in both directions. Each of them occurs exactly once,
    /// with all levels. Users of other companies are not listed.
    async fn members_are_listed_in_pages(api: TestApi) {
        let (company, level, users) = with_holders(&api, 4).await;
        let other = api.company().await;
        let member = api.level_id(company, "Member").await;
        api.assign(company, users[0], &[&level, &member]).await;
        let mut all = users.clone();
        all.extend([company.admin, company.member, company.visitor]);
        all.sort_unstable();
        let all = strings(&all);
        let down: Vec<_> = all.iter().rev().cloned().collect();
        for limit in [1, 2, 3, 7, 200] {
            let found = pages(&api, company, USERS, &format!("limit={limit}")).await;
            assert!(found.iter().all(|page| page.len() <= limit) && found.len() == all.len().div_ceil(limit));
            assert_eq!(found.concat(), all, "{limit}");
            assert_eq!(pages(&api, company, USERS, &format!("sort=-id&limit={limit}")).await.concat(), down);
        }
        let first = pages(&api, company, USERS, &format!("level={level}&limit=3")).await;
        assert_eq!(first, [strings(&users[..3]), strings(&users[3..])]);
        let page = api.get(USERS).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(fields(&page), ["nextCursor", "users"]);
        let listed = page["users"].as_array().unwrap().iter().find(|user| user["id"] == json!(users[0])).unwrap();
        let held = json!([{ "id": level, "name": "Auditors" }, { "id": member, "name": "Member" }]);
        let expected = json!({
            "id": users[0], "externalId": null, "pathId": null, "displayName": null, "email": null,
            "profileSource": null, "userLevels": held,
        });
        assert_eq!(*listed, expected);
        let theirs = pages(&api, other, USERS, "limit=200").await.concat();
        assert_eq!(theirs.len(), 3);
        assert!(theirs.iter().all(|user| !all.contains(user)));
    }

    /// Members are sorted by display name on request, regardless of case; members without a name are last. The order is the
    /// same whatever the page size is, and the cursor of another order is rejected.
    async fn members_are_sorted_by_name(api: TestApi) {
        let (company, level, users) = with_holders(&api, 5).await;
        let path = |user: UserId| format!("/api/iam/users/{user}/profile");
        for (user, name) in [(4, "ärztin"), (1, "Zoë"), (3, "anna"), (2, "Ärztin")] {
            let request = api.put(&path(users[user])).by(company.admin).within(company.id);
            request.json(&json!({ "displayName": name })).send().await.expect(200);
        }
        let named = [3, 1, 2, 4].map(|user| users[user]);
        let mut unnamed = vec![users[0], company.admin, company.member, company.visitor];
        unnamed.sort_unstable();
        let all = strings(&[&named[..], &unnamed].concat());
        let of_level = strings(&[&named[..], &users[..1]].concat());
        let holders = format!("{LEVELS}/{level}/users");
        for limit in [1, 3, 200] {
            let query = format!("sort=name&limit={limit}");
            assert_eq!(pages(&api, company, USERS, &query).await.concat(), all, "{limit}");
            assert_eq!(pages(&api, company, &holders, &query).await.concat(), of_level, "{limit}");
            let found = pages(&api, company, USERS, &format!("{query}&q=RZTIN")).await.concat();
            assert_eq!(found, strings(&[users[2], users[4]]));
        }
        let get = |query: &str| api.get(&format!("{USERS}?{query}")).by(company.admin).within(company.id);
        let by_name = cursor(get("sort=name&limit=1")).await;
        let by_id = cursor(get("limit=1")).await;
        get(&format!("sort=name&limit=2&cursor={by_name}")).send().await.expect(200);
        for query in [format!("cursor={by_name}"), format!("sort=-id&cursor={by_name}"), format!("sort=name&cursor={by_id}")] {
            let answer = get(&query).send().await;
            assert_eq!(answer.expect(400).json()["errors"][0]["code"], "cursor", "{query}");
        }
    }

    /// The total is counted on request, for the filter of the list.
    async fn the_total_is_counted_on_request(api: TestApi) {
        let (company, level, users) = with_holders(&api, 4).await;
        let total = async |path: &str, query: &str| {
            let request = api.get(&format!("{path}?limit=1&total=true{query}"));
            request.by(company.admin).within(company.id).send().await.expect(200).data()["total"].clone()
        };
        assert_eq!(total(USERS, "").await, json!(7));
        assert_eq!(total(USERS, &format!("&level={level}")).await, json!(4));
        assert_eq!(total(&format!("{LEVELS}/{level}/users"), "").await, json!(4));
        assert_eq!(total(USERS, &format!("&q={}", users[2])).await, json!(1));
        assert_eq!(total(USERS, "&q=nothing").await, json!(0));
    }

    /// Members are found by the beginning of their ids.
    async fn members_are_found_by_the_beginning_of_their_ids(api: TestApi) {
        let (company, level, users) = with_holders(&api, 2).await;
        let find = async |query: &str| pages(&api, company, USERS, query).await.concat();
        let text = users[0].to_string();
        for query in [text.clone(), text.to_uppercase(), text[..35].to_owned()] {
            let found = find(&format!("q={query}")).await;
            assert!(found.contains(&text), "{query}");
            assert!(found.iter().all(|id| id.starts_with(&query.to_lowercase()[..35.min(query.len())])));
        }
        // Ids are version 7 UUIDs, so the ids of users that were created at the same time have the same beginning.
        assert_eq!(find(&format!("q={}&level={level}", &text[..4])).await, strings(&users));
        for nothing in ["zz", "%20", &format!("{text}0"), &new_user().to_string(), &text[1..]] {
            assert_eq!(find(&format!("q={nothing}")).await, Vec::<String>::new(), "{nothing}");
        }
        let outside = api.get(&format!("{USERS}?q=%7C")).by(company.admin).within(company.id).send().await;
        assert_eq!(outside.expect(400).json()["errors"][0]["field"], "q");
    }

    /// Members are found by their display names, regardless of case. E-mail addresses are listed and searched only for
    /// callers who may read profiles.
    async fn members_are_found_by_the_names_and_addresses_of_their_profiles(api: TestApi) {
        let (company, _, users) = with_holders(&api, 2).await;
        for (user, profile) in [
            (users[0], json!({ "displayName": "Zoë Ärztin", "email": "zoe@example.com" })),
            (users[1], json!({ "displayName": "Bob" })),
        ] {
            let path = format!("/api/iam/users/{user}/profile");
            api.put(&path).by(company.admin).within(company.id).json(&profile).send().await.expect(200);
        }
        let read = json!([{ "featureId": api.feature_id("iam.manage_levels").await, "action": "Read", "scope": "any" }]);
        let (reader, _) = api.holder_of(company, json!([]), read).await;
        let find = async |by, text: &str| {
            let request = api.get(&format!("{USERS}?total=true&q={text}")).by(by).within(company.id);
            let data = request.send().await.expect(200).data();
            let found = data["users"].as_array().unwrap().clone();
            assert_eq!(data["total"], json!(found.len()));
            found.iter().map(|user| (user["displayName"].clone(), user["email"].clone())).collect::<Vec<_>>()
        };
        let zoe = |email: Value| (json!("Zoë Ärztin"), email);
        let address = json!("zoe@example.com");
        for text in ["%C3%84RZT", "zo%C3%AB", "zo%C3%8B%20%C3%A4"] {
            assert_eq!(find(company.admin, text).await, [zoe(address.clone())], "{text}");
            assert_eq!(find(reader, text).await, [zoe(Value::Null)], "{text}");
        }
        assert_eq!(find(company.admin, "ZOE%40").await, [zoe(address)]);
        assert_eq!(find(reader, "ZOE%40").await, []);
        assert_eq!(find(company.admin, "bob").await, [(json!("Bob"), Value::Null)]);
    }

    /// Super admins list all companies in pages, by id or by name, and search them by name, id and status.
    async fn companies_are_listed_in_pages(api: TestApi) {
        let word = new_user().to_string();
        let mut ids = Vec::new();
        for name in ["Beta", "alpha", "Gamma"] {
            let body = json!({ "name": format!("{name} {word}"), "adminUserId": new_user() });
            let made = api.post(COMPANIES).by_super_admin().json(&body).send().await.expect(201).data();
            ids.push(made["company"]["id"].as_str().unwrap().to_owned());
        }
        let suspended = json!({ "status": "suspended" });
        api.patch(&format!("{COMPANIES}/{}", ids[2])).by_super_admin().json(&suspended).send().await.expect(200);
        let list = async |query: &str| {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let request = api.get(&format!("{COMPANIES}?limit=2&total=true{query}{cursor}")).by_super_admin();
                let page = request.send().await.expect(200).data();
                found.extend(page["companies"].as_array().unwrap().clone());
                match page["nextCursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => {
                        assert_eq!(page["total"], json!(found.len()));
                        return found;
                    }
                }
            }
        };
        let names = |found: &[Value]| each(&json!(found), "id").into_iter().map(str::to_owned).collect::<Vec<_>>();
        let by_name = list(&format!("&sort=name&q={}", word.to_uppercase())).await;
        assert_eq!(names(&by_name), [&ids[1], &ids[0], &ids[2]].map(String::clone));
        let at = by_name[2]["provisionedAt"].clone();
        let expected = json!({
            "id": ids[2], "name": format!("Gamma {word}"), "status": "suspended", "provisionedAt": at,
        });
        assert_eq!(by_name[2], expected);
        assert_eq!(names(&list(&format!("&status=suspended&q={word}")).await), [ids[2].clone()]);
        assert_eq!(names(&list(&format!("&q={}", ids[0])).await), [ids[0].clone()]);
        let all = list("").await;
        assert!(names(&all).is_sorted() && ids.iter().all(|id| names(&all).contains(id)));
        for (query, field, code) in [
            ("status=gone", "status", "unknown"),
            ("sort=-id", "sort", "unknown"),
            ("limit=0", "limit", "range"),
            ("cursor=x", "cursor", "cursor"),
            ("level=x", "level", "unknown_field"),
        ] {
            let errors = api.get(&format!("{COMPANIES}?{query}")).by_super_admin().send().await.expect(400).json();
            assert_eq!((&errors["errors"][0]["field"], &errors["errors"][0]["code"]), (&json!(field), &json!(code)));
        }
    }

    /// A cursor is valid only for the list, the caller, the company and the parameters for which it was issued. A
    /// changed cursor is rejected.
    async fn a_cursor_is_valid_only_for_its_list_caller_company_and_parameters(api: TestApi) {
        let (company, level, users) = with_holders(&api, 4).await;
        let (ours, other) = (company.admin, api.company().await);
        // This user administers both companies.
        for of in [company, other] {
            let admin = api.level_id(of, "Admin").await;
            api.assign(of, users[0], &[&admin]).await;
            api.assign(of, users[1], &[&admin]).await;
        }
        let get = |path: &str, query: &str| api.get(&format!("{path}?limit=1{query}"));
        let by = |request: Request, user, of: Company| request.by(user).within(of.id);
        let holders = format!("{LEVELS}/{level}/users");
        let issued = cursor(by(get(USERS, ""), users[0], company)).await;
        let with = |cursor: &str| format!("&cursor={cursor}");
        by(get(USERS, &with(&issued)), users[0], company).send().await.expect(200);
        let mut changed = issued.clone().into_bytes();
        let last = changed.len() - 1;
        changed[last / 2] = if changed[last / 2] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let of_holders = cursor(by(get(&holders, ""), users[0], company)).await;
        let down = cursor(by(get(USERS, "&sort=-id"), users[0], company)).await;
        let filtered = cursor(by(get(USERS, &format!("&level={level}")), users[0], company)).await;
        let key = api.api_key("read", Some(company.id)).await;
        let requests = [
            by(get(USERS, &with(&issued)), users[1], company),
            by(get(USERS, &with(&issued)), ours, company),
            by(get(USERS, &with(&issued)), users[0], other),
            get(USERS, &with(&issued)).by_super_admin().within(company.id),
            get(USERS, &with(&issued)).by_key(&key).within(company.id),
            by(get(USERS, &format!("&sort=-id{}", with(&issued))), users[0], company),
            by(get(USERS, &format!("&level={level}{}", with(&issued))), users[0], company),
            by(get(USERS, &format!("&q=0{}", with(&issued))), users[0], company),
            by(get(USERS, &with(&of_holders)), users[0], company),
            by(get(USERS, &with(&down)), users[0], company),
            by(get(USERS, &with(&filtered)), users[0], company),
            by(get(&holders, &with(&issued)), users[0], company),
            by(get(USERS, &with(&changed)), users[0], company),
            by(get(USERS, &with(&users[0].to_string())), users[0], company),
            by(get(USERS, &with("x")), users[0], company),
            by(get(USERS, &with(&"A".repeat(5000))), users[0], company),
        ];
        let message = "cursor was not issued for this list, this caller, this company and these parameters";
        let expected = json!([{ "field": "cursor", "message": message, "code": "cursor" }]);
        for (number, request) in requests.into_iter().enumerate() {
            let answer = request.send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{number}");
            assert_eq!(answer.json()["errors"], expected);
        }
    }

    /// All replicas accept the cursors of each other, because they share the key.
    async fn replicas_share_the_key_of_cursors(api: TestApi) {
        let (company, _, _) = with_holders(&api, 2).await;
        let other = api.with_options(iam_http::HttpOptions::default()).await;
        let get = |api: &TestApi, query: &str| {
            api.get(&format!("{USERS}?limit=1{query}")).by(company.admin).within(company.id)
        };
        let issued = cursor(get(&api, "")).await;
        let own = get(&api, &format!("&cursor={issued}")).send().await.expect(200).data();
        let theirs = get(&other, &format!("&cursor={issued}")).send().await.expect(200).data();
        assert_eq!((&own["users"], own["nextCursor"].is_string()), (&theirs["users"], theirs["nextCursor"].is_string()));
    }

    /// Invalid parameters are rejected with the code of the error.
    async fn invalid_parameters_of_lists_are_rejected(api: TestApi) {
        let (company, level, _) = with_holders(&api, 1).await;
        let long = "x".repeat(256);
        for path in [USERS, &format!("{LEVELS}/{level}/users")] {
            for (query, field, code) in [
                ("limit=0", "limit", "range"),
                ("limit=201", "limit", "range"),
                ("limit=abc", "limit", "invalid"),
                ("limit=-1", "limit", "invalid"),
                ("limit=1&limit=2", "limit", "duplicate"),
                ("sort=-name", "sort", "unknown"),
                ("sort=foo", "sort", "unknown"),
                ("sort=ID", "sort", "unknown"),
                ("total=yes", "total", "type"),
                (&format!("q={long}"), "q", "too_long"),
                ("q=%00", "q", "nul"),
                ("cursor=%00", "cursor", "nul"),
                ("cursor=x", "cursor", "cursor"),
                ("page=2", "page", "unknown_field"),
            ] {
                let answer = api.get(&format!("{path}?{query}")).by(company.admin).within(company.id).send().await;
                let errors = answer.expect(400).json()["errors"].clone();
                assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!(field), &json!(code)), "{query}: {errors}");
            }
        }
        let answer = api.get(&format!("{USERS}?level=7")).by(company.admin).within(company.id).send().await;
        assert_eq!(answer.expect(400).json()["errors"][0]["code"], "uuid");
        let unknown = api.get(&format!("{USERS}?level={}", new_user())).by(company.admin).within(company.id);
        assert_eq!(unknown.send().await.error(), (404, "ERR_RESOURCE_001".into(), "User level not found".into()));
    }

    /// The list of levels contains the number of holders of each level if the request asks for it.
    async fn levels_are_listed_with_their_holders_on_request(api: TestApi) {
        let (company, level, users) = with_holders(&api, 3).await;
        let other = api.company().await;
        let theirs = api.new_level(other, "Auditors").await;
        api.assign(other, users[0], &[&theirs]).await;
        api.new_level(company, "Unheld").await;
        let list = async |query: &str| {
            let answer = api.get(&format!("{LEVELS}{query}")).by(company.admin).within(company.id).send().await;
            answer.expect(200).data()["userLevels"].as_array().unwrap().clone()
        };
        let counts = list("?holders=true").await;
        let counts: Vec<_> = counts.iter().map(|level| (level["name"].as_str().unwrap(), &level["holders"])).collect();
        let expected = [("Admin", 1), ("Auditors", 3), ("Member", 1), ("Unheld", 0), ("Visitor", 1)];
        let expected: Vec<_> = expected.map(|(name, count)| (name, json!(count))).into();
        assert_eq!(counts, expected.iter().map(|(name, count)| (*name, count)).collect::<Vec<_>>());
        for query in ["", "?holders=false"] {
            let plain = list(query).await;
            assert!(plain.iter().all(|level: &Value| level.get("holders").is_none()));
            assert!(plain.iter().any(|own| own["id"] == json!(level)));
        }
        let answer = api.get(&format!("{LEVELS}?holders=1")).by(company.admin).within(company.id).send().await;
        assert_eq!(answer.expect(400).json()["errors"][0]["field"], "holders");
    }
}
