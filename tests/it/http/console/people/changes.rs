//! Tests of changes to the levels of users: the review, its effect, and the confirmation.

use serde_json::json;

use crate::http::console::scene::{Scene, assert_contains, content, hidden_fields, row};
use crate::support::api::{Answer, TestApi, new_user};

/// Reviews a form and confirms it, as the administrator does.
async fn confirm(scene: &Scene, fields: &[(&str, &str)]) -> Answer {
    let review = scene.send(&scene.admin, "users/review", fields).await.expect(200);
    let reviewed = hidden_fields(&review.text()).into_iter().find(|(name, _)| name == "reviewed").unwrap().1;
    scene.send(&scene.admin, "users/change", &[fields, &[("reviewed", reviewed.as_str())]].concat()).await
}

/// A level for a time is reviewed, which changes nothing, and then confirmed, which changes the decisions.
#[actix_web::test]
async fn a_level_for_a_time_is_reviewed_and_assigned() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (user, level) = (new_user(), api.level_id(company, "Member").await);
    let id = user.to_string();
    let fields = [
        ("do", "add"),
        ("user", id.as_str()),
        ("level", level.as_str()),
        ("starts", "2026-01-01T08:00"),
        ("ends", "2998-12-31T17:30"),
    ];
    let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
    assert_contains(
        &review,
        &["Nothing is changed yet.", "1 user affected.", "value=\"2998-12-31T17:30\"", "Add the level"],
    );
    assert_contains(row(&review, "<bdi>Home</bdi>"), &["+ gained", "Denied", "Allowed"]);
    assert_contains(row(&review, "<bdi>Create</bdi>"), &["Allowed: company"]);
    assert!(!scene.sees(user, "/home").await);

    let done = confirm(&scene, &fields).await.expect(303);
    let location = done.header("location").unwrap().to_owned();
    assert_eq!(location, scene.path(&format!("users/{user}?changed=1")));
    assert!(scene.sees(user, "/home").await);
    let page = content(&scene.admin.get(&location).await.expect(200));
    let starts = "2026-01-01T08:00:00.000Z";
    assert_contains(&page, &["The levels of the user were changed."]);
    assert_contains(row(&page, "<bdi>Member</bdi>"), &["Active", starts, "2998-12-31T17:30:00.000Z"]);

    let fields = [("do", "remove"), ("user", id.as_str()), ("level", level.as_str())];
    let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
    assert_contains(row(&review, "<bdi>Home</bdi>"), &["− lost"]);
    confirm(&scene, &fields).await.expect(303);
    assert!(!scene.sees(user, "/home").await);
}

/// The review of a level that starts later shows its effect from then on.
#[actix_web::test]
async fn a_level_that_starts_later_shows_its_later_effect() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (user, level) = (new_user(), scene.api.level_id(scene.company, "Member").await);
    let id = user.to_string();
    let fields = [("do", "add"), ("user", id.as_str()), ("level", level.as_str()), ("starts", "2998-01-01T00:00")];
    let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
    assert_contains(&review, &["The assignment starts later.", "1 user affected."]);
    confirm(&scene, &fields).await.expect(303);
    assert!(!scene.sees(user, "/home").await);
    assert_contains(row(&scene.read(&format!("users/{user}")).await, "<bdi>Member</bdi>"), &["Pending"]);
}

/// The review shows the permissions that the denies of a level take away.
#[actix_web::test]
async fn the_permissions_that_a_deny_takes_away_are_shown() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.level_without_home().await;
    let (member, visitor) = (scene.company.member.to_string(), scene.company.visitor.to_string());
    let fields = [("do", "add"), ("user", member.as_str()), ("user", visitor.as_str()), ("level", level.as_str())];
    let review = content(&scene.send(&scene.admin, "users/review", &fields).await.expect(200));
    assert_contains(&review, &["Denies of this level take away 1 permission.", "2 users affected."]);
    assert_contains(row(&review, "<bdi>Home</bdi>"), &["− lost", "Allowed", "Denied"]);
    let done = confirm(&scene, &fields).await.expect(303);
    assert_eq!(done.header("location"), Some(scene.path("users?changed=2").as_str()));
    for user in [scene.company.member, scene.company.visitor] {
        assert!(!scene.sees(user, "/home").await);
    }
    assert_contains(&scene.read("users?changed=2").await, &["The levels of 2 users were changed."]);
}

/// Invalid fields are reported together, and what was typed is kept.
#[actix_web::test]
async fn invalid_fields_keep_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let member = scene.company.member.to_string();
    let fields = [
        ("do", "add"),
        ("user", member.as_str()),
        ("level", "x"),
        ("starts", "tomorrow"),
        ("ends", "2026-13-01T00:00"),
    ];
    for page in ["users/review", "users/change"] {
        let answer = scene.send(&scene.admin, page, &fields).await.expect(422);
        let page = content(&answer);
        assert_contains(&page, &["Choose a level.", "value=\"tomorrow\"", "value=\"2026-13-01T00:00\""]);
        assert_eq!(page.matches("It must be a date and a time").count(), 2, "{page}");
        assert!(!page.contains("Add the level</button>"), "{page}");
    }
    let level = scene.api.level_id(scene.company, "Visitor").await;
    let none = [("do", "add"), ("level", level.as_str())];
    let page = content(&scene.send(&scene.admin, "users/review", &none).await.expect(422));
    assert_contains(&page, &["Select at least one user."]);
    let past = [("do", "add"), ("user", member.as_str()), ("level", level.as_str()), ("ends", "2020-01-01T00:00")];
    let page = content(&scene.send(&scene.admin, "users/review", &past).await.expect(409));
    assert_contains(&page, &["must be in the future", "value=\"2020-01-01T00:00\""]);
}

/// A change that would leave the company without an administrator is refused, in the review and when it is confirmed.
#[actix_web::test]
async fn a_refused_change_states_the_reason() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (admin, level) = (scene.company.admin.to_string(), scene.api.level_id(scene.company, "Admin").await);
    let fields = [("do", "remove"), ("user", admin.as_str()), ("level", level.as_str())];
    for page in ["users/review", "users/change"] {
        let page = content(&scene.send(&scene.admin, page, &fields).await.expect(409));
        assert_contains(&page, &["This change is refused.", "Review again"]);
        assert!(!page.contains("Remove the level</button>"), "{page}");
    }
    let path = format!("/api/iam/users/{admin}/user-levels");
    let held = scene.api.get(&path).by(scene.company.admin).within(scene.company.id).send().await.data();
    assert_eq!(held["userLevels"].as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!(held["userLevels"][0]["name"], json!("Admin"));
}

/// What is confirmed is what was reviewed: other fields, and another state of the company, are reviewed again.
#[actix_web::test]
async fn a_change_is_made_only_as_it_was_reviewed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (user, member) = (new_user(), api.level_id(company, "Member").await);
    let (id, admin) = (user.to_string(), api.level_id(company, "Admin").await);
    let of = |level| [("do", "add"), ("user", id.as_str()), ("level", level)];
    let review = scene.send(&scene.admin, "users/review", &of(&member)).await.expect(200).text();
    let reviewed = hidden_fields(&review).into_iter().find(|(name, _)| name == "reviewed").unwrap().1;
    let reviewed = [("reviewed", reviewed.as_str())];

    let other = [&of(&admin)[..], &reviewed].concat();
    let page = content(&scene.send(&scene.admin, "users/change", &other).await.expect(409));
    assert_contains(&page, &["The form has changed since the review.", "1 user affected.", "Add the level</button>"]);
    let another = new_user().to_string();
    let with_another = [&of(&member)[..], &[("user", another.as_str())], &reviewed].concat();
    let removing = [&[("do", "remove")], &of(&member)[1..], &reviewed].concat();
    for changed in [with_another, removing] {
        scene.send(&scene.admin, "users/change", &changed).await.expect(409);
    }
    let never = content(&scene.send(&scene.admin, "users/change", &of(&member)).await.expect(409));
    assert_contains(&never, &["The form has changed since the review."]);
    assert!(!scene.sees(user, "/home").await);

    let home = api.view_id("/home").await;
    api.set_matrix(company, &member, "views", json!([{ "viewId": home, "state": "deny" }])).await;
    let same = [&of(&member)[..], &reviewed].concat();
    let page = content(&scene.send(&scene.admin, "users/change", &same).await.expect(409));
    assert_contains(
        &page,
        &["The company has changed since the review.", "Nothing was changed.", "Add the level</button>"],
    );
    let held = api.get(&format!("/api/iam/users/{user}/user-levels")).by(company.admin).within(company.id).send().await;
    assert_eq!(held.data()["userLevels"], json!([]));
    confirm(&scene, &of(&member)).await.expect(303);
}
