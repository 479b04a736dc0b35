//! Tells of committed changes within the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use iam_storage::{Beat, ChangeFeed, Heard, Result, Subscription};
use tokio::sync::broadcast;

use crate::MemoryStorage;

/// How much a subscriber may leave unheard before it is lost.
const UNHEARD: usize = 1024;

/// Who hears of changes.
pub(crate) struct Feed {
    subscribers: broadcast::Sender<Heard>,
    /// Whoever tells something takes a turn, so that everybody hears in the order of commits. This is a std mutex because
    /// a turn never waits for anything.
    turn: Mutex<()>,
}

/// While it lasts nobody else commits or tells anything.
pub(crate) struct Turn<'a> {
    subscribers: &'a broadcast::Sender<Heard>,
    _turn: MutexGuard<'a, ()>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { subscribers: broadcast::Sender::new(UNHEARD), turn: Mutex::default() }
    }
}

impl Feed {
    pub(crate) fn turn(&self) -> Turn<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { subscribers: &self.subscribers, _turn: turn }
    }
}

impl Turn<'_> {
    pub(crate) fn tell(&self, heard: Heard) {
        // That nobody listens is no error.
        let _ = self.subscribers.send(heard);
    }
}

#[async_trait]
impl ChangeFeed for MemoryStorage {
    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(Subscribed(Some(self.inner().feed.subscribers.subscribe()))))
    }

    async fn beat(&self, beat: Beat) -> Result<()> {
        self.inner().feed.turn().tell(Heard::Beat(beat));
        Ok(())
    }
}

/// A place to hear from, until it is lost.
struct Subscribed(Option<broadcast::Receiver<Heard>>);

#[async_trait]
impl Subscription for Subscribed {
    async fn next(&mut self) -> Heard {
        let Some(receiver) = &mut self.0 else { return Heard::Lost };
        // It fails when this subscriber was too slow, or the storage is gone.
        let Ok(heard) = receiver.recv().await else {
            self.0 = None;
            return Heard::Lost;
        };
        heard
    }
}
