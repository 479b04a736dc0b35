//! Divides the processors of the machine between the measured server, and PostgreSQL with the flood.

use std::path::Path;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sea_orm::sqlx::{self, Connection as _, PgConnection};

use crate::{Result, progress};

/// A division of the processors. Dropping the value lifts the restrictions of this process and of PostgreSQL.
///
/// The server and the two tenants use the first half of the processors, as a server does that has its own machine.
/// PostgreSQL and the flood use the other half. Without this division, the operating system decides how much time the
/// server gets beside PostgreSQL. With autogroup scheduling, each connection of PostgreSQL counts as much as the server,
/// the tenants and the flood together.
pub(super) struct Processors {
    all: CpuSet,
    /// The half of PostgreSQL and of the flood.
    pub(super) other: Vec<usize>,
    /// The main process of PostgreSQL, if it runs on this machine.
    postmaster: Option<u32>,
}

impl Processors {
    /// Divides the processors. Processes that this process starts afterwards use the half of the server. A single
    /// processor is not divided.
    ///
    /// # Errors
    ///
    /// Returns an error if PostgreSQL cannot be reached, or its processes may not be moved.
    pub(super) async fn divide(database: &str) -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        let (server, other) = usable.split_at(usable.len() / 2);
        let mut division = Self { all, other: other.to_vec(), postmaster: None };
        if server.is_empty() {
            progress(format_args!("there is one processor only: the server, PostgreSQL and the flood share it"));
            return Ok(division);
        }
        division.postmaster = postmaster(database).await?;
        match division.postmaster {
            Some(process) => restrict_family(process, &set_of(other))?,
            None => {
                progress(format_args!("PostgreSQL does not run on this machine: its processors are not restricted"))
            }
        }
        restrict(std::process::id(), &set_of(server))?;
        Ok(division)
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        // Processes that ended in the meantime need no processors.
        let _ = restrict(std::process::id(), &self.all);
        if let Some(process) = self.postmaster {
            let _ = restrict_family(process, &self.all);
        }
    }
}

/// Restricts this process to these processors.
///
/// # Errors
///
/// Returns an error if none of the processors exists.
pub(super) fn restrict_this_process(processors: &[usize]) -> Result<()> {
    restrict(std::process::id(), &set_of(processors))
}

fn set_of(processors: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor);
    }
    set
}

/// Restricts all threads of a process. Threads and processes that it starts afterwards inherit the restriction.
fn restrict(process: u32, processors: &CpuSet) -> Result<()> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = task?.file_name().to_string_lossy().parse()?;
        sched_setaffinity(Pid::from_raw(thread), processors)?;
    }
    Ok(())
}

/// Restricts a process and its child processes.
fn restrict_family(process: u32, processors: &CpuSet) -> Result<()> {
    restrict(process, processors)?;
    for entry in std::fs::read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse() else { continue };
        if parent(child) == Some(process) {
            // A child process may end at any time.
            let _ = restrict(child, processors);
        }
    }
    Ok(())
}

fn parent(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Returns the main process of PostgreSQL. Returns `None` if PostgreSQL does not run on this machine.
async fn postmaster(database: &str) -> Result<Option<u32>> {
    let mut connection = PgConnection::connect(database).await?;
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
    let backend = u32::try_from(backend)?;
    let command = std::fs::read(Path::new("/proc").join(backend.to_string()).join("cmdline")).unwrap_or_default();
    let process = parent(backend).filter(|_| command.starts_with(b"postgres"));
    connection.close().await?;
    Ok(process)
}
