//! Accepts connections, refuses those that exceed a limit, and passes the others to the workers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connection_limits::{ConnectionSlot, OpenConnections};
use crate::middleware::connection::Phase;

/// Delay before the next `accept` call after a failed call. A call fails, for example, if no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time without a new connection after which the accept queue counts as empty during shutdown.
const ACCEPT_IDLE: Duration = Duration::from_millis(100);
/// Maximum time for emptying the accept queue during shutdown.
const ACCEPT_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// An accepted connection.
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    /// Counts the connection as open until it is dropped.
    pub(super) slot: ConnectionSlot,
}

/// The sending half of the channel that passes accepted connections to a worker.
pub(super) type Arrivals = mpsc::UnboundedSender<Arrival>;

/// Accepts connections, and passes them to the workers round-robin. Returns when the server is closing and the accept
/// queue is empty.
pub(super) async fn accept_all(
    listener: &TcpListener,
    workers: &[Arrivals],
    open: &Arc<OpenConnections>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let mut turns = workers.iter().cycle();
    let mut give = |accepted| accept(accepted, open, &mut turns);
    let is_closing = phase.wait_for(|phase| *phase == Phase::Closing);
    tokio::pin!(is_closing);
    loop {
        tokio::select! {
            _ = &mut is_closing => break,
            accepted = listener.accept() => {
                if !give(accepted)? {
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    if let Err(error) = ignore_new_connections(listener) {
        tracing::debug!(%error, "cannot drop SYN segments; connections that arrive during shutdown may be reset");
    }
    let latest = Instant::now() + ACCEPT_DRAIN_TIMEOUT;
    while let Ok(Ok(accepted)) = timeout_at(latest, timeout(ACCEPT_IDLE, listener.accept())).await {
        give(accepted)?;
    }
    Ok(())
}

/// Passes an accepted connection to a worker, unless it exceeds a limit: the connection is then closed at once. Returns
/// `false` if `accept` failed and the next call must be delayed.
fn accept<'a>(
    accepted: io::Result<(TcpStream, SocketAddr)>,
    open: &Arc<OpenConnections>,
    workers: &mut impl Iterator<Item = &'a Arrivals>,
) -> io::Result<bool> {
    match accepted {
        Ok((stream, peer)) => {
            match open.open(peer.ip()) {
                Ok(slot) => {
                    let gone =
                        || io::Error::new(ErrorKind::BrokenPipe, "a worker of the HTTP server ended unexpectedly");
                    let arrival = Arrival { stream: stream.into_std()?, peer, slot };
                    workers.next().ok_or_else(gone)?.send(arrival).map_err(|_| gone())?;
                }
                Err(exceeded) => {
                    metrics::counter!("iam_http_connections_refused_total", "limit" => exceeded.label()).increment(1);
                }
            }
            Ok(true)
        }
        // The client closed the connection before it was accepted.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => Ok(true),
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            Ok(false)
        }
    }
}

/// Makes the kernel drop SYN segments, so that no further connections enter the accept queue while it is being emptied.
/// Closing the listener instead would reset the connections in the queue. A client whose SYN was dropped retransmits
/// it; the retransmission is rejected, or reaches a new process that listens on this port.
#[cfg(target_os = "linux")]
fn ignore_new_connections(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    /// The offset of the flags in a TCP header, in bytes.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let program = [
        // Load the flags (BPF_LD | BPF_B | BPF_ABS).
        SockFilter::new(0x30, 0, 0, FLAGS),
        // If SYN is not set, skip the next instruction (BPF_JMP | BPF_JSET | BPF_K).
        SockFilter::new(0x45, 0, 1, SYN),
        // Drop the segment (BPF_RET | BPF_K).
        SockFilter::new(0x06, 0, 0, 0),
        // Accept the whole segment.
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&program)
}

#[cfg(not(target_os = "linux"))]
fn ignore_new_connections(_: &TcpListener) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
