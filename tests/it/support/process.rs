//! Runs the binaries as processes, and sends HTTP requests to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// Timeout for any single wait, after which the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the path of a binary of the workspace. `make test` and `make test-memory` build the binaries before the
/// tests run.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --workspace --bins`", binary.display());
    binary
}

/// Returns a command for a binary. Its environment contains only `PATH` and the given variables.
fn command(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary(name));
    #[expect(clippy::disallowed_methods, reason = "the test harness passes `PATH` on to the programs")]
    let path = std::env::var("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).envs(environment.iter().copied()).stdin(Stdio::null());
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
        let ports = [("PORT", "0"), ("IAM__ADMIN__PORT", "0")];
        let mut child = command("iam-http", &ports)
            .envs(environment.iter().copied())
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

    /// Returns everything that the process has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until `find`, applied to the log so far, returns a value.
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
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> HttpAnswer {
        let mut exchange = self.open(method, path, headers, body);
        exchange.finish()
    }

    /// Sends a `GET` without headers and waits for the response.
    pub fn get(&self, path: &str) -> HttpAnswer {
        self.request("GET", path, &[], None)
    }

    /// Sends a request without waiting for the response. The caller can wait for the response or drop the exchange.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Exchange {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut exchange = self.begin(method, path, headers, body.len());
        exchange.send(&body);
        exchange
    }

    /// Sends the request line and the headers. The caller sends the body later; `length` is its length.
    pub fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Exchange {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if length > 0 {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Exchange { stream }
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

/// A request in progress. Dropping this value closes the connection.
pub struct Exchange {
    stream: TcpStream,
}

impl Exchange {
    /// Sends a part of the body.
    pub fn send(&mut self, part: &str) {
        self.stream.write_all(part.as_bytes()).unwrap();
    }

    /// Waits for the response.
    pub fn finish(&mut self) -> HttpAnswer {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        HttpAnswer::parse(&bytes)
    }
}

/// A response of the server.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP response");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: bytes[end + 4..].to_vec() }
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}
