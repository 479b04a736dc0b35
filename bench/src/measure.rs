//! Measures the CPU time of contenders that run alternately in turns of at least 60 ms, and computes the median of the
//! turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Number of measured turns per contender.
pub const ROUNDS: usize = 15;
/// Minimum CPU time of a turn.
const TURN: Duration = Duration::from_millis(60);

/// Returns the CPU time of this thread, which excludes the CPU time of other threads and processes.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A program that is compared with others. It performs numbered pieces of work in sequence.
pub struct Contender<'a> {
    /// Performs the pieces `from..to` and returns a value that depends on all of them, so that the compiler cannot
    /// remove the work.
    run: Box<dyn FnMut(usize, usize) -> usize + 'a>,
    pieces: usize,
    batch: usize,
    next: usize,
    /// Nanoseconds per piece, one value per turn.
    turns: Vec<f64>,
}

impl<'a> Contender<'a> {
    /// Creates a contender with this many pieces of work. After the last piece, the contender continues with the first
    /// one.
    pub fn new(pieces: usize, run: impl FnMut(usize, usize) -> usize + 'a) -> Self {
        Self { run: Box::new(run), pieces, batch: 1, next: 0, turns: Vec::new() }
    }

    fn turn(&mut self) -> Duration {
        let before = processor_time();
        let mut left = self.batch;
        while left > 0 {
            let (from, to) = (self.next, self.pieces.min(self.next + left));
            black_box((self.run)(black_box(from), black_box(to)));
            left -= to - from;
            self.next = if to == self.pieces { 0 } else { to };
        }
        processor_time().saturating_sub(before)
    }

    /// Determines how many pieces of work a turn needs, which also serves as a warm-up.
    fn prepare(&mut self) {
        while self.turn() < TURN {
            self.batch *= 2;
        }
        // Performs all pieces once more, for at most 600 ms, so that the steady state is measured.
        let until = Instant::now() + TURN * 10;
        for _ in 0..self.pieces.div_ceil(self.batch) {
            self.turn();
            if Instant::now() > until {
                break;
            }
        }
    }

    /// Returns the median of the turns, in nanoseconds per piece of work.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        median(self.turns.clone())
    }

    /// Returns the ratio of the other contender's time to this contender's time: the median over the turns.
    #[must_use]
    pub fn faster_than(&self, other: &Self) -> f64 {
        median(self.turns.iter().zip(&other.turns).map(|(own, other)| other / own).collect())
    }
}

/// Runs all contenders alternately: A B C, C B A, A B C, …
pub fn interleave(contenders: &mut [&mut Contender<'_>]) {
    for contender in contenders.iter_mut() {
        contender.prepare();
    }
    for _ in 0..ROUNDS {
        for contender in contenders.iter_mut() {
            let spent = contender.turn();
            contender.turns.push(spent.as_secs_f64() * 1e9 / contender.batch as f64);
        }
        contenders.reverse();
    }
}

/// Returns the median of the values, or 0 for no values.
#[must_use]
pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// Returns the quantile of the values, or 0 for no values.
#[must_use]
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}
