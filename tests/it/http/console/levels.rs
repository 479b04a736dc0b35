//! Tests of the pages of levels.

use actix_web::http::Method;
use serde_json::json;

use super::scene::{HOSTILE, Scene, assert_contains, content, hidden_fields, row};
use crate::support::api::{Company, TestApi, both_adapters};
use crate::support::console::{Browser, encode, form_token};

/// Returns the names of the levels.
async fn names(api: &TestApi, company: Company) -> Vec<String> {
    let levels = api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.data();
    let name = |level: &serde_json::Value| level["name"].as_str().unwrap().to_owned();
    levels["userLevels"].as_array().unwrap().iter().map(name).collect()
}

/// Returns the entity tag in the forms of a level's page.
async fn tag(browser: &Browser, path: &str) -> String {
    let page = browser.get(path).await.expect(200).text();
    hidden_fields(&page).into_iter().find(|(name, _)| name == "tag").unwrap().1
}

both_adapters! {
    /// A level is created, copied, renamed and deleted.
    async fn levels_are_created_copied_renamed_and_deleted(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company, admin) = (&scene.api, scene.company, &scene.admin);
        let fields = [("name", "Auditors"), ("description", "Look\r\nat all")];
        let created = scene.send(admin, "levels", &fields).await.expect(303);
        let level = scene.api.level_id(company, "Auditors").await;
        let path = scene.path(&format!("levels/{level}"));
        assert_eq!(created.header("location"), Some(path.as_str()));
        assert_contains(&content(&admin.get(&path).await.expect(200)), &["Look\nat all", "No user holds this level."]);

        let member = api.level_id(company, "Member").await;
        let copy = [("name", "Helpers"), ("description", ""), ("copy_from", member.as_str())];
        scene.send(admin, "levels", &copy).await.expect(303);
        let helpers = api.level_id(company, "Helpers").await;
        let cells = api.matrix(company, &member, "features").await.len();
        assert!(cells > 0);
        assert_eq!(api.matrix(company, &helpers, "features").await.len(), cells);

        let tag_of_level = tag(admin, &path).await;
        let renamed = [("tag", tag_of_level.as_str()), ("name", "Reviewers"), ("description", "")];
        scene.send(admin, &format!("levels/{level}"), &renamed).await.expect(303);
        assert!(names(api, company).await.contains(&"Reviewers".to_owned()));

        let tag_of_level = tag(admin, &path).await;
        let deleted = scene.send(admin, &format!("levels/{level}/delete"), &[("tag", tag_of_level.as_str())]).await;
        let location = deleted.expect(303).header("location").unwrap().to_owned();
        assert_contains(&content(&admin.get(&location).await.expect(200)), &["<bdi>Reviewers</bdi> was deleted"]);
        assert_eq!(names(api, company).await, ["Admin", "Helpers", "Member", "Visitor"]);
        admin.get(&path).await.expect(404);
    }
}

#[actix_web::test]
async fn each_role_sees_the_pages_that_it_may_see() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.level_id(scene.company, "Member").await;
    let visitor = scene.api.level_id(scene.company, "Visitor").await;
    let pages = [
        "levels".to_owned(),
        format!("levels/{level}"),
        format!("levels/{level}/matrix"),
        format!("levels/{level}/matrix?tab=features"),
        format!("levels/compare?a={level}&b={visitor}"),
        "matrix".to_owned(),
        "matrix?tab=features".to_owned(),
    ];
    for page in pages.map(|page| scene.path(&page)) {
        for browser in [&scene.admin, &scene.super_admin] {
            assert!(browser.get(&page).await.expect(200).text().contains("</html>"));
        }
        let seen = content(&scene.reader().await.get(&page).await.expect(200));
        assert!(!seen.contains(r#"method="post""#), "{page}: {seen}");
        for (browser, status) in scene.outsiders().await {
            browser.get(&page).await.expect(status);
        }
        let anonymous = scene.console.browser().get(&page).await.expect(303);
        assert!(anonymous.header("location").unwrap().starts_with("/console/sign-in?return="));
    }
    for unknown in ["levels/x", "levels/x/matrix", "levels/compare?a=x&b=x", "levels/compare"] {
        scene.admin.get(&scene.path(unknown)).await.expect(404);
    }
}

#[actix_web::test]
async fn people_without_the_right_change_nothing() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.new_level(scene.company, "Auditors").await;
    let tag = tag(&scene.admin, &scene.path(&format!("levels/{level}"))).await;
    let before = names(&scene.api, scene.company).await;
    let forms: [(String, &[(&str, &str)]); 3] = [
        ("levels".to_owned(), &[("name", "New"), ("description", "")]),
        (format!("levels/{level}"), &[("name", "New"), ("description", ""), ("tag", &tag)]),
        (format!("levels/{level}/delete"), &[("tag", &tag)]),
    ];
    for (path, fields) in &forms {
        scene.send(&scene.reader().await, path, fields).await.expect(403);
        for (browser, status) in scene.outsiders().await {
            scene.send(&browser, path, fields).await.expect(status);
        }
        // Without the token, or from another site.
        scene.admin.post(&scene.path(path), fields).await.expect(403);
        let token = form_token(&scene.admin.get("/console/companies").await);
        let body = encode(&[&[("csrf", token.as_str())], *fields].concat());
        let headers = [("sec-fetch-site", "cross-site")];
        scene.admin.send(Method::POST, &scene.path(path), &headers, Some(body)).await.expect(403);
    }
    let remaining = names(&scene.api, scene.company).await;
    assert_eq!(remaining.iter().filter(|name| before.contains(name)).count(), before.len());
    assert!(!remaining.contains(&"New".to_owned()));
}

#[actix_web::test]
async fn the_list_is_searched_and_counts_holders() {
    let scene = Scene::new(TestApi::memory().await).await;
    let list = content(&scene.admin.get(&scene.path("levels")).await.expect(200));
    let member = row(&list, "<bdi>Member</bdi>");
    assert_contains(member, &["<bdi>Works in the company</bdi>", "default", "#holders\">1<"]);
    let found = content(&scene.admin.get(&scene.path("levels?q=LOOKS")).await.expect(200));
    let table = found.split("<table").nth(1).unwrap();
    assert!(table.contains("<bdi>Visitor</bdi>") && !table.contains("<bdi>Member</bdi>"), "{table}");
    let none = content(&scene.admin.get(&scene.path("levels?q=nothing")).await.expect(200));
    assert_contains(&none, &["No level matches the text."]);
    let holders = scene.api.level_id(scene.company, "Member").await;
    let level = content(&scene.admin.get(&scene.path(&format!("levels/{holders}"))).await.expect(200));
    assert_contains(
        &level,
        &["Holders (1)", &format!("href=\"{}\"", scene.path(&format!("users/{}", scene.company.member)))],
    );
}

#[actix_web::test]
async fn a_refused_form_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let taken = [("name", "Member"), ("description", "Typed text")];
    let page = content(&scene.send(&scene.admin, "levels", &taken).await.expect(409));
    assert_contains(
        &page,
        &["A user level with this name already exists</bdi>.", r#"value="Member""#, "Typed text</textarea>"],
    );
    let blank = [("name", "  "), ("description", "Typed text")];
    let page = content(&scene.send(&scene.admin, "levels", &blank).await.expect(422));
    assert_contains(
        &page,
        &[r#"aria-invalid="true""#, r#"aria-describedby="new-name-error""#, "Typed text</textarea>"],
    );

    let level = scene.api.new_level(scene.company, "Auditors").await;
    let path = format!("levels/{level}");
    let old = tag(&scene.admin, &scene.path(&path)).await;
    let rename = json!({ "name": "Renamed" });
    let update = scene.api.patch(&format!("/api/iam/user-levels/{level}")).by(scene.company.admin);
    update.within(scene.company.id).json(&rename).send().await.expect(200);
    let fields = [("tag", old.as_str()), ("name", "Mine"), ("description", "Typed text")];
    let page = content(&scene.send(&scene.admin, &path, &fields).await.expect(409));
    let expected =
        ["Another person has changed this level", r#"value="Mine""#, "Typed text</textarea>", "<bdi>Renamed</bdi>"];
    assert_contains(&page, &expected);
    let outdated = scene.send(&scene.admin, &format!("{path}/delete"), &[("tag", &old)]).await.expect(409);
    assert_contains(&content(&outdated), &["Another person has changed this level"]);
    assert!(names(&scene.api, scene.company).await.contains(&"Renamed".to_owned()));
}

#[actix_web::test]
async fn a_level_that_cannot_be_deleted_says_why() {
    let scene = Scene::new(TestApi::memory().await).await;
    let member = scene.api.level_id(scene.company, "Member").await;
    let path = format!("levels/{member}");
    let page = content(&scene.admin.get(&scene.path(&path)).await.expect(200));
    assert_contains(&page, &["cannot be deleted, because 1 user holds it"]);
    assert!(!page.contains("/delete"), "{page}");
    let tag_of_member = tag(&scene.admin, &scene.path(&path)).await;
    let refused = scene.send(&scene.admin, &format!("{path}/delete"), &[("tag", &tag_of_member)]).await.expect(409);
    assert_contains(&content(&refused), &["Cannot delete user level: 1 user(s) are assigned to it"]);

    let level = scene.api.new_level(scene.company, "Pinned").await;
    let view = json!([{ "viewId": scene.api.view_id("/dashboard").await, "state": "allow", "modifiable": false }]);
    scene.api.set_matrix(scene.company, &level, "views", view).await;
    let path = format!("levels/{level}");
    let page = content(&scene.admin.get(&scene.path(&path)).await.expect(200));
    assert_contains(&page, &["the platform has pinned 1 of its cells"]);
    let tag_of_level = tag(&scene.admin, &scene.path(&path)).await;
    let fields = [("tag", tag_of_level.as_str())];
    let refused = scene.send(&scene.admin, &format!("{path}/delete"), &fields).await.expect(409);
    assert_contains(&content(&refused), &["Only super admins may delete a user level that has pinned permissions"]);
    let page = content(&scene.super_admin.get(&scene.path(&path)).await.expect(200));
    assert_contains(&page, &["<bdi>Pinned</bdi> and its 1 cells are deleted"]);
    scene.send(&scene.super_admin, &format!("{path}/delete"), &fields).await.expect(303);
}

#[actix_web::test]
async fn two_levels_are_compared_by_the_cells_that_differ() {
    let scene = Scene::new(TestApi::memory().await).await;
    let [first, second] = ["Member", "Visitor"].map(async |name| scene.api.level_id(scene.company, name).await);
    let (first, second) = (first.await, second.await);
    let page =
        content(&scene.admin.get(&scene.path(&format!("levels/compare?a={second}&b={first}"))).await.expect(200));
    assert_contains(
        &page,
        &["<bdi>Visitor</bdi> and <bdi>Member</bdi>", "Both levels have the same rules for all 14 rows."],
    );
    let cells: Vec<_> = row(&page, "<bdi>Create</bdi> · <bdi>Create</bdi>").split("<td>").skip(1).collect();
    assert!(cells[0].contains("Inherit") && cells[1].contains("Allow: company"), "{cells:?}");
    assert!(!page.contains("<bdi>Create</bdi> · <bdi>Read</bdi>"), "both levels allow to read");
    let same = content(&scene.admin.get(&scene.path(&format!("levels/compare?a={first}&b={first}"))).await.expect(200));
    assert_eq!(same.matches("Both levels have the same rules").count(), 2);
}

#[actix_web::test]
async fn hostile_names_are_escaped_on_all_pages() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let emoji = "😀".repeat(255);
    for (index, name) in HOSTILE.into_iter().chain([emoji.as_str()]).enumerate() {
        let level = api.new_level(company, name).await;
        let view = api.make("views", None, json!({ "name": name, "url": format!("/hostile/{index}/<b>") })).await;
        let feature = json!({ "name": name, "key": format!("<i>.{index}"), "actions": ["<u> \" &"] });
        let feature = api.make("features", None, feature).await;
        let module = json!({ "name": name, "code": format!("hostile-{index}") });
        let module = api.make("modules", None, module).await["id"].as_str().unwrap().to_owned();
        for (of, id) in [("views", &view["id"]), ("features", &feature["id"])] {
            let field = if of == "views" { "viewIds" } else { "featureIds" };
            let path = format!("/api/iam/modules/{module}/{of}");
            api.put(&path).by_super_admin().json(&json!({ field: [id] })).send().await.expect(200);
        }
        let field = format!("c.n.{level}.f.{}.<u> \" &", feature["id"].as_str().unwrap());
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let member = api.level_id(company, "Member").await;
        let mut pages = Vec::new();
        for path in [
            "levels".to_owned(),
            format!("levels/{level}"),
            format!("levels/{level}/matrix"),
            format!("levels/{level}/matrix?tab=features"),
            format!("levels/compare?a={level}&b={member}"),
            "matrix".to_owned(),
            "matrix?tab=features".to_owned(),
        ] {
            pages.push(scene.admin.get(&scene.path(&path)).await.expect(200));
        }
        pages.push(scene.send(&scene.admin, "matrix/review?tab=features", &[(&field, "d")]).await.expect(200));
        pages.push(scene.send(&scene.admin, "levels", &[("name", name), ("description", name)]).await.expect(409));
        for page in pages {
            let text = content(&page);
            assert!(text.contains(&format!("<bdi>{escaped}</bdi>")), "{text}");
            for harm in ["<script>", "<img", "<b>", "<i>", "<u>"] {
                assert!(!text.contains(harm), "{harm}: {text}");
            }
        }
    }
}
