//! Records the figures of the process, so that the console can show the last minutes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iam_application::{FigureSource, Figures};
use iam_domain::Clock;
use iam_storage::{PoolStats, RecentOperations};
use tokio::time::{MissedTickBehavior, interval};

use crate::Samples;

/// The interval between two figures.
const INTERVAL: Duration = Duration::from_secs(5);
/// Number of figures that are kept: those of ten minutes.
const KEPT: usize = 121;

/// The recorded figures.
pub(crate) struct FigureHistory {
    samples: Samples,
    clock: Clock,
    replica: String,
    figures: Mutex<VecDeque<Figures>>,
}

impl FigureHistory {
    /// Creates the history, which contains the current figures.
    pub(crate) fn new(samples: Samples, clock: Clock) -> Self {
        let host = rustix::system::uname();
        let replica = format!("{}, process {}", host.nodename().to_string_lossy(), std::process::id());
        let history = Self { samples, clock, replica, figures: Mutex::default() };
        history.record();
        history
    }

    fn record(&self) {
        let Samples { permissions, database, .. } = &self.samples;
        let figures = Figures {
            at: self.clock.now(),
            cache: permissions.stats(),
            longest_revocation_delay: permissions.take_longest_revocation_delay(),
            pool: database.as_ref().map(|database| database.pool()),
        };
        let mut kept = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(figures);
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

impl FigureSource for FigureHistory {
    fn replica(&self) -> &str {
        &self.replica
    }

    fn history(&self) -> Vec<Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn operations(&self) -> RecentOperations {
        self.samples.operations()
    }
}

/// Records the figures in equal intervals, until the task is cancelled.
pub(crate) async fn record_figures(history: Arc<FigureHistory>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and the history already contains the figures of this time.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        history.record();
    }
}
