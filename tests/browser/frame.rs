//! Tests of the sign-in and of the frame.

use fantoccini::Locator;

use crate::driver::Driver;
use crate::page::{assert_fits_in_the_dark, assert_sound, click, present, screenshot, text, transferred};
use crate::service::{COMPANY, Demo};

/// The maximum size of the first page with all its files, in transfer.
const MAX_TRANSFER: u64 = 150_000;

#[tokio::test]
async fn a_newcomer_signs_in_with_one_click_and_sees_the_company() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.browser().await;
    browser.goto(&service.console).await.unwrap();
    assert_sound(&browser, "sign-in").await;
    let bytes = transferred(&browser).await;
    println!("the first page with its files: {bytes} bytes in transfer");
    assert!(bytes > 0 && bytes <= MAX_TRANSFER, "{bytes}");
    screenshot(&browser, "sign-in").await;
    click(&browser, "form[action$='/sign-in/demo'] button").await;
    browser.wait().for_element(Locator::Css("nav.sections")).await.unwrap();
    assert!(text(&browser, "h1").await.len() > 1);
    assert_sound(&browser, "after the sign-in").await;
    screenshot(&browser, "start").await;
    browser.close().await.unwrap();
}

/// The pages of the demo company, with their names in the screenshots.
const PAGES: [(&str, &str); 18] = [
    ("companies", "/companies"),
    ("overview", "/companies/{company}"),
    ("levels", "/companies/{company}/levels"),
    ("features", "/companies/{company}/matrix?tab=features"),
    ("no-match", "/companies/{company}/matrix?tab=views&q=nothing"),
    ("users", "/companies/{company}/users"),
    ("user", "/companies/{company}/users/c0ffee00-0000-4000-8000-00000000000b"),
    ("why", "/companies/{company}/why?user=c0ffee00-0000-4000-8000-00000000000b&view=/admin/user-levels"),
    ("why-no-levels", "/companies/{company}/why?user=c0ffee00-0000-4000-8000-0000000000ff&view=/home"),
    ("why-choice-of-users", "/companies/{company}/why?user=m&view=/home"),
    ("who-can", "/companies/{company}/who-can?view=/dashboard"),
    ("view-as", "/companies/{company}/view-as?user=c0ffee00-0000-4000-8000-00000000000c"),
    ("audit", "/companies/{company}/audit"),
    ("audit-no-match", "/companies/{company}/audit?action=company.erased"),
    ("audit-not-valid", "/companies/{company}/audit?by=x&from=y"),
    ("forbidden", "/audit"),
    ("search", "/companies/{company}/search?q=user"),
    ("not-found", "/companies/{company}/nothing"),
];

/// The pages that look different to a member who has no rights of administration. The others are forbidden.
const OF_MEMBERS: [(&str, &str); 4] = [
    ("companies", "/companies"),
    ("overview", "/companies/{company}"),
    ("why", "/companies/{company}/why?view=/dashboard"),
    ("users", "/companies/{company}/users"),
];

#[tokio::test]
async fn every_page_is_accessible_and_obeys_the_content_security_policy() {
    let (service, driver) = (Demo::start(), Driver::start());
    for (person, pages) in [("Admin", &PAGES[..]), ("Member", &OF_MEMBERS)] {
        let browser = driver.browser().await;
        service.sign_in(&browser, person).await;
        for (name, path) in pages {
            let path = path.replace("{company}", COMPANY);
            browser.goto(&format!("{}{path}", service.console)).await.unwrap();
            assert_sound(&browser, &format!("{name} as {person}")).await;
            if person == "Admin" {
                screenshot(&browser, name).await;
            }
        }
        browser.close().await.unwrap();
    }
}

#[tokio::test]
async fn pages_fit_on_a_narrow_screen_and_in_a_dark_scheme() {
    let (service, driver) = (Demo::start(), Driver::start());
    let browser = driver.narrow_and_dark().await;
    service.sign_in(&browser, "Admin").await;
    for (name, path) in PAGES {
        let path = path.replace("{company}", COMPANY);
        browser.goto(&format!("{}{path}", service.console)).await.unwrap();
        assert_fits_in_the_dark(&browser, name).await;
    }
    browser.close().await.unwrap();
}

#[tokio::test]
async fn signing_out_everywhere_ends_the_session_in_another_browser() {
    let (service, driver) = (Demo::start(), Driver::start());
    let (member, root) = (driver.browser().await, driver.browser().await);
    service.sign_in(&member, "Member").await;
    service.sign_in(&root, "Super admin").await;
    let user = "c0ffee00-0000-4000-8000-00000000000b";
    root.goto(&format!("{}/companies/{COMPANY}/users/{user}", service.console)).await.unwrap();
    let form = format!("form[action$='/{user}/sign-out']");
    click(&root, &format!("{form} summary")).await;
    click(&root, &format!("{form} button.danger")).await;
    present(&root, "main .notice").await;
    let page = format!("{}/companies/{COMPANY}", service.console);
    member.goto(&page).await.unwrap();
    present(&member, "form[action$='/sign-in/demo']").await;
    for browser in [member, root] {
        browser.close().await.unwrap();
    }
}
