//! Chromium, driven through chromedriver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// A driver process. Dropping this value ends it, and the browsers that it has started.
pub struct Driver {
    child: Child,
    address: String,
}

impl Driver {
    /// Starts chromedriver on a free port. Chromedriver may exit before it listens, for example because another process has
    /// taken its port, so it is started again.
    pub fn start() -> Self {
        (0..20).find_map(|_| Self::launch()).expect("chromedriver must start in one of 20 attempts")
    }

    /// Starts the process and waits until it prints its port. Returns `None` if the process exits instead.
    fn launch() -> Option<Self> {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver must be installed");
        let mut driver = Self { child, address: String::new() };
        let mut lines = BufReader::new(driver.child.stdout.take()?).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        driver.address = format!("http://127.0.0.1:{}", port?);
        std::thread::spawn(move || lines.for_each(drop));
        Some(driver)
    }

    /// Opens a new browser without cookies.
    pub async fn browser(&self) -> Client {
        self.open(&["--window-size=1280,900"]).await
    }

    /// Opens a new browser with a narrow window and a dark colour scheme.
    pub async fn narrow_and_dark(&self) -> Client {
        self.open(&["--window-size=500,900", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"]).await
    }

    async fn open(&self, more: &[&str]) -> Client {
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let arguments = [&arguments, more].concat();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let connector = HttpConnector::new();
        ClientBuilder::new(connector).capabilities(capabilities).connect(&self.address).await.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command of chromedriver that returns and clears the messages of the browser's console.
#[derive(Debug)]
struct TakeMessages;

impl WebDriverCompatibleCommand for TakeMessages {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _request: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// Returns the warnings and errors that the browser has reported since the last call, such as violations of the content
/// security policy and failures of scripts.
pub async fn take_problems(browser: &Client) -> Result<Vec<String>, CmdError> {
    let messages = browser.issue_cmd(TakeMessages).await?;
    let messages = messages.as_array().cloned().unwrap_or_default();
    let is_problem = |message: &Value| matches!(message["level"].as_str(), Some("WARNING" | "SEVERE"));
    Ok(messages.iter().filter(|message| is_problem(message)).map(|message| message["message"].to_string()).collect())
}
