//! Tests of the matrix pages.

use serde_json::json;

use super::scene::{Scene, assert_contains, content, row};
use crate::support::api::{TestApi, both_adapters};

both_adapters! {
    /// The matrix shows the rule of each level for each row, the pinned cells, and the rows that are not available.
    async fn the_matrix_shows_the_rules_of_all_levels(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let level = api.new_level(company, "Zoo").await;
        let cell = |view: String, state, modifiable| json!({ "viewId": view, "state": state, "modifiable": modifiable });
        let (home, users, risks) = ("/home", "/users", "/modules/risks");
        api.set_matrix(company, &level, "views", json!([
            cell(api.view_id(home).await, "deny", true),
            cell(api.view_id(users).await, "allow", false),
            cell(api.view_id(risks).await, "allow", true),
        ])).await;
        let feature = api.feature_id("risks.approve").await;
        let allowed = json!([{ "featureId": feature, "action": "Approve", "scope": "team" }]);
        api.set_matrix(company, &level, "features", allowed).await;

        let page = content(&scene.admin.get(&scene.path("matrix")).await.expect(200));
        assert_contains(&page, &[&format!(r#"data-level="{level}""#), r#"aria-current="page" data-keep-draft>Views"#]);
        let cells = |header: &str| {
            let cells = row(&page, header).split("<td").skip(1);
            cells.map(|cell| cell.split_once('>').unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cells(">/home<"), ["Allow", "Allow", "Allow", "Deny"]);
        assert_eq!(cells(">/users<"), ["Allow", "Allow", "Allow", "Allow<small>pinned</small>"]);
        assert_eq!(cells(">/admin/user-levels<"), ["Allow", "", "", ""]);
        let closed = row(&page, ">/modules/risks<");
        assert_contains(closed, &["Not available: the module <bdi>Risks</bdi> is not enabled in this company"]);
        assert!(closed.contains(r#"class="closed""#) && !row(&page, ">/home<").contains("closed"));

        let page = content(&scene.admin.get(&scene.path("matrix?tab=features")).await.expect(200));
        let approve = row(&page, "<bdi>Approve Risks</bdi> · <bdi>Approve</bdi>");
        assert!(approve.ends_with("<td class=t>team"), "{approve}");
        assert_contains(approve, &["the module <bdi>Risks</bdi> is not enabled", &format!("f.{feature}.Approve")]);
    }
}

#[actix_web::test]
async fn rows_are_filtered_by_module_text_and_difference() {
    let scene = Scene::new(TestApi::memory().await).await;
    let rows = async |query: &str| {
        let page = content(&scene.admin.get(&scene.path(&format!("matrix?{query}"))).await.expect(200));
        (page.matches("<tr data-cell").count() + page.matches(r#"<tr class="closed" data-cell"#).count(), page)
    };
    let (risks, core) = (scene.api.module_id("risks").await, scene.api.module_id("core").await);
    for (query, count) in [
        ("tab=views", 14),
        (&format!("tab=views&module={core}"), 11),
        (&format!("tab=views&module={risks}"), 1),
        ("tab=views&module=none", 0),
        ("tab=features&module=none", 15 * 7),
        (&format!("tab=features&module={risks}&q=approve"), 4 + 6),
        ("tab=views&q=SUBSCRIPTION", 2),
        ("tab=views&q=%2Fprofile", 1),
        ("tab=views&differs=1", 2),
        ("tab=views&differs=1&q=user-levels", 1),
        ("tab=views&q=nothing", 0),
    ] {
        assert_eq!(rows(query).await.0, count, "{query}");
    }
    let (_, empty) = rows("tab=features&q=nothing").await;
    assert_contains(&empty, &["Nothing matches the filter.", r#"matrix?tab=features""#]);
    // The filter is part of the links and of the controls.
    let (_, page) = rows(&format!("tab=features&module={risks}&q=a%26b%22&differs=1")).await;
    let selected = format!(r#"<option value="{risks}" selected>Risks</option>"#);
    assert_contains(&page, &[&selected, r#"value="a&amp;b&quot;""#, r#"name="differs" value="1" checked"#]);
    assert_contains(&page, &["q=a%26b%22&amp;differs=1"]);
}

#[actix_web::test]
async fn a_long_matrix_is_paged() {
    let scene = Scene::new(TestApi::memory().await).await;
    for index in 0..10 {
        scene.api.make("features", None, json!({ "name": "F", "key": format!("long.{index}") })).await;
    }
    let rows = |page: &str| page.matches(" data-cell=").count();
    let first = content(&scene.admin.get(&scene.path("matrix?tab=features")).await.expect(200));
    assert_contains(&first, &["Rows 1–200 of 203", "from=200"]);
    let second = content(&scene.admin.get(&scene.path("matrix?tab=features&from=200")).await.expect(200));
    assert_contains(&second, &["Rows 201–203 of 203", "Previous rows"]);
    assert_eq!((rows(&first), rows(&second)), (200, 3));
    let beyond = content(&scene.admin.get(&scene.path("matrix?tab=features&from=99999999999")).await.expect(200));
    assert_eq!(rows(&beyond), 0);
}

#[actix_web::test]
async fn a_level_has_a_form_with_a_control_for_each_cell() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let level = api.new_level(company, "Auditors").await;
    let (home, users) = (api.view_id("/home").await, api.view_id("/users").await);
    let cells = json!([
        { "viewId": home, "state": "deny" },
        { "viewId": users, "state": "allow", "modifiable": false },
    ]);
    api.set_matrix(company, &level, "views", cells).await;
    let path = scene.path(&format!("levels/{level}/matrix"));
    let page = content(&scene.admin.get(&path).await.expect(200));
    assert_eq!(page.matches("<select name=").count(), 13, "the pinned cell has no control: {page}");
    assert_contains(
        row(&page, ">/home<"),
        &[&format!(r#"name="c.d.{level}.v.{home}""#), "<option value=d selected>Deny", "<option value=n>Inherit"],
    );
    let pinned = row(&page, ">/users<");
    assert_contains(pinned, &["Allow", "Pinned by the platform: only super admins may change it"]);
    let page = content(&scene.super_admin.get(&path).await.expect(200));
    assert_eq!(page.matches("<select name=").count(), 14);
    assert_contains(row(&page, ">/users<"), &["<option value=a selected>Allow", "Pinned: others may not change it"]);
    let features = content(&scene.admin.get(&format!("{path}?tab=features&q=general.read")).await.expect(200));
    let selects = features.matches("<select name=").count();
    assert_eq!((selects, features.matches("<option value=t>Allow: team").count()), (7, 7));
    let reader = content(&scene.reader().await.get(&path).await.expect(200));
    assert!(!reader.contains("<select name=\"c.") && reader.contains(">Deny<"), "{reader}");
}

#[actix_web::test]
async fn a_draft_is_shown_again_on_the_pages_of_the_matrix() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.new_level(scene.company, "Auditors").await;
    let view = scene.view_field("n", &level, "/home").await;
    let action = scene.action_field("n", &level, "general.read", "Read").await;
    let draft = [(view.as_str(), "d"), (action.as_str(), "t")];
    let all = content(&scene.send(&scene.admin, "matrix?tab=features", &draft).await.expect(200));
    for (name, value) in draft {
        assert_contains(&all, &[&format!(r#"name="{name}" value="{value}""#)]);
    }
    assert_contains(&all, &["2 changes", "matrix/review?tab=features"]);
    // On the page of the level, the control shows the draft, and the other edit is a hidden field.
    let one = content(&scene.send(&scene.admin, &format!("levels/{level}/matrix"), &draft).await.expect(200));
    assert_contains(row(&one, ">/home<"), &[&view, "<option value=d selected>Deny", "Saved: Inherit"]);
    assert_eq!(one.matches(&view).count(), 1, "{one}");
    assert_contains(&one, &[&format!(r#"<input type="hidden" name="{action}" value="t">"#)]);
    for (browser, status) in scene.outsiders().await {
        scene.send(&browser, "matrix", &draft).await.expect(status);
    }
    scene.send(&scene.reader().await, "matrix", &draft).await.expect(403);
    assert!(scene.api.matrix(scene.company, &level, "views").await.is_empty(), "nothing is changed");
}

#[actix_web::test]
async fn people_who_may_write_but_not_read_do_not_see_the_matrix() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.new_level(scene.company, "Auditors").await;
    let view = scene.view_field("n", &level, "/home").await;
    let writer = scene.holding(&[("iam.assign_permissions", "Update"), ("iam.manage_levels", "Update")]).await;
    for page in
        ["matrix".to_owned(), format!("levels/{level}/matrix"), "matrix/review".to_owned(), "matrix/save".to_owned()]
    {
        let refused = scene.send(&writer, &page, &[(&view, "d")]).await.expect(403);
        assert!(refused.text().contains("You do not have permission to view IAM data"));
    }
    writer.get(&scene.path("matrix")).await.expect(403);
    let fields = [("name", "Member"), ("description", "")];
    let page = content(&scene.send(&writer, "levels", &fields).await.expect(409));
    assert!(page.contains("already exists") && !page.contains("<bdi>Visitor</bdi>"), "{page}");
}
