//! Tests of the review of a draft, and of saving it.

use iam_application::BudgetOptions;
use serde_json::json;

use super::scene::{Scene, assert_contains, content, forward, row};
use crate::support::api::{TestApi, both_adapters, new_user, one_a_second};
use crate::support::console::{Setting, TestConsole};
use crate::support::replica::until;

both_adapters! {
    /// A draft is reviewed, which changes nothing, and then saved, which changes the decisions about users.
    async fn a_reviewed_draft_is_saved(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        api.assign(company, new_user(), &[&member]).await;
        let path = format!("/api/iam/users/{}/profile", company.member);
        let profile = json!({ "displayName": "Ada <3" });
        api.put(&path).by(company.admin).within(company.id).json(&profile).send().await.expect(200);
        let approve = scene.action_field("n", &member, "general.read", "Approve").await;
        let home = scene.view_field("a", &visitor, "/home").await;
        let draft = [(approve.as_str(), "t"), (home.as_str(), "d")];
        let review = scene.send(admin, "matrix/review?tab=features&q=general", &draft).await.expect(200);
        let page = content(&review);
        let differs = row(&page, "<bdi>Read</bdi> · <bdi>Approve</bdi>");
        assert_contains(differs, &["Inherit", "Allow: team"]);
        assert_contains(row(&page, "<bdi>Home</bdi>"), &[">Allow<", ">Deny<"]);
        assert_contains(&page, &[
            "2 changes. Nothing is saved yet.",
            "2 users affected.",
            "+ 2 users gain",
            "1 user affected.",
            "− 1 user loses",
            "Ada &lt;3</bdi>",
        ]);
        let question = json!({ "feature": api.feature_id("general.read").await, "action": "Approve" });
        assert_eq!(api.check(company, company.member, question.clone()).await["allowed"], false);

        let save = scene.path("matrix/save?tab=features&q=general");
        let saved = forward(admin, &review, &save).await.expect(303);
        let location = saved.header("location").unwrap().to_owned();
        assert_eq!(location, scene.path("matrix?tab=features&q=general&saved=2"));
        assert_contains(&content(&admin.get(&location).await.expect(200)), &["2 changes were saved."]);
        let decision = api.check(company, company.member, question).await;
        assert_eq!((&decision["allowed"], &decision["scope"]), (&json!(true), &json!("team")));
        let seen = api.check(company, company.visitor, json!({ "view": api.view_id("/home").await })).await;
        assert_eq!(seen["allowed"], false);
    }

    /// If another person has changed the matrix since the review, nothing is saved. The draft is kept, and can be applied on
    /// top of the change.
    async fn a_conflict_keeps_the_draft(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
        let level = api.new_level(company, "Auditors").await;
        let (home, users) = (api.view_id("/home").await, api.view_id("/users").await);
        let allowed = |view: &str| json!({ "viewId": view, "state": "allow" });
        let fields = [scene.view_field("n", &level, "/home").await, scene.view_field("n", &level, "/users").await];
        let draft = [(fields[0].as_str(), "d"), (fields[1].as_str(), "a")];
        let review = scene.send(admin, "matrix/review", &draft).await.expect(200);
        api.set_matrix(company, &level, "views", json!([allowed(&home)])).await;

        let conflict = forward(admin, &review, &scene.path("matrix/save")).await.expect(409);
        let page = content(&conflict);
        assert_contains(&page, &["Others have changed this", "Apply my changes on top", "Latest changes of this level"]);
        let cells = row(&page, "<bdi>Home</bdi>");
        assert_contains(cells, &["Inherit", "Allow", "Changed by another person", "Deny"]);
        assert!(!row(&page, "<bdi>Users List</bdi>").contains("Changed by another person"));
        let stored = api.matrix(company, &level, "views").await;
        assert_eq!((stored.len(), &stored[0]["state"]), (1, &json!("allow")), "nothing of the draft was saved");

        // A review of the outdated draft has the same result, and the draft on top of the change can be saved.
        let outdated = scene.send(admin, "matrix/review", &draft).await.expect(409);
        assert_contains(&content(&outdated), &["Changed by another person"]);
        let review = forward(admin, &conflict, &scene.path("matrix/review")).await.expect(200);
        assert_contains(row(&content(&review), "<bdi>Home</bdi>"), &["Allow", "Deny"]);
        forward(admin, &review, &scene.path("matrix/save")).await.expect(303);
        let stored = api.matrix(company, &level, "views").await;
        let state = |view: &str| stored.iter().find(|cell| cell["viewId"] == view).unwrap()["state"].clone();
        assert_eq!((state(&home), state(&users)), (json!("deny"), json!("allow")));
    }
}

#[actix_web::test]
async fn a_change_that_would_be_refused_shows_the_reason() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
    let admins = api.level_id(company, "Admin").await;
    // The company would have no administrator any more.
    let update = scene.action_field("a", &admins, "iam.manage_levels", "Update").await;
    let view = scene.view_field("a", &admins, "/home").await;
    let review = scene.send(admin, "matrix/review", &[(&update, "n")]).await.expect(200);
    let page = content(&review);
    assert_contains(&page, &["would be refused", "The company would be left without an administrator"]);
    assert!(!page.contains("Save</button>"), "{page}");

    // The other part of the draft can be saved, and the refused part is kept.
    let review = scene.send(admin, "matrix/review", &[(&update, "n"), (&view, "n")]).await.expect(200);
    assert_contains(&content(&review), &["Save what is not refused"]);
    let partly = forward(admin, &review, &scene.path("matrix/save")).await.expect(409);
    let page = content(&partly);
    assert_contains(
        &page,
        &["Not everything was saved", "<bdi>Admin</bdi> · Views, 1 change", "without an administrator"],
    );
    assert!(page.contains(&update) && !page.contains(&view), "{page}");
    let views = api.matrix(company, &admins, "views").await;
    assert_eq!(views.len(), 13);
    let back = forward(admin, &partly, &scene.path("matrix?tab=features")).await.expect(200);
    assert_contains(&content(&back), &[&format!(r#"name="{update}" value="n""#), "1 change<"]);

    // A person cannot grant what they do not hold.
    let rights = ["Read", "Update"].map(|action| ("iam.assign_permissions", action));
    let limited = scene.holding(&rights).await;
    let level = api.new_level(company, "Auditors").await;
    let export = scene.action_field("n", &level, "general.export", "Export").await;
    let review = scene.send(&limited, "matrix/review", &[(&export, "a")]).await.expect(200);
    let reason = "You cannot grant what you do not hold: general.export/Export (any)";
    assert_contains(&content(&review), &[reason]);
    let refused = forward(&limited, &review, &scene.path("matrix/save")).await.expect(409);
    assert_contains(&content(&refused), &[reason, "Back to editing", &export]);
    assert!(api.matrix(company, &level, "features").await.is_empty());
}

#[actix_web::test]
async fn pinned_cells_are_changed_only_by_super_admins_and_stay_pinned() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let level = api.new_level(company, "Auditors").await;
    let pinned = json!([{ "viewId": api.view_id("/home").await, "state": "deny", "modifiable": false }]);
    api.set_matrix(company, &level, "views", pinned).await;
    let home = scene.view_field("d", &level, "/home").await;
    let review = scene.send(&scene.admin, "matrix/review", &[(&home, "n")]).await.expect(200);
    assert_contains(&content(&review), &["Only super admins may change pinned permissions"]);
    forward(&scene.admin, &review, &scene.path("matrix/save")).await.expect(409);
    let review = scene.send(&scene.super_admin, "matrix/review", &[(&home, "n")]).await.expect(200);
    forward(&scene.super_admin, &review, &scene.path("matrix/save")).await.expect(303);
    let stored = api.matrix(company, &level, "views").await;
    assert_eq!((stored.len(), &stored[0]["state"], &stored[0]["modifiable"]), (1, &json!("inherit"), &json!(false)));
}

#[actix_web::test]
async fn edits_of_a_deleted_level_are_dropped() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
    let (gone, level) = (api.new_level(company, "Gone").await, api.new_level(company, "Auditors").await);
    let fields = [scene.view_field("n", &gone, "/home").await, scene.view_field("n", &level, "/home").await];
    let draft = [(fields[0].as_str(), "a"), (fields[1].as_str(), "a")];
    let review = scene.send(admin, "matrix/review", &draft).await.expect(200);
    let path = format!("/api/iam/user-levels/{gone}");
    api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
    let conflict = scene.send(admin, "matrix/review", &draft).await.expect(409);
    assert_contains(&content(&conflict), &["The level was deleted, so your changes to it are dropped."]);
    let again = forward(admin, &conflict, &scene.path("matrix/review")).await.expect(200);
    assert_contains(&content(&again), &["1 change. Nothing is saved yet.", "<bdi>Auditors</bdi>"]);
    let partly = forward(admin, &review, &scene.path("matrix/save")).await.expect(409);
    assert_contains(&content(&partly), &["<bdi>Auditors</bdi> · Views, 1 change", "The level was deleted"]);
    assert_eq!(api.matrix(company, &level, "views").await.len(), 1);
}

#[actix_web::test]
async fn a_form_that_is_not_valid_changes_nothing() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
    let level = api.new_level(company, "Auditors").await;
    let home = scene.view_field("n", &level, "/home").await;
    for page in ["matrix/review", "matrix/save"] {
        for fields in [[(home.as_str(), "x")], [("c.n.x.v.x", "a")], [("c.", "a")]] {
            scene.send(admin, page, &fields).await.expect(400);
        }
        // Without the token of the session.
        admin.post(&scene.path(page), &[(&home, "a")]).await.expect(403);
        for (browser, status) in scene.outsiders().await {
            scene.send(&browser, page, &[(&home, "a")]).await.expect(status);
        }
        scene.send(&scene.reader().await, page, &[(&home, "a")]).await.expect(403);
    }
    let without_tag = scene.send(admin, "matrix/save", &[(&home, "a")]).await.expect(400);
    assert!(without_tag.text().contains("does not state what its changes are based on"));
    let nothing = scene.send(admin, "matrix/review?tab=features", &[(&home, "n")]).await.expect(303);
    assert_eq!(nothing.header("location"), Some(scene.path("matrix?tab=features").as_str()));
    assert!(api.matrix(company, &level, "views").await.is_empty());
}

#[actix_web::test]
async fn the_review_of_one_level_leads_back_to_its_page() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.new_level(scene.company, "Auditors").await;
    let home = scene.view_field("n", &level, "/home").await;
    let page =
        content(&scene.admin.get(&scene.path(&format!("levels/{level}/matrix?tab=views&q=home"))).await.expect(200));
    let action = format!("matrix/review?tab=views&amp;q=home&amp;level={level}");
    assert_contains(&page, &[&action]);
    let review = scene.send(&scene.admin, &action.replace("&amp;", "&"), &[(&home, "a")]).await.expect(200);
    let save = scene.path(&format!("matrix/save?tab=views&q=home&level={level}"));
    assert_contains(&content(&review), &[&save.replace('&', "&amp;")]);
    let saved = forward(&scene.admin, &review, &save).await.expect(303);
    let location = saved.header("location").unwrap().to_owned();
    assert_eq!(location, scene.path(&format!("levels/{level}/matrix?tab=views&q=home&saved=1")));
    assert_contains(&content(&scene.admin.get(&location).await.expect(200)), &["1 change was saved."]);
}

#[actix_web::test]
async fn each_part_of_a_draft_is_charged_to_the_budgets() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let budgets = BudgetOptions { user: one_a_second(10), ..BudgetOptions::default() };
    let limited = api.with_options(budgets).await;
    let console = TestConsole::of(&limited, Setting::default()).await;
    let admin = console.signed_in(company.admin, false).await;
    let scene = Scene { admin: admin.clone(), super_admin: admin, api, company, console };
    let mut fields = Vec::new();
    for number in 0..20 {
        let level = scene.api.new_level(company, &format!("Level {number}")).await;
        fields.push(scene.view_field("n", &level, "/home").await);
    }
    let draft: Vec<_> = fields.iter().map(|field| (field.as_str(), "a")).collect();
    let few = scene.send(&scene.admin, "matrix/review", &draft[..2]).await.expect(200);
    assert_contains(&content(&few), &["2 changes. Nothing is saved yet."]);
    // On a slow machine, the budget is refilled during a review.
    until(async || scene.send(&scene.admin, "matrix/review", &draft).await.status == 429).await;
}
