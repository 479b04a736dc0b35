//! Tests of the frame of the pages, the list of companies and the overview.

use actix_web::http::Method;
use iam_application::BudgetOptions;
use iam_http::HttpOptions;
use serde_json::json;

use crate::support::api::{Company, TestApi, both_adapters, new_company, new_user, one_a_second};
use crate::support::console::{Setting, TestConsole};
use crate::support::options::TestOptions;

/// Names that would break a page whose output is not escaped.
const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} & '",
    "{{7*7}}${7*7}",
];

/// Sets the name of a company.
async fn rename(api: &TestApi, company: Company, name: &str) {
    let path = format!("/api/iam/companies/{}", company.id);
    api.patch(&path).by_super_admin().json(&json!({ "name": name })).send().await.expect(200);
}

both_adapters! {
    /// Members of several companies find them by a part of the name, or by the beginning of the id.
    async fn members_search_their_companies(api: TestApi) {
        let (first, second) = (api.company().await, api.company().await);
        rename(&api, first, "Alpha Works").await;
        rename(&api, second, "Beta Works").await;
        let member = api.level_id(second, "Member").await;
        api.assign(second, first.member, &[&member]).await;
        let browser = TestConsole::of(&api, Setting::default()).await.signed_in(first.member, false).await;
        let [first, second] = [first, second].map(|company| company.id.to_string());
        for page in ["companies", "companies/options"] {
            let found = async |text: &str| {
                let list = browser.get(&format!("/console/{page}?q={text}")).await.expect(200).text();
                [&first, &second].map(|id| list.contains(id))
            };
            assert_eq!(found("works").await, [true, true]);
            assert_eq!(found("alpha").await, [true, false]);
            assert_eq!(found(&second[..30]).await, [false, true]);
            assert_eq!(found("gamma").await, [false, false]);
        }
    }

    /// Each role sees the companies and pages that it may see, and cannot tell the others from pages that do not exist.
    async fn people_see_only_their_companies(api: TestApi) {
        let (own, other) = (api.company().await, api.company().await);
        let console = TestConsole::of(&api, Setting::default()).await;
        let path = |company: Company| format!("/console/companies/{}", company.id);
        for (user, is_super_admin, sees_own, sees_other) in [
            (own.admin, false, true, false),
            (own.member, false, true, false),
            (own.visitor, false, true, false),
            (new_user(), false, false, false),
            (new_user(), true, true, true),
        ] {
            let browser = console.signed_in(user, is_super_admin).await;
            let list = browser.get("/console/companies").await.expect(200).text();
            let options = browser.get("/console/companies/options").await.expect(200).text();
            for (company, is_visible) in [(own, sees_own), (other, sees_other)] {
                browser.get(&path(company)).await.expect(if is_visible { 200 } else { 404 });
                assert_eq!(list.contains(&company.id.to_string()), is_visible);
                assert_eq!(options.contains(&company.id.to_string()), is_visible);
            }
            let unknown = browser.get(&format!("/console/companies/{}", new_company())).await.expect(404).text();
            if !sees_other {
                assert_eq!(browser.get(&path(other)).await.expect(404).text(), unknown);
            }
        }
    }

    /// The overview contains the name, the modules and the counts of the company.
    async fn the_overview_describes_the_company(api: TestApi) {
        let company = api.company().await;
        rename(&api, company, "Analytical Engines").await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let browser = console.signed_in(company.admin, false).await;
        let page = browser.get(&format!("/console/companies/{}", company.id)).await.expect(200).text();
        assert!(page.contains("<title>Overview · Analytical Engines · IAM console</title>"), "{page}");
        assert!(page.contains("<strong>3</strong>"), "{page}");
    }

    /// A suspended company is marked. Its members have no permissions in it, so they see no data.
    async fn a_suspended_company_is_marked_and_closed(api: TestApi) {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let (admin, super_admin) =
            (console.signed_in(company.admin, false).await, console.signed_in(new_user(), true).await);
        let (overview, search) = (
            format!("/console/companies/{}", company.id),
            format!("/console/companies/{}/search?q=admin", company.id),
        );
        assert!(admin.get(&overview).await.expect(200).text().contains("Last changes"));
        assert!(admin.get(&search).await.expect(200).text().contains("<bdi>Admin</bdi>"));
        let suspend = api.patch(&format!("/api/iam/companies/{}", company.id)).by_super_admin();
        suspend.json(&json!({ "status": "suspended" })).send().await.expect(200);
        let page = admin.get(&overview).await.expect(200).text();
        assert!(page.contains("Suspended") && !page.contains("Last changes"), "{page}");
        let refused = admin.get(&search).await.expect(403).text();
        assert!(refused.contains("You do not have permission to view IAM data, because the company is suspended"), "{refused}");
        assert!(super_admin.get(&overview).await.expect(200).text().contains("Last changes"));
    }

    /// The search finds everything in the company, and only for people who may read its IAM data.
    async fn the_search_needs_the_right_to_read_iam_data(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        api.new_level(other, "Admin of another company").await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let path = format!("/console/companies/{}/search", company.id);
        for (user, status) in [(company.admin, 200), (company.member, 403), (company.visitor, 403), (other.admin, 404)] {
            let browser = console.signed_in(user, false).await;
            browser.get(&format!("{path}?q=Admin")).await.expect(status);
            browser.get(&path).await.expect(status);
        }
        let browser = console.signed_in(company.admin, false).await;
        let page = browser.get(&format!("{path}?q=ADMIN")).await.expect(200).text();
        for found in ["<bdi>Admin</bdi>", "<bdi>/admin/user-levels</bdi>"] {
            assert!(page.contains(found), "{found}: {page}");
        }
        assert!(!page.contains("another company"), "{page}");
        let page = browser.get(&format!("{path}?q=%3Cscript%3E")).await.expect(200).text();
        assert!(page.contains("Nothing was found") && !page.contains("<script>"), "{page}");
    }
}

#[actix_web::test]
async fn hostile_names_are_escaped() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let console = TestConsole::of(&api, Setting::default().demo(company.admin, HOSTILE[0], false)).await;
    let super_admin = console.signed_in(new_user(), true).await;
    let emoji = "😀".repeat(255);
    for name in HOSTILE.into_iter().chain([emoji.as_str()]) {
        rename(&api, company, name).await;
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for path in ["/console/companies", "/console/companies/options", &format!("/console/companies/{}", company.id)]
        {
            let page = super_admin.get(path).await.expect(200).text();
            assert!(page.contains(&format!("<bdi>{escaped}</bdi>")), "{path}: {page}");
            assert!(!page.contains("<img src=x") && !page.contains("<script>"), "{path}: {page}");
        }
        let searched = format!("/console/companies?q={}", percent(name));
        let page = super_admin.get(&searched).await.expect(200).text();
        assert!(!page.contains("<img src=x") && !page.contains("<script>"), "{page}");
        assert!(page.contains(&company.id.to_string()), "{page}");
    }
    let page = console.browser().get("/console/sign-in").await.expect(200).text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[actix_web::test]
async fn long_lists_are_paged() {
    let api = TestApi::memory().await;
    for _ in 0..51 {
        api.company().await;
    }
    let console = TestConsole::of(&api, Setting::default()).await;
    let browser = console.signed_in(new_user(), true).await;
    let rows = |page: &str| page.matches("<td class=\"mono\">").count();
    let first = browser.get("/console/companies").await.expect(200).text();
    assert_eq!(rows(&first), 50);
    let next = first.split(r#"href=""#).find(|rest| rest.contains("cursor=")).unwrap().split('"').next().unwrap();
    let next = next.replace("&amp;", "&");
    let second = browser.get(&next).await.expect(200).text();
    assert_eq!(rows(&second), 1);
    assert!(!second.contains("Next page"));
    browser.get("/console/companies?cursor=forged").await.expect(400);
}

#[actix_web::test]
async fn pages_are_charged_to_the_budgets_of_the_api() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let budgets = BudgetOptions { user: one_a_second(5), ..BudgetOptions::default() };
    let limited = api.with_options(TestOptions { budgets, http: HttpOptions::default() }).await;
    let console = TestConsole::of(&limited, Setting::default()).await;
    let browser = console.signed_in(company.admin, false).await;
    let mut last = browser.get("/console/companies").await.expect(200);
    for _ in 0..6 {
        last = browser.get("/console/companies").await;
    }
    let last = last.expect(429);
    assert!(last.text().contains("Too many requests"));
    assert!(last.header("retry-after").is_some());
}

#[actix_web::test]
async fn pages_are_compressed() {
    let console = TestConsole::of(&TestApi::memory().await, Setting::default()).await;
    let browser = console.browser();
    let small = browser.send(Method::GET, "/console/sign-in", &[("accept-encoding", "gzip, br")], None).await;
    assert_eq!(small.expect(200).header("content-encoding"), Some("gzip"));
    let plain = browser.send(Method::GET, "/console/sign-in", &[("accept-encoding", "gzip;q=0")], None).await;
    assert_eq!(plain.expect(200).header("content-encoding"), None);
}
