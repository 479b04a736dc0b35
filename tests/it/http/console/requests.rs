//! Tests of requests that reach no page: malformed addresses, wrong methods, and forms that are too slow or too large.

use std::future::pending;
use std::time::Duration;

use actix_web::http::Method;
use iam_http::HttpOptions;
use tokio::sync::oneshot::channel;

use super::protection::is_protected;
use crate::support::api::TestApi;
use crate::support::console::{Setting, TestConsole, form_token};
use crate::support::options::bytes_in_flight;
use crate::support::replica::{sooner_or_later, until};

#[actix_web::test]
async fn a_malformed_address_has_a_page() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let console = TestConsole::of(&api, Setting::default()).await;
    let browser = console.signed_in(company.admin, false).await;
    let search = format!("/console/companies/{}/search?q=%e4", company.id);
    for (status, path, text) in [
        (400, "/console/sign-in?signed_out=x", "The address contains an invalid parameter"),
        (400, "/console/companies?q=%ff", "The address is not valid"),
        (400, search.as_str(), "The address is not valid"),
        (400, "/console/%ff", "The address is not valid"),
        (404, "/console/sign-in/provider/x", "Page not found"),
        (404, "/console/sign-out/provider/-1", "Page not found"),
        (404, "/console/assets/x", "Page not found"),
    ] {
        let answer = browser.get(path).await.expect(status);
        is_protected(&answer, path);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(answer.text().contains(text), "{path}: {}", answer.text());
    }
    // A form that is not UTF-8 is not stored with other characters.
    let page = format!("/console/companies/{}/levels", company.id);
    let csrf = form_token(&browser.get(&page).await.expect(200));
    let body = Some(format!("csrf={csrf}&name=%ff"));
    browser.send(Method::POST, &page, &[("sec-fetch-site", "same-origin")], body).await.expect(400);
    assert_eq!(browser.get("/console/").await.expect(303).header("location"), Some("/console"));
}

#[actix_web::test]
async fn a_wrong_method_is_refused_with_the_methods_that_are_allowed() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let console = TestConsole::of(&api, Setting::default()).await;
    let browser = console.signed_in(company.admin, false).await;
    let levels = format!("/console/companies/{}/levels", company.id);
    for (method, path, allowed) in [
        (Method::GET, "/console/sign-in/token", "POST"),
        (Method::GET, "/console/sign-out", "POST"),
        (Method::POST, "/console/companies/options", "GET, HEAD"),
        (Method::GET, "/console/catalog/menu/move", "POST"),
        (Method::PUT, "/console/catalog/views", "GET, HEAD, POST"),
        (Method::DELETE, levels.as_str(), "GET, HEAD, POST"),
    ] {
        let answer = browser.send(method, path, &[("sec-fetch-site", "same-origin")], None).await.expect(405);
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        is_protected(&answer, path);
        assert!(answer.text().contains("This address cannot be used like this"), "{}", answer.text());
    }
}

#[actix_web::test]
async fn a_form_that_arrives_too_slowly_is_refused() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let http = HttpOptions { body_timeout: Duration::from_millis(20), ..HttpOptions::default() };
    let console = TestConsole::of(&api, Setting { http, ..Setting::default() }).await;
    let browser = console.signed_in(company.admin, false).await;
    let page = format!("/console/companies/{}/levels", company.id);
    let csrf = form_token(&browser.get(&page).await.expect(200));
    let fields = [("csrf", csrf.as_str()), ("name", "Slow")];
    let refused = browser.post_after(&page, &fields, pending()).await.expect(408);
    assert!(refused.text().contains("arrived too slowly"), "{}", refused.text());
    is_protected(&refused, "a slow form");
    browser.post(&page, &fields).await.expect(303);
}

#[actix_web::test]
async fn the_bytes_of_forms_in_flight_are_bounded() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    // An eighth is the share of one person, and of all people together who are not signed in.
    let console = TestConsole::of(&api, Setting { http: bytes_in_flight(400_000), ..Setting::default() }).await;
    let (admin, anonymous) = (console.signed_in(company.admin, false).await, console.browser());
    let levels = format!("/console/companies/{}/levels", company.id);
    let long = "x".repeat(15_000);
    for (browser, page, path, field, accepted, refused) in [
        (admin, levels.as_str(), levels.as_str(), "name", 422, 429),
        (anonymous, "/console/sign-in", "/console/sign-in/token", "token", 401, 503),
    ] {
        let csrf = form_token(&browser.get(page).await.expect(200));
        let fields = [("csrf", csrf.as_str()), (field, long.as_str())];
        browser.post(path, &fields).await.expect(accepted);
        // The last byte is awaited only after the others have been read.
        let (sender, others_read) = channel();
        let last = async {
            let _ = sender.send(());
            pending().await
        };
        let parked = actix_web::rt::spawn(browser.post_after(path, &fields, last));
        sooner_or_later(others_read).await.unwrap();
        browser.post(path, &fields).await.expect(refused);
        parked.abort();
        until(async || browser.post(path, &fields).await.status == accepted).await;
    }
}
