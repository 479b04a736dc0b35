//! A monotonic clock that is cheap enough to read for every decision. On Linux, it also advances while the machine is
//! suspended (`CLOCK_BOOTTIME`).

use std::time::Duration;

/// A point in time, in milliseconds of a monotonic clock. On Linux, the clock advances while the process is stopped and
/// while the machine is suspended. On other systems, the clock may stop during a suspension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The sentinel for "never". It is earlier than every result of `now`.
    pub(crate) const NEVER: Self = Self(0);

    #[cfg(target_os = "linux")]
    pub(crate) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let millis = i128::from(time.tv_sec) * 1000 + i128::from(time.tv_nsec) / 1_000_000;
        // 1 is added, so that no moment equals `NEVER`.
        Self(u64::try_from(millis).unwrap_or(0) + 1)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Self {
        use std::sync::OnceLock;
        use std::time::Instant;

        static START: OnceLock<Instant> = OnceLock::new();
        let millis = START.get_or_init(Instant::now).elapsed().as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1)
    }

    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) const fn as_millis(self) -> u64 {
        self.0
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
