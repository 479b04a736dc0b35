//! Tests of the pages of the super admins: their accessibility, and the order of the menu by keyboard and by dragging.

use fantoccini::Client;
use fantoccini::key::Key;
use serde_json::Value;

use crate::driver::Driver;
use crate::page::{assert_fits_in_the_dark, assert_sound, click, present, screenshot, text};
use crate::service::{COMPANY, Demo};

/// The pages, with their names in the screenshots.
const PAGES: [(&str, &str); 16] = [
    ("company-new", "/companies/new"),
    ("settings", "/companies/{company}/settings"),
    ("ceilings", "/companies/{company}/settings/ceilings"),
    ("suspend", "/companies/{company}/settings/status"),
    ("erase", "/companies/{company}/settings/erase"),
    ("catalog-views", "/catalog"),
    ("catalog-view-new", "/catalog/views/new"),
    ("catalog-features", "/catalog/features"),
    ("catalog-feature-new", "/catalog/features/new"),
    ("catalog-modules", "/catalog/modules"),
    ("menu", "/catalog/menu"),
    ("api-keys", "/api-keys"),
    ("api-key-new", "/api-keys/new"),
    ("issuers", "/issuers"),
    ("platform-audit", "/audit"),
    ("health", "/health"),
];

async fn open(browser: &Client, service: &Demo, path: &str) {
    browser.goto(&format!("{}{}", service.console, path.replace("{company}", COMPANY))).await.unwrap();
}

#[tokio::test]
async fn the_pages_of_super_admins_are_accessible_and_obey_the_content_security_policy() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    service.sign_in(&browser, "Super admin").await;
    for (name, path) in PAGES {
        open(&browser, &service, path).await;
        assert_sound(&browser, name).await;
        screenshot(&browser, name).await;
    }
    open(&browser, &service, "/catalog/modules?q=risks").await;
    click(&browser, "main tbody a").await;
    present(&browser, "ul.boxes").await;
    assert_sound(&browser, "a module").await;
    screenshot(&browser, "catalog-module").await;
    browser.close().await.unwrap();
}

#[tokio::test]
async fn the_pages_of_super_admins_fit_on_a_narrow_screen_and_in_a_dark_scheme() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.narrow_and_dark().await;
    service.sign_in(&browser, "Super admin").await;
    for (name, path) in PAGES {
        open(&browser, &service, path).await;
        assert_fits_in_the_dark(&browser, name).await;
    }
    browser.close().await.unwrap();
}

#[tokio::test]
async fn ceilings_are_reviewed_before_they_are_saved() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    service.sign_in(&browser, "Super admin").await;
    open(&browser, &service, "/companies/{company}/settings/ceilings").await;
    click(&browser, "main input[name=hide]").await;
    click(&browser, "main button.primary").await;
    assert!(text(&browser, "main h1").await.contains("Review the ceilings"));
    assert!(text(&browser, "main").await.contains("affected"));
    assert_sound(&browser, "review of the ceilings").await;
    screenshot(&browser, "ceilings-review").await;
    click(&browser, "main button.primary").await;
    assert!(text(&browser, "main .notice").await.contains("The ceilings were saved."));
    browser.close().await.unwrap();
}

#[tokio::test]
async fn a_new_key_is_shown_with_a_button_that_copies_it() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    service.sign_in(&browser, "Super admin").await;
    open(&browser, &service, "/api-keys/new").await;
    let name = browser.find(fantoccini::Locator::Css("input[name=name]")).await.unwrap();
    name.send_keys("Browser").await.unwrap();
    click(&browser, "input[name=valid_for][value=all]").await;
    click(&browser, "main button.primary").await;
    assert!(text(&browser, "#key").await.starts_with("iam_"));
    present(&browser, "button[data-copy]:not([hidden])").await;
    assert_sound(&browser, "new API key").await;
    screenshot(&browser, "api-key-created").await;
    assert!(!browser.current_url().await.unwrap().as_str().contains("iam_"));
    browser.close().await.unwrap();
}

/// Returns the labels of the menu items.
async fn labels(browser: &Client) -> Vec<String> {
    let script =
        "return [...document.querySelectorAll('ol.tree > li > .entry .label')].map((label) => label.textContent)";
    // While a page is being replaced, no script is executed.
    let Ok(Value::Array(labels)) = browser.execute(script, Vec::new()).await else { return Vec::new() };
    labels.into_iter().map(|label| label.as_str().unwrap().to_owned()).collect()
}

/// Drags the first menu item below the second one.
const DRAG: &str = "
    const [first, second] = document.querySelectorAll('ol.tree > li');
    const box = second.getBoundingClientRect();
    const transfer = new DataTransfer();
    const fire = (target, kind) => target.dispatchEvent(new DragEvent(kind, {
        bubbles: true, cancelable: true, dataTransfer: transfer, clientX: box.left + 5, clientY: box.bottom - 1,
    }));
    fire(first, 'dragstart'); fire(second, 'dragover'); fire(second, 'drop');";

#[tokio::test]
async fn menu_items_are_moved_by_keyboard_and_by_dragging() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    service.sign_in(&browser, "Super admin").await;
    open(&browser, &service, "/catalog/menu").await;
    let mut order = labels(&browser).await;
    order.swap(0, 1);

    let focus = "document.querySelector('ol.tree > li > .entry button[value=down]').focus()";
    browser.execute(focus, Vec::new()).await.unwrap();
    let enter = char::from(Key::Enter).to_string();
    browser.active_element().await.unwrap().send_keys(&enter).await.unwrap();
    wait_for(&browser, &order).await;
    assert!(text(&browser, "main .notice").await.contains("is now 2 of"));
    assert_sound(&browser, "the menu after a move").await;
    screenshot(&browser, "menu-moved").await;
    // The focus is still on the button of the moved entry.
    browser.active_element().await.unwrap().send_keys(&enter).await.unwrap();
    order.swap(1, 2);
    wait_for(&browser, &order).await;

    browser.execute(DRAG, Vec::new()).await.unwrap();
    order.swap(0, 1);
    wait_for(&browser, &order).await;
    assert_sound(&browser, "the menu after moves").await;
    browser.close().await.unwrap();
}

/// Waits until the menu items are in this order.
async fn wait_for(browser: &Client, expected: &[String]) {
    while labels(browser).await != expected {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
