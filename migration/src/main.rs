//! The command line for operators: `migration [up | status | seed | down | fresh]`.
//!
//! `down` and `fresh` drop tables with all their data. They do not ask for confirmation, because a Kubernetes Job is
//! not interactive. Both commands are for development, and must not be run in production.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints to the terminal")]

mod connect;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use connect::connect;
use migration::MigrationError;

/// Migrates the database of the IAM service.
#[derive(Parser)]
#[command(name = "migration", version)]
struct Cli {
    /// Database URL: postgres://user:password@host:port/name. Prefer the environment variable, since arguments are
    /// visible in `ps`.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// The command to run. Default: `up`.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Apply pending migrations.
    Up,
    /// List applied and pending migrations, without changing anything.
    Status,
    /// Insert the seed rows that this database has not received before. Deleted rows are not inserted again.
    Seed {
        /// Also restore deleted seed rows.
        #[arg(long)]
        restore: bool,
    },
    /// Revert the last migrations, without confirmation: drops the tables that they created WITH ALL DATA.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Drop all IAM tables WITH ALL THEIR DATA, without confirmation, and create them again.
    Fresh,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    let url = cli.database_url.filter(|url| !url.is_empty());
    let url = url.ok_or("DATABASE_URL is not set: set it, or pass --database-url")?;
    let db = connect(&url).await?;
    match cli.command.unwrap_or(Command::Up) {
        Command::Up => {
            if let Some(applied) = unless_ahead(migration::up(&db).await)? {
                print_names("applied", &applied);
            }
        }
        Command::Status => {
            for migration in migration::status(&db).await? {
                println!("{} {}", if migration.applied { "applied" } else { "pending" }, migration.name);
            }
        }
        Command::Seed { restore } => {
            let report = if restore { migration::restore_seed(&db).await } else { migration::seed(&db).await };
            match unless_ahead(report)? {
                Some(report) if report.is_empty() => println!("nothing to insert"),
                Some(report) => println!("inserted {report}"),
                None => {}
            }
        }
        Command::Down { steps } => {
            println!("reverting up to {steps} migration(s), dropping the objects that they created");
            print_names("reverted", &migration::down(&db, steps).await?);
        }
        Command::Fresh => {
            let applied = migration::fresh(&db).await?;
            println!("recreated the views {}", migration::VIEWS.join(", "));
            println!("recreated the tables {}", migration::TABLES.join(", "));
            print_names("applied", &applied);
        }
    }
    Ok(())
}

/// Returns the outcome, or `None` if a newer release has applied everything that this release needs. This is not an
/// error, because the migration Job of this release must not fail after a rollback from the newer release.
fn unless_ahead<T>(outcome: Result<T, MigrationError>) -> Result<Option<T>, MigrationError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(MigrationError::Ahead { unknown, pending }) if pending.is_empty() => {
            println!("nothing to do: a newer release has applied {}", unknown.join(", "));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn print_names(what: &str, names: &[String]) {
    if names.is_empty() {
        println!("nothing to do");
    }
    for name in names {
        println!("{what} {name}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
