//! Tests of the sign-in and of the frame.

use fantoccini::Locator;

use crate::driver::Driver;
use crate::page::{assert_sound, click, screenshot, text, transferred};
use crate::service::Demo;

/// The maximum size of the first page with all its files, in transfer.
const MAX_TRANSFER: u64 = 150_000;

#[tokio::test]
async fn a_newcomer_signs_in_with_one_click_and_sees_the_company() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    browser.goto(&service.console).await.unwrap();
    assert_sound(&browser, "sign-in").await;
    screenshot(&browser, "sign-in").await;
    click(&browser, "form[action$='/sign-in/demo'] button").await;
    browser.wait().for_element(Locator::Css("nav.sections")).await.unwrap();
    assert!(text(&browser, "h1").await.len() > 1);
    assert_sound(&browser, "after the sign-in").await;
    screenshot(&browser, "start").await;
    let bytes = transferred(&browser).await;
    println!("the first page after the sign-in: {bytes} bytes in transfer");
    assert!(bytes > 0 && bytes <= MAX_TRANSFER, "{bytes}");
    browser.close().await.unwrap();
}
