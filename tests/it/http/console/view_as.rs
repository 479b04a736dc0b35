//! Tests of the page that shows the menu and the permissions as other users see them.

use iam_domain::UserId;
use serde_json::{Value, json};

use super::scene::{HOSTILE, Scene, assert_contains, content, row};
use crate::support::api::{TestApi, both_adapters, new_user};

/// Returns the visible items of the menu on a page, each with its visible sub-items, and the parts with their reasons.
fn menu(page: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (_, tree) = page.split_once("<ul class=\"menu-tree\">").unwrap_or_else(|| panic!("no menu: {page}"));
    let tree = tree.split_once("</section>").unwrap().0;
    let (mut visible, mut hidden) = (Vec::new(), Vec::new());
    for part in tree.split("<span class=\"label\">").skip(1).zip(tree.split("<li").skip(1)) {
        let (text, item) = part;
        let label = text.split("<bdi>").nth(1).unwrap().split("</bdi>").next().unwrap().to_owned();
        if item.starts_with(" class=\"ghost\"") {
            let reason = text.split_once("<small class=\"reason\">").unwrap().1.split_once("</small>").unwrap().0;
            hidden.push((label, reason.to_owned()));
        } else {
            visible.push(label);
        }
    }
    (visible, hidden)
}

/// Returns the labels of the menu that the API returns for a user: items and sub-items in their order.
async fn navigation(scene: &Scene, user: UserId) -> Vec<String> {
    let request = scene.api.get("/api/iam/navigation").by(user).within(scene.company.id);
    let data = request.send().await.expect(200).data();
    let label = |entry: &Value| entry["label"].as_str().unwrap().to_owned();
    let items = data["menu"].as_array().unwrap().iter();
    items.flat_map(|item| std::iter::once(item).chain(item["subItems"].as_array().unwrap())).map(label).collect()
}

#[track_caller]
fn reason<'a>(hidden: &'a [(String, String)], label: &str) -> &'a str {
    let found = hidden.iter().find(|(hidden, _)| hidden == label);
    &found.unwrap_or_else(|| panic!("{label} is not hidden: {hidden:?}")).1
}

async fn of_user(scene: &Scene, user: UserId) -> String {
    content(&scene.admin.get(&scene.path(&format!("view-as?user={user}"))).await.expect(200))
}

both_adapters! {
    /// The page shows the menu that the user receives from the API. All other parts are hidden, with a reason.
    async fn the_menu_is_that_of_the_user(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let path = format!("/api/iam/companies/{}/modules", company.id);
        let modules = json!({ "moduleIds": [api.module_id("core").await, api.module_id("audit").await] });
        api.put(&path).by_super_admin().json(&modules).send().await.expect(200);
        api.make("menu-items", Some(company.id), json!({ "label": "Empty" })).await;
        let level = api.new_level(company, "Zoo").await;
        api.set_matrix(company, &level, "views", json!([{ "viewId": api.view_id("/users").await, "state": "deny" }])).await;
        let denied = new_user();
        api.assign(company, denied, &[&api.level_id(company, "Member").await, &level]).await;
        for user in [company.admin, company.member, company.visitor, denied] {
            let page = of_user(&scene, user).await;
            assert_eq!(menu(&page).0, navigation(&scene, user).await, "{page}");
        }
        let page = of_user(&scene, denied).await;
        let (_, hidden) = menu(&page);
        let link = |page: &str| format!("href=\"{}\"", scene.path(page));
        assert_contains(reason(&hidden, "Users"), &["denied by <a", &link(&format!("levels/{level}/matrix")), "<bdi>Zoo</bdi>"]);
        assert_contains(reason(&hidden, "Users"), &[&format!("why?user={denied}&amp;view="), "Why?"]);
        assert_contains(reason(&hidden, "User Levels"), &["no level allows it"]);
        assert_contains(reason(&hidden, "Risks"), &["not enabled in this company: module <bdi>Risks</bdi>"]);
        assert_eq!(reason(&hidden, "Empty"), "None of its sub-items is visible");
        assert_contains(&page, &["Nothing can be changed here.", &link(&format!("users/{denied}")), "Landing page"]);
    }

    /// The permissions of levels are those of a user who holds the levels.
    async fn levels_are_viewed_without_a_holder(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let (home, users) = (api.view_id("/home").await, api.view_id("/users").await);
        let a = api.new_level(company, "Alpha").await;
        api.set_matrix(company, &a, "views", json!([{ "viewId": home, "state": "allow" }, { "viewId": users, "state": "allow" }])).await;
        let b = api.new_level(company, "Beta").await;
        api.set_matrix(company, &b, "views", json!([{ "viewId": home, "state": "deny" }])).await;
        let read = json!([{ "featureId": api.feature_id("general.read").await, "action": "Read", "scope": "team" }]);
        api.set_matrix(company, &b, "features", read).await;
        for query in [format!("levels={a},{b}"), format!("levels={b}&levels={a}")] {
            let page = content(&scene.admin.get(&scene.path(&format!("view-as?{query}"))).await.expect(200));
            assert_contains(&page, &["a user who holds these levels", "levels: <bdi>", "<bdi>Alpha</bdi>", "<bdi>Beta</bdi>"]);
            assert_contains(row(&page, "<bdi>Home</bdi>"), &[">Denied<", "<bdi>Beta</bdi>"]);
            assert_contains(row(&page, "<bdi>Users List</bdi>"), &[">Allowed<", "<bdi>Alpha</bdi>"]);
            assert_contains(row(&page, "<bdi>Read</bdi> · <bdi>Read</bdi>"), &[">Allowed<", "team", "<bdi>Beta</bdi>"]);
            assert!(!page.contains("why?"), "the levels have no holder: {page}");
            let checked = format!("value=\"{a}\" checked");
            assert_contains(&page, &[&checked]);
        }
        let alone = content(&scene.admin.get(&scene.path(&format!("view-as?levels={a}&q=home&show=allowed"))).await.expect(200));
        assert_contains(row(&alone, "<bdi>Home</bdi>"), &[">Allowed<"]);
        assert_contains(&alone, &[&format!("name=\"levels\" value=\"{a}\""), "1 permission<"]);
    }

    /// A ceiling and a suspension are reasons.
    async fn ceilings_and_suspensions_are_reasons(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let path = format!("/api/iam/companies/{}", company.id);
        let ceilings = json!({ "hiddenViews": [api.view_id("/users").await], "actions": [] });
        api.put(&format!("{path}/ceilings")).by_super_admin().json(&ceilings).send().await.expect(200);
        let (_, hidden) = menu(&of_user(&scene, company.member).await);
        assert_contains(reason(&hidden, "Users"), &["the ceiling of the company does not permit it"]);
        api.patch(&path).by_super_admin().json(&json!({ "status": "suspended" })).send().await.expect(200);
        let page = scene.super_admin.get(&scene.path(&format!("view-as?user={}", company.member))).await.expect(200);
        let (visible, hidden) = menu(&content(&page));
        assert!(visible.is_empty(), "{visible:?}");
        assert_contains(reason(&hidden, "Users"), &["Company is suspended"]);
    }

    /// People who may check other users view as users. To view as levels, they must also see the levels.
    async fn the_page_needs_the_right_to_check_others(api: TestApi) {
        let scene = Scene::new(api).await;
        let level = scene.api.new_level(scene.company, "Alpha").await;
        let (plain, user) = (scene.path("view-as"), scene.path(&format!("view-as?user={}", scene.company.member)));
        let levels = scene.path(&format!("view-as?levels={level}"));
        let checker = scene.holding(&[("iam.manage_levels", "Update")]).await;
        for (browser, statuses) in [
            (&scene.admin, [200, 200, 200]),
            (&scene.super_admin, [200, 200, 200]),
            (&checker, [200, 200, 403]),
            (&scene.reader().await, [403, 403, 403]),
        ] {
            for (path, status) in [&plain, &user, &levels].into_iter().zip(statuses) {
                browser.get(path).await.expect(status);
            }
        }
        assert!(!checker.get(&plain).await.text().contains("name=\"levels\""));
        let page = content(&checker.get(&user).await);
        assert_contains(&page, &["<bdi>Member</bdi>", "User (id or issuer|subject)"]);
        assert!(!page.contains("/levels/"), "no link leads to a page that the person may not see: {page}");
        assert!(of_user(&scene, scene.company.member).await.contains("/levels/"));
        for (browser, status) in scene.outsiders().await {
            browser.get(&user).await.expect(status);
        }
    }
}

#[actix_web::test]
async fn only_levels_in_effect_count() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, user) = (&scene.api, scene.company, new_user());
    let path = format!("/api/iam/users/{user}/user-levels/{}", api.level_id(company, "Member").await);
    let pending = json!({ "startsAt": "2999-01-01T00:00:00Z" });
    api.put(&path).by(company.admin).within(company.id).json(&pending).send().await.expect(200);
    let page = of_user(&scene, user).await;
    assert_contains(&page, &["no level is in effect", "the user sees nothing in this company"]);
    assert!(!page.contains("menu-tree"), "{page}");
}

#[actix_web::test]
async fn a_subject_that_does_not_exist_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    for (query, texts) in [
        ("user=x%22", ["name=\"user\" value=\"x&quot;\"", "No user of the company matches “x&quot;”"]),
        ("levels=x", ["The level x does not exist", "View as"]),
        (
            "levels=c0ffee00-0000-4000-8000-000000000001",
            ["c0ffee00-0000-4000-8000-000000000001 does not exist", "View as"],
        ),
    ] {
        let page = content(&scene.admin.get(&scene.path(&format!("view-as?{query}"))).await.expect(400));
        assert_contains(&page, &texts);
    }
    let page = content(&scene.admin.get(&scene.path("view-as")).await.expect(200));
    assert_contains(&page, &["Choose a user or levels", "<bdi>Visitor</bdi>"]);
}

/// The name of a member identifies the user. If several users match, the page offers them.
#[actix_web::test]
async fn a_user_is_chosen_by_the_name() {
    let scene = Scene::new(TestApi::memory().await).await;
    scene.name(scene.company.member, "Max Member").await;
    scene.name(scene.company.visitor, "Max Power").await;
    let page = content(&scene.admin.get(&scene.path("view-as?user=power")).await.expect(200));
    assert_contains(&page, &["<strong><bdi>Max Power</bdi></strong>", "name=\"user\" value=\"Max Power\""]);
    let page = content(&scene.admin.get(&scene.path("view-as?user=Max")).await.expect(400));
    let link = |user| format!("href=\"{}\"", scene.path(&format!("view-as?user={user}")));
    assert_contains(&page, &["Several users match.", &link(scene.company.member), &link(scene.company.visitor)]);
}

/// A module that is disabled for all companies is distinguished from a module that the company does not have.
#[actix_web::test]
async fn a_module_that_is_disabled_for_all_companies_says_so() {
    let scene = Scene::new(TestApi::memory().await).await;
    let api = &scene.api;
    let path = format!("/api/iam/modules/{}", api.module_id("risks").await);
    api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
    let (_, hidden) = menu(&of_user(&scene, scene.company.admin).await);
    assert_contains(reason(&hidden, "Risks"), &["disabled for all companies: module <bdi>Risks</bdi>"]);
}

#[actix_web::test]
async fn names_are_escaped() {
    let scene = Scene::new(TestApi::memory().await).await;
    let mut levels = Vec::new();
    for hostile in HOSTILE {
        levels.push(scene.api.new_level(scene.company, hostile).await);
        scene
            .api
            .make(
                "menu-items",
                Some(scene.company.id),
                json!({ "label": hostile, "viewId": scene.api.view_id("/home").await }),
            )
            .await;
    }
    let page =
        content(&scene.admin.get(&scene.path(&format!("view-as?levels={}", levels.join(",")))).await.expect(200));
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert_contains(&page, &["&lt;script&gt;alert(1)&lt;/script&gt;"]);
}
