//! Runs all benchmarks or the selected sections, prints a table and writes JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use iam_bench::report::{Report, Row};
use iam_bench::{
    Result, admin, bare, bounds, commits, console, decisions, fairness, http, memory, moving, original, postgres,
    progress, scale, sizing, states,
};

/// The global allocator: the same as that of the server, because decisions are measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The benchmarks of the IAM service (docs/benchmarks.md).
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all benchmarks, or the sections that `--filter` selects.
    Run(Options),
    /// Start the bare server that our server is compared with.
    Bare(bare::Options),
    /// Flood a server, as the plan on standard input describes. The section `fairness` runs this command.
    Flood,
}

#[derive(Args)]
struct Options {
    /// Run only the sections whose name contains this string.
    #[arg(long, default_value = "")]
    filter: String,
    /// Path of the JSON output.
    #[arg(long)]
    out: PathBuf,
    /// Path of the binary `iam-http`.
    #[arg(long)]
    server: PathBuf,
    /// Path of the binary `iam-bench-memory`.
    #[arg(long)]
    memory: PathBuf,
    /// URL of a PostgreSQL server, for a role that may create databases.
    #[arg(long, env = "TEST_DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

/// The names of all sections, in the order of the report. `--filter` selects some of them.
const SECTIONS: [&str; 19] = [
    "decisions",
    "users",
    "memory",
    "sizing",
    "http",
    "tokens",
    "traces",
    "cold",
    "replace",
    "commits",
    "revocation",
    "bounds",
    "fairness",
    "admin",
    "console",
    "states",
    "original",
    "scale",
    "moving",
];

impl Options {
    async fn section(&self, name: &str) -> Result<Vec<Row>> {
        match name {
            "decisions" => decisions::decisions().await,
            "users" => decisions::users().await,
            "memory" => memory::memory(&self.memory),
            "sizing" => sizing::sizing(&self.database_url, &self.server).await,
            "http" => http::requests(&self.server).await,
            "tokens" => http::tokens(&self.server).await,
            "traces" => http::traces(&self.server).await,
            "cold" => postgres::cold(&self.database_url).await,
            "replace" => postgres::replace(&self.database_url).await,
            "revocation" => postgres::revocation(&self.database_url, &self.server).await,
            "commits" => commits::commits(&self.server).await,
            "bounds" => bounds::bounds(&self.server).await,
            "fairness" => fairness::fairness(&self.database_url, &self.server).await,
            "admin" => admin::admin(&self.database_url, &self.server).await,
            "console" => console::console(&self.database_url, &self.server).await,
            "states" => states::states().await,
            "original" => original::original(&self.database_url).await,
            "scale" => scale::scale(&self.server).await,
            "moving" => moving::moving(&self.database_url, &self.server).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn run(&self) -> Result<()> {
        let mut report = Report::begin()?;
        for name in SECTIONS.into_iter().filter(|name| name.contains(&self.filter)) {
            progress(format_args!("section {name}"));
            match self.section(name).await {
                Ok(measured) => report.rows.extend(measured),
                Err(error) => report.rows.push(Row::failed(name, "all of it", error)),
            }
        }
        if report.rows.is_empty() {
            return Err(format!(
                "no section has {:?} in its name; the sections are {}",
                self.filter,
                SECTIONS.join(", ")
            )
            .into());
        }
        println!("{report}");
        std::fs::write(&self.out, serde_json::to_string_pretty(&report)?)?;
        Ok(())
    }
}

// The load generator runs on one thread, because the other core is reserved for the measured server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bare(options) => bare::serve(options).await,
        Command::Flood => fairness::attack::run().await,
        Command::Run(options) => options.run().await,
    };
    match outcome {
        // Results that miss their target are marked in the table and do not make the run fail.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iam-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
