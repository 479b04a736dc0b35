//! Closes client connections during shutdown without losing a request.
//!
//! A server that closes an idle keep-alive connection may lose a request that the client sends at the same moment.
//! Therefore, while the server is draining, every response has the header `Connection: close`. After such a response,
//! the client sends no further request on the connection. When the server is closing, it closes each connection that is
//! still idle. Before it closes a connection, it checks that the receive buffer of the socket is empty.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::Extensions;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Grace period for the first request on a new connection. It begins when the server enters the phase
/// [`Phase::Closing`] or when the connection is accepted, whichever is later.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(2);

/// The lifecycle phase of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are kept alive.
    Serving,
    /// Every response closes its connection (`Connection: close`).
    Draining,
    /// Every response closes its connection, and idle connections are closed.
    Closing,
}

/// The state that a connection and its requests share.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionState(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    phase: watch::Receiver<Phase>,
    /// The number of requests whose handlers are running.
    running: Cell<usize>,
}

impl ConnectionState {
    /// Returns `true` if the server is draining or closing. In this case, each response must close the connection.
    pub(crate) fn is_ending(&self) -> bool {
        *self.0.phase.borrow() != Phase::Serving
    }

    /// Counts a request as running until the returned guard is dropped.
    pub(crate) fn request_runs(&self) -> RunningRequest {
        self.0.running.set(self.0.running.get() + 1);
        RunningRequest(Rc::clone(&self.0))
    }
}

/// A guard that counts a request as running until it is dropped.
#[derive(Debug)]
pub(crate) struct RunningRequest(Rc<Shared>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

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

/// A client connection. Once the server is closing, reading from an idle connection returns end of stream, as if the
/// client had closed it.
pub(crate) struct Connection {
    stream: TcpStream,
    state: ConnectionState,
    traffic: Traffic,
    end: End,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, phase: &watch::Receiver<Phase>) -> Self {
        let state = ConnectionState(Rc::new(Shared { phase: phase.clone(), running: Cell::new(0) }));
        let mut phase = phase.clone();
        let closing = async move {
            // An error means that the server has been dropped. The server then counts as closing.
            let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
        };
        Self { stream, state, traffic: Traffic::New, end: End::Ahead(Box::pin(closing)) }
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
        may_end && self.state.0.running.get() == 0
    }

    /// Returns `true` if the receive buffer of the socket is empty. This function peeks at the socket, because Tokio's
    /// readiness state may lag behind the kernel.
    fn receive_buffer_is_empty(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.traffic = Traffic::Answered;
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_end(cx);
        let filled = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > filled {
            this.traffic = Traffic::Received;
        }
        match read {
            // Report end of stream, so that the HTTP service closes the idle connection.
            Poll::Pending if this.is_closing_and_idle() && this.receive_buffer_is_empty() => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
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
