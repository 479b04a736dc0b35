//! The progress of long commands: a bar on a terminal, and otherwise a line every few seconds.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines, if standard error is not a terminal.
const INTERVAL: Duration = Duration::from_secs(5);
/// Number of bytes between two updates of the progress of a file.
const STEP: u64 = 256 * 1024;

/// The progress of a command, on standard error.
pub(super) struct Progress {
    what: &'static str,
    /// The bar. `None` if standard error is not a terminal.
    bar: Option<ProgressBar>,
    latest: Instant,
}

impl Progress {
    /// Creates the progress of a step: `what` names the step and the counted units.
    pub(super) fn new(what: &'static str) -> Self {
        let bar = || {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what);
            bar
        };
        Self { what, bar: io::stderr().is_terminal().then(bar), latest: Instant::now() }
    }

    /// Reports that `done` of `total` units are done.
    pub(super) fn report(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.latest.elapsed() >= INTERVAL {
            self.latest = Instant::now();
            // Ignore write errors: standard error may be closed, and the command must continue.
            let _ = writeln!(io::stderr(), "{}: {done} of {total}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A file whose progress is reported while it is read.
pub(super) struct ReadWithProgress<R> {
    file: R,
    total: u64,
    done: u64,
    reported: u64,
    progress: Progress,
}

impl<R> ReadWithProgress<R> {
    pub(super) fn new(file: R, total: u64, what: &'static str) -> Self {
        Self { file, total, done: 0, reported: 0, progress: Progress::new(what) }
    }
}

impl<R: Read> Read for ReadWithProgress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done += read as u64;
        if self.done - self.reported >= STEP {
            self.reported = self.done;
            self.progress.report(self.done, self.total);
        }
        Ok(read)
    }
}
