//! The benchmarks of the IAM service. Each result is a ratio of two programs, measured in one run on one machine
//! (docs/benchmarks.md).

pub mod admin;
pub mod api;
pub mod bare;
pub mod bounds;
pub mod clock;
pub mod cluster;
pub mod collector;
pub mod commits;
pub mod console;
pub mod data;
pub mod decisions;
pub mod fairness;
pub mod http;
pub mod load;
pub mod measure;
pub mod memory;
pub mod moving;
pub mod original;
pub mod ours;
pub mod peers;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod report;
pub mod scale;
pub mod sizing;
pub mod statements;
pub mod states;
pub mod tokens;
pub mod yardstick;

/// Any error. An error aborts the section of the benchmarks in which it occurs.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result type of the functions in this crate.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Reports progress on standard error.
pub fn progress(what: std::fmt::Arguments<'_>) {
    eprintln!("… {what}");
}
