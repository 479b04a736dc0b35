//! Two replicas of the service on one PostgreSQL database: what the console of one replica changes, the other replica
//! decides.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::driver::Driver;
use crate::page::{click, present, text};
use crate::service::{PATIENCE, variable};

/// A private database with the schema and the standard catalog.
struct SharedDatabase(String);

impl SharedDatabase {
    fn create() -> Self {
        let output = Command::new(variable("IAM_TEST_DATABASE")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let database = Self(String::from_utf8(output.stdout).unwrap().trim().to_owned());
        for step in ["up", "seed"] {
            let status = database.program(&["migrate", step]).stderr(Stdio::null()).status().unwrap();
            assert!(status.success(), "iam migrate {step}");
        }
        database
    }

    /// Returns the program with the settings of all replicas.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut program = Command::new(variable("IAM_PROGRAM"));
        program.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).envs([
            ("DATABASE_URL", self.0.as_str()),
            ("IAM__SERVER__MODE", "development"),
            ("JWT_SECRET", "a secret of the browser tests with 32 bytes or more"),
            ("PORT", "0"),
            ("IAM__ADMIN__PORT", "0"),
        ]);
        program
    }

    /// Returns a token for a user.
    fn token(&self, user: Uuid, options: &[&str]) -> String {
        let user = user.to_string();
        let output = self.program(&[&["token", "--user", user.as_str()], options].concat()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A replica. Dropping this value ends it.
struct Replica {
    child: Child,
    address: String,
}

impl Replica {
    /// Starts a replica, and waits until it listens.
    fn start(database: &SharedDatabase) -> Self {
        let mut child = database.program(&["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        // The thread reads until the end of the log, so that the service never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = sender.send(address.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
        });
        let address = receiver.recv_timeout(PATIENCE).expect("the service must print its address");
        Self { child, address }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request to the API from a page of the same replica, and returns the body of the response.
async fn call(browser: &Client, token: &str, method: &str, path: &str, company: Option<&str>, body: Value) -> Value {
    let script = "
        const [method, path, token, company, body, done] = arguments;
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
        if (company) headers['X-Company-Id'] = company;
        fetch(path, { method, headers, body: JSON.stringify(body) })
            .then((response) => response.json()).then(done, (error) => done({ error: String(error) }));";
    let arguments = vec![json!(method), json!(path), json!(token), json!(company), body];
    browser.execute_async(script, arguments).await.unwrap()
}

async fn sign_in_with(browser: &Client, replica: &Replica, token: &str) {
    browser.goto(&format!("{}/console/sign-in", replica.address)).await.unwrap();
    let field = "form[action$='/sign-in/token'] [name='token']";
    // The form may be in a closed part of the page.
    let open = "document.querySelectorAll('details').forEach((details) => { details.open = true; })";
    present(browser, field).await;
    browser.execute(open, Vec::new()).await.unwrap();
    browser.find(Locator::Css(field)).await.unwrap().send_keys(token).await.unwrap();
    click(browser, "form[action$='/sign-in/token'] button").await;
    present(browser, "nav.sections").await;
}

#[tokio::test]
async fn a_change_in_the_console_of_one_replica_is_decided_by_the_other() {
    let database = SharedDatabase::create();
    let (here, there, driver) = (Replica::start(&database), Replica::start(&database), Driver::start());
    let [root, admin, member] = [(); 3].map(|()| Uuid::new_v4());
    let (root, admin_token) = (database.token(root, &["--super-admin"]), database.token(admin, &[]));
    let member_token = database.token(member, &[]);
    let (browser, other) = (driver.browser().await, driver.browser().await);
    sign_in_with(&other, &there, &member_token).await;
    sign_in_with(&browser, &here, &admin_token).await;

    let company = json!({ "name": "Two replicas", "adminUserId": admin });
    let company = call(&browser, &root, "POST", "/api/iam/companies", None, company).await;
    let company = company["data"]["company"]["id"].as_str().unwrap_or_else(|| panic!("{company}")).to_owned();
    let levels =
        call(&browser, &admin_token, "POST", "/api/iam/user-levels", Some(&company), json!({ "name": "Readers" }))
            .await;
    let level = levels["data"]["id"]
        .as_str()
        .or(levels["data"]["userLevel"]["id"].as_str())
        .unwrap_or_else(|| panic!("{levels}"))
        .to_owned();
    let assigned = format!("/api/iam/users/{member}/user-levels/{level}");
    call(&browser, &admin_token, "PUT", &assigned, Some(&company), json!({})).await;
    let decision = async || {
        let check = json!({ "view": "/dashboard" });
        call(&other, &member_token, "POST", "/api/iam/check", Some(&company), check).await["data"]["allowed"].clone()
    };
    assert_eq!(decision().await, json!(false), "the level allows nothing yet");

    let row = format!("{}/console/companies/{company}/matrix?tab=views&q=%2Fdashboard", here.address);
    browser.goto(&row).await.unwrap();
    let column = "return [...document.querySelectorAll('table.matrix thead th')].findIndex((th) => th.dataset.level === arguments[0]) + 1";
    let column = browser.execute(column, vec![json!(level)]).await.unwrap();
    click(&browser, &format!("table.matrix tbody tr:first-child > :nth-child({column})")).await;
    assert_eq!(text(&browser, "#draft-count").await, "1 change");
    click(&browser, "#draft button[type=submit]").await;
    present(&browser, "main form[action*='/save']").await;
    let review = text(&browser, "main").await;
    assert!(review.contains("1 user") && review.contains("Readers"), "{review}");
    click(&browser, "main form button.primary").await;
    present(&browser, "main .notice[role=status]").await;

    assert_eq!(decision().await, json!(true), "the other replica decides by the change");
    // The session is valid on each replica, and the other replica shows what was saved.
    browser.goto(&row.replace(&here.address, &there.address)).await.unwrap();
    let cell = text(&browser, &format!("table.matrix tbody tr:first-child > :nth-child({column})")).await;
    assert_eq!(cell.trim(), "Allow");
    for browser in [browser, other] {
        browser.close().await.unwrap();
    }
}
