//! A company with people of every kind who use the console.

use iam_domain::UserId;
use serde_json::json;

use crate::support::api::{Answer, Company, TestApi};
use crate::support::console::{Browser, Setting, TestConsole};

/// A company with its console.
pub struct Office {
    pub api: TestApi,
    pub company: Company,
    pub console: TestConsole,
    /// The browser of the company's administrator.
    pub admin: Browser,
}

impl Office {
    pub async fn new(api: TestApi) -> Self {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let admin = console.signed_in(company.admin, false).await;
        Self { api, company, console, admin }
    }

    /// Returns the path of a page of the company.
    pub fn path(&self, page: &str) -> String {
        format!("/console/companies/{}/{page}", self.company.id)
    }

    /// Opens a page of the company as its administrator, and returns the content without the frame.
    pub async fn read(&self, page: &str) -> String {
        content(&self.admin.get(&self.path(page)).await.expect(200))
    }

    /// Sends a form to a page of the company.
    pub async fn send(&self, browser: &Browser, page: &str, fields: &[(&str, &str)]) -> Answer {
        browser.submit("/console/companies", &self.path(page), fields).await
    }

    /// Returns the browser of a user who may only read IAM data.
    pub async fn reader(&self) -> Browser {
        let feature = self.api.feature_id("iam.manage_levels").await;
        let cells = json!([{ "featureId": feature, "action": "Read", "scope": "company" }]);
        let (user, _) = self.api.holder_of(self.company, json!([]), cells).await;
        self.console.signed_in(user, false).await
    }

    /// Creates a level that denies the view `/home`, which the default levels allow. Returns the id of the level.
    pub async fn level_without_home(&self) -> String {
        let level = self.api.new_level(self.company, "Homeless").await;
        let home = self.api.view_id("/home").await;
        self.api.set_matrix(self.company, &level, "views", json!([{ "viewId": home, "state": "deny" }])).await;
        level
    }

    /// Sets the display name of a user.
    pub async fn name(&self, user: UserId, name: &str) {
        let path = format!("/api/iam/users/{user}/profile");
        let request = self.api.put(&path).by(self.company.admin).within(self.company.id);
        request.json(&json!({ "displayName": name })).send().await.expect(200);
    }

    /// Returns `true` if the user may see the view.
    pub async fn sees(&self, user: UserId, view: &str) -> bool {
        self.api.check(self.company, user, json!({ "view": view })).await["allowed"] == true
    }
}

/// Returns the content of a page without the frame.
pub fn content(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("<main").expect("the page must have content");
    rest.split("</main>").next().unwrap().to_owned()
}

/// Returns the row of a table whose header contains this text.
#[track_caller]
pub fn row<'a>(page: &'a str, header: &str) -> &'a str {
    let rows = page.split("<tr").skip(1).map(|row| row.split("</tr>").next().unwrap());
    let is_found = |row: &&str| row.split("</th>").next().is_some_and(|start| start.contains(header));
    rows.into_iter().find(is_found).unwrap_or_else(|| panic!("no row {header}: {page}"))
}

/// Asserts that the page contains all these texts.
#[track_caller]
pub fn assert_contains(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text} is not in {page}");
    }
}
