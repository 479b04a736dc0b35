//! Tests of the tree of the menu: its entries, and their order.

use iam_domain::CompanyId;
use serde_json::json;

use super::super::scene::{Scene, assert_contains, content};
use super::catalog::seen_on;
use super::companies::tag_of;
use crate::support::api::{TestApi, both_adapters, new_company};
use crate::support::console::form_token;

const MENU: &str = "/console/catalog/menu";

/// Returns the labels of the entries of the tree, in their order.
fn labels(page: &str) -> Vec<&str> {
    page.split("class=\"label\"").skip(1).map(|rest| between(rest, "<bdi>", "</bdi>")).collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap().1.split(end).next().unwrap()
}

/// Returns the fields of the form that moves the entry with this label.
fn fields_of(page: &str, label: &str) -> Vec<(String, String)> {
    let entry = page.split("<li data-entry").find(|part| part.contains(&format!("<bdi>{label}</bdi>"))).unwrap();
    let field = |name: &str| {
        let value = between(entry, &format!("name=\"{name}\" value=\""), "\">").replace("&quot;", "\"");
        (name.to_owned(), value)
    };
    ["entry", "parent", "tag"].map(field).into()
}

/// A menu with the items A, B and C, of which B has the sub-items B1 and B2.
struct Menu {
    scene: Scene,
    owner: Option<CompanyId>,
}

impl Menu {
    async fn new(scene: Scene, owner: Option<CompanyId>) -> Self {
        for item in scene.api.application.menu_items(owner).await.unwrap() {
            let path = format!("/api/iam/menu-items/{}", item.id);
            scene.api.delete(&path).by_super_admin().send().await.expect(200);
        }
        for label in ["A", "B", "C"] {
            let item = scene.api.make("menu-items", owner, json!({ "label": label })).await;
            for sub in if label == "B" { ["B1", "B2"].as_slice() } else { &[] } {
                let body = json!({ "label": sub, "menuItemId": item["id"], "sortOrder": 1 });
                scene.api.make("sub-menu-items", owner, body).await;
            }
        }
        Self { scene, owner }
    }

    fn path(&self, page: &str) -> String {
        let query = self.owner.map(|company| format!("?company={company}")).unwrap_or_default();
        format!("/console/catalog/{page}{query}")
    }

    async fn page(&self) -> String {
        content(&self.scene.super_admin.get(&self.path("menu")).await.expect(200))
    }

    /// Moves the entry with this label, and returns the labels afterwards.
    async fn moved(&self, label: &str, to: &str, before: Option<&str>) -> String {
        let page = self.page().await;
        let mut fields = fields_of(&page, label);
        fields.push(("to".to_owned(), to.to_owned()));
        if let Some(before) = before {
            fields.push(("before".to_owned(), fields_of(&page, before)[0].1.clone()));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (menu, action) = (self.path("menu"), self.path("menu/move"));
        let answer = self.scene.super_admin.submit(&menu, &action, &fields).await.expect(303);
        let after = answer.header("location").unwrap();
        assert!(after.starts_with(&menu), "{after}");
        labels(&content(&self.scene.super_admin.get(after).await.expect(200))).join(" ")
    }
}

both_adapters! {
    /// Entries move up, down, and before others, among the entries with the same parent.
    async fn entries_of_the_menu_are_moved(api: TestApi) {
        let scene = Scene::new(api).await;
        let company = scene.company.id;
        let menu = Menu::new(scene, None).await;
        assert_eq!(labels(&menu.page().await).join(" "), "A B B1 B2 C");
        assert_eq!(menu.moved("B", "up", None).await, "B B1 B2 A C");
        assert_eq!(menu.moved("B", "down", None).await, "A B B1 B2 C");
        assert_eq!(menu.moved("C", "before", Some("A")).await, "C A B B1 B2");
        assert_eq!(menu.moved("C", "before", None).await, "A B B1 B2 C");
        assert_eq!(menu.moved("B2", "up", None).await, "A B B2 B1 C");
        let menu = Menu::new(menu.scene, Some(company)).await;
        assert_eq!(menu.moved("A", "down", None).await, "B B1 B2 A C");
        let items = menu.scene.api.application.menu_items(Some(company)).await.unwrap();
        let order: Vec<_> = items.iter().map(|item| item.label.as_str()).collect();
        assert_eq!(order, ["B", "A", "C"]);
    }

    /// Of two moves that are made at once, one is made, and the other one is refused.
    async fn of_two_moves_at_once_one_is_made(api: TestApi) {
        let menu = Menu::new(Scene::new(api).await, None).await;
        let (page, action, browser) = (menu.page().await, menu.path("menu/move"), &menu.scene.super_admin);
        let token = form_token(&browser.get(MENU).await);
        let send = async |label: &str| {
            let fields = fields_of(&page, label);
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fields.extend([("to", "before"), ("csrf", token.as_str())]);
            browser.post(&action, &fields).await.status.as_u16()
        };
        let (first, second) = futures_util::future::join(send("A"), send("B")).await;
        let mut statuses = [first, second];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 409]);
        let expected = if first == 303 { "B B1 B2 C A" } else { "A C B B1 B2" };
        assert_eq!(labels(&menu.page().await).join(" "), expected);
        let items = menu.scene.api.application.menu_items(None).await.unwrap();
        let keys: std::collections::BTreeSet<_> = items.iter().map(|item| item.sort_order).collect();
        assert_eq!(keys.len(), 3, "{items:?}");
    }

    /// Items and sub-items are created, changed and deleted, in the common menu and in the menu of a company.
    async fn entries_of_the_menu_are_edited(api: TestApi) {
        let scene = Scene::new(api).await;
        let (owner, view) = (scene.company.id, scene.api.view_id("/home").await);
        for owner in [None, Some(owner)] {
            let (path, browser) = (|page: &str| place(page, owner), &scene.super_admin);
            let fields = [("label", "Start"), ("order", "7"), ("priority", "standard"), ("view", view.as_str())];
            let created = browser.submit(&path("menu-items/new"), &path("menu-items"), &fields).await.expect(303);
            let items = scene.api.application.menu_items(owner).await.unwrap();
            let item = items.iter().find(|item| item.label.as_str() == "Start" && item.company_id == owner).unwrap();
            assert_eq!((item.sort_order, item.is_entrypoint), (7, false));
            let page = content(&browser.get(created.header("location").unwrap()).await.expect(200));
            assert_contains(&page, &["It was saved.", &format!("<option value=\"{view}\" selected>")]);

            let id = item.id.to_string();
            let fields = [("label", "Under it"), ("item", id.as_str()), ("order", "1"), ("enabled", "on")];
            let created = browser.submit(&path("sub-items/new"), &path("sub-items"), &fields).await.expect(303);
            let sub_item = created.header("location").unwrap().split('?').next().unwrap().rsplit('/').next().unwrap();
            let sub_page = path(&format!("sub-items/{sub_item}"));
            let tag = tag_of(browser, &sub_page).await;
            let fields = [("label", "Below"), ("item", &id), ("order", "1"), ("tag", &tag)];
            browser.submit(&sub_page, &sub_page, &fields).await.expect(303);
            assert_contains(&content(&browser.get(&path("menu")).await.expect(200)), &["<bdi>Below</bdi>", "Hidden"]);

            let item_page = path(&format!("menu-items/{id}"));
            let tag = tag_of(browser, &item_page).await;
            let delete = path(&format!("menu-items/{id}/delete"));
            let refused = content(&browser.submit(&item_page, &delete, &[("tag", &tag)]).await.expect(409));
            assert_contains(&refused, &["It was not deleted.", "It contains (1):", "<li><bdi>Below</bdi></li>"]);
            let seen = seen_on(browser, &item_page).await;
            let deleted = browser.submit(&item_page, &delete, &[("tag", &tag), ("seen", &seen)]).await.expect(303);
            let page = content(&browser.get(deleted.header("location").unwrap()).await.expect(200));
            assert_contains(&page, &["It was deleted."]);
            assert!(!page.contains("<bdi>Start</bdi>"), "{page}");
            assert!(!page.contains("<bdi>Below</bdi>"), "{page}");
        }
    }
}

fn place(page: &str, owner: Option<CompanyId>) -> String {
    let query = owner.map(|company| format!("?company={company}")).unwrap_or_default();
    format!("/console/catalog/{page}{query}")
}

#[actix_web::test]
async fn an_order_that_another_person_has_changed_is_not_overwritten() {
    let menu = Menu::new(Scene::new(TestApi::memory().await).await, None).await;
    let fields = fields_of(&menu.page().await, "A");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(menu.moved("C", "up", None).await, "A C B B1 B2");
    let fields = [&fields[..], &[("to", "down")]].concat();
    let action = menu.path("menu/move");
    let refused = content(&menu.scene.super_admin.submit(MENU, &action, &fields).await.expect(409));
    assert_contains(&refused, &["The entry was not moved.", "Another person has changed this"]);
    assert_eq!(labels(&refused).join(" "), "A C B B1 B2");
}

#[actix_web::test]
async fn a_company_does_not_change_the_common_menu() {
    let menu = Menu::new(Scene::new(TestApi::memory().await).await, None).await;
    let item = menu.scene.api.application.menu_items(None).await.unwrap().remove(0);
    let sub_item = menu.scene.api.application.sub_menu_items(None).await.unwrap().remove(0);
    let company = menu.scene.company.id;
    for page in [format!("menu-items/{}", item.id), format!("sub-items/{}", sub_item.id)] {
        menu.scene.super_admin.get(&place(&page, None)).await.expect(200);
        menu.scene.super_admin.get(&place(&page, Some(company))).await.expect(404);
    }
    let page = content(&menu.scene.super_admin.get(&place("menu", Some(company))).await.expect(200));
    assert_contains(&page, &["This menu has no items yet.", "common menu"]);
}

/// The focus stays on the button of the moved entry, or on its other button if the entry cannot be moved further.
#[actix_web::test]
async fn after_a_move_the_entry_has_the_focus_and_its_place_is_announced() {
    let menu = Menu::new(Scene::new(TestApi::memory().await).await, None).await;
    let browser = &menu.scene.super_admin;
    for (label, to, place, focus) in [
        ("C", "up", 2, "Move C up"),
        ("C", "up", 1, "Move C down"),
        ("A", "down", 3, "Move A up"),
        ("C", "down", 2, "Move C down"),
    ] {
        let mut fields = fields_of(&menu.page().await, label);
        fields.push(("to".to_owned(), to.to_owned()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let moved = browser.submit(MENU, &menu.path("menu/move"), &fields).await.expect(303);
        let page = content(&browser.get(moved.header("location").unwrap()).await.expect(200));
        assert_contains(&page, &[&format!("role=\"status\"><p><bdi>{label}</bdi> is now {place} of 3.</p>")]);
        let focused: Vec<_> = page.split("<button").filter(|button| button.contains(" autofocus")).collect();
        assert_eq!(focused.len(), 1, "{page}");
        assert_contains(focused[0], &[&format!("aria-label=\"{focus}\"")]);
    }
}

#[actix_web::test]
async fn a_company_that_does_not_exist_has_no_menu() {
    let scene = Scene::new(TestApi::memory().await).await;
    let unknown = new_company();
    for page in ["menu", "menu-items/new", "sub-items/new"] {
        scene.super_admin.get(&place(page, Some(unknown))).await.expect(404);
    }
    let fields = [("label", "Ghost"), ("order", "1"), ("priority", "standard")];
    scene.super_admin.submit(MENU, &place("menu-items", Some(unknown)), &fields).await.expect(404);
    assert!(scene.api.application.company_details(unknown).await.is_err());
}

#[actix_web::test]
async fn a_menu_item_is_deleted_only_with_the_sub_items_that_were_shown() {
    let menu = Menu::new(Scene::new(TestApi::memory().await).await, None).await;
    let (api, browser) = (&menu.scene.api, &menu.scene.super_admin);
    let items = api.application.menu_items(None).await.unwrap();
    let id = items.iter().find(|item| item.label.as_str() == "B").unwrap().id.to_string();
    let page = format!("/console/catalog/menu-items/{id}");
    assert_contains(&content(&browser.get(&page).await.expect(200)), &["It contains (2):", "<li><bdi>B1</bdi></li>"]);
    let (tag, seen) = (tag_of(browser, &page).await, seen_on(browser, &page).await);
    api.make("sub-menu-items", None, json!({ "label": "B3", "menuItemId": id })).await;
    let fields = [("tag", tag.as_str()), ("seen", &seen)];
    let refused = content(&browser.submit(&page, &format!("{page}/delete"), &fields).await.expect(409));
    assert_contains(&refused, &["Another person has changed this", "It contains (3):", "<li><bdi>B3</bdi></li>"]);
    browser.get(&page).await.expect(200);
}

#[actix_web::test]
async fn a_new_menu_item_is_the_last_one_and_no_landing_page() {
    let scene = Scene::new(TestApi::memory().await).await;
    scene.api.make("menu-items", None, json!({ "label": "Last", "sortOrder": 70 })).await;
    let page = content(&scene.super_admin.get("/console/catalog/menu-items/new").await.expect(200));
    assert_contains(&page, &["name=\"order\" value=\"80\""]);
    assert!(!page.contains("name=\"entrypoint\" value=\"on\" checked"), "{page}");
}
