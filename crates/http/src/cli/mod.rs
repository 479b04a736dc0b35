//! The command line of the programs `iam` and `iam-http`: the arguments and the dispatch of the commands.

mod ask;
mod check_config;
mod console;
mod export;
mod health;
mod import;
mod keys;
mod listen;
mod output;
mod progress;
mod serve;
mod statements;
mod token;
mod top;
mod version;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use iam_composition::{Demo, Settings};
use migration::command_line::{CommandError, Migrate};

use export::Export;
use health::Health;
use import::Import;
use keys::Keys;
use serve::MemoryFiles;
use token::Token;
use top::Top;
use version::Version;

/// Multi-tenant authorization service: decides what users may see and do in each company. Without a command, serves the
/// HTTP API.
///
/// Settings are read from environment variables and from the configuration file whose path is in IAM_CONFIG. See
/// docs/settings.md for all settings and their defaults, and docs/commands.md for all commands and their exit codes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the HTTP API. This is the default.
    Serve(MemoryFiles),
    /// Serves the API with in-memory storage and a demo company, and prints valid tokens and curl commands.
    ///
    /// The log contains only warnings and errors, unless IAM__LOG__FILTER or RUST_LOG is set.
    Demo(MemoryFiles),
    /// Migrates and seeds the database.
    ///
    /// This command reads only the database URL, and no other setting. The program `migration` does the same.
    Migrate(Migrate),
    /// Checks all settings, and prints every problem with the name of its setting.
    ///
    /// The command reads key files and resolves the host names to listen on. It does not connect to the database or to
    /// an identity provider, and binds no port. It prints no values of secrets.
    CheckConfig,
    /// Prints the OpenAPI document of the API.
    Openapi,
    /// Asks a running service whether it is ready, for probes without curl.
    ///
    /// The exit code is 0 if the service is ready, and 1 if it is not ready or does not respond.
    Health(Health),
    /// Prints the storage operations of a running service: calls, errors, rows and durations of the last minutes.
    ///
    /// The command reads them from the admin port of the service, and refreshes the table until it is interrupted.
    Top(Top),
    /// Prints a token that a server with the same settings accepts. Development mode only.
    ///
    /// Standard output contains only the token, so a shell can store it: `export TOKEN=$(iam token --user …)`. The
    /// token is signed with JWT_SECRET, which must have the same value for the server and for this command. In
    /// production mode, the command fails, because only the identity provider issues tokens.
    Token(Token),
    /// Manages API keys in the configured database.
    #[command(subcommand)]
    Keys(Keys),
    /// Writes the data of the configured database to a file, for `iam import`.
    ///
    /// The export is one consistent snapshot: the service may run at the same time. It contains no API keys, unless
    /// --with-credentials is given.
    Export(Export),
    /// Reads a file that `iam export` has written into the configured database.
    ///
    /// The whole file is verified and compared with the database before anything is changed. An interrupted import
    /// continues if it is repeated.
    Import(Import),
    /// Prints the version.
    Version(Version),
}

/// The global allocator. mimalloc makes small allocations cheap; each request makes dozens of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the program with this name, and returns its exit code.
pub(crate) async fn main(name: &'static str) -> ExitCode {
    let matches = Arguments::command().name(name).get_matches();
    let Arguments { command } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(command.unwrap_or_else(|| Command::Serve(MemoryFiles::default()))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The error is printed directly, so that it is visible at any log level and before logging is initialized.
            let _ = writeln!(io::stderr(), "{name}: {failure}");
            ExitCode::from(failure.downcast_ref().map_or(1, CommandError::exit_code))
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Serve(files) => serve::run(settings()?, None, files).await,
        Command::Demo(files) => {
            let mut settings = settings()?;
            let demo = Demo::admit(&mut settings)?;
            serve::run(settings, Some(demo), files).await
        }
        Command::Migrate(migrate) => Ok(migrate.run().await?),
        Command::CheckConfig => check_config::run().await,
        Command::Openapi => output::print(&serde_json::to_string_pretty(&iam_http::document()?)?),
        Command::Health(health) => health.run().await,
        Command::Top(top) => top.run().await,
        Command::Token(token) => token.run(&settings()?),
        Command::Keys(keys) => keys.run(&settings()?).await,
        Command::Export(export) => export.run(&settings_with_logs()?).await,
        Command::Import(import) => import.run(&settings_with_logs()?).await,
        Command::Version(version) => version.run(),
    }
}

fn settings() -> Result<Settings, iam_composition::SettingsError> {
    Settings::load(&iam_composition::environment())
}

/// Loads the settings, and writes the log of this process to standard error from now on.
fn settings_with_logs() -> Result<Settings, Box<dyn Error>> {
    let settings = settings()?;
    tracing::subscriber::set_global_default(iam_composition::command_logs(&settings)?)?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
