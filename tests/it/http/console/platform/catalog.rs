//! Tests of the pages of views, features and modules.

use iam_domain::ModuleId;
use serde_json::json;

use super::super::scene::{Scene, assert_contains, content, hidden_fields, row};
use super::companies::tag_of;
use crate::support::api::{TestApi, both_adapters};
use crate::support::console::Browser;

both_adapters! {
    /// A view, a feature and a module are created, changed and deleted, and contain each other.
    async fn entries_are_created_changed_and_deleted(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser) = (&scene.api, &scene.super_admin);
        let mut pages = Vec::new();
        for (kind, fields, listed) in [
            ("views", vec![("name", "Ledger"), ("url", "/ledger"), ("category", "Money")], "With permission"),
            (
                "features",
                vec![("name", "Ledger"), ("key", "ledger.post"), ("actions", "Post\r\nVoid"), ("enabled", "on")],
                "<li class=\"chip\"><bdi>Void</bdi></li>",
            ),
            ("modules", vec![("name", "Ledger"), ("code", "ledger"), ("priority", "premium"), ("enabled", "on")], "premium"),
        ] {
            let fields = [&fields[..], &[("requires_auth", "on")]].concat();
            let list = format!("/console/catalog/{kind}");
            let created = browser.submit(&format!("{list}/new"), &list, &fields).await.expect(303);
            let page = created.header("location").unwrap().to_owned();
            assert_contains(&content(&browser.get(&page).await.expect(200)), &["It was saved.", "value=\"Ledger\""]);
            let found = content(&browser.get(&format!("{list}?q=LEDGER")).await.expect(200));
            assert_contains(row(&found, "<bdi>Ledger</bdi>"), &[listed]);
            pages.push(page.split('?').next().unwrap().to_owned());
        }
        let [view, feature, module] = &pages[..] else { panic!("three pages") };
        let id = |page: &str| page.rsplit('/').next().unwrap().to_owned();

        let tag = tag_of(browser, view).await;
        let renamed = [("tag", tag.as_str()), ("name", "Books"), ("url", "/books")];
        browser.submit(view, view, &renamed).await.expect(303);
        let stored = api.get(&format!("/api/iam/views/{}", id(view))).by_super_admin().send().await.data();
        assert_eq!((&stored["view"]["url"], &stored["view"]["requiresAuth"]), (&json!("/books"), &json!(false)));
        assert_eq!(stored["view"].get("category"), None, "an empty field is cleared");

        for (part, member) in [("views", id(view)), ("features", id(feature))] {
            let form = format!("{module}/{part}");
            let tag = part_tag(&browser.get(module).await.text(), part);
            browser.submit(module, &form, &[("member", member.as_str()), ("tag", &tag)]).await.expect(303);
            let page = content(&browser.get(module).await.expect(200));
            assert_contains(&page, &[&format!("value=\"{member}\" checked")]);
            // The form was filled before the change.
            let refused = browser.submit(module, &form, &[("tag", tag.as_str())]).await.expect(409);
            assert_contains(&content(&refused), &["This was not saved.", "Another person has changed this"]);
            let tag = part_tag(&browser.get(module).await.text(), part);
            let refused = browser.submit(module, &form, &[("tag", tag.as_str())]).await.expect(409);
            assert_contains(&content(&refused), &["would make the following available to every company", "check the box"]);
            assert!(!content(&refused).contains("true"), "the message names no field of the API");
        }

        let (tag, seen) = (tag_of(browser, module).await, seen_on(browser, module).await);
        let delete = format!("{module}/delete");
        let fields = [("tag", tag.as_str()), ("seen", &seen)];
        let refused = browser.submit(module, &delete, &fields).await.expect(409);
        assert_contains(&content(&refused), &["It was not deleted.", "It contains (2):", "<bdi>Books (/books)</bdi>"]);
        let deleted = browser.submit(module, &delete, &[&fields[..], &[("ungate", "on")]].concat()).await.expect(303);
        let list = content(&browser.get(deleted.header("location").unwrap()).await.expect(200));
        assert_contains(&list, &["It was deleted."]);
        for page in [view, feature] {
            let tag = tag_of(browser, page).await;
            browser.submit(page, &format!("{page}/delete"), &[("tag", &tag)]).await.expect(303);
            browser.get(page).await.expect(404);
        }
    }
}

/// Returns what the form that deletes an entry states that the person saw.
pub async fn seen_on(browser: &Browser, page: &str) -> String {
    let page = browser.get(page).await.expect(200).text();
    hidden_fields(&page).into_iter().find(|(name, _)| name == "seen").unwrap().1
}

/// Returns the entity tag in the form with this part of a module.
fn part_tag(page: &str, part: &str) -> String {
    let form = page.split("<form").find(|form| form.contains(&format!("<h2 id=\"{part}\""))).unwrap();
    let (_, rest) = form.split_once("name=\"tag\" value=\"").unwrap();
    rest.split("\">").next().unwrap().replace("&quot;", "\"")
}

#[actix_web::test]
async fn a_refused_entry_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let browser = &scene.super_admin;
    for (kind, fields, expected) in [
        ("views", vec![("name", "Twice"), ("url", "/home")], "A view with this url already exists"),
        ("features", vec![("name", "Twice"), ("key", "iam.more")], "reserved for the service"),
        ("modules", vec![("name", "Twice"), ("code", "core"), ("priority", "standard")], "already exists"),
    ] {
        let list = format!("/console/catalog/{kind}");
        let page = content(&browser.submit(&format!("{list}/new"), &list, &fields).await.expect(409));
        assert_contains(&page, &["It was not created.", expected, "value=\"Twice\""]);
        let blank: Vec<_> = fields.iter().map(|(name, _)| (*name, " ")).collect();
        let page = content(&browser.submit(&format!("{list}/new"), &list, &blank).await.expect(422));
        assert_contains(&page, &["It is required.", "aria-invalid=\"true\""]);
    }
    let home = format!("/console/catalog/views/{}", scene.api.view_id("/home").await);
    let tag = tag_of(browser, &home).await;
    let fields = [("tag", tag.as_str()), ("name", "Mine"), ("url", "/dashboard")];
    let page = content(&browser.submit(&home, &home, &fields).await.expect(409));
    assert_contains(&page, &["It was not saved.", "value=\"Mine\"", "value=\"/dashboard\""]);
    let outdated = [("tag", "\"old\""), ("name", "Mine"), ("url", "/home")];
    let page = content(&browser.submit(&home, &home, &outdated).await.expect(409));
    assert_contains(&page, &["Another person has changed this", "value=\"Mine\""]);
}

#[actix_web::test]
async fn an_entry_that_the_menu_uses_cannot_be_deleted() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (browser, view) = (&scene.super_admin, scene.api.view_id("/home").await);
    scene.api.make("menu-items", None, json!({ "label": "Start", "viewId": view })).await;
    let page = format!("/console/catalog/views/{view}");
    let tag = tag_of(browser, &page).await;
    let refused = content(&browser.submit(&page, &format!("{page}/delete"), &[("tag", &tag)]).await.expect(409));
    assert_contains(&refused, &["It was not deleted.", "is used by menu items: ", "Start"]);
    browser.get(&page).await.expect(200);
}

#[actix_web::test]
async fn long_lists_of_the_catalog_are_paged() {
    let scene = Scene::new(TestApi::memory().await).await;
    for number in 0..40 {
        let body = json!({ "name": format!("Extra {number}"), "url": format!("/extra/{number:02}") });
        scene.api.make("views", None, body).await;
    }
    let first = content(&scene.super_admin.get("/console/catalog?q=").await.expect(200));
    assert_contains(&first, &["54 views", "Page 1 of 2"]);
    assert_eq!(first.matches("<td class=\"mono\">").count(), 50);
    let none = content(&scene.super_admin.get("/console/catalog?q=nothing").await.expect(200));
    assert_contains(&none, &["No view matches the text."]);
    for unknown in ["views/x", "features/x", "modules/x", "menu-items/x", "sub-items/x", "menu?company=x"] {
        scene.super_admin.get(&format!("/console/catalog/{unknown}")).await.expect(404);
    }
}

/// The page shows what another person has stored, next to what was typed, before the form can be sent again.
#[actix_web::test]
async fn a_conflict_shows_what_is_stored_and_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (browser, id) = (&scene.super_admin, scene.api.feature_id("general.create").await);
    let page = format!("/console/catalog/features/{id}");
    let tag = tag_of(browser, &page).await;
    let theirs = json!({ "name": "Theirs", "actions": ["Approve"] });
    scene.api.patch(&format!("/api/iam/features/{id}")).by_super_admin().json(&theirs).send().await.expect(200);
    let fields = [("tag", tag.as_str()), ("name", "Mine"), ("key", "general.create"), ("actions", "Sign")];
    let refused = content(&browser.submit(&page, &page, &fields).await.expect(409));
    let table = refused.split("Stored now").nth(1).unwrap().split("</table>").next().unwrap();
    assert_contains(
        row(table, "Name"),
        &["<bdi class=\"lines\">Theirs</bdi>", "<strong><bdi class=\"lines\">Mine</bdi>"],
    );
    assert_contains(row(table, "Custom actions"), &[">Approve</bdi>", "<strong><bdi class=\"lines\">Sign</bdi>"]);
    assert_contains(row(table, "Enabled"), &[">yes</bdi>", ">no</bdi>"]);
    assert!(!table.contains("Key"), "a field that is the same is not listed: {table}");

    let core = format!("/console/catalog/modules/{}", scene.api.module_id("core").await);
    let tag = part_tag(&browser.get(&core).await.text(), "views");
    let (home, dashboard) = (scene.api.view_id("/home").await, scene.api.view_id("/dashboard").await);
    let path = core.replace("/console/catalog", "/api/iam");
    let theirs = json!({ "viewIds": [home], "ungate": true });
    scene.api.put(&format!("{path}/views")).by_super_admin().json(&theirs).send().await.expect(200);
    let fields = [("tag", tag.as_str()), ("member", &dashboard)];
    let refused = content(&browser.submit(&core, &format!("{core}/views"), &fields).await.expect(409));
    let (_, lists) = refused.split_once("Added by your form").unwrap();
    let (added, removed) = lists.split_once("Removed by your form").unwrap();
    assert_contains(added, &["/dashboard"]);
    assert_contains(removed.split("</ul>").next().unwrap(), &["/home"]);
}

#[actix_web::test]
async fn a_module_is_deleted_only_with_the_content_that_was_shown() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, browser, core) = (&scene.api, &scene.super_admin, scene.api.module_id("core").await);
    let page = format!("/console/catalog/modules/{core}");
    let (tag, seen) = (tag_of(browser, &page).await, seen_on(browser, &page).await);
    let view = json!({ "name": "Late", "url": "/late" });
    let view = api.make("views", None, view).await["id"].as_str().unwrap().to_owned();
    let stored = api.application.module_views(ModuleId::parse(&core).unwrap()).await.unwrap();
    let views: Vec<_> = stored.iter().map(|view| view.id.to_string()).chain([view]).collect();
    let path = format!("/api/iam/modules/{core}/views");
    api.put(&path).by_super_admin().json(&json!({ "viewIds": views })).send().await.expect(200);
    let delete = format!("{page}/delete");
    let fields = [("tag", tag.as_str()), ("seen", &seen), ("ungate", "on")];
    let refused = content(&browser.submit(&page, &delete, &fields).await.expect(409));
    assert_contains(&refused, &["It was not deleted.", "<bdi>Late (/late)</bdi>"]);
    browser.submit(&page, &delete, &fields[..1]).await.expect(400);
    browser.get(&page).await.expect(200);
}

#[actix_web::test]
async fn an_entry_is_created_once_although_its_form_is_sent_twice() {
    let scene = Scene::new(TestApi::memory().await).await;
    let browser = &scene.super_admin;
    for (kind, fields) in [
        ("views", vec![("name", "Twice"), ("url", "/twice")]),
        ("menu-items", vec![("label", "Twice"), ("order", "1"), ("priority", "standard")]),
    ] {
        let list = format!("/console/catalog/{kind}");
        let form = browser.get(&format!("{list}/new")).await.expect(200).text();
        let once = hidden_fields(&form).into_iter().find(|(name, _)| name == "once").unwrap().1;
        let fields = [&fields[..], &[("once", once.as_str())]].concat();
        let first = browser.submit(&format!("{list}/new"), &list, &fields).await.expect(303);
        let second = browser.submit(&format!("{list}/new"), &list, &fields).await.expect(303);
        assert_eq!(first.header("location"), second.header("location"), "{kind}");
    }
    let items = scene.api.application.menu_items(None).await.unwrap();
    assert_eq!(items.iter().filter(|item| item.label.as_str() == "Twice").count(), 1);
}

/// A link could contain any text, so the notices contain none of the address.
#[actix_web::test]
async fn notices_contain_no_text_of_the_address() {
    let scene = Scene::new(TestApi::memory().await).await;
    for page in ["companies?erased=", "api-keys?revoked=", "catalog?deleted=", "catalog/menu?deleted="] {
        let text = scene.super_admin.get(&format!("/console/{page}Call-555-0100")).await.expect(200).text();
        assert!(!text.contains("Call-555"), "{page}: {text}");
    }
}
