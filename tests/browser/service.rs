//! The service as a process, on a free port.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fantoccini::{Client, Locator};

/// The company of the demo.
pub const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";

/// Timeout for the start of a process.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the value of an environment variable that `run.sh` sets.
pub fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "`run.sh` passes paths to the tests")]
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-browser`"))
}

/// A process. Dropping this value ends it.
pub struct Killed(pub Child);

impl Killed {
    /// Ends the process.
    pub fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the lines that a process prints. They are read until the end, so that the process never blocks on a full pipe.
pub fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// A service in memory, with the demo company. Dropping this value ends it.
pub struct Demo {
    _process: Killed,
    /// The address of the console.
    pub console: String,
}

impl Demo {
    /// Starts the service, and waits until it has printed its guide.
    pub fn start() -> Self {
        let mut child = Command::new(variable("IAM_PROGRAM"))
            .arg("demo")
            .env_clear()
            .envs([("PORT", "0"), ("IAM__ADMIN__PORT", "0"), ("IAM__RATE_LIMIT__FAILURES_PER_ADDRESS", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let process = Killed(child);
        let console = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the service must print the address of the console");
            if let Some(start) = line.find("http://").filter(|_| line.contains("/console")) {
                let address = line[start..].split_whitespace().next().unwrap_or_default();
                break address.trim_end_matches('/').to_owned();
            }
        };
        Self { _process: process, console }
    }

    /// Signs a person of the demo in, with one click.
    pub async fn sign_in(&self, browser: &Client, person: &str) {
        browser.goto(&format!("{}/sign-in", self.console)).await.unwrap();
        let button = format!("//form[contains(@action, '/sign-in/demo')]//button[.//strong[text() = '{person}']]");
        browser.wait().for_element(Locator::XPath(&button)).await.unwrap().click().await.unwrap();
        browser.wait().for_element(Locator::Css("nav.sections")).await.unwrap();
    }
}
