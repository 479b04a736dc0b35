//! Tests of the erasure of a company.

use serde_json::json;

use super::super::scene::{Scene, assert_contains, content};
use super::companies::tag_of;
use crate::support::api::both_adapters;

both_adapters! {
    /// A suspended company is erased after its name was typed, with its keys and its audit log. An active company is not.
    async fn a_company_is_erased_after_its_name_was_typed(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser, company) = (&scene.api, &scene.super_admin, scene.company);
        let stored = format!("/api/iam/companies/{}", company.id);
        api.patch(&stored).by_super_admin().json(&json!({ "name": "Ephemeral & Sons" })).send().await.expect(200);
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
            &["This cannot be undone.", "3 levels with their matrices", "of 3 users", "1 API keys", "can never be used again"],
        );
        let tag = tag_of(browser, &path).await;
        for wrong in ["", "ephemeral & sons", "Ephemeral"] {
            let fields = [("confirmation", wrong), ("tag", tag.as_str())];
            let page = content(&browser.submit(&path, &path, &fields).await.expect(422));
            assert_contains(&page, &["It is not the name of this company.", &format!("value=\"{}\"", wrong.replace('&', "&amp;"))]);
        }
        api.get(&stored).by_super_admin().send().await.expect(200);
        let outdated = [("confirmation", "Ephemeral & Sons"), ("tag", "\"old\"")];
        browser.submit(&path, &path, &outdated).await.expect(409);
        let confirmed = [("confirmation", "Ephemeral & Sons"), ("tag", tag.as_str())];
        let erased = browser.submit(&path, &path, &confirmed).await.expect(303);
        let list = content(&browser.get(erased.header("location").unwrap()).await.expect(200));
        assert_contains(&list, &["<bdi>Ephemeral &amp; Sons</bdi> was erased."]);
        assert!(!list.contains(&company.id.to_string()), "{list}");
        api.get(&stored).by_super_admin().send().await.expect(404);
        api.get("/api/iam/user-levels").by_key(&key).within(company.id).send().await.expect(401);
        browser.get(&path).await.expect(404);
    }
}
