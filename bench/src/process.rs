//! Servers as child processes that listen on unused loopback ports. Dropping a server kills its process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Timeout for the start of a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server process. Dropping the value kills the process.
pub struct Server {
    child: Child,
    /// The address on which the server listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a program, and waits until it prints `listening on http://…`. The program does not inherit the
    /// environment of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if the program exits instead, or does not listen within 30 s. The error contains the
    /// output of the program.
    pub fn start(program: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
        for stream in streams.into_iter().flatten() {
            follow(stream, &log);
        }
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let until = Instant::now() + PATIENCE;
        loop {
            let text = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let rest = text.split_once("listening on http://").map(|(_, rest)| rest);
            if let Some((address, _)) =
                rest.and_then(|rest| rest.split_once(|after: char| after.is_whitespace() || after == '"'))
            {
                server.address = address.parse()?;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server exited with {status}: {}", text.trim()).into());
            }
            if Instant::now() > until {
                return Err(format!("the server does not listen: {}", text.trim()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has exited.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.id())?).ok_or("no process has the id 0")?;
        Ok(kill_process(process, signal)?)
    }

    /// Returns the process id of the server.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time for which threads ran on a CPU, and for which they waited for a CPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessorTime {
    /// The time for which threads ran on a CPU.
    pub ran: Duration,
    /// The time for which runnable threads waited for a CPU.
    pub waited: Duration,
}

impl ProcessorTime {
    fn read(schedstat: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(schedstat)?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut next =
            || -> Result<Duration> { Ok(Duration::from_nanos(numbers.next().ok_or("an empty schedstat")??)) };
        Ok(Self { ran: next()?, waited: next()? })
    }

    /// Returns the CPU times of the current thread since its start.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report the CPU times.
    pub fn of_this_thread() -> Result<Self> {
        Self::read(Path::new("/proc/thread-self/schedstat"))
    }

    /// Returns the CPU times of all running threads of a process since their start.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report the CPU times, or the process has exited.
    pub fn of_process(process: u32) -> Result<Self> {
        let mut sum = Self::default();
        for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let Self { ran, waited } = Self::read(&task?.path().join("schedstat"))?;
            sum = Self { ran: sum.ran + ran, waited: sum.waited + waited };
        }
        Ok(sum)
    }

    /// Returns the CPU times since an earlier measurement.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { ran: self.ran.saturating_sub(earlier.ran), waited: self.waited.saturating_sub(earlier.waited) }
    }
}

/// Returns the largest resident memory of a process since its start, in bytes.
///
/// # Errors
///
/// Returns an error if the system does not report it, or the process has exited.
pub fn peak_memory(process: u32) -> Result<u64> {
    memory(process, "VmHWM:")
}

/// Returns the resident memory of a process, in bytes.
///
/// # Errors
///
/// Returns an error if the system does not report it, or the process has exited.
pub fn resident_memory(process: u32) -> Result<u64> {
    memory(process, "VmRSS:")
}

/// Returns the size in this line of the status of a process, in bytes.
fn memory(process: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a line of the status is missing")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// Appends the output of the server to the log, on a new thread. The thread reads until the end of the output, so that
/// the server never blocks on a full pipe.
fn follow(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(std::result::Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}
