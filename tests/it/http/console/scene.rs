//! A company with people of every kind, and what the tests of its pages read from the pages.

use iam_domain::UserId;
use serde_json::json;

use crate::support::api::{Answer, Company, TestApi, new_user};
use crate::support::console::{Browser, Setting, TestConsole, form_token};

/// Names that would break a page whose output is not escaped.
pub const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} & '",
    "{{7*7}}${7*7}",
];

/// A company with its console.
pub struct Scene {
    pub api: TestApi,
    pub company: Company,
    pub console: TestConsole,
    /// The browser of the company's administrator.
    pub admin: Browser,
    /// The browser of a super admin.
    pub super_admin: Browser,
}

impl Scene {
    pub async fn new(api: TestApi) -> Self {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let admin = console.signed_in(company.admin, false).await;
        let super_admin = console.signed_in(api.super_admin, true).await;
        Self { api, company, console, admin, super_admin }
    }

    /// Returns the path of a page of the company.
    pub fn path(&self, page: &str) -> String {
        format!("/console/companies/{}/{page}", self.company.id)
    }

    /// Creates a user who holds a level that allows these actions of `iam.*` features. Returns the browser of the user.
    pub async fn holding(&self, actions: &[(&str, &str)]) -> Browser {
        self.console.signed_in(self.user_holding(actions).await, false).await
    }

    /// Creates a user who holds a level that allows these actions of features, with the scope `company`.
    pub async fn user_holding(&self, actions: &[(&str, &str)]) -> UserId {
        let mut cells = Vec::new();
        for (key, action) in actions {
            cells.push(json!({ "featureId": self.api.feature_id(key).await, "action": action, "scope": "company" }));
        }
        self.api.holder_of(self.company, json!([]), json!(cells)).await.0
    }

    /// Returns the browser of a user who may only read IAM data.
    pub async fn reader(&self) -> Browser {
        self.holding(&[("iam.manage_levels", "Read")]).await
    }

    /// Returns the browsers of people who may not read IAM data, each with the status that they receive.
    pub async fn outsiders(&self) -> [(Browser, u16); 3] {
        let browser = |user| self.console.signed_in(user, false);
        [
            (browser(self.company.member).await, 403),
            (browser(self.company.visitor).await, 403),
            (browser(new_user()).await, 404),
        ]
    }

    /// Returns the field for a view of a level.
    pub async fn view_field(&self, before: &str, level: &str, url: &str) -> String {
        format!("c.{before}.{level}.v.{}", self.api.view_id(url).await)
    }

    /// Returns the field for an action of a level.
    pub async fn action_field(&self, before: &str, level: &str, key: &str, action: &str) -> String {
        format!("c.{before}.{level}.f.{}.{action}", self.api.feature_id(key).await)
    }

    /// Opens a page of the company as its administrator, and returns the content without the frame.
    pub async fn read(&self, page: &str) -> String {
        content(&self.admin.get(&self.path(page)).await.expect(200))
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

    /// Sends a form of a page, with a token.
    pub async fn send(&self, browser: &Browser, page: &str, fields: &[(&str, &str)]) -> Answer {
        browser.submit("/console/companies", &self.path(page), fields).await
    }
}

/// Returns the hidden fields on a page.
pub fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let unescaped =
        |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let inputs = page.split(r#"<input type="hidden" name=""#).skip(1).map(|rest| rest.split_once('>').unwrap().0);
    let field = |input: &str| {
        let (name, value) = input.split_once(r#"" value=""#).unwrap();
        (unescaped(name), unescaped(value.trim_end_matches('"')))
    };
    inputs.map(field).collect()
}

/// Sends the hidden fields of a page to another page, as the buttons of the page do.
pub async fn forward(browser: &Browser, page: &Answer, to: &str) -> Answer {
    let token = form_token(page);
    let mut fields = hidden_fields(&page.text());
    fields.retain(|(name, _)| name.starts_with("c.") || name.starts_with("t."));
    fields.push(("csrf".to_owned(), token));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(to, &fields).await
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
    let rows = page.split("<tr").skip(1);
    let mut found = rows.filter(|row| row.split("</th>").next().is_some_and(|th| th.contains(header)));
    found.next().unwrap_or_else(|| panic!("no row {header}: {page}")).split("</tr>").next().unwrap()
}

/// Asserts that the page contains all these texts.
#[track_caller]
pub fn assert_contains(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text} is not in {page}");
    }
}
