//! Tests of changes that become impossible while a person edits.

use serde_json::json;

use super::scene::{Scene, assert_contains, content, forward};
use crate::support::api::both_adapters;

both_adapters! {
    /// A change in a company that was suspended in the meantime is refused with this reason, and changes nothing.
    async fn a_change_in_a_suspended_company_states_the_reason(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
        let level = api.new_level(company, "Auditors").await;
        let home = scene.view_field("n", &level, "/home").await;
        let review = scene.send(admin, "matrix/review", &[(&home, "a")]).await.expect(200);
        let path = format!("/api/iam/companies/{}", company.id);
        let set = |status: &str| api.patch(&path).by_super_admin().json(&json!({ "status": status })).send();
        set("suspended").await.expect(200);
        for page in ["matrix/review", "matrix/save"] {
            let refused = forward(admin, &review, &scene.path(page)).await.expect(403);
            assert_contains(&content(&refused), &["because the company is suspended"]);
        }
        let created = scene.send(admin, "levels", &[("name", "New")]).await.expect(403);
        assert_contains(&content(&created), &["because the company is suspended"]);
        assert!(api.matrix(company, &level, "views").await.is_empty());
        set("active").await.expect(200);
        forward(admin, &review, &scene.path("matrix/save")).await.expect(303);
    }

    /// A draft is not saved by a person who has lost the right since the review.
    async fn a_save_after_losing_the_right_is_refused(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let rights = [("iam.assign_permissions", "Read"), ("iam.assign_permissions", "Update")];
        let user = scene.user_holding(&rights).await;
        let browser = scene.console.signed_in(user, false).await;
        let level = api.new_level(company, "Auditors").await;
        let home = scene.view_field("n", &level, "/home").await;
        let review = scene.send(&browser, "matrix/review", &[(&home, "d")]).await.expect(200);
        let path = format!("/api/iam/users/{user}/user-levels");
        let replace = async |levels: &[&str]| {
            let request = api.put(&path).by_super_admin().within(company.id).json(&json!({ "userLevelIds": levels }));
            request.send().await.expect(200);
        };
        replace(&[&api.level_id(company, "Visitor").await]).await;
        let refused = forward(&browser, &review, &scene.path("matrix/save")).await.expect(403);
        let page = content(&refused);
        assert_contains(&page, &["You do not have permission"]);
        assert!(!page.contains("suspended"), "{page}");
        replace(&[]).await;
        forward(&browser, &review, &scene.path("matrix/save")).await.expect(404);
        assert!(api.matrix(company, &level, "views").await.is_empty());
    }

    /// If a level of the draft was deleted, the page says so, and does not speak of changes by others.
    async fn a_save_to_a_deleted_level_says_that_it_was_deleted(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
        let level = api.new_level(company, "Gone").await;
        let home = scene.view_field("n", &level, "/home").await;
        let review = scene.send(admin, "matrix/review", &[(&home, "a")]).await.expect(200);
        let path = format!("/api/iam/user-levels/{level}");
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let deleted = forward(admin, &review, &scene.path("matrix/save")).await.expect(409);
        let page = content(&deleted);
        assert_contains(&page, &["<h1>A level was deleted</h1>", "The level was deleted, so your changes to it are dropped."]);
        assert!(!page.contains("Another person has changed") && !page.contains("Apply my changes"), "{page}");
    }
}
