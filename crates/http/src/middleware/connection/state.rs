//! The state that a client connection and its requests share: the connection reads it to determine in which phase it
//! is, and the middleware updates it.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::watch;
use tokio::time::Instant;

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
#[derive(Clone)]
pub(crate) struct ConnectionState(Rc<Shared>);

struct Shared {
    phase: watch::Receiver<Phase>,
    /// The number of requests whose handlers are running.
    running: Cell<usize>,
    /// The time at which the connection was accepted, or at which the last request or transfer ended.
    idle_since: Cell<Instant>,
    /// The number of bytes that the HTTP service has received since the last request began or the body was last read.
    received: Cell<usize>,
    /// The time at which the first byte of an incomplete head was received.
    head_since: Cell<Option<Instant>>,
    /// Whether the connection has paused because of the size of an incomplete head.
    is_head_full: Cell<bool>,
    /// Whether the client may still be sending the body of a request that has already been answered.
    has_leftover_body: Cell<bool>,
    /// The waker of the connection's task, if the connection has stopped reading from the socket.
    paused: Cell<Option<Waker>>,
}

impl ConnectionState {
    pub(super) fn new(phase: watch::Receiver<Phase>) -> Self {
        Self(Rc::new(Shared {
            phase,
            running: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            received: Cell::new(0),
            head_since: Cell::new(None),
            is_head_full: Cell::new(false),
            has_leftover_body: Cell::new(false),
            paused: Cell::new(None),
        }))
    }

    /// Returns `true` if the server is draining or closing. In this case, each response must close the connection.
    pub(crate) fn is_ending(&self) -> bool {
        *self.0.phase.borrow() != Phase::Serving
    }

    /// Counts a request as running until the returned guard is dropped. `has_body` states whether the headers announce
    /// a body.
    pub(crate) fn request_runs(&self, has_body: bool) -> RunningRequest {
        let shared = &self.0;
        shared.running.set(shared.running.get() + 1);
        shared.has_leftover_body.set(has_body);
        shared.head_since.set(None);
        shared.is_head_full.set(false);
        self.resume_reading();
        RunningRequest(Rc::clone(shared))
    }

    /// Records that the handler has read a part of the body, or all of it.
    pub(crate) fn body_read(&self, is_complete: bool) {
        if is_complete {
            self.0.has_leftover_body.set(false);
        }
        self.resume_reading();
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.running.get() > 0
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.0.idle_since.get()
    }

    pub(super) fn record_transfer(&self, now: Instant) {
        self.0.idle_since.set(now);
    }

    pub(super) fn has_leftover_body(&self) -> bool {
        self.0.has_leftover_body.get()
    }

    pub(super) fn received(&self) -> usize {
        self.0.received.get()
    }

    /// Records that the HTTP service has received data. If no request is running, the data belongs to a head.
    pub(super) fn record_received(&self, bytes: usize) {
        let shared = &self.0;
        shared.received.set(shared.received.get().saturating_add(bytes));
        if !self.is_running() && shared.head_since.get().is_none() {
            shared.head_since.set(Some(Instant::now()));
        }
    }

    pub(super) fn head_since(&self) -> Option<Instant> {
        self.0.head_since.get()
    }

    /// Marks the head as too large, unless a request begins. Returns `true` if it was already marked.
    pub(super) fn mark_head_full(&self) -> bool {
        self.0.is_head_full.replace(true)
    }

    /// Registers the task of the connection, which is woken when the HTTP service may receive more data.
    pub(super) fn pause_reading(&self, cx: &Context<'_>) {
        self.0.paused.set(Some(cx.waker().clone()));
    }

    fn resume_reading(&self) {
        self.0.resume_reading();
    }
}

impl Shared {
    fn resume_reading(&self) {
        self.received.set(0);
        if let Some(waker) = self.paused.take() {
            waker.wake();
        }
    }
}

/// A guard that counts a request as running until it is dropped.
pub(crate) struct RunningRequest(Rc<Shared>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.running.set(shared.running.get() - 1);
        shared.idle_since.set(Instant::now());
        if let Some(waker) = shared.paused.take() {
            waker.wake();
        }
    }
}
