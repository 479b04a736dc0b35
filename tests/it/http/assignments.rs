//! Tests of assignments through the API: reading and replacing the user levels of a user.

use serde_json::json;

use crate::support::api::{both_adapters, each, fields, new_company, new_user};

both_adapters! {
    /// The list of a user's levels contains each level with all its fields, sorted by name.
    async fn the_levels_of_a_user_are_listed_by_name(api: TestApi) {
        let company = api.company().await;
        let user = new_user();
        let path = format!("/api/iam/users/{user}/user-levels");
        let (visitor, member) = (api.level_id(company, "Visitor").await, api.level_id(company, "Member").await);
        let body = json!({ "userLevelIds": [visitor, member] });
        let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
        assert_eq!(answer.data()["message"], "User levels updated successfully");

        let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(fields(&data), ["userLevels"]);
        assert_eq!(each(&data["userLevels"], "name"), ["Member", "Visitor"]);
        let level = &data["userLevels"][0];
        let single =
            api.get(&format!("/api/iam/user-levels/{member}")).by(company.admin).within(company.id).send().await;
        assert_eq!(*level, single.data()["userLevel"]);
    }

    /// The list of levels of a non-member is empty.
    async fn a_non_member_has_no_levels(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/user-levels", new_user());
        let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(data, json!({ "userLevels": [] }));
    }

    /// An assignment replaces all levels of the user in the company: levels that the request omits are revoked.
    async fn an_assignment_replaces_the_previous_one(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/user-levels", company.member);
        let visitor = api.level_id(company, "Visitor").await;
        for (levels, names) in [(vec![visitor], vec!["Visitor"]), (vec![], vec![])] {
            let body = json!({ "userLevelIds": levels });
            api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
            let data = api.get(&path).by(company.admin).within(company.id).send().await.data();
            assert_eq!(each(&data["userLevels"], "name"), names);
        }
    }

    /// An assignment in one company leaves the user's levels in another company unchanged.
    async fn an_assignment_affects_one_company_only(api: TestApi) {
        let (one, other) = (api.company().await, api.company().await);
        let user = new_user();
        let (member, visitor) = (api.level_id(one, "Member").await, api.level_id(other, "Visitor").await);
        api.assign(one, user, &[&member]).await;
        api.assign(other, user, &[&visitor]).await;
        let path = format!("/api/iam/users/{user}/user-levels");
        let held = async |company: crate::support::api::Company| {
            let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
            each(&data["userLevels"], "name").join(" ")
        };
        assert_eq!((held(one).await, held(other).await), ("Member".to_owned(), "Visitor".to_owned()));
        let body = json!({ "userLevelIds": [] });
        api.put(&path).by(one.admin).within(one.id).json(&body).send().await.expect(200);
        assert_eq!((held(one).await, held(other).await), (String::new(), "Visitor".to_owned()));
        // The levels of one company also have no effect on decisions in the other company.
        let create = json!({ "feature": "general.read", "action": "Read" });
        assert_eq!(api.check(one, user, create.clone()).await["reasonCode"], "no_user_levels");
        assert_eq!(api.check(other, user, create).await["allowed"], true);
    }

    /// An assignment that contains an unknown level or another company's level is rejected. The error identifies each
    /// such level, and nothing is stored.
    async fn the_error_for_unknown_levels_contains_their_ids(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let path = format!("/api/iam/users/{}/user-levels", company.member);
        let visitor = api.level_id(company, "Visitor").await;
        let (foreign, unknown) = (api.level_id(other, "Visitor").await, new_company().to_string());
        let at = |index: usize, id: &str| {
            let field = format!("userLevelIds[{index}]");
            (field.clone(), format!("{field} refers to an unknown user-level: {id}"))
        };
        let body = json!({ "userLevelIds": [foreign, visitor, unknown] });
        let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
        assert_eq!(answer.findings(), [at(0, &foreign), at(2, &unknown)]);
        let body = json!({ "userLevelIds": [visitor, foreign] });
        let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), at(1, &foreign).1));

        let data = api.get(&path).by(company.admin).within(company.id).send().await.data();
        assert_eq!(each(&data["userLevels"], "name"), ["Member"]);
    }

    /// `userLevelIds` must be a list of distinct UUIDs.
    async fn the_list_is_validated(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/user-levels", company.member);
        for body in [json!({}), json!({ "userLevelIds": null }), json!({ "userLevelIds": "all" })] {
            let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
            let message = "userLevelIds must be an array";
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{body}");
        }
        let visitor = api.level_id(company, "Visitor").await;
        let body = json!({ "userLevelIds": [visitor, "x", visitor, 7] });
        let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
        let finding =
            |index: usize, rest: &str| (format!("userLevelIds[{index}]"), format!("userLevelIds[{index}] {rest}"));
        assert_eq!(
            answer.findings(),
            [finding(1, "must be a valid UUID"), finding(2, "occurs twice"), finding(3, "must be a string")]
        );
    }

    /// Concurrent assignments to the same user are serialized. Afterwards the user holds exactly the levels of one of
    /// these assignments.
    async fn two_concurrent_assignments_end_as_one_of_them(api: TestApi) {
        let company = api.company().await;
        let user = new_user();
        let path = format!("/api/iam/users/{user}/user-levels");
        let (a, b) = (api.new_level(company, "A").await, api.new_level(company, "B").await);
        let (c, d) = (api.new_level(company, "C").await, api.new_level(company, "D").await);
        let replace = |levels: [&str; 2]| {
            let body = json!({ "userLevelIds": levels });
            api.put(&path).by(company.admin).within(company.id).json(&body).send()
        };
        for _ in 0..3 {
            let (one, other) = futures_util::join!(replace([&a, &b]), replace([&c, &d]));
            one.expect(200);
            other.expect(200);
            let data = api.get(&path).by(company.admin).within(company.id).send().await.data();
            let names = each(&data["userLevels"], "name").join("");
            assert!(names == "AB" || names == "CD", "{names}");
        }
    }
}
