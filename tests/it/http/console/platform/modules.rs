//! Tests of the modules of a company: the review, its effect, and the change.

use super::super::scene::{Scene, assert_contains, content, hidden_fields};
use crate::support::api::{Answer, TestApi, both_adapters};

/// Confirms the review of the modules.
async fn confirm(scene: &Scene, review: &Answer) -> Answer {
    let hidden = hidden_fields(&content(review));
    let fields: Vec<_> =
        hidden.iter().filter(|(name, _)| name != "csrf").map(|(a, b)| (a.as_str(), b.as_str())).collect();
    scene.send(&scene.super_admin, "settings/modules", &fields).await
}

both_adapters! {
    /// The review shows what becomes unavailable and for whom, and changes nothing. The confirmation makes the change.
    async fn modules_are_reviewed_and_saved(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser) = (&scene.api, &scene.super_admin);
        let (core, risks) = (api.module_id("core").await, api.module_id("risks").await);
        let page = content(&browser.get(&scene.path("settings")).await.expect(200));
        assert_contains(&page, &[&format!("value=\"{core}\" checked"), &format!("value=\"{risks}\"><span>")]);

        let fields = [("module", risks.as_str()), ("seen", &core)];
        let review = scene.send(browser, "settings/modules/review", &fields).await.expect(200);
        let text = content(&review);
        assert_contains(&text, &["Nothing is changed yet.", "+ added: <bdi>Risks</bdi>", "− removed: <bdi>Core</bdi>"]);
        assert_contains(&text, &["No longer available", "<bdi>Home</bdi>", "Available from now on", "3 users affected."]);
        let modules = || async {
            let path = format!("/api/iam/companies/{}/modules", scene.company.id);
            let stored = api.get(&path).by_super_admin().send().await.data();
            let names = stored["modules"].as_array().unwrap().iter();
            names.map(|module| format!("{} {}", module["module"]["code"], module["granted"]["enabled"])).collect::<Vec<_>>()
        };
        let before = modules().await;
        assert_eq!(before.len(), 1, "{before:?}");

        let both = [("module", core.as_str()), ("module", risks.as_str()), ("seen", core.as_str())];
        let review = scene.send(browser, "settings/modules/review", &both).await.expect(200);
        assert_contains(&content(&review), &["+ added: <bdi>Risks</bdi>", "<code><bdi>/modules/risks</bdi></code>"]);
        assert_eq!(modules().await, before);
        let saved = confirm(&scene, &review).await.expect(303);
        assert_eq!(saved.header("location"), Some(scene.path("settings?done=modules").as_str()));
        assert_eq!(modules().await.len(), 2);

        let switch = format!("off:{core}");
        let review = scene.send(browser, "settings/modules/review", &[("switch", &switch)]).await.expect(200);
        assert_contains(&content(&review), &["<h1><bdi>Disable Core for ", "<button class=\"danger\" type=\"submit\">Disable <bdi>Core</bdi>"]);
        confirm(&scene, &review).await.expect(303);
        let page = content(&browser.get(&scene.path("settings")).await.expect(200));
        assert_contains(&page, &["disabled for this company", &format!("value=\"on:{core}\"")]);
        let home = api.check(scene.company, scene.company.member, serde_json::json!({ "view": "/home" })).await;
        assert_eq!(home["allowed"], false, "{home}");
    }
}

#[actix_web::test]
async fn modules_that_another_person_has_changed_are_not_overwritten() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (core, risks) = (scene.api.module_id("core").await, scene.api.module_id("risks").await);
    let fields = [("module", core.as_str()), ("seen", &core)];
    let review = scene.send(&scene.super_admin, "settings/modules/review", &fields).await.expect(200);
    let path = format!("/api/iam/companies/{}/modules", scene.company.id);
    let body = serde_json::json!({ "moduleIds": [core, risks] });
    scene.api.put(&path).by_super_admin().json(&body).send().await.expect(200);
    let refused = content(&confirm(&scene, &review).await.expect(409));
    assert_contains(
        &refused,
        &[
            "The modules are not saved.",
            "+ added by another person: <bdi>Risks</bdi>",
            "The company keeps its modules.",
        ],
    );
    assert_eq!(scene.api.application.company_modules(scene.company.id).await.unwrap().len(), 2);
}

#[actix_web::test]
async fn unknown_modules_are_refused() {
    let scene = Scene::new(TestApi::memory().await).await;
    scene.send(&scene.super_admin, "settings/modules/review", &[("module", "x")]).await.expect(400);
    let unknown = crate::support::api::new_company().to_string();
    let page = scene.send(&scene.super_admin, "settings/modules/review", &[("module", &unknown)]).await.expect(409);
    let page = content(&page);
    assert_contains(&page, &["The modules are not saved.", "unknown module"]);
    assert!(!page.contains("Save the modules"), "{page}");
}

/// A change has the effect that was reviewed: if a user was added in the meantime, it is reviewed again.
#[actix_web::test]
async fn modules_are_saved_only_with_the_effect_that_was_reviewed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (core, risks) = (scene.api.module_id("core").await, scene.api.module_id("risks").await);
    let fields = [("module", risks.as_str()), ("seen", &core)];
    let review = scene.send(&scene.super_admin, "settings/modules/review", &fields).await.expect(200);
    assert_contains(&content(&review), &["3 users affected."]);
    let level = scene.api.level_id(scene.company, "Member").await;
    scene.api.assign(scene.company, crate::support::api::new_user(), &[&level]).await;
    let again = confirm(&scene, &review).await.expect(409);
    assert_contains(&content(&again), &["The modules are not saved.", "4 users affected."]);
    confirm(&scene, &again).await.expect(303);
    scene.send(&scene.super_admin, "settings/modules", &[("module", &risks)]).await.expect(400);
}

/// A form that was filled before another person added a module does not remove this module.
#[actix_web::test]
async fn a_module_that_another_person_has_added_remains() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (core, risks) = (scene.api.module_id("core").await, scene.api.module_id("risks").await);
    let page = content(&scene.super_admin.get(&scene.path("settings")).await.expect(200));
    let seen: Vec<_> = hidden_fields(&page).into_iter().filter(|(name, _)| name == "seen").collect();
    assert_eq!(seen, [("seen".to_owned(), core.clone())]);
    let ledger = scene.api.make("modules", None, serde_json::json!({ "name": "Ledger", "code": "ledger" })).await;
    let path = format!("/api/iam/companies/{}/modules", scene.company.id);
    let body = serde_json::json!({ "moduleIds": [core, ledger["id"]] });
    scene.api.put(&path).by_super_admin().json(&body).send().await.expect(200);

    let fields = [("module", core.as_str()), ("module", &risks), ("seen", &core)];
    let review = scene.send(&scene.super_admin, "settings/modules/review", &fields).await.expect(409);
    let text = content(&review);
    assert_contains(&text, &["+ added by another person: <bdi>Ledger</bdi>", "+ added: <bdi>Risks</bdi>"]);
    assert!(!text.contains("− removed"), "{text}");
    confirm(&scene, &review).await.expect(303);
    assert_eq!(scene.api.application.company_modules(scene.company.id).await.unwrap().len(), 3);
}
