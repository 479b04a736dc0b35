//! The program `migration`, which migrates and seeds the database. The command `iam migrate` does the same.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use migration::command_line::Migrate;

#[derive(Parser)]
#[command(name = "migration", version)]
struct Cli {
    #[command(flatten)]
    migrate: Migrate,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().migrate.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
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
