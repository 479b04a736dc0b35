//! Tests of the sign-in at a real identity provider, a process of Node, and of the sign-out from it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use fantoccini::{Client, Locator};

use crate::driver::{Driver, take_problems};
use crate::page::{assert_sound, click, present, screenshot, text};
use crate::service::{Killed, PATIENCE, lines, variable};

/// A service whose people sign in at an identity provider.
struct Installation {
    /// The address of the console.
    console: String,
    /// The messages of the identity provider.
    messages: Receiver<String>,
    provider: Killed,
    _service: Killed,
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

impl Installation {
    /// Starts an identity provider, and a service that trusts it.
    fn start() -> Self {
        // Both processes must know the address of the console, so its port is chosen first.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let origin = format!("http://127.0.0.1:{port}");
        let console = format!("{origin}/console");
        // The packages of Node are beside those of axe-core.
        let modules = variable("IAM_AXE");
        let folder = Path::new(&modules).ancestors().nth(3).unwrap();
        let mut node = spawn(Command::new("node").arg("provider.mjs").arg(&console).current_dir(folder));
        let messages = lines(node.stdout.take().unwrap());
        let provider = Killed(node);
        let issuer = message(&messages, "issuer ");
        let issuers = serde_json::json!([{
            "issuer": issuer,
            "jwks_url": format!("{issuer}/jwks"),
            "audiences": ["the API, not the console"],
            "client_id": "iam-console",
            "client_secret": "a secret: with /&=+ %",
            "profiles_from_claims": true,
        }]);
        let service = spawn(Command::new(variable("IAM_PROGRAM")).arg("serve").env_clear().envs([
            ("PORT", port.to_string().as_str()),
            ("IAM__ADMIN__PORT", "0"),
            ("IAM__AUTH__ISSUERS", &issuers.to_string()),
            ("IAM__CONSOLE__PUBLIC_URL", &origin),
        ]));
        let service = Killed(service);
        let until = std::time::Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(std::time::Instant::now() < until, "the service must accept connections");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { console, messages, provider, _service: service }
    }

    /// Opens the sign-in page, and follows its link to the identity provider.
    async fn begin(&self, browser: &Client) {
        browser.goto(&format!("{}/sign-in", self.console)).await.unwrap();
        click(browser, "a[href*='/sign-in/provider/0']").await;
    }

    /// Follows the link to the identity provider, and waits until it asks for a password. Returns the state of the sign-in.
    async fn begin_pending(&self, browser: &Client) -> String {
        self.begin(browser).await;
        present(browser, "input[name=password]").await;
        forget_problems(browser).await;
        message(&self.messages, "state ")
    }

    /// Signs a person in at the identity provider, who has never been there, and returns to the console.
    async fn sign_in(&self, browser: &Client) {
        self.begin(browser).await;
        for (field, value) in [("login", "Ada"), ("password", "any")] {
            present(browser, &format!("input[name={field}]")).await;
            let field = browser.find(Locator::Css(&format!("input[name={field}]"))).await.unwrap();
            field.send_keys(value).await.unwrap();
        }
        click(browser, "button.login-submit").await;
        // The page that asks for the consent.
        present(browser, "input[name=prompt][value=consent]").await;
        click(browser, "button.login-submit").await;
        present(browser, "nav.sections").await;
        forget_problems(browser).await;
    }

    /// Opens an address of the console, and returns what its page says.
    async fn visit(&self, browser: &Client, address: &str) -> String {
        browser.goto(address).await.unwrap();
        text(browser, "main").await
    }
}

/// Forgets the problems of the pages so far, because those of the identity provider are not of the console.
async fn forget_problems(browser: &Client) {
    take_problems(browser).await.unwrap();
}

/// Returns the rest of the next message with this beginning.
fn message(messages: &Receiver<String>, beginning: &str) -> String {
    loop {
        let message = messages.recv_timeout(PATIENCE).expect("the identity provider must print the message");
        if let Some(rest) = message.strip_prefix(beginning) {
            return rest.to_owned();
        }
    }
}

#[tokio::test]
async fn a_person_signs_in_at_an_identity_provider_and_out_of_it() {
    let (installation, driver) = (Installation::start(), Driver::start());
    let browser = driver.browser().await;
    browser.goto(&format!("{}/sign-in", installation.console)).await.unwrap();
    assert_sound(&browser, "sign-in with an identity provider").await;
    screenshot(&browser, "sign-in-provider").await;
    installation.sign_in(&browser).await;
    assert_eq!(text(&browser, "details.menu.right summary bdi").await, "Ada of the provider");
    assert_sound(&browser, "signed in at an identity provider").await;

    click(&browser, "details.menu.right summary").await;
    click(&browser, "form[action$='/sign-out'] button").await;
    present(&browser, "a[href$='/sign-out/provider/0']").await;
    assert_sound(&browser, "signed out of the console").await;
    screenshot(&browser, "signed-out").await;
    click(&browser, "a[href$='/sign-out/provider/0']").await;
    // Without a hint of who signs out, the identity provider asks for a confirmation.
    click(&browser, "button[name=logout]").await;
    present(&browser, "form[action$='/sign-in/token']").await;
    installation.begin_pending(&browser).await;
    browser.close().await.unwrap();
}

#[tokio::test]
async fn a_replayed_callback_and_a_wrong_state_are_refused() {
    let (installation, driver) = (Installation::start(), Driver::start());
    let (browser, other) = (driver.browser().await, driver.browser().await);
    // A wrong state ends the sign-in.
    let state = installation.begin_pending(&browser).await;
    let callback = |state: &str| format!("{}/sign-in/callback?code=x&state={state}", installation.console);
    let expired = "expired, was already completed, or began in another browser";
    assert!(installation.visit(&browser, &callback(&format!("{state}x"))).await.contains(expired));
    assert!(installation.visit(&browser, &callback(&state)).await.contains(expired));

    installation.sign_in(&browser).await;
    let callback = message(&installation.messages, "callback ");
    for browser in [&browser, &other] {
        assert!(installation.visit(browser, &callback).await.contains(expired));
    }
    browser.goto(&format!("{}/companies", installation.console)).await.unwrap();
    present(&browser, "nav.sections").await;
    for browser in [browser, other] {
        browser.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_sign_in_explains_that_the_identity_provider_has_stopped() {
    let (mut installation, driver) = (Installation::start(), Driver::start());
    let browser = driver.browser().await;
    let state = installation.begin_pending(&browser).await;
    installation.provider.end();
    let stopped = "The identity provider is not available";
    let callback = format!("{}/sign-in/callback?code=x&state={state}", installation.console);
    assert!(installation.visit(&browser, &callback).await.contains(stopped));
    assert_sound(&browser, "the identity provider has stopped").await;
    installation.begin(&browser).await;
    assert!(text(&browser, "main").await.contains(stopped));
    screenshot(&browser, "provider-stopped").await;
    // The other ways to sign in are still offered.
    present(&browser, "form[action$='/sign-in/token']").await;
    browser.close().await.unwrap();
}
