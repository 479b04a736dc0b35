//! The callers of other tenants, whose response times are measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::sleep_until;

use crate::Result;
use crate::api::request_in;
use crate::load::Connection;
use crate::measure::quantile;

/// Interval between two requests of one caller that checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Interval between two requests of one caller that changes.
const CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// The response times of one phase, in milliseconds, and the number of responses that are not successes.
#[derive(Debug, Default)]
pub(super) struct Phase {
    pub(super) checks: Vec<f64>,
    pub(super) changes: Vec<f64>,
    pub(super) failures: Vec<u16>,
}

impl Phase {
    /// Returns the 99th percentiles of the checks and of the changes.
    pub(super) fn p99(&self) -> [f64; 2] {
        [&self.checks, &self.changes].map(|times| quantile(times.clone(), 0.99))
    }
}

/// The callers of two tenants: one whose members check and change nothing, so that all its decisions are kept, and one
/// whose administrators make changes.
pub(super) struct Victim {
    pub(super) server: SocketAddr,
    /// The company of the checks, and the `Authorization` header of each caller.
    pub(super) checking: (String, Vec<String>),
    /// The company of the changes, and for each caller the `Authorization` header and the level that the caller changes.
    pub(super) changing: (String, Vec<(String, String)>),
}

impl Victim {
    /// Sends requests at a fixed rate for `length`, and returns the response times.
    pub(super) async fn phase(&self, length: Duration) -> Result<Phase> {
        let until = Instant::now() + length;
        let check = |index: usize, headers: &String| {
            let body = json!({ "view": "/dashboard" });
            let request = request_in(&self.checking.0, "POST", "/api/iam/check", headers, Some(&body));
            let offset = CHECK_INTERVAL.mul_f64(index as f64 / self.checking.1.len() as f64);
            self.line(CHECK_INTERVAL, offset, until, move |_| request.clone())
        };
        let change = |index: usize, (headers, level): &(String, String)| {
            let (company, headers) = (self.changing.0.clone(), headers.clone());
            let path = format!("/api/iam/user-levels/{level}");
            let offset = CHANGE_INTERVAL.mul_f64(index as f64 / self.changing.1.len() as f64);
            self.line(CHANGE_INTERVAL, offset, until, move |turn| {
                let body = json!({ "description": format!("Change {turn} at {:?}", Instant::now()) });
                request_in(&company, "PATCH", &path, &headers, Some(&body))
            })
        };
        let checks = try_join_all(self.checking.1.iter().enumerate().map(|(index, caller)| check(index, caller)));
        let changes = try_join_all(self.changing.1.iter().enumerate().map(|(index, caller)| change(index, caller)));
        let (checks, changes) = try_join(checks, changes).await?;
        let mut phase = Phase::default();
        for (times, of_kind) in [(&mut phase.checks, checks), (&mut phase.changes, changes)] {
            for (own, failures) in of_kind {
                times.extend(own);
                phase.failures.extend(failures);
            }
        }
        Ok(phase)
    }

    /// Sends one request in each interval on one connection. Returns the response times in milliseconds, and the statuses
    /// that are not successes. The time of a request that is sent late, because the previous response was late, counts from
    /// the time at which it was due.
    async fn line(
        &self,
        interval: Duration,
        offset: Duration,
        until: Instant,
        mut request: impl FnMut(usize) -> Vec<u8>,
    ) -> Result<(Vec<f64>, Vec<u16>)> {
        let mut connection = Connection::open(self.server).await?;
        let (mut times, mut failures) = (Vec::new(), Vec::new());
        let mut due = Instant::now() + offset;
        for turn in 0.. {
            let bytes = request(turn);
            let since = if Instant::now() < due {
                sleep_until(due.into()).await;
                // The timer of this program may be late, for which the server is not responsible.
                Instant::now()
            } else {
                due
            };
            if due > until {
                break;
            }
            let status = connection.send(&bytes).await?.status;
            times.push(since.elapsed().as_secs_f64() * 1e3);
            if status != 200 {
                failures.push(status);
            }
            due += interval;
        }
        Ok((times, failures))
    }
}
