//! A TCP proxy between one replica and the database. The proxy can delay, truncate or withhold traffic, and close or
//! reject connections.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::common::{Result, locked};

/// The mode of the proxy: normal operation or a simulated fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forwards the traffic.
    Pass,
    /// Forwards each chunk of data after this delay.
    Delay(Duration),
    /// Truncates some chunks of data in the middle and closes their connections.
    Halve,
    /// Withholds all traffic in both directions until the mode changes. Clients can open connections, but these carry
    /// no data.
    BlackHole,
    /// Withholds the responses of the server until the mode changes. Requests of the client are forwarded.
    HoldAnswers,
    /// Closes each new connection immediately.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

#[derive(Debug)]
struct State {
    target: AtomicU16,
    mode: watch::Sender<Mode>,
    /// The connections with numbers below this value are black-holed: they are open on both sides, but the proxy
    /// forwards nothing.
    stranded_below: watch::Sender<usize>,
    next: AtomicUsize,
    chunks: AtomicUsize,
    connections: Mutex<Vec<(usize, AbortHandle)>>,
}

/// In the mode [`Mode::Halve`], the proxy truncates on average one in this many chunks to half its length.
const HALVED_ONE_IN: usize = 7;

/// A proxy on the loopback interface.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The port on which the proxy listens.
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// Starts a proxy to a port of the loopback interface.
    pub(crate) async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            target: AtomicU16::new(target),
            mode: watch::Sender::new(Mode::Pass),
            stranded_below: watch::Sender::new(0),
            next: AtomicUsize::new(0),
            chunks: AtomicUsize::new(0),
            connections: Mutex::default(),
        });
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { port, state })
    }

    /// Sets the mode for all connections.
    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.send_replace(mode);
    }

    /// Directs new connections to another port. Open connections are not affected.
    pub(crate) fn set_target(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// Closes all open connections.
    pub(crate) fn cut(&self) {
        for (_, connection) in locked(&self.state.connections).drain(..) {
            connection.abort();
        }
    }

    /// Black-holes all open connections: the proxy forwards nothing, and neither side is notified when the other side
    /// closes. New connections work. The black-holed connections are closed after `rest`.
    pub(crate) fn strand(&self, rest: Duration) {
        let below = self.state.next.load(Ordering::SeqCst);
        self.state.stranded_below.send_replace(below);
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            locked(&state.connections).retain(|(number, connection)| {
                if *number < below {
                    connection.abort();
                }
                *number >= below
            });
        });
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.mode.borrow() == Mode::Refuse {
            continue;
        }
        let number = state.next.fetch_add(1, Ordering::SeqCst);
        let connection = tokio::spawn(relay(client, number, Arc::clone(&state)));
        let mut connections = locked(&state.connections);
        connections.retain(|(_, connection)| !connection.is_finished());
        connections.push((number, connection.abort_handle()));
    }
}

/// Relays one connection until either side closes it.
async fn relay(client: TcpStream, number: usize, state: Arc<State>) -> Result<()> {
    let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], state.target.load(Ordering::SeqCst)))).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut stranded_below = state.stranded_below.subscribe();
    // Both futures must exist until this function returns. A dropped future would close its direction of the
    // connection.
    let mut up = pin!(carry(from_client, to_server, Direction::ToServer, &state));
    let mut down = pin!(carry(from_server, to_client, Direction::ToClient, &state));
    tokio::select! {
        biased;
        () = is_stranded(&mut stranded_below, number) => std::future::pending().await,
        result = &mut up => result,
        result = &mut down => result,
    }
}

async fn is_stranded(below: &mut watch::Receiver<usize>, number: usize) {
    if below.wait_for(|below| number < *below).await.is_err() {
        std::future::pending().await
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction, state: &State) -> Result<()> {
    let mut mode = state.mode.subscribe();
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut bytes).await?;
        let mut chunk = bytes.get(..length).unwrap_or_default();
        let is_held = |mode: &Mode| match mode {
            Mode::BlackHole => true,
            Mode::HoldAnswers => direction == Direction::ToClient,
            Mode::Pass | Mode::Delay(_) | Mode::Halve | Mode::Refuse => false,
        };
        let current = *mode.wait_for(|mode| !is_held(mode)).await?;
        if length == 0 {
            return Ok(());
        }
        if let Mode::Delay(time) = current {
            tokio::time::sleep(time).await;
        }
        let is_halved = current == Mode::Halve
            && length > 1
            && state.chunks.fetch_add(1, Ordering::SeqCst).is_multiple_of(HALVED_ONE_IN);
        if is_halved {
            chunk = chunk.get(..length / 2).unwrap_or_default();
        }
        to.write_all(chunk).await?;
        if is_halved {
            return Ok(());
        }
    }
}
