//! Tests of graceful shutdown with keep-alive connections: while the process drains, no request is lost.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::persistence::{start, super_admin};
use crate::support::api::new_company;
use crate::support::client::Connection;
use crate::support::process::{ServerProcess, wait_until};

/// Starts a server with two workers and this drain delay.
fn draining_for(delay: &str) -> ServerProcess {
    start(&[("IAM__SERVER__DRAIN_DELAY", delay), ("IAM__SERVER__WORKERS", "2")])
}

fn is_draining(server: &ServerProcess) {
    wait_until(|| (server.get("/readyz").status == 503).then_some(()));
}

/// Returns the headers of a check. Every replica sends the same response to this check.
fn headers() -> String {
    format!("authorization: {}\r\nx-company-id: {}\r\n", super_admin(), new_company())
}

const QUESTION: &str = r#"{"view":"/dashboard"}"#;

#[test]
fn responses_contain_connection_close_only_during_the_drain() {
    let server = draining_for("5m");
    let requests = [
        ("GET", "/livez", "", 200),
        ("HEAD", "/livez", "", 200),
        ("GET", "/readyz", "", 200),
        ("POST", "/api/iam/check", QUESTION, 200),
        ("POST", "/api/iam/check", "{", 400),
        ("GET", "/api/iam/nothing", "", 404),
        ("DELETE", "/api/iam/check", "", 405),
        ("GET", "/docs/", "", 200),
    ];
    let headers = headers();
    let mut kept: Vec<_> = requests.iter().map(|_| Connection::open(server.address).unwrap()).collect();
    for ((method, path, body, status), connection) in requests.iter().zip(&mut kept) {
        connection.request(method, path, &headers, body).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status.as_u16(), answer.closes()), (*status, false), "{method} {path}");
    }
    // Later, this connection is used for a request without a token.
    let mut unknown = Connection::open(server.address).unwrap();
    server.signal("TERM");
    is_draining(&server);
    for ((method, path, body, status), connection) in requests.iter().zip(&mut kept) {
        let status = if *path == "/readyz" { &503 } else { status };
        connection.request(method, path, &headers, body).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status.as_u16(), answer.closes()), (*status, true), "{method} {path}");
        assert_eq!(connection.rest().unwrap(), b"", "{method} {path}");
    }
    unknown.request("POST", "/api/iam/check", "", QUESTION).unwrap();
    let answer = unknown.answer().unwrap();
    assert_eq!((answer.status.as_u16(), answer.closes()), (401, true));
}

#[test]
fn an_idle_connection_is_kept_until_the_delay_ends() {
    let mut server = draining_for("700ms");
    let mut idle = Connection::open(server.address).unwrap();
    idle.request("GET", "/livez", "", "").unwrap();
    assert_eq!(idle.answer().unwrap().status, 200);
    let signalled = Instant::now();
    server.signal("TERM");
    assert_eq!(idle.rest().unwrap(), b"");
    assert!(signalled.elapsed() >= Duration::from_millis(700), "{:?}", signalled.elapsed());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_connection_without_a_request_does_not_delay_the_exit() {
    let mut server = draining_for("0s");
    let mut unused = Connection::open(server.address).unwrap();
    server.signal("TERM");
    assert_eq!(unused.rest().unwrap(), b"");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_request_with_a_partially_sent_head_is_answered() {
    let mut server = draining_for("0s");
    let mut slow = Connection::open(server.address).unwrap();
    slow.request("GET", "/livez", "", "").unwrap();
    assert_eq!(slow.answer().unwrap().status, 200);
    slow.send(b"GET /livez HTTP/1.1\r\nho").unwrap();
    // Connections are assigned to the two workers in turn. When a worker has responded on a later connection, it has
    // read the partial request.
    for _ in 0..4 {
        assert_eq!(server.get("/livez").status, 200);
    }
    server.signal("TERM");
    wait_until(|| (!server.accepts()).then_some(()));
    slow.send(b"st: test\r\n\r\n").unwrap();
    let answer = slow.answer().unwrap();
    assert_eq!((answer.status.as_u16(), answer.closes()), (200, true));
    assert_eq!(slow.rest().unwrap(), b"");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn all_pipelined_requests_are_answered() {
    let mut server = draining_for("5m");
    server.signal("TERM");
    is_draining(&server);
    let mut pipelining = Connection::open(server.address).unwrap();
    pipelining.send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\n".repeat(3).as_bytes()).unwrap();
    for _ in 0..3 {
        assert_eq!(pipelining.answer().unwrap().status, 200);
    }
    server.signal("TERM");
    server.wait();
}

/// A TCP load balancer that forwards new connections to one selected replica. Selecting another replica does not affect
/// open connections.
struct Balancer {
    address: SocketAddr,
    /// The port of the replica that receives new connections.
    port: Arc<AtomicU16>,
}

impl Balancer {
    fn to(server: &ServerProcess) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, port) = (listener.local_addr().unwrap(), Arc::new(AtomicU16::new(server.address.port())));
        let current = Arc::clone(&port);
        // The thread runs until the test process exits, which is harmless: no other test uses the port.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let replica = SocketAddr::from(([127, 0, 0, 1], current.load(Ordering::SeqCst)));
                // If the replica rejects the connection, the connection to the client is closed.
                let Ok(replica) = TcpStream::connect(replica) else { continue };
                pass_on(&client, &replica);
                pass_on(&replica, &client);
            }
        });
        Self { address, port }
    }

    /// Selects this replica for new connections.
    fn turn_to(&self, server: &ServerProcess) {
        self.port.store(server.address.port(), Ordering::SeqCst);
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// The connections that a client uses.
#[derive(Clone)]
enum Connections {
    /// Each client has its own keep-alive connection.
    Own,
    /// Clients share a pool of idle connections and reuse the most recently used connection first, as a reverse proxy
    /// does with its upstream connections.
    Pool(Arc<Mutex<Vec<Connection>>>),
}

/// Clients that send checks continuously.
struct Clients {
    threads: Vec<JoinHandle<()>>,
    on: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    lost: Arc<Mutex<Vec<String>>>,
}

impl Clients {
    /// Starts twelve clients, some of which pause between requests. A client stops when a connection attempt is
    /// rejected.
    fn of(address: SocketAddr, connections: &Connections) -> Self {
        let (on, answered, lost) = (Arc::new(AtomicBool::new(true)), Arc::default(), Arc::<Mutex<Vec<_>>>::default());
        let threads = (0..12).map(|number| {
            let (connections, on, answered, lost) =
                (connections.clone(), Arc::clone(&on), Arc::clone(&answered), Arc::clone(&lost));
            thread::spawn(move || {
                let (headers, thinks) = (headers(), Duration::from_millis(number % 4 * 7));
                let mut own = None;
                while on.load(Ordering::SeqCst) {
                    match ask(address, &headers, &connections, &mut own) {
                        Ok(()) => {
                            AtomicUsize::fetch_add(&answered, 1, Ordering::SeqCst);
                        }
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                        Err(error) => lost.lock().unwrap().push(error.to_string()),
                    }
                    thread::sleep(thinks);
                }
            })
        });
        Self { threads: threads.collect(), on, answered, lost }
    }

    /// Waits until the clients have received this number of further responses.
    fn are_answered(&self, more: usize) {
        let until = self.answered.load(Ordering::SeqCst) + more;
        wait_until(|| (self.answered.load(Ordering::SeqCst) >= until).then_some(()));
    }

    /// Stops the clients and returns the errors of the requests that received no response.
    fn lost(self) -> Vec<String> {
        self.on.store(false, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(self.lost).unwrap().into_inner().unwrap()
    }
}

/// Sends one request without retries.
fn ask(address: SocketAddr, headers: &str, connections: &Connections, own: &mut Option<Connection>) -> io::Result<()> {
    let mut take = || match connections {
        Connections::Own => own.take(),
        Connections::Pool(pool) => pool.lock().unwrap().pop(),
    };
    let kept = std::iter::from_fn(&mut take).find(Connection::is_open);
    let mut connection = match kept {
        Some(kept) => kept,
        None => Connection::open(address)?,
    };
    connection.request("POST", "/api/iam/check", headers, QUESTION)?;
    let answer = connection.answer()?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("{answer:?}")));
    }
    if !answer.closes() {
        match connections {
            Connections::Own => *own = Some(connection),
            Connections::Pool(pool) => pool.lock().unwrap().push(connection),
        }
    }
    Ok(())
}

#[test]
fn clients_behind_a_tcp_balancer_lose_no_request_during_a_rolling_restart() {
    for connections in [Connections::Own, Connections::Pool(Arc::default())] {
        let mut old = draining_for("500ms");
        let balancer = Balancer::to(&old);
        let clients = Clients::of(balancer.address, &connections);
        for _ in 0..4 {
            clients.are_answered(50);
            let new = draining_for("500ms");
            old.signal("TERM");
            // From now on the load balancer's readiness check fails.
            is_draining(&old);
            balancer.turn_to(&new);
            assert_eq!(old.wait().code(), Some(0), "{}", old.log());
            old = new;
        }
        clients.are_answered(50);
        assert_eq!(clients.lost(), Vec::<String>::new());
    }
}

#[test]
fn requests_to_a_single_replica_are_answered_or_refused() {
    for connections in [Connections::Own, Connections::Pool(Arc::default())] {
        for _ in 0..3 {
            let mut server = draining_for("300ms");
            let clients = Clients::of(server.address, &connections);
            clients.are_answered(100);
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0), "{}", server.log());
            assert_eq!(clients.lost(), Vec::<String>::new());
        }
    }
}
