//! The timeouts of client connections, and a timer for deadlines that move with every request.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The timeouts of a client connection, one for each phase in which the server waits for the client. The timeout for
/// request bodies is [`HttpOptions::body_timeout`](crate::HttpOptions::body_timeout).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimeouts {
    /// Timeout for receiving the head of a request (the request line and the headers). It begins with the first byte of
    /// the head; on a new connection, it begins when the connection is accepted. Default: 10 s.
    pub head: Duration,
    /// Timeout after which a connection without a request is closed. Default: 75 s.
    pub idle: Duration,
    /// Interval in which a client must accept at least 16 KiB of a response, or the rest of it. Default: 10 s.
    pub write: Duration,
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(10) }
    }
}

/// A timer for a deadline that moves with every request. Moving a deadline to a later time does not reset the timer.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Returns `true` if the deadline has passed. Otherwise, the task is woken when it passes.
    pub(super) fn has_passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}
