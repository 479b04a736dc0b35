//! A client connection: a TCP stream that limits how long and how much a client can make the server wait and buffer, and
//! that is closed without losing a request when the server shuts down.
//!
//! **Phases.** The HTTP service of Actix has a timeout only for the head of the first request. Therefore, the connection
//! has its own timeouts for every phase: a head that is not complete, a connection without a request, and a response
//! that the client does not accept. The middleware reports when a request runs ([`ConnectionState::request_runs`]).
//!
//! **Discarded bodies.** The server reads the rest of a body after it has answered the request, so that the client can
//! read the response. The connections of a worker take turns in doing so ([`DiscardSlots`]).
//!
//! **Shutdown.** A server that closes an idle keep-alive connection may lose a request that the client sends at the same
//! moment. Therefore, while the server is draining, every response has the header `Connection: close`. After such a
//! response, the client sends no further request on the connection. When the server is closing, it closes each
//! connection that is still idle. Before it closes a connection, it checks that the receive buffer of the socket is
//! empty.

mod discard_pace;
mod state;
mod timeouts;

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::Extensions;
use discard_pace::Discard;
pub(crate) use discard_pace::DiscardSlots;
use socket2::SockRef;
pub(crate) use state::{ConnectionState, Phase, RunningRequest};
use timeouts::Alarm;
pub use timeouts::ConnectionTimeouts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// Grace period for the first request on a new connection. It begins when the server enters the phase
/// [`Phase::Closing`] or when the connection is accepted, whichever is later.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(2);
/// Size of the head of a request, in bytes, above which the request is refused. The limit is exceeded by at most one read
/// from the socket.
const HEAD_LIMIT: usize = 32 * 1024;
/// Number of bytes that the HTTP service receives ahead of what the running request has read of its body. The limit is
/// exceeded by at most one read from the socket.
const READ_AHEAD_LIMIT: usize = 64 * 1024;
/// Minimum number of bytes that a client must accept in each interval of [`ConnectionTimeouts::write`], unless it accepts
/// the rest of the response.
const MIN_WRITTEN: usize = 16 * 1024;

/// The stage of the server's shutdown, which determines when an idle connection is closed.
enum End {
    /// The server is not closing yet. The future completes when the server starts closing.
    Ahead(Pin<Box<dyn Future<Output = ()>>>),
    /// The server is closing, but the grace period for a first request is still running.
    Grace(Pin<Box<tokio::time::Sleep>>),
    /// The grace period for a first request has elapsed.
    Over,
}

/// The direction of the last transfer on a connection, from which the server derives whether a request is pending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traffic {
    /// No data has been received yet.
    New,
    /// Data has been received since the last response was sent.
    Received,
    /// Response data has been sent since data was last received.
    Answered,
}

/// The reason why the server closes a connection, as a metric label.
#[derive(Clone, Copy)]
enum Violation {
    /// The head of a request did not arrive within the timeout.
    SlowHead,
    /// The head of a request is larger than [`HEAD_LIMIT`].
    LargeHead,
    /// The connection had no request within the timeout.
    Idle,
    /// The client did not accept a response fast enough.
    SlowRead,
}

impl Violation {
    /// Returns the metric label.
    const fn label(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::LargeHead => "large_head",
            Self::Idle => "idle",
            Self::SlowRead => "slow_read",
        }
    }

    /// Returns the response to a request whose head violates a limit.
    const fn response(self) -> &'static [u8] {
        match self {
            Self::SlowHead => b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Self::LargeHead => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
            Self::Idle | Self::SlowRead => b"",
        }
    }
}

/// The progress of a response since the client's receive window was last full.
struct BlockedWrite {
    since: Instant,
    written: usize,
}

/// A client connection. Reading from a connection that violates a limit, and from an idle connection once the server is
/// closing, returns end of stream, as if the client had closed it. `S` is a guard that the connection holds.
pub(crate) struct Connection<S> {
    stream: TcpStream,
    state: ConnectionState,
    traffic: Traffic,
    end: End,
    timeouts: ConnectionTimeouts,
    read_alarm: Alarm,
    write_alarm: Alarm,
    blocked_write: Option<BlockedWrite>,
    discard: Discard,
    is_refused: bool,
    _slot: S,
}

impl<S> Connection<S> {
    pub(crate) fn new(
        stream: TcpStream,
        phase: &watch::Receiver<Phase>,
        timeouts: ConnectionTimeouts,
        discard_slots: DiscardSlots,
        slot: S,
    ) -> Self {
        let state = ConnectionState::new(phase.clone());
        let mut phase = phase.clone();
        let closing = async move {
            // An error means that the server has been dropped. The server then counts as closing.
            let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
        };
        Self {
            stream,
            state,
            traffic: Traffic::New,
            end: End::Ahead(Box::pin(closing)),
            timeouts,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            blocked_write: None,
            discard: Discard::new(discard_slots),
            is_refused: false,
            _slot: slot,
        }
    }

    /// Stores the connection's state in `extensions`, from which the middleware reads it for each request.
    pub(crate) fn attach_state(&self, extensions: &mut Extensions) {
        extensions.insert(self.state.clone());
    }

    /// Advances `end` to the current stage, and registers the task's waker for the next transition.
    fn poll_end(&mut self, cx: &mut Context<'_>) {
        if let End::Ahead(closing) = &mut self.end
            && closing.as_mut().poll(cx).is_ready()
        {
            self.end = End::Grace(Box::pin(tokio::time::sleep(FIRST_REQUEST_GRACE)));
        }
        if let End::Grace(grace) = &mut self.end
            && grace.as_mut().poll(cx).is_ready()
        {
            self.end = End::Over;
        }
    }

    /// Returns `true` if the server is closing and no request is running or expected on this connection.
    fn is_closing_and_idle(&self) -> bool {
        let may_end = match self.traffic {
            Traffic::New => matches!(self.end, End::Over),
            Traffic::Received => false,
            Traffic::Answered => !matches!(self.end, End::Ahead(_)),
        };
        may_end && !self.state.is_running()
    }

    /// Returns `true` if the receive buffer of the socket is empty. This function peeks at the socket, because Tokio's
    /// readiness state may lag behind the kernel.
    fn receive_buffer_is_empty(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Reads from the socket, unless the HTTP service has already received as much as the current phase allows.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.state.is_running() {
            if self.state.received() >= READ_AHEAD_LIMIT {
                // The task is woken when the request reads its body or ends.
                self.state.pause_reading(cx);
                return Poll::Pending;
            }
        } else if self.state.received() >= HEAD_LIMIT && !self.state.has_leftover_body() {
            if self.state.mark_head_full() {
                return self.refuse(Violation::LargeHead);
            }
            // The HTTP service first parses what it has received, and begins a request if the head is complete.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let is_discarded = !self.state.is_running() && self.state.has_leftover_body();
        if is_discarded {
            ready!(self.discard.poll_allowance(cx));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let received = buffer.filled().len() - filled;
        if received > 0 {
            if is_discarded {
                self.discard.record(received);
            }
            self.traffic = Traffic::Received;
            self.state.record_received(received);
        }
        read
    }

    /// Returns the violation if the client has exceeded the timeout of the current phase. Otherwise, the task is woken
    /// when the timeout expires. While a request runs or a response is being written, other timeouts apply.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Option<Violation> {
        if self.state.is_running() || self.blocked_write.is_some() {
            return None;
        }
        let ConnectionTimeouts { head, idle, .. } = self.timeouts;
        let (deadline, violation) = match (self.state.head_since(), self.traffic) {
            (Some(since), _) => (since + head, Violation::SlowHead),
            (None, Traffic::New) => (self.state.idle_since() + head, Violation::Idle),
            (None, _) => (self.state.idle_since() + idle, Violation::Idle),
        };
        self.read_alarm.has_passed(deadline, cx).then_some(violation)
    }

    /// Sends the response for a violation, if there is one, and returns end of stream.
    fn refuse(&mut self, violation: Violation) -> Poll<io::Result<()>> {
        if !self.is_refused {
            self.is_refused = true;
            closed(violation);
            // If the client is still sending the body of an answered request, a further response would be wrong.
            if !self.state.has_leftover_body() {
                let _ = self.stream.try_write(violation.response());
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Records the progress of a response. Fails if the client accepts the response too slowly.
    fn wrote(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes @ 1..)) => {
                self.traffic = Traffic::Answered;
                if let Some(blocked) = &mut self.blocked_write {
                    blocked.written += bytes;
                }
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                let now = Instant::now();
                let blocked = self.blocked_write.get_or_insert(BlockedWrite { since: now, written: 0 });
                if blocked.written >= MIN_WRITTEN {
                    *blocked = BlockedWrite { since: now, written: 0 };
                }
                if self.write_alarm.has_passed(blocked.since + self.timeouts.write, cx) {
                    closed(Violation::SlowRead);
                    // Closing the socket then resets the connection, so that the kernel frees the unsent response.
                    let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }
}

/// Counts a connection that the server closes because of a violation.
fn closed(violation: Violation) {
    metrics::counter!("iam_http_connections_closed_total", "reason" => violation.label()).increment(1);
}

impl<S: Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_end(cx);
        let read = this.poll_receive(cx, buffer);
        if read.is_ready() {
            return read;
        }
        if let Some(violation) = this.poll_timeout(cx) {
            return this.refuse(violation);
        }
        // Report end of stream, so that the HTTP service closes the idle connection.
        if this.is_closing_and_idle() && this.receive_buffer_is_empty() { Poll::Ready(Ok(())) } else { read }
    }
}

impl<S: Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The HTTP service flushes after the client has accepted everything that was written.
        if this.blocked_write.take().is_some() {
            this.state.record_transfer(Instant::now());
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if this.is_closing_and_idle() {
            // The connection became idle after the last read. Wake the task, so that it reads again and receives end of
            // stream.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
