//! Tests of the fixes that the explanation of a denial offers, and of the ceilings in the matrix.

use iam_domain::UserId;
use serde_json::json;

use super::scene::{Scene, assert_contains, content, forward, hidden_fields, row};
use crate::support::api::{Answer, TestApi, new_user};
use crate::support::console::Browser;

/// Returns the explanation of a decision about a user.
async fn why(scene: &Scene, browser: &Browser, user: UserId, question: &str) -> Answer {
    browser.get(&scene.path(&format!("why?user={user}&{question}"))).await.expect(200)
}

/// Returns the path to which the form of the fix is sent, and the edits in it.
fn draft(page: &Answer) -> Option<(String, Vec<(String, String)>)> {
    let text = page.text();
    let (_, form) = text.split_once("<form class=\"fix\" method=\"post\" action=\"")?;
    let form = form.split_once("</form>").unwrap().0;
    let path = form.split('"').next().unwrap().replace("&amp;", "&");
    let edits = hidden_fields(form).into_iter().filter(|(name, _)| name.starts_with("c.")).collect();
    Some((path, edits))
}

/// Sends the draft of a fix to a page, with the token of another page.
async fn send(scene: &Scene, path: &str, edits: &[(String, String)]) -> Answer {
    let edits: Vec<_> = edits.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    scene.admin.submit("/console/companies", path, &edits).await
}

/// The fix opens as a draft of the level. Nothing is changed before the draft is saved.
#[actix_web::test]
async fn a_deny_is_removed_through_a_draft() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (level, home) = (api.new_level(company, "Zoo").await, api.view_id("/home").await);
    api.set_matrix(company, &level, "views", json!([{ "viewId": home, "state": "deny" }])).await;
    api.assign(company, company.member, &[&api.level_id(company, "Member").await, &level]).await;
    let sees = async || api.check(company, company.member, json!({ "view": "/home" })).await["allowed"] == true;

    let page = why(&scene, &scene.admin, company.member, "view=/home").await;
    let (path, edits) = draft(&page).expect("the page offers a draft");
    assert_eq!(path, scene.path(&format!("levels/{level}/matrix?tab=views&q=%2Fhome")));
    assert_eq!(edits, [(format!("c.d.{level}.v.{home}"), "n".to_owned())]);
    let editor = content(&send(&scene, &path, &edits).await.expect(200));
    assert_contains(row(&editor, "<bdi>Home</bdi>"), &["selected>Inherit", "Saved: Deny"]);
    assert!(!sees().await, "the draft is not saved");

    let review = send(&scene, &scene.path("matrix/review?tab=views"), &edits).await.expect(200);
    forward(&scene.admin, &review, &scene.path("matrix/save?tab=views")).await.expect(303);
    assert!(sees().await, "the saved draft allows the view");
}

/// A fix that needs several levels is a draft of the matrix of all levels, with the required scope.
#[actix_web::test]
async fn several_levels_are_changed_through_one_draft() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let feature = api.feature_id("general.read").await;
    let mut levels = Vec::new();
    for name in ["A", "B"] {
        let level = api.new_level(company, name).await;
        let deny = json!([{ "featureId": feature, "action": "Export", "value": false }]);
        api.set_matrix(company, &level, "features", deny).await;
        levels.push(level);
    }
    let user = new_user();
    api.assign(company, user, &[&levels[0], &levels[1]]).await;
    let page = why(&scene, &scene.admin, user, "feature=general.read&action=Export&scope=team").await;
    let (path, edits) = draft(&page).expect("the page offers a draft");
    assert_eq!(path, scene.path("matrix?tab=features&q=general%2Eread"));
    let mut rules: Vec<_> = edits.iter().map(|(_, rule)| rule.as_str()).collect();
    rules.sort_unstable();
    assert_eq!(rules, ["n", "t"], "one level no longer denies, and the other one allows with the scope");
    let review = send(&scene, &scene.path("matrix/review?tab=features"), &edits).await.expect(200);
    forward(&scene.admin, &review, &scene.path("matrix/save?tab=features")).await.expect(303);
    let check = json!({ "feature": "general.read", "action": "Export", "scope": "team" });
    assert_eq!(api.check(company, user, check).await["allowed"], true);
}

/// People who may not make the change are offered none.
#[actix_web::test]
async fn a_fix_is_offered_only_to_people_who_may_make_it() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let question = "view=/admin/user-levels";
    let is_offered = async |browser: &Browser| draft(&why(&scene, browser, company.member, question).await).is_some();
    assert!(is_offered(&scene.admin).await && is_offered(&scene.super_admin).await);
    let manager = scene.holding(&[("iam.manage_levels", "Update"), ("iam.manage_levels", "Read")]).await;
    assert!(!is_offered(&manager).await, "managing levels is not managing permissions");
    let editor = scene.holding(&[("iam.assign_permissions", "Update")]).await;
    assert!(!is_offered(&editor).await, "the matrix cannot be read");
    let member = scene.console.signed_in(company.member, false).await;
    let own = member.get(&scene.path(&format!("why?{question}"))).await.expect(200);
    assert!(draft(&own).is_none());

    let view = api.view_id("/admin/user-levels").await;
    let pinned = json!([{ "viewId": view, "state": "deny", "modifiable": false }]);
    let level = api.new_level(company, "Zoo").await;
    api.set_matrix(company, &level, "views", pinned).await;
    let user = new_user();
    api.assign(company, user, &[&level]).await;
    let page = why(&scene, &scene.admin, user, question).await;
    assert!(draft(&page).is_none(), "the cell is pinned");
    assert_contains(&page.text(), &["only super admins may change it"]);
    assert!(draft(&why(&scene, &scene.super_admin, user, question).await).is_some());
}

/// A user without a level can be assigned one that allows the check.
#[actix_web::test]
async fn a_level_that_allows_it_is_offered_to_a_user_without_levels() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, user) = (&scene.api, scene.company, new_user());
    let page = why(&scene, &scene.admin, user, "feature=general.read&action=Read&scope=any").await.text();
    let (_, form) = page.split_once("A level that allows it").unwrap_or_else(|| panic!("no offer: {page}"));
    let form = form.split_once("</form>").unwrap().0;
    let (admin, member) = (api.level_id(company, "Admin").await, api.level_id(company, "Member").await);
    assert!(form.contains(&admin) && !form.contains(&member), "only Admin allows it with the scope any: {form}");
    let fields = [("user", user.to_string()), ("level", admin), ("do", "add".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
    assert_contains(&review, &["Nothing is changed yet.", &user.to_string()]);
    let reader = scene.holding(&[("iam.assign_permissions", "Update"), ("iam.assign_permissions", "Read")]).await;
    assert!(!why(&scene, &reader, user, "view=/home").await.text().contains("A level that allows it"));
}

/// The matrix states the ceilings of the company, and what they leave of a rule.
#[actix_web::test]
async fn the_matrix_states_the_ceilings_of_the_company() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (read, home) = (api.feature_id("general.read").await, api.view_id("/home").await);
    let ceiling = |action, max| json!({ "featureId": read, "action": action, "maxScope": max });
    let ceilings =
        json!({ "hiddenViews": [home], "actions": [ceiling("Read", json!("own")), ceiling("Create", json!(null))] });
    let path = format!("/api/iam/companies/{}/ceilings", company.id);
    api.put(&path).by_super_admin().json(&ceilings).send().await.expect(200);

    let views = content(&scene.admin.get(&scene.path("matrix?tab=views")).await.expect(200));
    assert_contains(
        row(&views, "<bdi>Home</bdi>"),
        &["data-max=none", "hidden from all users", "Allow<small data-ceiling>no effect: ceiling</small>"],
    );
    assert!(!row(&views, "<bdi>Dashboard</bdi>").contains("ceiling"));
    assert!(views.contains("no level of the user allows it, it is denied") && !views.contains("<strong>own</strong>"));
    let features = content(&scene.admin.get(&scene.path("matrix?tab=features&q=general.read")).await.expect(200));
    let of_read = row(&features, "<bdi>Read</bdi> · <bdi>Read</bdi>");
    assert_contains(
        of_read,
        &["Ceiling of the company: at most own", "any<small data-ceiling>capped at own</small>", "data-max=o"],
    );
    assert_contains(&features, &["<strong>own</strong>: the records of the user."]);
    assert_contains(
        row(&features, "<bdi>Read</bdi> · <bdi>Create</bdi>"),
        &["permitted to no user", "no effect: ceiling"],
    );
    let admin = api.level_id(company, "Admin").await;
    let editor = scene.admin.get(&scene.path(&format!("levels/{admin}/matrix?tab=features&q=general.read"))).await;
    assert_contains(
        row(&content(&editor.expect(200)), "<bdi>Read</bdi> · <bdi>Read</bdi>"),
        &["Saved rule: capped at own"],
    );
}
