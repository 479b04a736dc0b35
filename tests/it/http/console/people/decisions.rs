//! Tests of the explanation of a decision, and of the users whom a check allows.

use serde_json::json;

use crate::http::console::scene::{Scene, assert_contains, content, row};
use crate::support::api::TestApi;

/// The explanation shows the answer, what each level says, and the smallest change that would alter it.
#[actix_web::test]
async fn a_denial_is_explained_with_its_smallest_fix() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let (denying, member) = (scene.level_without_home().await, api.level_id(company, "Member").await);
    api.assign(company, company.member, &[&member, &denying]).await;
    let page = scene.read(&format!("why?user={}&view=/home", company.member)).await;
    assert_contains(&page, &[">Denied<", "and a deny overrides every allow.", "<code>explicit_deny</code>"]);
    let matrix = format!("href=\"{}\"", scene.path(&format!("levels/{denying}/matrix")));
    assert_contains(row(&page, "<bdi>Homeless</bdi>"), &["Deny", "<strong>Yes</strong>", &matrix]);
    assert_contains(row(&page, "<bdi>Member</bdi>"), &["Allow", "No"]);
    assert_contains(row(&page, "<bdi>Core</bdi>"), &["Yes"]);
    let (_, fix) = page.split_once("The smallest change").unwrap();
    assert_contains(fix, &["Remove the deny from the level", "Homeless", &matrix]);
}

/// An allowed action has its scope. A wider scope than the allowed one is denied, with its reason.
#[actix_web::test]
async fn the_scope_is_part_of_the_question() {
    let scene = Scene::new(TestApi::memory().await).await;
    let why = |scope| format!("why?user={}&feature=general.read&action=Read&scope={scope}", scene.company.member);
    let page = scene.read(&why("team")).await;
    assert_contains(&page, &[">Allowed<", "with scope company"]);
    assert!(!page.contains("The smallest change"), "{page}");
    let page = scene.read(&why("any")).await;
    assert_contains(
        &page,
        &[">Denied<", "scope_too_narrow", "so that it allows it.", "<option value=\"any\" selected>"],
    );
}

/// A member sees the reasons of the own decisions, and not those of other users.
#[actix_web::test]
async fn members_ask_only_about_themselves() {
    let scene = Scene::new(TestApi::memory().await).await;
    let member = scene.console.signed_in(scene.company.member, false).await;
    let own = content(&member.get(&scene.path("why?view=/home")).await.expect(200));
    assert_contains(&own, &[">Allowed<", "<bdi>Member</bdi>"]);
    assert!(!own.contains("name=\"user\"") && !own.contains("/matrix"), "{own}");
    for user in [scene.company.admin.to_string(), "unknown".to_owned()] {
        member.get(&scene.path(&format!("why?view=/home&user={user}"))).await.expect(403);
    }
}

/// A question that is not complete keeps what was typed and says what is missing.
#[actix_web::test]
async fn an_incomplete_question_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    assert_contains(&scene.read("why").await, &["Choose a view, or a feature and an action, to see the answer"]);
    for (query, problem) in [
        ("view=/home&feature=general.read", "not both"),
        ("view=/home&action=Read", "A view has no actions"),
        (
            "feature=general.read",
            "Choose an action. The actions of Read are Approve, Create, Delete, Export, Publish, Read",
        ),
        ("feature=general.read&action=Read&scope=all", "The scope must be one of: own, team, company, any"),
        ("action=Read", "<bdi>Choose a view, or a feature and an action</bdi>."),
    ] {
        for page in ["why", "who-can"] {
            let page = content(&scene.admin.get(&scene.path(&format!("{page}?{query}"))).await.expect(400));
            assert_contains(&page, &[problem]);
            assert_eq!(page.contains("value=\"general.read\" list"), query.contains("feature"), "{page}");
        }
    }
    let page = content(&scene.admin.get(&scene.path("why?view=/home&user=x")).await.expect(400));
    assert_contains(&page, &["No user of the company matches “x”", "name=\"user\" value=\"x\""]);
}

/// A name or an e-mail address identifies a member. The form shows names, URLs and keys instead of ids.
#[actix_web::test]
async fn a_user_is_named_by_the_name_or_the_e_mail_address() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    scene.name(company.member, "Max Member").await;
    scene.name(company.visitor, "Max Membership").await;
    let path = format!("/api/iam/users/{}/profile", company.admin);
    let profile = json!({ "displayName": "Ada Admin", "email": "ada@example.com" });
    api.put(&path).by(company.admin).within(company.id).json(&profile).send().await.expect(200);
    let home = api.view_id("/home").await;
    for (user, heading) in [
        ("max%20member".to_owned(), "May <bdi>Max Member</bdi> open <bdi>Home</bdi>"),
        (company.member.to_string(), "May <bdi>Max Member</bdi> open <bdi>Home</bdi>"),
        ("Membership".to_owned(), "May <bdi>Max Membership</bdi> open <bdi>Home</bdi>"),
        ("ada%40example.com".to_owned(), "May you open <bdi>Home</bdi>"),
    ] {
        for view in [home.as_str(), "/home", "hOmE"] {
            let page = scene.read(&format!("why?user={user}&view={view}")).await;
            assert_contains(&page, &[heading, "value=\"/home\" list=\"views\""]);
            assert!(!page.contains(&format!("value=\"{}\"", company.member)), "{page}");
        }
    }
    let several = content(&scene.admin.get(&scene.path("why?user=Max&view=/home")).await.expect(400));
    let link = |user| format!("why?user={user}&amp;view=%2Fhome");
    assert_contains(
        &several,
        &["Several users match.", &link(company.member), &link(company.visitor), "value=\"Max\""],
    );
    let none = content(&scene.admin.get(&scene.path("why?user=Unknown&view=/home")).await.expect(400));
    assert_contains(&none, &["No user of the company matches “Unknown”"]);
    let checker = scene.holding(&[("iam.assign_permissions", "Update")]).await;
    for (user, status) in [("max%20member".to_owned(), 400), (company.member.to_string(), 200)] {
        let page = checker.get(&scene.path(&format!("why?user={user}&view=/home"))).await.expect(status).text();
        assert!(!page.contains("Max Member"), "only people who read IAM data search for members: {page}");
    }
}

/// The question about an action names the feature, and the rule is a sentence. Features with the same name have keys.
#[actix_web::test]
async fn the_answer_begins_with_the_question() {
    let scene = Scene::new(TestApi::memory().await).await;
    let visitor = scene.company.visitor;
    scene.name(visitor, "Vera").await;
    let key = scene.api.feature_id("risks.approve").await;
    for feature in [key.as_str(), "risks.approve", "Approve%20Risks"] {
        let page = scene.read(&format!("why?user=Vera&feature={feature}&action=approve&scope=company")).await;
        let heading = "May <bdi>Vera</bdi> do <bdi>Approve Risks</bdi> · <bdi>Approve</bdi> <code><bdi>risks.approve</bdi></code> (scope company)?";
        assert_contains(
            &page,
            &[
                heading,
                "value=\"risks.approve\" list",
                "value=\"Approve\" list",
                "No module of the company contains the feature.",
            ],
        );
    }
    for (query, problem) in [
        ("feature=nothing&action=Read", "Feature not found: “nothing”. The features are "),
        (
            "feature=risks.approve&action=Fly",
            "Action not found: “Fly”. The actions of Approve Risks are Approve, Create",
        ),
    ] {
        for page in ["why", "who-can"] {
            let page = content(&scene.admin.get(&scene.path(&format!("{page}?{query}"))).await.expect(400));
            assert_contains(&page, &[problem]);
            assert!(!page.contains(">Denied<"), "{page}");
        }
    }
    let denied = scene.read("why?user=Vera&feature=general.read&action=Delete").await;
    assert_contains(&denied, &[">Denied<", "<strong>No level of the user allows it.</strong>"]);
    let who = scene.read("who-can?view=Home").await;
    assert_contains(&who, &["Who may open <bdi>Home</bdi>", "value=\"/home\" list"]);
}

/// The list contains the users whom a check allows, with the levels that allow it.
#[actix_web::test]
async fn who_can_lists_the_users_whom_a_check_allows() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    scene.name(company.member, "Grace Hopper").await;
    let page = scene.read("who-can?feature=general.read&action=Update").await;
    assert_contains(&page, &["2 users", "Export as CSV"]);
    assert_contains(row(&page, "Grace Hopper"), &["company", "<bdi>Member</bdi>"]);
    assert_contains(row(&page, &company.admin.to_string()), &["any", "<bdi>Admin</bdi>"]);
    assert!(!page.contains(&company.visitor.to_string()), "{page}");
    let level = scene.level_without_home().await;
    for user in [company.admin, company.member, company.visitor] {
        let mut levels = vec![level.as_str()];
        let admin = api.level_id(company, "Admin").await;
        if user == company.admin {
            levels.push(&admin);
        }
        api.assign(company, user, &levels).await;
    }
    assert_contains(&scene.read("who-can?view=/home").await, &["0 users", "No user is allowed to."]);
    let unknown = content(&scene.admin.get(&scene.path("who-can?view=/nowhere")).await.expect(400));
    assert_contains(&unknown, &["<bdi>View not found: “/nowhere”. The views are ", "/home, "]);
}
