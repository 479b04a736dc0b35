//! The flood of one tenant, as a program of its own: it sends requests until its standard input ends.
//!
//! The program has the lowest scheduling priority, since it shares the machine with the measured server. It sends as many
//! requests as the server leaves processor time for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, getrlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use uuid::Uuid;

use super::processors::restrict_this_process;
use crate::Result;
use crate::api::request_in;
use crate::load::Connection;
use crate::process::ProcessorTime;

/// The address of the flood's requests. It differs from the address of the other callers, because the number of
/// connections from one address is limited.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The address of the idle connections.
const SOURCE_OF_CONNECTIONS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Number of connections of each caller that send requests.
const LINES: usize = 2;
/// Number of connections that wait inside the head of a request. It exceeds the limit for one address.
const IDLE_CONNECTIONS: usize = 1_200;
/// Number of connections that wait inside a request body.
const PARKED_BODIES: usize = 128;
/// Length of a parked request body, in bytes: the maximum.
const BODY: usize = 1024 * 1024;
/// Number of bytes of a parked request body that are not sent.
const WITHHELD: usize = 20;
/// Number of questions in a batch: the maximum.
const QUESTIONS: usize = 1_000;
/// Pause before a connection is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// A kind of flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attack {
    /// Checks about users whose permissions are not cached.
    ColdReads,
    /// Pages of 200 records of a long audit log, with the number of all records.
    AuditReads,
    /// Changes to one level.
    Changes,
    /// Request bodies of 1 MiB whose last bytes are never sent.
    ParkedBodies,
    /// Batches of 1,000 checks.
    Batches,
    /// Connections that wait inside the head of a request.
    Connections,
    /// All of these at once.
    Everything,
}

impl Attack {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::ColdReads,
        Self::AuditReads,
        Self::Changes,
        Self::ParkedBodies,
        Self::Batches,
        Self::Connections,
        Self::Everything,
    ];

    /// Returns the name of the flood in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ColdReads => "cold reads",
            Self::AuditReads => "audit reads",
            Self::Changes => "changes",
            Self::ParkedBodies => "parked bodies",
            Self::Batches => "batches of 1,000 checks",
            Self::Connections => "idle connections",
            Self::Everything => "all of these",
        }
    }

    /// Returns the kinds of which this flood consists.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::Everything => Self::ALL.into_iter().filter(|kind| *kind != Self::Everything).collect(),
            kind => vec![kind],
        }
    }
}

/// What the flood does, and with which credentials.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The kind of flood.
    pub attack: Attack,
    /// The address of the server.
    pub server: SocketAddr,
    /// The company of the callers.
    pub company: String,
    /// A level of the company.
    pub level: String,
    /// The `Authorization` header of each user.
    pub callers: Vec<String>,
    /// The `Authorization` header with an API key that may only check.
    pub key: String,
    /// The processors that the flood uses.
    pub processors: Vec<usize>,
}

/// What the flood did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The number of responses with each status. `0` counts connections that the server closed without a response.
    pub statuses: BTreeMap<u16, u64>,
    /// The processor time of the flood, in seconds.
    pub processor_seconds: f64,
}

/// The callers of the flood, and the counters of the responses.
struct Flood {
    plan: Plan,
    statuses: RefCell<BTreeMap<u16, u64>>,
}

/// Opens a connection from the address `source`.
async fn open(source: Ipv4Addr, server: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    Ok(socket.connect(server).await?)
}

impl Flood {
    fn count(&self, status: u16) {
        *self.statuses.borrow_mut().entry(status).or_default() += 1;
    }

    fn request(&self, caller: &str, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        request_in(&self.plan.company, method, path, caller, body)
    }

    /// Returns the next request of a kind that sends complete requests.
    fn next(&self, kind: Attack, caller: &str) -> Vec<u8> {
        match kind {
            Attack::ColdReads => {
                let body = json!({ "view": "/dashboard", "userId": Uuid::new_v4() });
                self.request(caller, "POST", "/api/iam/check", Some(&body))
            }
            Attack::Changes => {
                let path = format!("/api/iam/user-levels/{}", self.plan.level);
                self.request(caller, "PATCH", &path, Some(&json!({ "description": Uuid::new_v4() })))
            }
            Attack::Batches => {
                let body = json!({ "checks": vec![json!({ "view": "/dashboard" }); QUESTIONS] });
                self.request(caller, "POST", "/api/iam/checks", Some(&body))
            }
            Attack::AuditReads | Attack::ParkedBodies | Attack::Connections | Attack::Everything => {
                self.request(caller, "GET", "/api/iam/audit-logs?limit=200&includeTotal=true", None)
            }
        }
    }

    /// Sends one request after the other. A refusal is followed by the next request at once.
    async fn ask(&self, kind: Attack, caller: &str) {
        loop {
            if let Ok(stream) = open(SOURCE, self.plan.server).await {
                let mut connection = Connection::over(stream);
                // Batches do not differ from each other, and are expensive to write.
                let mut request = self.next(kind, caller);
                while let Ok(answer) = connection.send(&request).await {
                    self.count(answer.status);
                    if kind != Attack::Batches {
                        request = self.next(kind, caller);
                    }
                }
            }
            self.count(0);
            sleep(PAUSE).await;
        }
    }

    /// Opens a connection again and again. Each connection sends these bytes and then waits for a response.
    async fn park(&self, source: Ipv4Addr, bytes: &[u8]) {
        loop {
            let status = match open(source, self.plan.server).await {
                Ok(stream) => wait_in(stream, bytes).await,
                Err(_) => 0,
            };
            self.count(status);
            sleep(PAUSE).await;
        }
    }

    /// Returns the connections of one kind.
    fn lines(&self, kind: Attack) -> Vec<BoxedLine<'_>> {
        let callers = || self.plan.callers.iter().cycle();
        match kind {
            Attack::ParkedBodies => {
                let park = |caller: &String| {
                    let head = self.request(caller, "POST", "/api/iam/check", None);
                    let head = head.strip_suffix(b"\r\n").unwrap_or(&head);
                    let more = format!("Content-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n{{\"view\":\"");
                    let bytes = [head, more.as_bytes(), &vec![b'x'; BODY - WITHHELD]].concat();
                    Box::pin(async move { self.park(SOURCE, &bytes).await }) as BoxedLine<'_>
                };
                callers().take(PARKED_BODIES).map(park).collect()
            }
            Attack::Connections => {
                let park = |_| {
                    let bytes = b"POST /api/iam/check HTTP/1.1\r\nHost: localhost\r\nX-Unfinished: ";
                    Box::pin(self.park(SOURCE_OF_CONNECTIONS, bytes)) as BoxedLine<'_>
                };
                (0..IDLE_CONNECTIONS).map(park).collect()
            }
            kind => {
                let users = callers().take(self.plan.callers.len() * LINES);
                let may_use_key = matches!(kind, Attack::ColdReads | Attack::Batches);
                let key = std::iter::repeat_n(&self.plan.key, if may_use_key { LINES } else { 0 });
                users.chain(key).map(|caller| Box::pin(self.ask(kind, caller)) as BoxedLine<'_>).collect()
            }
        }
    }
}

/// The requests of one connection.
type BoxedLine<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Sends the bytes, and waits until the server responds or closes the connection. Returns the status of the response,
/// or 0.
async fn wait_in(mut stream: TcpStream, bytes: &[u8]) -> u16 {
    let (mut from, mut to) = stream.split();
    let send = async {
        // The server may respond and close the connection before it has read all bytes.
        let _ = to.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let mut start = [0; 12];
    let receive = async { from.read_exact(&mut start).await.is_ok() };
    let is_answered = tokio::select! { () = send => false, is_answered = receive => is_answered };
    let status = std::str::from_utf8(&start).ok().and_then(|start| start.get(9..)?.parse().ok());
    status.filter(|_| is_answered).unwrap_or(0)
}

/// Reads a [`Plan`] from the first line of standard input, floods the server until standard input ends, and prints the
/// [`Outcome`].
///
/// # Errors
///
/// Returns an error if the plan cannot be read.
pub async fn run() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let plan: Plan = serde_json::from_str(&line)?;
    nice(19)?;
    restrict_this_process(&plan.processors)?;
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: files.maximum, ..files })?;
    let flood = Flood { plan, statuses: RefCell::default() };
    let lines = flood.plan.attack.parts().into_iter().flat_map(|kind| flood.lines(kind));
    let end = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_to_end(&mut Vec::new()));
    tokio::select! { _ = join_all(lines) => {}, _ = end => {} }
    let processor_seconds = ProcessorTime::of_this_thread()?.ran.as_secs_f64();
    println!("{}", serde_json::to_string(&Outcome { statuses: flood.statuses.take(), processor_seconds })?);
    Ok(())
}
