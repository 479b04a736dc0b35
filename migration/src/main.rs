//! The command line for operators: `migration [up | status | seed | down | fresh]`.
//!
//! `down` and `fresh` drop tables with all their data. They do not ask for confirmation, because a Kubernetes Job is
//! not interactive. Both commands are for development, and must not be run in production.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints to the terminal")]

mod connect;
mod listing;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use connect::connect;
use listing::{Listing, Totals};
use migration::MigrationError;
use migration::additive_defaults::{self, Outcome};
use sea_orm::DatabaseConnection;

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
        /// Insert no rows. Instead, list, for all companies, the default levels that earlier releases provisioned with
        /// deny rules, and the permissions that users would gain without these rules.
        #[arg(long, conflicts_with = "restore")]
        additive_defaults: bool,
        /// Also remove the listed deny rules, in all companies.
        #[arg(long, requires = "additive_defaults")]
        accept_gains: bool,
        /// Maximum number of users to list for each company.
        #[arg(long, requires = "additive_defaults", value_name = "N", default_value_t = 20)]
        max_users: usize,
    },
    /// Revert the last migrations without confirmation. This drops the tables that they created, INCLUDING ALL DATA in
    /// them.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Drop all IAM tables without confirmation, INCLUDING ALL DATA in them, and create them again.
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
    let (db, address) = connect(&url).await?;
    let outcome = execute(cli.command.unwrap_or(Command::Up), &db).await;
    outcome.map_err(|error| format!("{error} ({address})").into())
}

async fn execute(command: Command, db: &DatabaseConnection) -> Result<(), MigrationError> {
    match command {
        Command::Up => {
            if let Some(applied) = unless_ahead(migration::up(db).await)? {
                print_names("applied", &applied);
            }
        }
        Command::Status => {
            for migration in migration::status(db).await? {
                println!("{} {}", if migration.applied { "applied" } else { "pending" }, migration.name);
            }
        }
        Command::Seed { additive_defaults: true, accept_gains, max_users, .. } => {
            make_defaults_additive(db, accept_gains, max_users).await?;
        }
        Command::Seed { restore, .. } => {
            let report = if restore { migration::restore_seed(db).await } else { migration::seed(db).await };
            match unless_ahead(report)? {
                Some(report) if report.is_empty() => println!("nothing to insert"),
                Some(report) => println!("inserted {report}"),
                None => {}
            }
        }
        Command::Down { steps } => {
            println!("reverting up to {steps} migration(s), dropping the objects that they created");
            print_names("reverted", &migration::down(db, steps).await?);
        }
        Command::Fresh => {
            let applied = migration::fresh(db).await?;
            println!("recreated the views {}", migration::VIEWS.join(", "));
            println!("recreated the tables {}", migration::TABLES.join(", "));
            print_names("applied", &applied);
        }
    }
    Ok(())
}

/// Lists the default levels with deny rules, and the permissions that users would gain without these rules. Removes the
/// rules if `accept_gains` is `true`.
async fn make_defaults_additive(
    db: &DatabaseConnection,
    accept_gains: bool,
    max_users: usize,
) -> Result<(), MigrationError> {
    let Some(companies) = unless_ahead(additive_defaults::companies(db).await)? else { return Ok(()) };
    let mut totals = Totals::default();
    for company in companies {
        let mut plan = additive_defaults::plan(db, company).await?;
        loop {
            if !plan.is_empty() {
                println!("{}", Listing { plan: &plan, max_users });
            }
            if !accept_gains || plan.levels.is_empty() {
                break;
            }
            match additive_defaults::apply(db, &plan).await? {
                Outcome::Applied => {
                    println!("  these deny rules were removed");
                    break;
                }
                Outcome::Outdated(current) => {
                    println!("  nothing was removed, because the company was changed in the meantime");
                    plan = current;
                }
            }
        }
        totals.add(&plan);
    }
    if totals.is_empty() {
        println!("nothing to do: no default level has deny rules, or all default levels with deny rules were edited");
        return Ok(());
    }
    println!("{totals}");
    if !accept_gains {
        println!("nothing was changed; to remove these deny rules, run the command again with --accept-gains");
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
