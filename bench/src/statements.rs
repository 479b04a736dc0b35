//! A proxy to a PostgreSQL server that counts the statements which its clients execute.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;

/// The length of the message with which a client asks for TLS. The first message of a session is longer.
const TLS_REQUEST: usize = 8;

/// A proxy that counts statements. Dropping the proxy closes its connections.
pub struct Statements {
    /// The URL of the database by way of the proxy.
    pub url: String,
    executed: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Statements {
    /// Starts a proxy to the server of this database, which listens on the loopback interface.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy cannot listen, or the URL contains no port.
    pub async fn start(database: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let (before, path) = database.rsplit_once('/').ok_or("the database URL contains no database name")?;
        let (address, port) = before.rsplit_once(':').ok_or("the database URL contains no port")?;
        let executed = Arc::new(AtomicUsize::new(0));
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&executed)));
        Ok(Self { url: format!("{address}:{own}/{path}"), executed, accepting })
    }

    /// Returns the number of statements that all clients have executed so far.
    #[must_use]
    pub fn executed(&self) -> usize {
        self.executed.load(Ordering::Relaxed)
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until the task is aborted, which also closes the accepted connections.
async fn accept(listener: TcpListener, target: SocketAddr, executed: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(relay(client, target, Arc::clone(&executed)));
    }
}

/// Relays the data of one connection until one side closes it.
async fn relay(client: TcpStream, target: SocketAddr, executed: Arc<AtomicUsize>) -> std::io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let (mut bytes, mut messages) = (vec![0; 64 * 1024], Messages::default());
        loop {
            let length = from_client.read(&mut bytes).await?;
            if length == 0 {
                return std::io::Result::Ok(());
            }
            executed.fetch_add(messages.executions(&bytes[..length]), Ordering::Relaxed);
            to_server.write_all(&bytes[..length]).await?;
        }
    };
    tokio::select! {
        outcome = up => outcome,
        outcome = tokio::io::copy(&mut from_server, &mut to_client) => outcome.map(drop),
    }
}

/// The messages of one client, as far as they have arrived.
#[derive(Default)]
struct Messages {
    rest: Vec<u8>,
    /// `true` after the first message of the session. Only later messages begin with a byte for their type.
    has_begun: bool,
}

impl Messages {
    /// Returns the number of complete messages in these bytes that execute a statement.
    fn executions(&mut self, bytes: &[u8]) -> usize {
        self.rest.extend_from_slice(bytes);
        let mut executions = 0;
        loop {
            let before = usize::from(self.has_begun);
            let Some(length) = self.rest.get(before..).and_then(|rest| rest.first_chunk::<4>()) else { break };
            let length = u32::from_be_bytes(*length) as usize;
            if self.rest.len() < before + length {
                break;
            }
            if self.has_begun {
                executions += usize::from(matches!(self.rest.first(), Some(b'E' | b'Q')));
            } else {
                self.has_begun = length != TLS_REQUEST;
            }
            self.rest.drain(..before + length);
        }
        executions
    }
}
