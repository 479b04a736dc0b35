//! Writes the metrics of the process and of its Tokio runtimes in the Prometheus text format. They are read when they
//! are scraped, and some of them are fractional counters, which the metrics recorder does not support.

use std::fmt::Write;
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

use super::runtimes::{NAMES, named, silence};

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// A metric: its name, its type, and its description.
type Metric = (&'static str, &'static str, &'static str);

/// Writes a metric with its series: the labels, which may be empty, and the value of each.
fn write(page: &mut String, (name, kind, help): Metric, series: &[(String, f64)]) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in series {
        let _ = writeln!(page, "{name}{labels} {value}");
    }
    page.push('\n');
}

/// Appends the metrics of the process and of its runtimes to a page in the Prometheus text format.
pub(super) fn append(page: &mut String) {
    write_runtimes(page);
    write_silence(page);
    if let Some(process) = Process::read() {
        process.write(page);
    }
}

fn write_runtimes(page: &mut String) {
    let mut metric = |metric: Metric, value: fn(&RuntimeMetrics) -> f64| {
        let series = NAMES.map(|name| {
            let sum: f64 = named(name).iter().map(|runtime| value(&runtime.metrics)).sum();
            // The sum of no values is a negative zero.
            (format!("{{runtime=\"{name}\"}}"), sum + 0.0)
        });
        write(page, metric, &series);
    };
    metric(("iam_runtime_workers", GAUGE, "Worker threads of the runtimes"), |runtime| runtime.num_workers() as f64);
    metric(("iam_runtime_tasks", GAUGE, "Tasks that have not completed"), |runtime| runtime.num_alive_tasks() as f64);
    let queued = "Tasks that wait in the global queue of a runtime";
    metric(("iam_runtime_global_queue_tasks", GAUGE, queued), |runtime| runtime.global_queue_depth() as f64);
    metric(("iam_runtime_busy_seconds_total", COUNTER, "Time that worker threads were busy"), |runtime| {
        sum(runtime, busy).as_secs_f64()
    });
    metric(
        ("iam_runtime_parks_total", COUNTER, "Times that a worker thread went to sleep for lack of work"),
        |runtime| sum(runtime, parks) as f64,
    );
}

/// Writes for how long each runtime has executed no task.
fn write_silence(page: &mut String) {
    let series = NAMES.map(|name| (format!("{{runtime=\"{name}\"}}"), silence(name).as_secs_f64()));
    let help = "Time since the runtimes last executed a task, which they do every second";
    write(page, ("iam_runtime_silence_seconds", GAUGE, help), &series);
}

/// Returns the sum of a value over the worker threads of a runtime.
fn sum<T: std::iter::Sum>(runtime: &RuntimeMetrics, value: fn(&RuntimeMetrics, usize) -> T) -> T {
    (0..runtime.num_workers()).map(|worker| value(runtime, worker)).sum()
}

// On platforms without 64-bit atomics, Tokio does not measure these values.
#[cfg(target_has_atomic = "64")]
fn busy(runtime: &RuntimeMetrics, worker: usize) -> Duration {
    runtime.worker_total_busy_duration(worker)
}

#[cfg(target_has_atomic = "64")]
fn parks(runtime: &RuntimeMetrics, worker: usize) -> u64 {
    runtime.worker_park_count(worker)
}

#[cfg(not(target_has_atomic = "64"))]
fn busy(_: &RuntimeMetrics, _: usize) -> Duration {
    Duration::ZERO
}

#[cfg(not(target_has_atomic = "64"))]
fn parks(_: &RuntimeMetrics, _: usize) -> u64 {
    0
}

/// The resources that the process uses, as Linux reports them.
#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    threads: f64,
    open_files: f64,
    max_open_files: f64,
}

impl Process {
    /// Reads the resources from `/proc`. Returns `None` if `/proc` cannot be read.
    #[cfg(target_os = "linux")]
    fn read() -> Option<Self> {
        let read = |path| std::fs::read_to_string(path).ok();
        // The directory that is read is itself an open file.
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        let (ticks, page) = (rustix::param::clock_ticks_per_second(), rustix::param::page_size());
        let (stat, limits, machine) = (read("/proc/self/stat")?, read("/proc/self/limits")?, read("/proc/stat")?);
        Self::parse([&stat, &limits, &machine], open_files as f64, ticks as f64, page as f64)
    }

    #[cfg(not(target_os = "linux"))]
    fn read() -> Option<Self> {
        None
    }

    /// Parses `/proc/self/stat`, `/proc/self/limits` and `/proc/stat`.
    fn parse([stat, limits, machine]: [&str; 3], open_files: f64, ticks: f64, page: f64) -> Option<Self> {
        // The name of the program is in parentheses, and may contain spaces. The third field follows it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let boot: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let max = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            start_seconds: boot + field(22)? / ticks,
            resident_bytes: field(24)? * page,
            virtual_bytes: field(23)?,
            threads: field(20)?,
            open_files,
            max_open_files: max.parse().unwrap_or(f64::INFINITY),
        })
    }

    fn write(&self, page: &mut String) {
        let mut metric = |metric: Metric, value: f64| write(page, metric, &[(String::new(), value)]);
        let cpu = "Processor time of the process in user and system mode";
        metric(("process_cpu_seconds_total", COUNTER, cpu), self.cpu_seconds);
        let start = "Start of the process, in seconds since the Unix epoch";
        metric(("process_start_time_seconds", GAUGE, start), self.start_seconds);
        metric(("process_resident_memory_bytes", GAUGE, "Resident memory of the process"), self.resident_bytes);
        metric(("process_virtual_memory_bytes", GAUGE, "Virtual memory of the process"), self.virtual_bytes);
        metric(("process_threads", GAUGE, "Threads of the process"), self.threads);
        metric(("process_open_fds", GAUGE, "Open files and connections of the process"), self.open_files);
        metric(("process_max_fds", GAUGE, "Limit on open files and connections"), self.max_open_files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str =
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096 files\n";

    #[test]
    fn the_fields_of_proc_are_parsed_after_the_name_of_the_program() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1000 8192000 25 18446744073709551615";
        let parsed = Process::parse([stat, LIMITS, "cpu 1\nbtime 1700000000\n"], 12.0, 100.0, 4096.0).unwrap();
        let expected = Process {
            cpu_seconds: 2.0,
            start_seconds: 1_700_000_010.0,
            resident_bytes: 102_400.0,
            virtual_bytes: 8_192_000.0,
            threads: 9.0,
            open_files: 12.0,
            max_open_files: 1024.0,
        };
        assert_eq!(parsed, expected);
        assert_eq!(Process::parse(["7 (a", LIMITS, "btime 1"], 1.0, 100.0, 4096.0), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_resources_of_this_process_are_read() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 0.0 && process.virtual_bytes >= process.resident_bytes, "{process:?}");
        assert!(process.threads >= 1.0 && process.open_files >= 1.0, "{process:?}");
    }
}
