//! Tests of the page of one user: the effective permissions, and the end of all sessions.

use crate::http::console::scene::{Scene, assert_contains, row};
use crate::support::api::{TestApi, new_user};

/// Each permission has its answer and its scope, and names the levels that give or deny it.
#[actix_web::test]
async fn each_permission_names_the_levels_that_decide_it() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (denying, member) = (scene.level_without_home().await, api.level_id(company, "Member").await);
    api.assign(company, company.member, &[&member, &denying]).await;
    let path = format!("users/{}", company.member);
    let page = scene.read(&path).await;
    let matrix = format!("levels/{denying}/matrix");
    assert_contains(
        row(&page, "<bdi>Home</bdi>"),
        &["Denied", "<bdi>Homeless</bdi>", &matrix, "aria-label=\"Why? Home\""],
    );
    assert_contains(row(&page, "<bdi>Dashboard</bdi>"), &["Allowed", "<bdi>Member</bdi>"]);
    assert_contains(row(&page, "<bdi>Read</bdi> · <bdi>Read</bdi>"), &["Allowed", "company", "<bdi>Member</bdi>"]);
    assert_contains(
        row(&page, "<bdi>Read</bdi> · <bdi>Delete</bdi>"),
        &["Denied", "No explicit allow permission", "<code><bdi>general.read</bdi></code>"],
    );
    assert_contains(&page, &["It is listed if a level has a rule for it"]);
    let denied = scene.read(&format!("{path}?show=denied&q=home")).await;
    assert_contains(&denied, &["1 permission", "<bdi>Home</bdi>"]);
    assert_contains(
        &scene.read(&format!("{path}?show=allowed&q=home%20")).await,
        &["No permission matches the filter."],
    );
}

/// A super admin signs a user out everywhere: the user's sessions end at once.
#[actix_web::test]
async fn a_user_is_signed_out_everywhere() {
    let scene = Scene::new(TestApi::memory().await).await;
    let super_admin = scene.console.signed_in(new_user(), true).await;
    assert!(scene.admin.is_signed_in().await);
    let path = format!("users/{}/sign-out", scene.company.admin);
    let done = scene.send(&super_admin, &path, &[]).await.expect(303);
    let page = super_admin.get(done.header("location").unwrap()).await.expect(200).text();
    assert_contains(&page, &["The user was signed out everywhere."]);
    assert!(!scene.admin.is_signed_in().await);
}
