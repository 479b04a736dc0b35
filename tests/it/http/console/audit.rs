//! Tests of the pages with the audit log.

use std::collections::BTreeSet;

use iam_domain::UserId;
use serde_json::json;

use super::scene::{HOSTILE, Scene, assert_contains, content};
use crate::support::api::{TestApi, both_adapters};
use crate::support::console::Browser;

/// Sets the display name of a user.
async fn name(scene: &Scene, user: UserId, name: &str) {
    let path = format!("/api/iam/users/{user}/profile");
    let request = scene.api.put(&path).by(scene.company.admin).within(scene.company.id);
    request.json(&json!({ "displayName": name })).send().await.expect(200);
}

/// Creates a level as the administrator of the company, and returns its id.
async fn new_level(scene: &Scene, name: &str) -> String {
    let request = scene.api.post("/api/iam/user-levels").by(scene.company.admin).within(scene.company.id);
    let data = request.json(&json!({ "name": name })).send().await.expect(201).data();
    data["userLevel"]["id"].as_str().unwrap().to_owned()
}

/// Returns the content of a page of the company.
async fn read(scene: &Scene, browser: &Browser, page: &str) -> String {
    content(&browser.get(&scene.path(page)).await.expect(200))
}

/// Returns the records on a page.
fn records(page: &str) -> Vec<&str> {
    page.split("<details class=\"record\">").skip(1).collect()
}

/// Returns the only record on a page.
#[track_caller]
fn only(page: &str) -> &str {
    let found = records(page);
    assert_eq!(found.len(), 1, "{page}");
    found[0]
}

/// Returns the sentence of a record without the elements.
fn sentence(record: &str) -> String {
    let (summary, _) = record.split_once("</summary>").unwrap();
    let (_, what) = summary.split_once("class=\"what\">").unwrap();
    let texts = what.split('<').filter_map(|part| part.split_once('>').map_or(Some(part), |(_, text)| Some(text)));
    texts.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the rows of the differences of a record, without the elements.
fn differences(record: &str) -> Vec<String> {
    let (_, body) = record.split_once("<tbody>").unwrap();
    let rows = body.split_once("</tbody>").unwrap().0.split("<tr>").skip(1);
    let text =
        |cell: &str| cell.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect::<String>();
    let cells = |row: &str| row.split("</t").map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" | ");
    rows.map(cells).collect()
}

both_adapters! {
    /// A record is a sentence with names. It expands to the difference, the credential and the JSON.
    async fn a_change_is_told_with_names_and_its_difference(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        name(&scene, company.admin, "Grace Hopper").await;
        let level = new_level(&scene, "Auditors").await;
        let cell = |feature: String, action, scope| json!({ "featureId": feature, "action": action, "scope": scope });
        let (risks, general) = (api.feature_id("risks.approve").await, api.feature_id("general.read").await);
        api.set_matrix(company, &level, "features", json!([cell(risks.clone(), "Approve", "company")])).await;
        let cells = json!([cell(risks, "Approve", "own"), cell(general, "Read", "any")]);
        api.set_matrix(company, &level, "features", cells).await;

        let page = read(&scene, &scene.admin, &format!("audit?level={level}")).await;
        let found = records(&page);
        assert_eq!(found.len(), 3, "{page}");
        assert_eq!(sentence(found[2]), "Grace Hopper created the level Auditors 2 differences");
        assert_eq!(differences(found[2]), ["Is default | none | no", "Name | none | Auditors"]);
        let changed = format!("{} changed the feature permissions of the level Auditors", api.super_admin);
        assert_eq!(sentence(found[1]), format!("{changed} as super admin forced"));
        assert_eq!(differences(found[1]), ["Approve Risks · Approve | none | company"]);
        assert_eq!(sentence(found[0]), format!("{changed} 2 differences as super admin forced"));
        let mut newest = differences(found[0]);
        newest.sort();
        assert_eq!(newest, ["Approve Risks · Approve | company | own", "Read · Read | none | any"]);
        let matrix = format!("href=\"{}\"", scene.path(&format!("levels/{level}/matrix?tab=features")));
        let history = format!("href=\"{}\"", scene.path(&format!("audit?level={level}")));
        let by = format!("href=\"{}\"", scene.path(&format!("audit?by={}", api.super_admin)));
        let id = format!("title=\"{}\"", api.super_admin);
        let texts = ["A token, in a request to the API", "<dt>Request</dt>", "<summary>JSON</summary><pre tabindex=\"0\">{"];
        assert_contains(found[0], &[[matrix.as_str(), &history, &by, &id].as_slice(), &texts].concat());
        assert!(page.contains("recorded for the users"), "{page}");
        assert_contains(found[2], &[&format!("title=\"{}\"><bdi>Grace Hopper</bdi>", company.admin)]);
    }

    /// Levels that a user receives and loses are listed with their names, and their periods.
    async fn levels_of_a_user_are_added_and_removed(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        name(&scene, company.visitor, "Ada").await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let path = format!("/api/iam/users/{}/user-levels/{member}", company.visitor);
        let period = json!({ "expiresAt": "2999-12-08T07:00:00Z" });
        api.put(&path).by(company.admin).within(company.id).json(&period).send().await.expect(200);
        let path = format!("/api/iam/users/{}/user-levels/{visitor}", company.visitor);
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        let page = read(&scene, &scene.admin, &format!("audit?about={}&action=assignment.user_levels_updated", company.visitor)).await;
        let found = records(&page);
        assert!(sentence(found[0]).contains("changed the levels of the user Ada"), "{page}");
        assert_eq!(differences(found[0]), ["Visitor | held | − removed"]);
        assert_eq!(differences(found[1]), ["Member | none | + added until 2999-12-08T07:00:00.000Z"]);
        assert_contains(&page, &[&format!("title=\"{member}\""), &format!("title=\"{visitor}\"")]);
    }

    /// A filter of the address selects records by the actor, by what they are about, by action and by time.
    async fn records_are_filtered(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, company) = (&scene.api, scene.company);
        let (a, b) = (new_level(&scene, "Alpha").await, new_level(&scene, "Beta").await);
        let path = scene.path(&format!("levels/{b}"));
        let tag = api.get(&format!("/api/iam/user-levels/{b}")).by_super_admin().within(company.id).send().await;
        let tag = tag.header("etag").unwrap().to_owned();
        let fields = [("name", "Gamma"), ("description", ""), ("tag", tag.as_str())];
        let sent = scene.super_admin.submit("/console/companies", &path, &fields).await;
        sent.expect(303);

        let sentences = async |query: &str| -> Vec<String> {
            let page = read(&scene, &scene.admin, &format!("audit?{query}")).await;
            records(&page).into_iter().map(sentence).collect()
        };
        let admin = format!("{} created the level", company.admin);
        assert_eq!(sentences(&format!("level={a}")).await, [format!("{admin} Alpha 2 differences")]);
        let changed = format!("{} changed the level Gamma as super admin", api.super_admin);
        assert_eq!(sentences(&format!("about={b}")).await, [changed.clone(), format!("{admin} Gamma 2 differences")]);
        assert_eq!(sentences(&format!("by={}", api.super_admin)).await[0], changed);
        assert_eq!(sentences("action=user_level.updated").await, std::slice::from_ref(&changed));
        assert_eq!(sentences(&format!("by={}&level={b}", company.admin)).await, [format!("{admin} Gamma 2 differences")]);
        assert_eq!(sentences(&format!("level={b}&from=2000-01-01T00:00")).await.len(), 2);
        assert!(sentences(&format!("level={b}&to=2000-01-01T00:00:00Z")).await.is_empty());
        let page = read(&scene, &scene.admin, &format!("audit?about={b}&action=user_level.updated")).await;
        assert_contains(only(&page), &["<td><bdi>Beta</bdi></td><td><bdi>Gamma</bdi></td>", "A session of this console"]);
        let none = read(&scene, &scene.admin, "audit?action=company.erased").await;
        assert_contains(&none, &["No change matches the filter.", "Show all changes"]);
    }

    /// Only people who may read the audit log see it. Only super admins see that of the platform.
    async fn only_people_who_may_read_the_audit_log_see_it(api: TestApi) {
        let scene = Scene::new(api).await;
        for page in ["audit", "audit.csv"] {
            let (path, platform) = (scene.path(page), format!("/console/{page}"));
            for (browser, of_company, of_platform) in [
                (&scene.admin, 200, 403),
                (&scene.super_admin, 200, 200),
                (&scene.reader().await, 403, 403),
                (&scene.holding(&[("iam.manage_levels", "Update")]).await, 200, 403),
            ] {
                browser.get(&path).await.expect(of_company);
                browser.get(&platform).await.expect(of_platform);
            }
            for (browser, status) in scene.outsiders().await {
                browser.get(&path).await.expect(status);
                browser.get(&platform).await.expect(403);
            }
            scene.console.browser().get(&path).await.expect(303);
        }
    }

    /// The audit log of the platform contains the changes to the catalog, and nothing about companies.
    async fn the_platform_has_its_own_audit_log(api: TestApi) {
        let scene = Scene::new(api).await;
        scene.api.make("views", None, json!({ "name": "Orbit", "url": "/orbit" })).await;
        scene.api.new_level(scene.company, "Alpha").await;
        let page = content(&scene.super_admin.get("/console/audit?action=view.created").await.expect(200));
        let newest = records(&page)[0];
        assert!(sentence(newest).contains("created the view Orbit"), "{newest}");
        let page = content(&scene.super_admin.get("/console/audit").await.expect(200));
        assert!(!page.contains("Alpha") && !page.contains("name=\"level\""), "{page}");
    }

    /// All pages together contain each record once.
    async fn a_long_log_is_paged(api: TestApi) {
        let scene = Scene::new(api).await;
        for index in 0..60 {
            new_level(&scene, &format!("Level {index}")).await;
        }
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut path = scene.path("audit?action=user_level.created&from=2000-01-01T00:00");
        loop {
            let page = content(&scene.admin.get(&path).await.expect(200));
            assert_eq!(page.contains(">Newest changes<"), pages > 0);
            pages += 1;
            seen.extend(records(&page).into_iter().map(sentence));
            let Some((before, _)) = page.split_once("\">Older changes<") else { break };
            path = before.rsplit_once("href=\"").unwrap().1.replace("&amp;", "&");
        }
        assert_eq!(pages, 2);
        assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(seen.iter().filter(|sentence| sentence.contains("the level Level ")).count(), 60);
        assert!(seen[0].contains("Level 59"), "{}", seen[0]);
    }
}

#[actix_web::test]
async fn a_filter_that_is_not_valid_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let level = scene.api.new_level(scene.company, "Alpha").await;
    for (query, texts) in [
        ("by=x%3E", ["name=\"by\" value=\"x&gt;\"", "must be a valid UUID, or issuer|subject"]),
        ("about=y", ["name=\"about\" value=\"y\"", "must be a valid UUID, or issuer|subject"]),
        ("from=yesterday", ["name=\"from\" value=\"yesterday\"", "such as 2026-12-31T17:00"]),
        ("level=x", ["Deleted level x", "Choose a level."]),
        ("cursor=x", ["The filter is not valid.", "was not issued by this service"]),
        (
            &format!("level={level}&about={}", scene.company.admin),
            ["Choose a user or a level, not both.", "selected>Alpha<"],
        ),
    ] {
        let page = content(&scene.admin.get(&scene.path(&format!("audit?{query}"))).await.expect(400));
        assert_contains(&page, &texts);
        assert!(records(&page).is_empty(), "{page}");
        scene.admin.get(&scene.path(&format!("audit.csv?{query}"))).await.expect(400);
    }
}

#[actix_web::test]
async fn a_deleted_level_keeps_its_name_and_says_so() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    let level = new_level(&scene, "Alpha").await;
    api.delete(&format!("/api/iam/user-levels/{level}")).by(company.admin).within(company.id).send().await.expect(200);
    let page = read(&scene, &scene.admin, &format!("audit?level={level}")).await;
    let sentences: Vec<_> = records(&page).into_iter().map(sentence).collect();
    let by = company.admin;
    assert_eq!(
        sentences,
        [
            format!("{by} deleted the level Alpha (deleted) 2 differences"),
            format!("{by} created the level Alpha (deleted) 2 differences")
        ],
    );
    assert!(!page.contains(&format!("levels/{level}")), "a deleted level has no page: {page}");
    assert_contains(&page, &[&format!("selected>Deleted level {level}<")]);
}

#[actix_web::test]
async fn names_in_records_are_escaped() {
    let scene = Scene::new(TestApi::memory().await).await;
    for hostile in HOSTILE {
        new_level(&scene, hostile).await;
    }
    name(&scene, scene.company.admin, HOSTILE[0]).await;
    let page = read(&scene, &scene.admin, "audit").await;
    for raw in ["<script", "<img"] {
        assert!(!page.contains(raw), "{page}");
    }
    assert_contains(&page, &["&lt;script&gt;alert(1)&lt;/script&gt;", "{{7*7}}${7*7}"]);
}

/// The file contains the records that the filter selects, with readable changes, and no formulas.
#[actix_web::test]
async fn the_file_contains_the_selected_records_and_no_formulas() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, company) = (&scene.api, scene.company);
    name(&scene, company.admin, "=cmd()").await;
    let level = new_level(&scene, "-1+1, \"x\"").await;
    new_level(&scene, "Other").await;
    let home = api.view_id("/home").await;
    api.set_matrix(company, &level, "views", json!([{ "viewId": home, "state": "deny" }])).await;
    let answer = scene.admin.get(&scene.path(&format!("audit.csv?level={level}"))).await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let text = answer.text();
    let lines: Vec<_> = text.trim_end().split("\r\n").collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("\"time\",\"actor kind\",\"actor id\",\"actor\""), "{text}");
    let about = r#""'-1+1, ""x""""#;
    assert_contains(lines[1], &["\"permissions.views_updated\"", about, "\"Home: none → deny\""]);
    assert_contains(lines[2], &["\"'=cmd()\"", "\"user_level.created\"", &format!("\"{level}\"")]);
}

/// The recorder writes only actions for which the page has a sentence.
#[test]
fn every_recorded_action_has_a_sentence() {
    let recorders = [
        include_str!("../../../../crates/storage/src/recorder.rs"),
        include_str!("../../../../crates/storage/src/recorder/companies.rs"),
    ];
    let sentences = include_str!("../../../../crates/console/src/pages/audit/actions.rs");
    let is_action = |text: &&str| {
        let is_word =
            |word: &str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        text.split_once('.').is_some_and(|(entity, what)| is_word(entity) && is_word(what))
    };
    let actions: BTreeSet<_> = recorders.iter().flat_map(|source| source.split('"')).filter(is_action).collect();
    assert!(actions.len() > 30, "{actions:?}");
    for action in actions {
        assert!(sentences.contains(&format!("\"{action}\", \"")), "{action}");
    }
}
