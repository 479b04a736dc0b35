//! Limits how fast a worker reads the bodies of requests that have already been answered.
//!
//! A client may send a body although the server has refused the request. The server discards this body, so that the
//! client reads the response before the connection closes. Without a limit, the worker would spend its time with
//! discarding as long as clients send, and all other connections of the worker would wait.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::timeouts::Alarm;

/// Number of bytes that are discarded in one slot.
const SLOT_BYTES: usize = 64 * 1024;
/// Time between two slots of a worker.
const SLOT_INTERVAL: Duration = Duration::from_millis(1);

/// The slots of a worker, in which its connections discard bytes. Each connection reserves the next free slot, so that
/// connections take turns.
#[derive(Clone)]
pub(crate) struct DiscardSlots(Rc<Cell<Instant>>);

impl DiscardSlots {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    /// Reserves the next free slot, and returns its time.
    fn reserve(&self) -> Instant {
        let slot = self.0.get().max(Instant::now());
        self.0.set(slot + SLOT_INTERVAL);
        slot
    }
}

/// The permission of one connection to discard bytes.
pub(super) struct Discard {
    slots: DiscardSlots,
    reserved: Option<Instant>,
    /// The number of bytes that may still be discarded in the current slot.
    allowance: usize,
    alarm: Alarm,
}

impl Discard {
    pub(super) fn new(slots: DiscardSlots) -> Self {
        Self { slots, reserved: None, allowance: 0, alarm: Alarm::default() }
    }

    /// Returns the number of bytes that the connection may discard now. Otherwise, the task is woken in the connection's
    /// next slot.
    pub(super) fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if self.allowance == 0 {
            let slot = *self.reserved.get_or_insert_with(|| self.slots.reserve());
            if slot > Instant::now() && !self.alarm.has_passed(slot, cx) {
                return Poll::Pending;
            }
            self.reserved = None;
            self.allowance = SLOT_BYTES;
        }
        Poll::Ready(self.allowance)
    }

    /// Records that the connection has discarded bytes.
    pub(super) fn record(&mut self, bytes: usize) {
        self.allowance = self.allowance.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_of_a_worker_take_turns() {
        let slots = DiscardSlots::new();
        let [mut first, mut second] = [Discard::new(slots.clone()), Discard::new(slots)];
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(first.poll_allowance(&mut cx), Poll::Ready(SLOT_BYTES));
        assert_eq!(second.poll_allowance(&mut cx), Poll::Pending);
        first.record(SLOT_BYTES - 1);
        assert_eq!(first.poll_allowance(&mut cx), Poll::Ready(1));
        first.record(1);
        assert_eq!(first.poll_allowance(&mut cx), Poll::Pending);

        tokio::time::advance(SLOT_INTERVAL).await;
        assert_eq!(second.poll_allowance(&mut cx), Poll::Ready(SLOT_BYTES));
        assert_eq!(first.poll_allowance(&mut cx), Poll::Pending);
        tokio::time::advance(SLOT_INTERVAL).await;
        assert_eq!(first.poll_allowance(&mut cx), Poll::Ready(SLOT_BYTES));
    }
}
