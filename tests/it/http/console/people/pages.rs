//! Tests of the list of users, and of who sees the pages.

use serde_json::json;

use crate::http::console::scene::{Scene, assert_contains, content, row};
use crate::support::api::{TestApi, new_user};

/// Names that would break a page whose output is not escaped.
const HOSTILE: [&str; 3] = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{7*7}}${7*7} & '"];

/// Each person sees the pages that the same operations of the API permit. Non-members see that nothing exists.
#[actix_web::test]
async fn people_see_the_pages_that_the_api_permits() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (company, console) = (scene.company, &scene.console);
    let browsers = [
        ("super admin", console.signed_in(new_user(), true).await, [200, 200, 200, 200, 200]),
        ("administrator", scene.admin.clone(), [200, 200, 200, 200, 200]),
        ("reader", scene.reader().await, [200, 200, 200, 403, 403]),
        ("member", console.signed_in(company.member, false).await, [403, 403, 200, 403, 403]),
        ("non-member", console.signed_in(new_user(), false).await, [404, 404, 404, 404, 404]),
    ];
    let user = format!("users/{}", company.member);
    for (who, browser, statuses) in browsers {
        let pages = ["users", &user, "why?view=/home", "who-can?view=/home", "who-can.csv?view=/home"];
        for (page, status) in pages.into_iter().zip(statuses) {
            let answer = browser.get(&scene.path(page)).await;
            assert_eq!(answer.status.as_u16(), status, "{who} {page}: {}", answer.text());
        }
        // Controls that the person may not use are not shown.
        if statuses[0] == 200 {
            let may_assign = statuses[3] == 200;
            for page in ["users", &user] {
                let page = content(&browser.get(&scene.path(page)).await);
                assert_eq!(page.contains("users/review"), may_assign, "{who}: {page}");
            }
            let page = content(&browser.get(&scene.path(&user)).await);
            assert_eq!(page.contains("Sign out everywhere"), who == "super admin", "{who}: {page}");
        }
    }
}

/// The forms that change something are refused to people who may not do it, and without the token of the session.
#[actix_web::test]
async fn forms_are_refused_to_people_without_the_right() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company, console) = (&scene.api, scene.company, &scene.console);
    let (user, level) = (new_user().to_string(), api.level_id(company, "Member").await);
    let fields = [("do", "add"), ("user", user.as_str()), ("level", level.as_str())];
    let sign_out = format!("users/{}/sign-out", company.admin);
    for (browser, status) in [
        (scene.reader().await, 403),
        (console.signed_in(company.member, false).await, 403),
        (console.signed_in(new_user(), false).await, 404),
    ] {
        for page in ["users/review", "users/change", &sign_out] {
            assert_eq!(scene.send(&browser, page, &fields).await.status.as_u16(), status, "{page}");
        }
    }
    assert_eq!(scene.send(&scene.admin, &sign_out, &[]).await.status.as_u16(), 403);
    for page in ["users/review", "users/change", &sign_out] {
        let answer = console.signed_in(new_user(), true).await.post(&scene.path(page), &fields).await;
        assert_eq!(answer.status.as_u16(), 403, "{page} without a token");
    }
    let held = api.get(&format!("/api/iam/users/{user}/user-levels")).by(company.admin).within(company.id).send().await;
    assert_eq!(held.data()["userLevels"], json!([]));
}

/// The list is searched by name and by level, and says if nothing matches.
#[actix_web::test]
async fn users_are_found_by_name_and_level() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    scene.name(company.member, "Grace Hopper").await;
    let all = scene.read("users").await;
    assert_contains(&all, &["3 users", "<bdi>Grace Hopper</bdi>", &company.visitor.to_string()]);
    assert_contains(row(&all, "Grace Hopper"), &["<bdi>Member</bdi>", "aria-label=\"Select Grace Hopper\""]);
    let found = scene.read("users?q=hopp").await;
    assert!(found.contains("Grace Hopper") && !found.contains(&company.visitor.to_string()), "{found}");
    let visitor = api.level_id(company, "Visitor").await;
    let found = scene.read(&format!("users?level={visitor}")).await;
    assert!(!found.contains("Grace Hopper") && found.contains(&company.visitor.to_string()), "{found}");
    assert_contains(&scene.read("users?q=no-such-name").await, &["No user matches the search."]);
}

/// A long list has pages, which its links lead to.
#[actix_web::test]
async fn a_long_list_has_pages() {
    let scene = Scene::new(TestApi::memory().await).await;
    let member = scene.api.level_id(scene.company, "Member").await;
    for _ in 0..50 {
        scene.api.assign(scene.company, new_user(), &[&member]).await;
    }
    let first = scene.read("users").await;
    assert_contains(&first, &["53 users", "Next page"]);
    let link = first.split("<a class=\"button\" href=\"").find(|link| link.contains("cursor=")).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let second = content(&scene.admin.get(&link).await.expect(200));
    assert_eq!(second.matches("type=\"checkbox\" name=\"user\"").count(), 3);
    assert!(!second.contains("Next page"));
}

/// A user who holds no level yet is opened by id. Text that identifies no user is kept, and the reason is shown.
#[actix_web::test]
async fn a_new_user_is_opened_by_id() {
    let scene = Scene::new(TestApi::memory().await).await;
    let user = new_user();
    let answer = scene.admin.get(&scene.path(&format!("users/open?user={user}"))).await.expect(303);
    assert_eq!(answer.header("location"), Some(scene.path(&format!("users/{user}")).as_str()));
    assert_contains(&scene.read(&format!("users/{user}")).await, &["The user holds no level in this company."]);
    let page = scene.read("users/open?user=%3Cb%3E").await;
    assert_contains(&page, &["value=\"&lt;b&gt;\"", "It must be a valid UUID, or issuer|subject."]);
    scene.admin.get(&scene.path("users/not-a-user")).await.expect(404);
}

/// Names of users and levels are escaped on every page.
#[actix_web::test]
async fn hostile_names_are_escaped() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    for hostile in HOSTILE {
        scene.name(company.member, hostile).await;
        let level = api.new_level(company, hostile).await;
        let home = api.view_id("/home").await;
        api.set_matrix(company, &level, "views", json!([{ "viewId": home, "state": "allow" }])).await;
        api.assign(company, company.member, &[&level]).await;
        let escaped = hostile.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let member = company.member.to_string();
        let fields = [("do", "remove"), ("user", member.as_str()), ("level", level.as_str())];
        let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
        for page in [
            scene.read("users").await,
            scene.read(&format!("users/{member}")).await,
            scene.read("who-can?view=/home").await,
            scene.read(&format!("why?user={member}&view=/home")).await,
            review,
        ] {
            assert!(page.contains(&escaped), "{escaped} is not in {page}");
            assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        }
    }
}
