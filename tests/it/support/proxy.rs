//! A TCP proxy between the storage adapter and PostgreSQL. The proxy records the SQL traffic and simulates network
//! failures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::database::TestDatabase;

/// The protocol version in the startup message. A client may send other requests before this message, for example an
/// encryption request.
const PROTOCOL_3_0: u32 = 3 << 16;

/// A proxy on the loopback interface. Dropping this value closes all connections through the proxy.
pub struct Proxy {
    url: String,
    /// A bound socket that never listens. It reserves the proxy's port while the proxy rejects connections.
    place: TcpSocket,
    state: Arc<State>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    /// The host and port of the PostgreSQL server.
    server: Mutex<String>,
    /// The database to which new connections are redirected. `None` if each connection uses the database that it
    /// requests.
    database: Mutex<Option<String>>,
    /// `true` if the proxy forwards no traffic.
    silent: watch::Sender<bool>,
    /// Number of calls to [`Proxy::forget`]. Each call black-holes the connections that are open at that time.
    forgotten: watch::Sender<u64>,
    seen: Mutex<Seen>,
    /// The names of the parameters in the clients' startup messages.
    parameters: Mutex<BTreeSet<String>>,
    connections: Mutex<Vec<AbortHandle>>,
}

#[derive(Default)]
struct Seen {
    statements: usize,
    /// The SQL strings, each with the number of times that clients have sent it.
    texts: BTreeMap<String, usize>,
    warnings: BTreeSet<String>,
}

impl Proxy {
    /// Starts a proxy in front of the server of this database.
    pub async fn to(database: &TestDatabase) -> Self {
        Self::in_front_of(database.url()).await
    }

    /// Starts a proxy in front of the server of this URL.
    pub async fn in_front_of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("the URL must have a scheme");
        let (authority, path) = rest.split_once('/').expect("the URL must name a database");
        let (user, server) = authority.rsplit_once('@').map_or(("", authority), |(user, server)| (user, server));
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5432") };
        let place = socket_at(0);
        let port = place.local_addr().unwrap().port();
        // The proxy must read the messages, so they must not be encrypted.
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!("{scheme}://{user}@127.0.0.1:{port}/{path}{separator}sslmode=disable");
        let state = Arc::new(State {
            server: Mutex::new(server),
            database: Mutex::default(),
            silent: watch::Sender::new(false),
            forgotten: watch::Sender::new(0),
            seen: Mutex::default(),
            parameters: Mutex::default(),
            connections: Mutex::default(),
        });
        let proxy = Self { url, place, state, accepting: Mutex::default() };
        proxy.admit().await;
        proxy
    }

    /// Returns the URL that connects to the database through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of SQL statements that pooled connections have sent so far, including `BEGIN` and `COMMIT`.
    pub fn statements(&self) -> usize {
        self.state.seen.lock().unwrap().statements
    }

    /// Returns the distinct SQL strings that clients have sent so far.
    pub fn texts(&self) -> BTreeSet<String> {
        self.state.seen.lock().unwrap().texts.keys().cloned().collect()
    }

    /// Returns how often clients have sent SQL strings that contain `part`. The execution of a prepared statement sends no
    /// SQL.
    pub fn sent(&self, part: &str) -> usize {
        let seen = self.state.seen.lock().unwrap();
        seen.texts.iter().filter(|(text, _)| text.contains(part)).map(|(_, times)| times).sum()
    }

    /// Returns the distinct warnings that the server has sent so far.
    pub fn warnings(&self) -> BTreeSet<String> {
        self.state.seen.lock().unwrap().warnings.clone()
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> usize {
        let connections = self.state.connections.lock().unwrap();
        connections.iter().filter(|connection| !connection.is_finished()).count()
    }

    /// Closes all open connections. New connections are accepted.
    pub fn cut(&self) {
        for connection in self.state.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Drops all traffic of open and new connections without closing them, as a network partition does.
    pub fn fall_silent(&self) {
        self.state.silent.send_replace(true);
    }

    /// Black-holes all open connections, which makes them half-open: the proxy drops their traffic without closing
    /// them. A firewall that has lost its connection tracking state does the same. New connections work.
    pub fn forget(&self) {
        self.state.forgotten.send_modify(|times| *times += 1);
    }

    /// Returns the distinct names of the parameters that clients have sent in startup messages so far.
    pub fn parameters(&self) -> BTreeSet<String> {
        self.state.parameters.lock().unwrap().clone()
    }

    /// Redirects new connections to another database of the same server. Open connections are not affected.
    pub fn switch_to(&self, database: &TestDatabase) {
        let (_, name) = database.url().rsplit_once('/').expect("the URL must name a database");
        let name = name.split_once('?').map_or(name, |(name, _)| name);
        *self.state.database.lock().unwrap() = Some(name.to_owned());
    }

    /// Redirects new connections to the server of this URL, as a failover of a virtual address does.
    pub fn redirect(&self, url: &str) {
        let (_, rest) = url.split_once('@').expect("the URL must have a user");
        let (server, _) = rest.split_once('/').expect("the URL must name a database");
        *self.state.server.lock().unwrap() = server.to_owned();
    }

    /// Rejects new connections, as a stopped server does. Open connections are not affected.
    pub async fn refuse(&self) {
        let accepting = self.accepting.lock().unwrap().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The listening socket is closed only when the task has ended.
            let _ = accepting.await;
        }
    }

    /// Accepts new connections again after [`Self::refuse`].
    pub async fn admit(&self) {
        self.refuse().await;
        let listener = socket_at(self.place.local_addr().unwrap().port()).listen(1024).unwrap();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&self.state)));
        *self.accepting.lock().unwrap() = Some(accepting);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
        self.cut();
    }
}

/// Binds a socket to a port of the loopback interface. Several sockets from this function can be bound to the same
/// port.
fn socket_at(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    socket
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let connection = tokio::spawn(relay(client, Arc::clone(&state)));
        state.connections.lock().unwrap().push(connection.abort_handle());
    }
}

/// Relays one connection until either side closes it.
async fn relay(client: TcpStream, state: Arc<State>) {
    let mut forgotten = state.forgotten.subscribe();
    let before = *forgotten.borrow();
    let address = state.server.lock().unwrap().clone();
    let Ok(server) = TcpStream::connect(address).await else { return };
    // A statement is sent in several small packets, which Nagle's algorithm would delay.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut silent = state.silent.subscribe();
    // The futures are pinned outside the `select!`, because dropping them would close the connections that they own.
    let (listening, watching) = (listen(from_server, to_client, &state), watch(from_client, to_server, &state));
    tokio::pin!(listening, watching);
    tokio::select! {
        biased; // A silent proxy forwards nothing, not even data that has already arrived.
        () = fallen_silent(&mut silent) => std::future::pending().await,
        () = is_forgotten(&mut forgotten, before) => std::future::pending().await,
        _ = &mut listening => {}
        _ = &mut watching => {}
    }
}

async fn fallen_silent(silent: &mut watch::Receiver<bool>) {
    let _ = silent.wait_for(|silent| *silent).await;
}

/// Waits until [`Proxy::forget`] has been called more than `before` times.
async fn is_forgotten(forgotten: &mut watch::Receiver<u64>, before: u64) {
    let _ = forgotten.wait_for(|times| *times > before).await;
}

/// Forwards the client's messages one by one. A statement is counted before it is forwarded, so it is already counted
/// when the client receives the result.
async fn watch(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, state: &State) -> std::io::Result<()> {
    // Startup messages have no type byte.
    let mut is_counted = true;
    loop {
        let mut body = read_body(&mut client).await?;
        let is_last = body.starts_with(&PROTOCOL_3_0.to_be_bytes());
        if is_last {
            state.parameters.lock().unwrap().extend(parameters(&body));
        }
        if is_last && let Some(database) = state.database.lock().unwrap().as_deref() {
            body = asking_for(database, &body);
        }
        is_counted &= !names_itself_beside(&body);
        server.write_all(&framed(None, &body)).await?;
        if is_last {
            break;
        }
    }
    loop {
        let kind = client.read_u8().await?;
        let body = read_body(&mut client).await?;
        state.seen.lock().unwrap().note(kind, &body, is_counted);
        server.write_all(&framed(Some(kind), &body)).await?;
    }
}

/// Forwards the server's messages one by one and records its warnings.
async fn listen(server: OwnedReadHalf, mut client: OwnedWriteHalf, state: &State) -> std::io::Result<()> {
    let mut server = BufReader::new(server);
    loop {
        let kind = server.read_u8().await?;
        let body = read_body(&mut server).await?;
        if kind == b'N' {
            state.seen.lock().unwrap().note_warning(&body);
        }
        client.write_all(&framed(Some(kind), &body)).await?;
    }
}

/// Reads the rest of a message whose type byte has already been read, and returns the body. The length field before the
/// body includes its own four bytes.
async fn read_body(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await? as usize;
    let mut body = vec![0; length.saturating_sub(4)];
    from.read_exact(&mut body).await?;
    Ok(body)
}

/// Returns the names of the parameters in a startup message.
fn parameters(startup: &[u8]) -> impl Iterator<Item = String> {
    let texts = startup[size_of_val(&PROTOCOL_3_0)..].split(|byte| *byte == 0).step_by(2);
    texts.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// Returns `true` if a startup message opens a connection outside the pool. The storage adapter uses such connections
/// for polls, wake-ups and `LISTEN`.
fn names_itself_beside(startup: &[u8]) -> bool {
    startup.split(|byte| *byte == 0).any(|text| text.ends_with(b" control") || text.ends_with(b" listener"))
}

/// Returns the startup message with the database name replaced. The message consists of the protocol version, the names
/// and values of parameters, and a final zero byte. A zero byte terminates each name and each value.
fn asking_for(database: &str, startup: &[u8]) -> Vec<u8> {
    let (version, parameters) = startup.split_at(size_of_val(&PROTOCOL_3_0));
    let mut texts: Vec<_> = parameters.split(|byte| *byte == 0).collect();
    let name = texts.iter().step_by(2).position(|name| *name == b"database").expect("it must name a database");
    texts[2 * name + 1] = database.as_bytes();
    [version, &texts.join(&0)].concat()
}

fn framed(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    kind.into_iter().chain(length).chain(body.iter().copied()).collect()
}

impl Seen {
    /// Records the message of a notice if its severity is WARNING. A notice consists of fields. Each field is a letter
    /// and a string: the field `V` is the severity, and the field `M` is the message.
    fn note_warning(&mut self, body: &[u8]) {
        let mut fields = body.split(|byte| *byte == 0).filter_map(|field| Some((field.first()?, field.get(1..)?)));
        let is_warning = fields.any(|field| field == (&b'V', b"WARNING"));
        let said = fields.find(|(kind, _)| **kind == b'M');
        self.warnings.extend(said.filter(|_| is_warning).map(|(_, text)| String::from_utf8_lossy(text).into_owned()));
    }

    fn sent(&mut self, text: Option<String>) {
        if let Some(text) = text {
            *self.texts.entry(text).or_default() += 1;
        }
    }

    fn note(&mut self, kind: u8, body: &[u8], is_counted: bool) {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        match kind {
            // The message Query contains the SQL text.
            b'Q' => {
                self.statements += usize::from(is_counted);
                self.sent(texts.next());
            }
            // The message Parse contains the name of the prepared statement, then its SQL text.
            b'P' => self.sent(texts.nth(1)),
            // The message Execute runs a prepared statement.
            b'E' => self.statements += usize::from(is_counted),
            _ => {}
        }
    }
}
