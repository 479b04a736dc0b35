//! Tests of the matrix: a draft by keyboard, its review and its save, and conflicts between two browsers.

use fantoccini::Client;
use fantoccini::key::Key;

use crate::driver::Driver;
use crate::page::{assert_sound, click, present, screenshot, text};
use crate::service::{COMPANY, Demo};

/// Opens the tab of the views of the company's matrix, as the administrator of the demo.
async fn open(driver: &Driver, service: &Demo) -> Client {
    let browser = driver.browser().await;
    service.sign_in(&browser, "Admin").await;
    browser.goto(&matrix(service)).await.unwrap();
    present(&browser, "table.matrix td[tabindex='0']").await;
    browser
}

fn matrix(service: &Demo) -> String {
    format!("{}/companies/{COMPANY}/matrix?tab=views", service.console)
}

/// Presses keys in the cell that has the focus.
async fn press(browser: &Client, keys: &str) {
    browser.active_element().await.unwrap().send_keys(keys).await.unwrap();
}

/// Moves the focus to the cell of the level Visitor in the first row.
async fn go_to_first_cell_of_visitor(browser: &Client) {
    let focus = "document.querySelector(\"table.matrix td[tabindex='0']\").focus()";
    browser.execute(focus, Vec::new()).await.unwrap();
    press(browser, &char::from(Key::End).to_string()).await;
}

/// Returns the text of the cell of the level Visitor in a row.
async fn cell(browser: &Client, row: usize) -> String {
    text(browser, &format!("table.matrix tbody tr:nth-child({row}) > :last-child")).await
}

#[tokio::test]
async fn a_draft_by_keyboard_is_reviewed_and_saved() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = open(&driver, &service).await;
    assert_sound(&browser, "matrix").await;
    let before = [cell(&browser, 1).await, cell(&browser, 2).await, cell(&browser, 3).await];
    go_to_first_cell_of_visitor(&browser).await;
    let down = char::from(Key::Down).to_string();
    for _ in 0..3 {
        press(&browser, " ").await;
        press(&browser, &down).await;
    }
    assert_eq!(text(&browser, "#draft-count").await, "3 changes");
    assert_sound(&browser, "matrix with a draft").await;
    screenshot(&browser, "matrix").await;
    press(&browser, &format!("{}z{}", char::from(Key::Control), char::from(Key::Null))).await;
    assert_eq!(text(&browser, "#draft-count").await, "2 changes");

    click(&browser, "#draft button[type=submit]").await;
    present(&browser, "main form[action*='/save']").await;
    let review = text(&browser, "main").await;
    assert!(review.contains("Visitor"), "{review}");
    assert_sound(&browser, "review").await;
    screenshot(&browser, "review").await;
    click(&browser, "main form button.primary").await;
    present(&browser, "table.matrix").await;
    browser.goto(&matrix(&service)).await.unwrap();
    let after = [cell(&browser, 1).await, cell(&browser, 2).await, cell(&browser, 3).await];
    assert_ne!(after[..2], before[..2], "two cells were changed");
    assert_eq!(after[2], before[2], "the third change was undone");
    browser.close().await.unwrap();
}

/// Changes the cell of the level Visitor in the first row with this number of presses of Space, and opens the review.
async fn review_after(browser: &Client, presses: usize) {
    go_to_first_cell_of_visitor(browser).await;
    for _ in 0..presses {
        press(browser, " ").await;
    }
    assert_eq!(text(browser, "#draft-count").await, "1 change");
    click(browser, "#draft button[type=submit]").await;
    present(browser, "main form[action*='/save']").await;
}

#[tokio::test]
async fn a_conflict_of_two_browsers_keeps_the_draft_and_shows_what_was_changed() {
    let (service, driver) = (Demo::start(), Driver::start());
    let (first, second) = (open(&driver, &service).await, open(&driver, &service).await);
    let before = cell(&first, 1).await;
    review_after(&first, 1).await;
    review_after(&second, 2).await;
    click(&first, "main form button.primary").await;
    present(&first, "main .notice[role=status]").await;
    let of_first = cell(&first, 1).await;

    click(&second, "main form button.primary").await;
    present(&second, "main form button[formaction*='/review']").await;
    let conflict = text(&second, "main").await;
    assert!(conflict.contains("Visitor"), "{conflict}");
    assert_sound(&second, "conflict").await;
    screenshot(&second, "conflict").await;
    first.goto(&matrix(&service)).await.unwrap();
    assert_eq!(cell(&first, 1).await, of_first, "the second browser has saved nothing");

    click(&second, "main form button[formaction*='/review']").await;
    click(&second, "main form[action*='/save'] button.primary").await;
    present(&second, "main .notice[role=status]").await;
    let of_second = cell(&second, 1).await;
    assert!(of_second != before && of_second != of_first, "{before} {of_first} {of_second}");
    for browser in [first, second] {
        browser.close().await.unwrap();
    }
}
