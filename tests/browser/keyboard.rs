//! A whole visit by keyboard alone: sign in, open the matrix, change a cell, review it and save it.

use fantoccini::Client;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use serde_json::json;

use crate::driver::Driver;
use crate::page::{present, text};
use crate::service::Demo;

/// The most elements that a person passes with the Tab key on a page.
const MAX_TABS: usize = 80;

/// Presses a key, as a keyboard does.
async fn press(browser: &Client, key: char) {
    let actions =
        KeyActions::new("keyboard".to_owned()).then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
    browser.perform_actions(actions).await.unwrap();
}

/// Presses Tab until an element has the focus that the selector finds, and asserts that the focus is visible there.
async fn tab_to(browser: &Client, selector: &str) {
    present(browser, selector).await;
    for _ in 0..MAX_TABS {
        press(browser, char::from(Key::Tab)).await;
        let is_reached = "return document.activeElement.matches(arguments[0])";
        if browser.execute(is_reached, vec![json!(selector)]).await.unwrap() == json!(true) {
            let outline = "return getComputedStyle(document.activeElement).outlineStyle";
            assert_ne!(browser.execute(outline, Vec::new()).await.unwrap(), json!("none"), "{selector} shows no focus");
            return;
        }
    }
    panic!("{selector} cannot be reached with the Tab key");
}

#[tokio::test]
async fn a_permission_is_changed_by_keyboard_alone() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    browser.goto(&service.console).await.unwrap();
    let enter = char::from(Key::Enter);
    tab_to(&browser, "form[action$='/sign-in/demo'] button").await;
    press(&browser, enter).await;
    present(&browser, "nav.sections").await;
    // The first link of each page leads past the navigation.
    tab_to(&browser, "a.skip").await;
    press(&browser, enter).await;
    let focused = browser.execute("return document.activeElement.id", Vec::new()).await.unwrap();
    assert_eq!(focused, json!("content"));
    tab_to(&browser, "nav.sections a[href$='/matrix']").await;
    press(&browser, enter).await;
    tab_to(&browser, "table.matrix td").await;
    for key in [char::from(Key::Down), char::from(Key::End), ' '] {
        press(&browser, key).await;
    }
    assert_eq!(text(&browser, "#draft-count").await, "1 change");
    tab_to(&browser, "#draft button[type=submit]").await;
    press(&browser, enter).await;
    tab_to(&browser, "main form[action*='/save'] button.primary").await;
    press(&browser, enter).await;
    present(&browser, "main .notice[role=status]").await;
    assert!(text(&browser, "main .notice[role=status]").await.contains("1 change was saved"));
    // The search has a key of its own, and Escape closes a menu.
    press(&browser, '/').await;
    let focused = browser.execute("return document.activeElement.id", Vec::new()).await.unwrap();
    assert_eq!(focused, json!("search"));
    tab_to(&browser, ".bar .end summary").await;
    press(&browser, enter).await;
    present(&browser, ".bar .end details[open]").await;
    press(&browser, char::from(Key::Escape)).await;
    present(&browser, ".bar .end details:not([open])").await;
    browser.close().await.unwrap();
}
