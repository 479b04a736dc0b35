//! Runs the binaries as processes, and sends HTTP requests to them.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::answer::Answer;
use super::client::Connection;
use super::engines::settings_of_forms;

/// Timeout for each wait. If it expires, the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the path of a binary of the workspace. An absolute path is returned unchanged. `make test` and `make test-memory` build the binaries before the
/// tests run.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --workspace --bins`", binary.display());
    binary
}

/// Returns a command for a binary. Its environment contains only `PATH`, the forms of all test databases, and the given
/// variables.
fn command(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary(name));
    #[expect(clippy::disallowed_methods, reason = "the test harness passes `PATH` on to the programs")]
    let path = std::env::var("PATH").unwrap_or_default();
    let environment = settings_of_forms().chain(environment.iter().copied());
    command.env_clear().env("PATH", path).envs(environment).stdin(Stdio::null());
    command
}

/// Runs a binary until it exits and returns its output.
pub fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(name, environment).args(arguments).output().unwrap()
}

/// Returns the output of a program: standard output, then standard error.
pub fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server process on a free port. Dropping this value kills it.
pub struct ServerProcess {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl ServerProcess {
    /// Starts `iam-http` and waits until it listens for connections.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_program("iam-http", arguments, environment)
    }

    /// Starts this program and waits until it listens for connections.
    pub fn start_program(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // Some tests send requests in a loop without a pause. The tests of the budgets set their own limits.
        let defaults = [
            ("PORT", "0"),
            ("IAM__ADMIN__PORT", "0"),
            ("IAM__RATE_LIMIT__PER_USER", "0"),
            ("IAM__RATE_LIMIT__PER_COMPANY", "0"),
            ("IAM__RATE_LIMIT__FAILURES_PER_ADDRESS", "0"),
        ];
        Self::start_exactly(program, arguments, &[&defaults, environment].concat())
    }

    /// Starts this program with no other settings than these, and waits until it listens for connections. The program may
    /// be of another release, whose settings differ.
    pub fn start_exactly(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(program, environment)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().unwrap(), &log);
        follow(child.stderr.take().unwrap(), &log);
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        server.address = server.wait_for(|log| {
            let (_, rest) = log.split_once("listening on http://")?;
            // In a text log, white space terminates the address; in a JSON log, a quotation mark does.
            rest.split_once(|after: char| after.is_whitespace() || after == '"')?.0.parse().ok()
        });
        server
    }

    /// Returns the log that the process has written so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Calls `find` repeatedly with the log so far until it returns a value, and returns this value.
    pub fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        wait_until(|| {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server exited with {status}: {}", self.log());
            }
            find(&self.log())
        })
    }

    /// Waits until the log contains this string.
    pub fn wait_for_line(&mut self, line: &str) {
        self.wait_for(|log| log.contains(line).then_some(()));
    }

    /// Returns the maximum resident memory of the process so far, in MiB.
    pub fn peak_memory_mebibytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Sends a signal to the process. `name` is the name of the signal without the prefix `SIG`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the process exits.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until(|| self.child.try_wait().unwrap())
    }

    /// Stops the process with SIGTERM, as an orchestrator does.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Stops the process with SIGTERM and returns its complete log.
    pub fn rest_of_the_log(&mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
        // The reader thread may receive the last log lines only after the process has exited.
        wait_until(|| Some(self.log()).filter(|log| log.contains("stopped")))
    }

    /// Returns `true` if the process accepts connections.
    pub fn accepts(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    /// Sends a request and waits for the response.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        self.open(method, path, headers, body).answer().unwrap()
    }

    /// Sends a `GET` without headers and waits for the response.
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    /// Sends a request without waiting for the response. The caller can read the response or drop the connection.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Connection {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut connection = Connection::open(self.address).unwrap();
        let line = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
        let headers = headers.iter().chain(&[("connection", "close")]).map(line).collect::<String>();
        connection.request(method, path, &headers, &body).unwrap();
        connection
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// Calls `ask` repeatedly until it returns a value, for at most 60 s.
pub fn wait_until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < until, "the condition was not met within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
