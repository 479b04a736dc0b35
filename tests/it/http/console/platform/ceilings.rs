//! Tests of the ceilings of a company: the form, the review with its effect, and the change.

use serde_json::json;

use super::super::scene::{Scene, assert_contains, content, hidden_fields, row};
use crate::support::api::{Answer, TestApi, both_adapters};

/// Sends the fields of a page, except the token, to another page.
async fn forward(scene: &Scene, page: &Answer, to: &str) -> Answer {
    let hidden = hidden_fields(&content(page));
    let fields: Vec<_> =
        hidden.iter().filter(|(name, _)| name != "csrf").map(|(a, b)| (a.as_str(), b.as_str())).collect();
    scene.send(&scene.super_admin, to, &fields).await
}

both_adapters! {
    /// The review shows who loses what, and changes nothing. The confirmation sets the ceilings.
    async fn ceilings_are_reviewed_and_saved(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser, company) = (&scene.api, &scene.super_admin, scene.company);
        let (home, create) = (api.view_id("/home").await, api.feature_id("general.create").await);
        let form = browser.get(&scene.path("settings/ceilings")).await.expect(200);
        let base = hidden_fields(&form.text()).into_iter().find(|(name, _)| name == "base").unwrap().1;
        assert_contains(&content(&form), &["Hide", &format!("name=\"max.{create}.Create\"")]);
        assert!(!content(&form).contains("iam.manage_levels"), "the service's own features have no ceilings");

        let max = format!("max.{create}.Create");
        let fields = [("base", base.as_str()), ("hide", &home), (&max, "own")];
        let review = scene.send(browser, "settings/ceilings/review", &fields).await.expect(200);
        let text = content(&review);
        assert_contains(&text, &["Nothing is changed yet.", "3 users affected.", "Save the ceilings"]);
        let home_row = row(&text, "<bdi>Home</bdi>");
        assert_contains(home_row, &["No ceiling", "Hidden"]);
        let sees_home = async |user| api.check(company, user, json!({ "view": "/home" })).await["allowed"] == true;
        assert!(sees_home(company.member).await);

        let back = content(&forward(&scene, &review, "settings/ceilings").await.expect(200));
        assert_contains(&back, &[&format!("value=\"{home}\" checked"), "<option value=\"own\" selected>"]);
        let filtered = [&fields[..], &[("q", "nothing at all")]].concat();
        let none = content(&scene.send(browser, "settings/ceilings", &filtered).await.expect(200));
        assert_contains(&none, &["No view matches the text.", "No feature matches the text."]);
        assert_contains(&none, &[&format!("name=\"hide\" value=\"{home}\""), &format!("name=\"{max}\" value=\"own\"")]);

        let saved = forward(&scene, &review, "settings/ceilings/save").await.expect(303);
        assert_eq!(saved.header("location"), Some(scene.path("settings?done=ceilings").as_str()));
        assert!(!sees_home(company.member).await);
        let path = format!("/api/iam/companies/{}/ceilings", company.id);
        let stored = api.get(&path).by_super_admin().send().await.data();
        let actions = json!([{ "featureId": create, "action": "Create", "maxScope": "own" }]);
        assert_eq!((&stored["hiddenViews"], &stored["actions"]), (&json!([home]), &actions));
        let settings = content(&browser.get(&scene.path("settings")).await.expect(200));
        assert_contains(&settings, &["Hidden views: 1. Limited actions: 1."]);

        let again = forward(&scene, &review, "settings/ceilings/save").await.expect(409);
        assert_contains(&content(&again), &["Changed by others", "The ceilings stay the same."]);
    }
}

#[actix_web::test]
async fn ceilings_that_are_not_valid_are_refused() {
    let scene = Scene::new(TestApi::memory().await).await;
    let reserved = format!("max.{}.Read", scene.api.feature_id("iam.manage_levels").await);
    let page = scene
        .send(&scene.super_admin, "settings/ceilings/review", &[("base", "{}"), (&reserved, "own")])
        .await
        .expect(409);
    let page = content(&page);
    assert_contains(&page, &["must not be a feature of the service itself"]);
    assert!(!page.contains("Save the ceilings"), "{page}");
    for (name, value) in [("hide", "x"), ("max.x.Read", "own"), ("base", "x"), (reserved.as_str(), "everyone")] {
        scene.send(&scene.super_admin, "settings/ceilings/review", &[("base", "{}"), (name, value)]).await.expect(400);
    }
}

/// What another person has changed since the form was opened remains, and is shown apart from one's own changes.
#[actix_web::test]
async fn ceilings_that_another_person_has_changed_remain() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, browser) = (&scene.api, &scene.super_admin);
    let (home, dashboard) = (api.view_id("/home").await, api.view_id("/dashboard").await);
    let path = format!("/api/iam/companies/{}/ceilings", scene.company.id);
    let theirs = json!({ "hiddenViews": [dashboard], "actions": [] });
    api.put(&path).by_super_admin().json(&theirs).send().await.expect(200);
    let fields = [("base", "{}"), ("hide", home.as_str())];
    let review = scene.send(browser, "settings/ceilings/review", &fields).await.expect(409);
    let text = content(&review);
    let (others, own) = text.split_once("<caption>Your changes</caption>").unwrap();
    assert_contains(row(others, "<bdi>Dashboard</bdi>"), &["No ceiling", "Hidden"]);
    assert_contains(row(own, "<bdi>Home</bdi>"), &["No ceiling", "Hidden"]);
    assert!(!own.split("</table>").next().unwrap().contains("Dashboard"), "{own}");
    forward(&scene, &review, "settings/ceilings/save").await.expect(303);
    let stored = api.application.company_ceilings(scene.company.id).await.unwrap();
    assert_eq!(stored.hidden_views.len(), 2);
}
