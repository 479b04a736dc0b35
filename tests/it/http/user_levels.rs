//! Tests of user levels, through the API.

use iam_domain::{Description, UserLevel, UserLevelId};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use crate::support::api::{both_adapters, each, fields, is_time, new_company, new_user};

const LEVELS: &str = "/api/iam/user-levels";
const FIELDS: [&str; 7] = ["companyId", "createdAt", "description", "id", "isDefault", "name", "updatedAt"];

both_adapters! {
    /// A level in a response has all its fields, with the right types.
    async fn a_level_has_the_documented_shape(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Auditors", "description": "Read-only access" });
        let made = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await.expect(201);
        assert_eq!(fields(&made.data()), ["userLevel"]);
        let level = made.data()["userLevel"].clone();
        assert_eq!(fields(&level), FIELDS);
        assert_eq!(level["companyId"], company.id.to_string());
        assert_eq!(level["name"], "Auditors");
        assert_eq!(level["description"], "Read-only access");
        assert_eq!(level["isDefault"], false);
        assert!(is_time(&level["createdAt"]));
        assert_eq!(level["createdAt"], level["updatedAt"]);

        let path = format!("{LEVELS}/{}", level["id"].as_str().unwrap());
        let got = api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(got.data(), json!({ "userLevel": level }));
    }

    /// Levels are sorted by name in byte order: upper-case ASCII letters first, then lower-case ASCII letters, then
    /// other letters.
    async fn levels_are_listed_by_name(api: TestApi) {
        let company = api.company().await;
        for name in ["apple", "Zebra", "Äpfel", "1st"] {
            api.new_level(company, name).await;
        }
        let data = api.get(LEVELS).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(fields(&data), ["userLevels"]);
        let names = each(&data["userLevels"], "name");
        assert_eq!(names, ["1st", "Admin", "Member", "Visitor", "Zebra", "apple", "Äpfel"]);
        for level in data["userLevels"].as_array().unwrap() {
            assert_eq!(fields(level), FIELDS);
        }
    }

    /// The description of a new level is optional. The default is the empty string.
    async fn a_description_is_optional(api: TestApi) {
        let company = api.company().await;
        let level = api.make("user-levels", Some(company.id), json!({ "name": "Auditors" })).await;
        assert_eq!(level["description"], "");
    }

    /// A new description has at most 2,000 characters. A longer description that an earlier version of the service
    /// stored remains readable, and the level can be changed in other respects.
    async fn a_longer_stored_description_remains_readable(api: TestApi) {
        let company = api.company().await;
        let id = api.new_level(company, "Auditors").await;
        let long = "ä".repeat(50_000);
        let mut tx = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        let stored = tx.user_levels().find_by_id(company.id, UserLevelId::parse(&id).unwrap()).await.unwrap().unwrap();
        let described = UserLevel { description: Description::stored(long.clone()).unwrap(), ..stored };
        tx.user_levels_mut().update(&described).await.unwrap();
        tx.commit().await.unwrap();

        let path = format!("{LEVELS}/{id}");
        let read = || async { api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data() };
        assert_eq!(read().await["userLevel"]["description"], long);
        let patch = |body: Value| api.patch(&path).by(company.admin).within(company.id).json(&body).send();
        patch(json!({ "name": "Renamed" })).await.expect(200);
        assert_eq!(read().await["userLevel"]["description"], long);
        let error = patch(json!({ "description": "ä".repeat(2001) })).await.expect(400).json();
        assert_eq!(error["errors"][0]["code"], "too_long");
        patch(json!({ "description": "ä".repeat(2000) })).await.expect(200);
        let levels = api.get(LEVELS).by(company.admin).within(company.id).send().await.expect(200).data();
        let lengths = levels["userLevels"].as_array().unwrap().iter();
        assert_eq!(lengths.map(|level| level["description"].as_str().unwrap().chars().count()).max(), Some(2000));
    }

    /// The fields `id`, `isDefault` and `createdAt` in the body of a request are ignored.
    async fn id_and_is_default_are_ignored(api: TestApi) {
        let company = api.company().await;
        let id = new_company().to_string();
        let body = json!({ "name": "Auditors", "id": id, "isDefault": true, "createdAt": "yesterday" });
        let level = api.make("user-levels", Some(company.id), body).await;
        assert_ne!(level["id"], id.as_str());
        assert_eq!(level["isDefault"], false);
    }

    /// A missing, empty or blank name is rejected with the error message of the original system.
    async fn a_name_is_required(api: TestApi) {
        let company = api.company().await;
        for body in [json!({}), json!({ "name": "" }), json!({ "name": " \t" })] {
            let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), "Name is required".into()), "{body}");
        }
        for body in [json!({ "name": null }), json!({ "name": 7 }), json!({ "name": ["Auditors"] })] {
            let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), "name must be a string".into()), "{body}");
        }
    }

    /// A name may have at most 255 characters. Its length in bytes is not limited.
    async fn a_name_has_at_most_255_characters(api: TestApi) {
        let company = api.company().await;
        api.new_level(company, &"ä".repeat(255)).await;
        let body = json!({ "name": "a".repeat(256) });
        let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&body).send().await;
        let message = "name must be at most 255 characters";
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
    }

    /// Names of levels are unique within a company. The comparison is case-sensitive and includes spaces.
    async fn names_are_unique_and_case_sensitive(api: TestApi) {
        let company = api.company().await;
        let taken = json!({ "name": "Admin" });
        let answer = api.post(LEVELS).by(company.admin).within(company.id).json(&taken).send().await;
        let message = "A user level with this name already exists";
        assert_eq!(answer.error(), (409, "ERR_RESOURCE_002".into(), message.into()));
        api.new_level(company, "admin").await;
        api.new_level(company, "Admin ").await;
    }

    /// Levels of different companies can have the same name.
    async fn names_are_unique_within_a_company(api: TestApi) {
        let (one, other) = (api.company().await, api.company().await);
        api.new_level(one, "Auditors").await;
        api.new_level(other, "Auditors").await;
    }

    /// Of two concurrent requests that create a level with the same name, exactly one succeeds.
    async fn of_two_concurrent_creations_one_succeeds(api: TestApi) {
        let company = api.company().await;
        let body = json!({ "name": "Auditors" });
        let request = || api.post(LEVELS).by(company.admin).within(company.id).json(&body).send();
        let (one, other) = futures_util::join!(request(), request());
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        let data = api.get(LEVELS).by(company.admin).within(company.id).send().await.data();
        assert_eq!(each(&data["userLevels"], "name").iter().filter(|name| **name == "Auditors").count(), 1);
    }

    /// A change to a level leaves omitted fields unchanged.
    async fn an_update_keeps_omitted_fields(api: TestApi) {
        let company = api.company().await;
        let before = api.make("user-levels", Some(company.id), json!({ "name": "A", "description": "first" })).await;
        let path = format!("{LEVELS}/{}", before["id"].as_str().unwrap());
        let change = |body: Value| api.patch(&path).by(company.admin).within(company.id).json(&body).send();

        let renamed = change(json!({ "name": "B" })).await.expect(200).data()["userLevel"].clone();
        assert_eq!((&renamed["name"], &renamed["description"]), (&json!("B"), &json!("first")));
        let described = change(json!({ "description": "second" })).await.expect(200).data()["userLevel"].clone();
        assert_eq!((&described["name"], &described["description"]), (&json!("B"), &json!("second")));
        for field in ["id", "companyId", "isDefault", "createdAt"] {
            assert_eq!(described[field], before[field]);
        }
        let emptied = change(json!({ "description": "" })).await.expect(200).data();
        assert_eq!(emptied["userLevel"]["description"], "");
        let unchanged = change(json!({ "isDefault": true, "id": company.id })).await.expect(200).data();
        assert_eq!(unchanged, emptied);
        let got = api.get(&path).by(company.admin).within(company.id).send().await.data();
        assert_eq!(got, emptied);
    }

    /// The rules for the name of a level also apply to changes.
    async fn an_update_validates_the_name(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let path = format!("{LEVELS}/{level}");
        let change = |body: Value| api.patch(&path).by(company.admin).within(company.id).json(&body).send();
        assert_eq!(change(json!({ "name": " " })).await.error().2, "Name is required");
        assert_eq!(change(json!({ "name": null })).await.error().2, "name must be a string");
        let taken = change(json!({ "name": "Admin" })).await.error();
        assert_eq!(taken, (409, "ERR_RESOURCE_002".into(), "A user level with this name already exists".into()));
        // A change may set the name to the level's current name. This is not a conflict.
        change(json!({ "name": "Auditors" })).await.expect(200);
    }

    /// A level without holders can be deleted. The deletion also deletes the level's matrices.
    async fn a_level_without_holders_can_be_deleted(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let view = api.view_id("/dashboard").await;
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let path = format!("{LEVELS}/{level}");
        let answer = api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(answer.data(), json!({ "message": "User level deleted successfully" }));
        for path in [path.clone(), format!("{path}/permissions/views"), format!("{path}/permissions/features")] {
            let gone = api.get(&path).by(company.admin).within(company.id).send().await.error();
            assert_eq!(gone, (404, "ERR_RESOURCE_001".into(), "User level not found".into()));
        }
    }

    /// A level with holders cannot be deleted. The error message states the number of holders.
    async fn a_level_with_holders_cannot_be_deleted(api: TestApi) {
        let company = api.company().await;
        let member = api.level_id(company, "Member").await;
        let path = format!("{LEVELS}/{member}");
        let remove = || api.delete(&path).by(company.admin).within(company.id).send();
        let message = "Cannot delete user level: 1 user(s) are assigned to it";
        assert_eq!(remove().await.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        api.assign(company, company.visitor, &[&member]).await;
        let message = "Cannot delete user level: 2 user(s) are assigned to it";
        assert_eq!(remove().await.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        for user in [company.member, company.visitor] {
            api.assign(company, user, &[]).await;
        }
        remove().await.expect(200);
    }

    /// A deletion is rejected if the level has holders. If the caller may read the company's IAM data, the error lists
    /// the first ten holders and the number of the other holders.
    async fn a_rejected_deletion_lists_the_first_holders(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let mut users: Vec<_> = (0..12).map(|_| new_user()).collect();
        users.sort_unstable();
        for user in &users {
            api.assign(company, *user, &[&level]).await;
        }
        let path = format!("{LEVELS}/{level}");
        let refused = api.delete(&path).by(company.admin).within(company.id).send().await.expect(400);
        let message = "Cannot delete user level: 12 user(s) are assigned to it";
        assert_eq!(refused.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        let mut expected: Vec<_> = users[..10].iter().map(|user| format!("The level is assigned to {user}")).collect();
        expected.push("The level is assigned to 2 more user(s)".to_owned());
        assert_eq!(each(&refused.json()["errors"], "message"), expected);
        let read = api.api_key("administer", Some(company.id)).await;
        let refused = api.delete(&path).by_key(&read).within(company.id).send().await.expect(400);
        assert_eq!(refused.json()["errors"].as_array().unwrap().len(), 11);

        // This caller may delete levels but may not read IAM data. The error contains only the number of holders.
        let update =
            json!({ "featureId": api.feature_id("iam.manage_levels").await, "action": "Update", "scope": "company" });
        let (blind, _) = api.holder_of(company, json!([]), json!([update])).await;
        api.get(&format!("{path}/users")).by(blind).within(company.id).send().await.expect(403);
        let refused = api.delete(&path).by(blind).within(company.id).send().await.expect(400);
        assert_eq!((refused.error().2.as_str(), refused.json().get("errors")), (message, None));
    }

    /// The holders of a level are listed in pages, sorted by user id (keyset pagination). Users of other companies are
    /// not listed.
    async fn holders_are_listed_in_pages(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let level = api.new_level(company, "Auditors").await;
        let get = async |query: &str| {
            let path = format!("{LEVELS}/{level}/users{query}");
            api.get(&path).by(company.admin).within(company.id).send().await
        };
        assert_eq!(get("").await.expect(200).data(), json!({ "users": [], "nextCursor": null }));
        let mut users: Vec<_> = (0..5).map(|_| new_user()).collect();
        users.sort_unstable();
        for user in users.iter().rev() {
            api.assign(company, *user, &[&level]).await;
        }
        // The first user holds levels in both companies.
        let theirs = api.new_level(other, "Auditors").await;
        api.assign(other, users[0], &[&theirs]).await;
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = get(&format!("?limit=2{cursor}")).await.expect(200).data();
            found.extend(each(&page["users"], "id").into_iter().map(str::to_owned));
            pages += 1;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((pages, found), (3, users.iter().map(ToString::to_string).collect()));
        for (query, whole) in [("?limit=5", true), ("?limit=200", true), ("?limit=4", false), ("", true)] {
            assert_eq!(get(query).await.expect(200).data()["nextCursor"].is_null(), whole, "{query}");
        }
        for query in ["?limit=0", "?limit=201", "?limit=x", "?limit=-1", "?cursor=x", "?limit=1&limit=2"] {
            get(query).await.expect(400);
        }
        // A request for the holders of another company's level returns 404.
        let path = format!("{LEVELS}/{theirs}/users");
        for request in [api.get(&path).by(company.admin), api.get(&path).by_super_admin()] {
            let answer = request.within(company.id).send().await;
            assert_eq!(answer.error(), (404, "ERR_RESOURCE_001".into(), "User level not found".into()));
        }
        let held = api.get(&path).by(other.admin).within(other.id).send().await.expect(200).data();
        assert_eq!(each(&held["users"], "id"), [users[0].to_string()]);
        api.get(&path).by(company.admin).within(other.id).send().await.expect(403);
    }

    /// Requests for a level that does not exist or belongs to another company return 404.
    async fn a_level_of_another_company_is_not_found(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let foreign = api.level_id(other, "Visitor").await;
        let unknown = new_company().to_string();
        let not_found = (404, "ERR_RESOURCE_001".to_owned(), "User level not found".to_owned());
        for id in [foreign, unknown] {
            let path = format!("{LEVELS}/{id}");
            let change = json!({ "name": "Mine" });
            for request in [api.get(&path), api.patch(&path).json(&change), api.delete(&path)] {
                assert_eq!(request.by(company.admin).within(company.id).send().await.error(), not_found);
            }
        }
        assert_eq!(api.level_id(other, "Visitor").await.len(), 36);
    }

    /// A request with a level id that is not a UUID is rejected.
    async fn an_id_that_is_no_uuid_is_rejected(api: TestApi) {
        let company = api.company().await;
        let answer = api.get("/api/iam/user-levels/7").by(company.admin).within(company.id).send().await;
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), "id must be a valid UUID".into()));
    }
}
