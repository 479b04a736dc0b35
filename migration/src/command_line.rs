//! The command line of the programs `migration` and `iam migrate`: `[up | status | seed | down | fresh]`.
//!
//! `down` and `fresh` drop tables with all their data, so an operator must confirm them.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use sea_orm::DatabaseConnection;
use sea_orm_migration::MigratorTrait;

use crate::additive_defaults::{self, Outcome};
use crate::adoption::{self, AdoptionError, Mode, Repair};
use crate::connect::connect;
use crate::error::MigrationError;
use crate::listing::{Listing, Totals};
use crate::{Changes, IndexProblem, LockWait, Migrator, TABLES, Undivided, VIEWS};

pub use crate::connect::{ConnectError, Problem};

/// The reason why a command failed. The message contains no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No database URL is set.
    #[error("DATABASE_URL is not set: set it, or pass --database-url")]
    NoUrl,
    /// No session could be opened. The message contains the address of the database and the cause.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The command deletes data, and no operator has confirmed it. The database is unchanged.
    #[error("not confirmed: this command {0}. To confirm it without a terminal, pass --yes")]
    NotConfirmed(&'static str),
    /// A newer release has migrated the database.
    #[error("the database contains migrations of a newer release: {} ({address})", .unknown.join(", "))]
    Ahead {
        /// The names of the applied migrations that this program does not contain.
        unknown: Vec<String>,
        /// The address of the database.
        address: String,
    },
    /// The command failed on the database.
    #[error("{source} ({address})")]
    Failed {
        /// The error of the command.
        source: MigrationError,
        /// The address of the database.
        address: String,
    },
    /// The database could not be adopted. It is unchanged.
    #[error("{source} ({address}); nothing was changed")]
    NotAdopted {
        /// The reason.
        source: AdoptionError,
        /// The address of the database.
        address: String,
    },
    /// The results cannot be printed, but the command has succeeded so far: it may have changed the database.
    #[error("the results cannot be written to standard output, although the command has succeeded: {0}")]
    Output(#[source] io::Error),
    /// The terminal cannot be read or written.
    #[error("the confirmation cannot be read: {0}")]
    Terminal(#[from] io::Error),
}

impl CommandError {
    /// Returns the exit code of a program whose command failed with this error. The guide `docs/commands.md` lists the
    /// exit codes.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Ahead { .. } => 3,
            Self::NotConfirmed(_) => 4,
            Self::NoUrl
            | Self::Connect(_)
            | Self::Failed { .. }
            | Self::NotAdopted { .. }
            | Self::Output(_)
            | Self::Terminal(_) => 1,
        }
    }
}

/// Migrates and seeds the database of the IAM service.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Database URL: postgres://user:password@host:port/name. Prefer the environment variable, since arguments are
    /// visible in `ps`.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// The command to run. Default: `up`.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply pending migrations, and build missing indexes.
    Up {
        /// Time during which the migration is attempted again while other sessions hold locks: a whole number with the
        /// unit ms, s, m or h. Each attempt waits at most one second for a lock.
        #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
        wait: Duration,
    },
    /// List applied, pending and unknown migrations, and missing and invalid indexes, without changing anything.
    ///
    /// An unknown migration is a migration of a newer release. If there is one, the exit code is 3.
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
    /// Adopt a database of the original system: move its tables to the schema iam_original, create the schema of this
    /// service, and copy all rows.
    ///
    /// Rows that violate a constraint are listed. They stop the adoption, unless --repair is given for their kind.
    Adopt {
        /// List what the adoption would do, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Repair all rows of a kind. May be given once for each kind; the listing names the kinds and their repairs.
        #[arg(long, value_name = "KIND=REPAIR")]
        repair: Vec<Repair>,
    },
    /// Revert the last migrations. This drops the tables that they created, INCLUDING ALL DATA in them.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: u32,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Drop all IAM tables, INCLUDING ALL DATA in them, and create them again.
    Fresh {
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

#[derive(Debug, Args)]
struct Confirmation {
    /// Confirm the deletion of the data. Required unless the command runs on a terminal, where it asks.
    #[arg(long)]
    yes: bool,
}

impl Command {
    /// Returns a description of the data that the command deletes. Returns `None` if the command deletes no data, or if
    /// the arguments confirm the deletion.
    const fn unconfirmed_deletion(&self) -> Option<&'static str> {
        match self {
            Self::Down { confirmation: Confirmation { yes: false }, .. } => {
                Some("reverts migrations, and deletes all data in the tables that they created")
            }
            Self::Fresh { confirmation: Confirmation { yes: false } } => {
                Some("drops all tables of the service, and deletes all data in them")
            }
            _ => None,
        }
    }
}

impl Migrate {
    /// Runs the command, and prints its results to standard output.
    ///
    /// # Errors
    ///
    /// Returns [`CommandError`] if the command fails, if it is not confirmed, or if the command `status` finds
    /// migrations of a newer release.
    pub async fn run(self) -> Result<(), CommandError> {
        let url = self.database_url.filter(|url| !url.is_empty()).ok_or(CommandError::NoUrl)?;
        let command = self.command.unwrap_or(Command::Up { wait: LockWait::LIMIT });
        let deletion = command.unconfirmed_deletion();
        if let Some(effect) = deletion.filter(|_| !is_interactive()) {
            return Err(CommandError::NotConfirmed(effect));
        }
        let (db, address) = connect(&url).await?;
        if let Some(effect) = deletion
            && !confirm(effect, &address)?
        {
            return Err(CommandError::NotConfirmed(effect));
        }
        match execute(command, &db).await {
            Ok(unknown) if unknown.is_empty() => Ok(()),
            Ok(unknown) => Err(CommandError::Ahead { unknown, address }),
            Err(Failure::Migration(source)) => Err(CommandError::Failed { source, address }),
            Err(Failure::Adoption(source)) => Err(CommandError::NotAdopted { source, address }),
            Err(Failure::Output(error)) => Err(CommandError::Output(error)),
        }
    }
}

/// Returns the names of all migrations of this release, in the order in which they are applied.
#[must_use]
pub fn migrations() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// Returns `true` if a person can read the question and type the answer.
fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal whether the command may delete data. Returns `true` if the answer is `yes`.
fn confirm(effect: &str, address: &str) -> io::Result<bool> {
    let mut terminal = io::stderr();
    write!(terminal, "This command {effect} ({address}).\nType yes to continue: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// The reason why the execution of a command failed.
enum Failure {
    Migration(MigrationError),
    Adoption(AdoptionError),
    Output(io::Error),
}

impl From<MigrationError> for Failure {
    fn from(error: MigrationError) -> Self {
        Self::Migration(error)
    }
}

impl From<AdoptionError> for Failure {
    fn from(error: AdoptionError) -> Self {
        Self::Adoption(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints a line of the results. Succeeds also if the reader has closed the pipe, as `head` does.
fn say(line: &dyn fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints a message to standard error. The command continues if this fails.
fn warn(message: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Parses a duration, in the format of the settings.
fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    // At most a day.
    let parsed = number.parse::<u64>().ok().zip(millis).and_then(|(number, millis)| number.checked_mul(millis));
    let parsed = parsed.filter(|millis| *millis <= 24 * 3_600_000).map(Duration::from_millis);
    parsed.ok_or("must be a whole number with the unit ms, s, m or h, such as 30s or 5m, and at most 24h")
}

/// Executes a command. The command `status` returns the names of the unknown migrations; the list is otherwise empty.
async fn execute(command: Command, db: &DatabaseConnection) -> Result<Vec<String>, Failure> {
    match command {
        Command::Up { wait } => {
            let wait = LockWait { limit: wait, report: &|progress| warn(progress) };
            if let Some(Changes { applied, built }) = unless_ahead(crate::up_within(db, wait).await)? {
                print_names("applied", &applied)?;
                for name in &built {
                    say(&format_args!("built index {name}"))?;
                }
            }
        }
        Command::Status => return print_status(db).await,
        Command::Seed { additive_defaults: true, accept_gains, max_users, .. } => {
            make_defaults_additive(db, accept_gains, max_users).await?;
        }
        Command::Seed { restore, .. } => {
            let report = if restore { crate::restore_seed(db).await } else { crate::seed(db).await };
            match unless_ahead(report)? {
                Some(report) if report.is_empty() => say(&"nothing to insert")?,
                Some(report) => say(&format_args!("inserted {report}"))?,
                None => {}
            }
        }
        Command::Adopt { dry_run, repair } => {
            let mode = if dry_run { Mode::DryRun } else { Mode::Commit };
            match adoption::adopt(db, &repair, mode).await {
                Ok(report) => {
                    say(&report)?;
                    say(&if dry_run {
                        "nothing was changed"
                    } else {
                        "the database was adopted; next, run the command seed"
                    })?;
                }
                Err(AdoptionError::Unrepaired(report)) => {
                    say(&report)?;
                    return Err(AdoptionError::Unrepaired(report).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Command::Down { steps, .. } => {
            print_names("reverted", &crate::down(db, steps).await?)?;
        }
        Command::Fresh { .. } => {
            let applied = crate::fresh(db).await?;
            say(&format_args!("recreated the views {}", VIEWS.join(", ")))?;
            say(&format_args!("recreated the tables {}", TABLES.join(", ")))?;
            print_names("applied", &applied)?;
        }
    }
    Ok(Vec::new())
}

/// Prints the status of every migration: those of this release in order, and then the unknown ones; the indexes that are
/// missing or invalid; and whether the audit log is not divided into partitions. Returns the names of the unknown migrations.
async fn print_status(db: &DatabaseConnection) -> Result<Vec<String>, Failure> {
    let (pending, unknown) = match crate::pending(db).await {
        Ok(pending) => (pending, Vec::new()),
        Err(MigrationError::Ahead { unknown, pending }) => (pending, unknown),
        Err(error) => return Err(error.into()),
    };
    for name in migrations() {
        say(&format_args!("{} {name}", if pending.contains(&name) { "pending" } else { "applied" }))?;
    }
    for name in &unknown {
        say(&format_args!("unknown {name}"))?;
    }
    // A newer release may have dropped indexes of this release on purpose.
    if unknown.is_empty() {
        for (name, problem) in crate::index_problems(db).await? {
            let problem = match problem {
                IndexProblem::Missing => "missing",
                IndexProblem::Invalid => "invalid",
            };
            say(&format_args!("{problem} index {name}"))?;
        }
    }
    if pending.is_empty() && unknown.is_empty() {
        match crate::undivided(db).await? {
            Some(Undivided::Unfinished) => say(&"undivided audit log: the next `up` divides it")?,
            Some(Undivided::Used) => say(&"undivided audit log: objects of other programs refer to it")?,
            None => {}
        }
    }
    Ok(unknown)
}

/// Lists the default levels with deny rules, and the permissions that users would gain without these rules. Removes the
/// rules if `accept_gains` is `true`.
async fn make_defaults_additive(db: &DatabaseConnection, accept_gains: bool, max_users: usize) -> Result<(), Failure> {
    let Some(companies) = unless_ahead(additive_defaults::companies(db).await)? else { return Ok(()) };
    let mut totals = Totals::default();
    for company in companies {
        let mut plan = additive_defaults::plan(db, company).await?;
        loop {
            if !plan.is_empty() {
                say(&Listing { plan: &plan, max_users })?;
            }
            if !accept_gains || plan.levels.is_empty() {
                break;
            }
            match additive_defaults::apply(db, &plan).await? {
                Outcome::Applied => {
                    say(&"  these deny rules were removed")?;
                    break;
                }
                Outcome::Outdated(current) => {
                    say(&"  nothing was removed, because the company was changed in the meantime")?;
                    plan = current;
                }
            }
        }
        totals.add(&plan);
    }
    if totals.is_empty() {
        say(&"nothing to do: no default level has deny rules, or all default levels with deny rules were edited")?;
        return Ok(());
    }
    say(&totals)?;
    if !accept_gains {
        say(&"nothing was changed; to remove these deny rules, run the command again with --accept-gains")?;
    }
    Ok(())
}

/// Returns the outcome, or `None` if a newer release has applied everything that this release needs. This is not an
/// error, because the migration Job of this release must not fail after a rollback from the newer release.
fn unless_ahead<T>(outcome: Result<T, MigrationError>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(MigrationError::Ahead { unknown, pending }) if pending.is_empty() => {
            say(&format_args!("nothing to do: a newer release has applied {}", unknown.join(", ")))?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn print_names(what: &str, names: &[String]) -> io::Result<()> {
    if names.is_empty() {
        say(&"nothing to do")?;
    }
    for name in names {
        say(&format_args!("{what} {name}"))?;
    }
    Ok(())
}
