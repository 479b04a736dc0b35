//! A TCP proxy on the loopback interface that delays data and can make its connections half-open.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;

/// A TCP proxy. Dropping the proxy closes its connections.
pub struct Proxy {
    /// The port on which the proxy listens.
    pub port: u16,
    forgotten: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to a loopback port. The proxy forwards each chunk of data after `delay`, in both directions.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy cannot listen.
    pub async fn start(target: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let forgotten = watch::Sender::new(());
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target));
        let accepting = tokio::spawn(accept(listener, target, delay, forgotten.clone()));
        Ok(Self { port, forgotten, accepting })
    }

    /// Makes the open connections half-open, like a firewall that removes the connections from its state table. They
    /// transfer no data, and remain open until the next call of this method. New connections are not affected.
    pub fn forget(&self) {
        self.forgotten.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until the task is aborted, which also closes the accepted connections.
async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration, forgotten: watch::Sender<()>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(relay(client, target, delay, forgotten.subscribe()));
    }
}

/// Relays the data of one connection until either side closes the connection.
async fn relay(
    client: TcpStream,
    target: SocketAddr,
    delay: Duration,
    mut forgotten: watch::Receiver<()>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Both futures outlive the `select!`, because dropping a half would close its side of the connection.
    let mut up = pin!(carry(from_client, to_server, delay));
    let mut down = pin!(carry(from_server, to_client, delay));
    tokio::select! {
        biased;
        Ok(()) = forgotten.changed() => {
            // Waits for the next call of `forget`. By then, both sides have long since timed out.
            let _ = forgotten.changed().await;
            Ok(())
        }
        outcome = &mut up => outcome,
        outcome = &mut down => outcome,
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..length]).await?;
    }
}
