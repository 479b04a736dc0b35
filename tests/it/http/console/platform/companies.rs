//! Tests of the list of companies, of the creation of companies, and of their names.

use serde_json::json;

use super::super::scene::{HOSTILE, Scene, assert_contains, content, hidden_fields};
use crate::support::api::{TestApi, both_adapters, new_company, new_user};
use crate::support::console::Browser;

/// Returns the entity tag in the forms of a page.
pub async fn tag_of(browser: &Browser, path: &str) -> String {
    let page = browser.get(path).await.expect(200).text();
    hidden_fields(&page).into_iter().find(|(name, _)| name == "tag").unwrap().1
}

both_adapters! {
    /// A company is created with a module and an administrator, is renamed, suspended and resumed.
    async fn a_company_is_created_renamed_suspended_and_resumed(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser) = (&scene.api, &scene.super_admin);
        let (id, admin) = (new_company().to_string(), new_user());
        let module = api.module_id("risks").await;
        let admin_id = admin.to_string();
        let fields = [("name", "Analytical Engines"), ("id", &id), ("admin", &admin_id), ("module", &module)];
        let created = browser.submit("/console/companies/new", "/console/companies", &fields).await.expect(303);
        let settings = format!("/console/companies/{id}/settings");
        assert_eq!(created.header("location"), Some(format!("{settings}?done=created").as_str()));
        let stored = api.get(&format!("/api/iam/companies/{id}")).by_super_admin().send().await.data();
        assert_eq!(stored["company"]["name"], "Analytical Engines");
        assert_eq!(stored["company"]["modules"].as_array().unwrap().len(), 2, "{stored}");
        let seen = scene.console.signed_in(admin, false).await;
        seen.get(&format!("/console/companies/{id}/users")).await.expect(200);

        let tag = tag_of(browser, &settings).await;
        let fields = [("name", "Difference Engines"), ("tag", tag.as_str())];
        browser.submit(&settings, &format!("{settings}/name"), &fields).await.expect(303);
        let page = content(&browser.get(&format!("{settings}?done=renamed")).await.expect(200));
        assert_contains(&page, &["The name was saved.", "value=\"Difference Engines\""]);

        let status = format!("{settings}/status");
        let page = content(&browser.get(&status).await.expect(200));
        assert_contains(&page, &["1 user affected", "Suspend <bdi>Difference Engines</bdi>"]);
        for (to, done) in [("suspended", "The company was suspended."), ("active", "The company is active again.")] {
            let tag = tag_of(browser, &status).await;
            let changed = browser.submit(&status, &status, &[("status", to), ("tag", &tag)]).await.expect(303);
            let page = content(&browser.get(changed.header("location").unwrap()).await.expect(200));
            assert_contains(&page, &[done]);
            let stored = api.get(&format!("/api/iam/companies/{id}")).by_super_admin().send().await.data();
            assert_eq!(stored["company"]["status"], to);
        }
    }
}

#[actix_web::test]
async fn a_refused_company_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let browser = &scene.super_admin;
    let module = scene.api.module_id("risks").await;
    let fields = [("name", " "), ("id", "x"), ("admin", "not-an-id"), ("module", module.as_str())];
    let page = browser.submit("/console/companies/new", "/console/companies", &fields).await.expect(422);
    let page = content(&page);
    assert_contains(
        &page,
        &["It is required.", "It must be a valid UUID.", "It must be a valid UUID, or issuer|subject."],
    );
    assert_contains(&page, &["value=\"x\"", "value=\"not-an-id\"", &format!("value=\"{module}\" checked")]);
    let id = scene.company.id.to_string();
    let fields = [("name", "Twice"), ("id", id.as_str())];
    let page = browser.submit("/console/companies/new", "/console/companies", &fields).await.expect(409);
    assert_contains(&content(&page), &["A company with this id already exists", "value=\"Twice\"", &id]);
}

#[actix_web::test]
async fn a_name_that_another_person_has_changed_is_not_overwritten() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (browser, settings) = (&scene.super_admin, scene.path("settings"));
    let tag = tag_of(browser, &settings).await;
    let path = format!("/api/iam/companies/{}", scene.company.id);
    scene.api.patch(&path).by_super_admin().json(&json!({ "name": "Theirs" })).send().await.expect(200);
    for form in ["settings/name", "settings/status"] {
        let fields = [("name", "Mine"), ("status", "suspended"), ("tag", tag.as_str())];
        let page = browser.submit(&settings, &scene.path(form), &fields).await.expect(409);
        assert_contains(&content(&page), &["Another person has changed this"]);
    }
    let page =
        content(&browser.submit(&settings, &scene.path("settings/name"), &[("name", "Mine"), ("tag", "x")]).await);
    assert_contains(&page, &["value=\"Mine\"", "Stored name: <bdi>Theirs</bdi>"]);
    let stored = scene.api.application.company_details(scene.company.id).await.unwrap();
    assert_eq!((stored.name.unwrap().as_str(), stored.status.as_str()), ("Theirs", "active"));
}

#[actix_web::test]
async fn the_list_of_companies_is_filtered_by_status() {
    let scene = Scene::new(TestApi::memory().await).await;
    let other = scene.api.company().await;
    let path = format!("/api/iam/companies/{}", other.id);
    scene.api.patch(&path).by_super_admin().json(&json!({ "status": "suspended" })).send().await.expect(200);
    for (status, sees_active, sees_suspended) in [("", true, true), ("active", true, false), ("suspended", false, true)]
    {
        let page = content(&scene.super_admin.get(&format!("/console/companies?status={status}")).await.expect(200));
        assert_eq!(page.contains(&scene.company.id.to_string()), sees_active, "{status}");
        assert_eq!(page.contains(&other.id.to_string()), sees_suspended, "{status}");
    }
}

#[actix_web::test]
async fn hostile_names_are_escaped_on_the_pages_of_a_company() {
    let scene = Scene::new(TestApi::memory().await).await;
    let browser = &scene.super_admin;
    for (index, name) in HOSTILE.into_iter().enumerate() {
        let path = format!("/api/iam/companies/{}", scene.company.id);
        scene.api.patch(&path).by_super_admin().json(&json!({ "name": name })).send().await.expect(200);
        let view = json!({ "name": name, "url": format!("/hostile/{index}/<b>") });
        scene.api.make("views", None, view).await;
        let feature = json!({ "name": name, "key": format!("<i>.{index}"), "actions": ["<u> \" &"] });
        scene.api.make("features", None, feature).await;
        scene.api.make("modules", None, json!({ "name": name, "code": format!("hostile-{index}") })).await;
        scene.api.make("api-keys", Some(scene.company.id), json!({ "name": name, "role": "check" })).await;
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for page in ["companies/new", "api-keys", "catalog", "catalog/features", "catalog/modules"]
            .map(|page| format!("/console/{page}"))
            .into_iter()
            .chain(["settings", "settings/ceilings", "settings/status", "settings/erase"].map(|page| scene.path(page)))
        {
            let text = browser.get(&page).await.expect(200).text();
            assert!(text.contains(&escaped), "{page}: {text}");
            for harm in ["<script>", "<img src=x", "<b>", "<i>", "<u>"] {
                assert!(!text.contains(harm), "{harm} in {page}: {text}");
            }
        }
    }
}
