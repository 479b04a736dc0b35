//! Tests of the protection of the console: headers, cookies, and requests from other sites.

use actix_web::http::Method;

use crate::support::answer::Answer;
use crate::support::api::{TestApi, both_adapters, new_user};
use crate::support::console::{Browser, Setting, TestConsole, encode, form_token};

/// Checks the security headers of a response.
#[track_caller]
pub fn is_protected(answer: &Answer, what: &str) {
    let header = |name| answer.header(name).unwrap_or_else(|| panic!("{what} has no {name}"));
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
        form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    assert_eq!(header("content-security-policy"), policy, "{what}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert!(answer.header("access-control-allow-origin").is_none(), "{what}");
    let text = answer.text();
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
        assert!(!text.contains(inline), "{what} contains {inline}");
    }
    for script in text.split("<script").skip(1) {
        assert!(script.starts_with(" src=") || script.starts_with(" type=\"module\" src="), "{what}: {script}");
    }
}

#[actix_web::test]
async fn every_response_is_protected() {
    let api = TestApi::memory().await;
    let (company, other) = (api.company().await, api.company().await);
    let console = TestConsole::of(&api, Setting::default()).await;
    let (browser, unknown) = (console.signed_in(company.admin, false).await, console.browser());
    let own = format!("/console/companies/{}", company.id);
    for (status, path) in [
        (303, "/console"),
        (200, "/console/sign-in"),
        (200, "/console/companies"),
        (200, "/console/companies/options"),
        (200, own.as_str()),
        (404, &format!("/console/companies/{}", other.id)),
        (404, "/console/companies/x"),
        (404, "/console/nothing"),
        (404, "/console/assets/0/console.css"),
    ] {
        let answer = browser.get(path).await.expect(status);
        is_protected(&answer, path);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    is_protected(&unknown.get(&own).await.expect(303), "a redirect to the sign-in page");
    is_protected(&browser.send(Method::POST, "/console/sign-out", &[], None).await.expect(403), "a forged request");
    is_protected(&browser.sign_in("forged").await.expect(401), "a failed sign-in");
    // The API keeps its own headers.
    let data = browser.get("/livez").await.expect(200);
    assert_eq!(data.header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
}

#[actix_web::test]
async fn files_have_addresses_with_their_hash_and_are_cached_forever() {
    let console = TestConsole::of(&TestApi::memory().await, Setting::default()).await;
    let browser = console.browser();
    let page = browser.get("/console/sign-in").await.expect(200).text();
    let addresses: Vec<_> =
        page.split('"').filter(|part| part.starts_with("/console/assets/")).map(str::to_owned).collect();
    assert_eq!(addresses.iter().filter(|address| address.ends_with(".js")).count(), 2);
    for address in &addresses {
        let plain = browser.get(address).await.expect(200);
        is_protected(&Answer { body: Vec::new(), ..plain.clone() }, address);
        assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let small = browser.send(Method::GET, address, &[("accept-encoding", "gzip")], None).await.expect(200);
        assert_eq!(small.header("content-encoding"), Some("gzip"));
        assert!(small.body.len() < plain.body.len(), "{address}");
        let (folder, name) = address.rsplit_once('/').unwrap();
        let stale = format!("{}0/{name}", folder.strip_suffix(|_: char| true).unwrap());
        if stale != *address {
            browser.get(&stale).await.expect(404);
        }
    }
    let total: usize = addresses.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(total >= 4);
}

#[actix_web::test]
async fn the_cookie_is_bound_to_a_secure_connection_except_on_this_machine() {
    let console = TestConsole::of(&TestApi::memory().await, Setting::default()).await;
    let cookie = async |address: &str, host: &str, forwarded: &[(&str, &str)]| {
        let browser = Browser { address: address.parse().unwrap(), ..console.browser() };
        let headers = [&[("host", host)], forwarded].concat();
        let page = browser.send(Method::GET, "/console/sign-in", &headers, None).await.expect(200);
        page.header("set-cookie").unwrap().to_owned()
    };
    let forwarded = [("x-forwarded-host", "localhost")];
    for (address, host, headers) in [
        ("192.0.2.7:4711", "iam.example", &[][..]),
        ("192.0.2.7:4711", "localhost", &[]),
        ("192.0.2.7:4711", "localhost", &forwarded),
        // A proxy on this machine forwards the requests of other machines, with the host of the client or its own.
        ("127.0.0.1:4711", "iam.example", &[]),
        ("127.0.0.1:4711", "iam.example", &forwarded),
        ("127.0.0.1:4711", "localhost", &forwarded),
        ("127.0.0.1:4711", "127.0.0.1:3001", &[("x-forwarded-for", "192.0.2.7")]),
        ("127.0.0.1:4711", "127.0.0.1:3001", &[("forwarded", "proto=https")]),
    ] {
        let cookie = cookie(address, host, headers).await;
        assert!(cookie.starts_with("__Host-iam_sign_in="), "{cookie}");
        for attribute in ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    for (address, host) in [("127.0.0.1:4711", "127.0.0.1:3001"), ("[::1]:4711", "localhost:3001")] {
        let cookie = cookie(address, host, &[]).await;
        assert!(cookie.starts_with("iam_sign_in=") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
}

both_adapters! {
    /// A form is accepted only from a page of the same session.
    async fn a_form_of_another_site_or_session_is_rejected(api: TestApi) {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let (browser, other) = (console.signed_in(company.admin, false).await, console.signed_in(new_user(), false).await);
        let own = form_token(&browser.get("/console/companies").await.expect(200));
        let foreign = form_token(&other.get("/console/companies").await.expect(200));
        let before = own.clone();
        let send = async |headers: &[(&str, &str)], token: Option<&str>| {
            let body = token.map_or_else(String::new, |token| encode(&[("csrf", token)]));
            browser.send(Method::POST, "/console/sign-out", headers, Some(body)).await.status.as_u16()
        };
        let same = [("sec-fetch-site", "same-origin")];
        for headers in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "iam.example")],
            &[("origin", "http://iam.example")],
            &[("origin", "ftp://iam.example")],
            &[("origin", "https://iam.example:8443")],
            &[("origin", "https://iam.example@evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://iam.example")],
        ] {
            assert_eq!(send(headers, Some(&own)).await, 403, "{headers:?}");
        }
        for token in [None, Some(""), Some(foreign.as_str()), Some("00")] {
            assert_eq!(send(&same, token).await, 403, "{token:?}");
        }
        assert!(browser.is_signed_in().await);
        assert_eq!(send(&[("origin", "https://iam.example")], Some(&before)).await, 303);
        assert!(!browser.is_signed_in().await);
    }

    /// A cookie that was changed, invented or copied from another installation is not accepted.
    async fn a_forged_cookie_is_not_accepted(api: TestApi) {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let elsewhere = TestConsole::of(&TestApi::memory().await, Setting::default()).await;
        let browser = console.signed_in(company.admin, false).await;
        let foreign = elsewhere.signed_in(company.admin, false).await;
        let (name, value) = browser.cookies.borrow().iter().next().map(|(a, b)| (a.clone(), b.clone())).unwrap();
        let mut changed = value.clone().into_bytes();
        let last = changed.len() - 1;
        changed[last] = if changed[last] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        let copied = foreign.cookies.borrow().values().next().unwrap().clone();
        for forged in [changed.as_str(), "x", &"a".repeat(108), &copied] {
            let other = console.browser();
            other.cookies.borrow_mut().insert(name.clone(), forged.to_owned());
            assert!(!other.is_signed_in().await, "{forged}");
        }
        assert!(browser.is_signed_in().await);
    }

    /// The value of a cookie is valid only under the name for which it was written.
    async fn a_cookie_is_bound_to_its_name(api: TestApi) {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let browser = console.signed_in(company.admin, false).await;
        let value = browser.cookies.borrow()["__Host-iam_session"].clone();
        let local = Browser { address: "127.0.0.1:4711".parse().unwrap(), ..console.browser() };
        local.cookies.borrow_mut().insert("iam_session".to_owned(), value);
        local.send(Method::GET, "/console/companies", &[("host", "localhost")], None).await.expect(303);
        assert!(browser.is_signed_in().await);
    }
}
