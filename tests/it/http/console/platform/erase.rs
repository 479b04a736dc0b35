//! Tests of the erasure of a company.

use serde_json::json;

use super::super::scene::{Scene, assert_contains, content};
use super::companies::tag_of;
use crate::support::api::{TestApi, both_adapters};

both_adapters! {
    /// A suspended company is erased after its name was typed, with its keys and its audit log. An active company is not.
    async fn a_company_is_erased_after_its_name_was_typed(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser, company) = (&scene.api, &scene.super_admin, scene.company);
        let stored = format!("/api/iam/companies/{}", company.id);
        api.patch(&stored).by_super_admin().json(&json!({ "name": "Ephemeral  & Sons" })).send().await.expect(200);
        let key = api.api_key("read", Some(company.id)).await;
        let path = scene.path("settings/erase");
        let active = content(&browser.get(&path).await.expect(200));
        assert_contains(&active, &["Only a suspended company can be erased."]);
        assert!(!active.contains("<form"), "{active}");
        let fields = [("confirmation", "Ephemeral & Sons"), ("tag", "x")];
        browser.submit("/console/companies", &path, &fields).await.expect(409);

        api.patch(&stored).by_super_admin().json(&json!({ "status": "suspended" })).send().await.expect(200);
        let page = content(&browser.get(&path).await.expect(200));
        assert_contains(
            &page,
            &["This cannot be undone.", "will be erased", "3 levels with all matrices", "of 3 users", "1 API key,", "can never be used again"],
        );
        let tag = tag_of(browser, &path).await;
        for wrong in ["", "ephemeral & sons", "Ephemeral"] {
            let fields = [("confirmation", wrong), ("tag", tag.as_str())];
            let page = content(&browser.submit(&path, &path, &fields).await.expect(422));
            assert_contains(&page, &["It is neither the name nor the id of this company.", &format!("value=\"{}\"", wrong.replace('&', "&amp;"))]);
        }
        api.get(&stored).by_super_admin().send().await.expect(200);
        let outdated = [("confirmation", "Ephemeral & Sons"), ("tag", "\"old\"")];
        browser.submit(&path, &path, &outdated).await.expect(409);
        let confirmed = [("confirmation", " Ephemeral  &\tSons "), ("tag", tag.as_str())];
        let erased = browser.submit(&path, &path, &confirmed).await.expect(303);
        let list = content(&browser.get(erased.header("location").unwrap()).await.expect(200));
        assert_contains(&list, &["The company was erased."]);
        assert!(!list.contains(&company.id.to_string()), "{list}");
        api.get(&stored).by_super_admin().send().await.expect(404);
        api.get("/api/iam/user-levels").by_key(&key).within(company.id).send().await.expect(401);
        browser.get(&path).await.expect(404);
    }
}

/// A name may consist of characters that cannot be typed, so the id confirms the erasure, too.
#[actix_web::test]
async fn a_company_is_erased_after_its_id_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let stored = format!("/api/iam/companies/{}", scene.company.id);
    let body = json!({ "name": "\u{e9}\u{2060}\u{e9}", "status": "suspended" });
    scene.api.patch(&stored).by_super_admin().json(&body).send().await.expect(200);
    let (path, id) = (scene.path("settings/erase"), scene.company.id.to_string());
    let tag = tag_of(&scene.super_admin, &path).await;
    let fields = |typed| [("confirmation", typed), ("tag", tag.as_str())];
    scene.super_admin.submit(&path, &path, &fields("\u{e9}\u{e9}")).await.expect(422);
    scene.super_admin.submit(&path, &path, &fields(&id)).await.expect(303);
    scene.api.get(&stored).by_super_admin().send().await.expect(404);
}
