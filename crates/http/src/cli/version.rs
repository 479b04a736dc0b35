//! The command `iam version`, which prints the version of the program and of its schema.

use std::error::Error;

use clap::Args;
use serde_json::json;

use super::output::print;

/// The version of the package.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub(crate) struct Version {
    /// Prints a JSON object with the version, the build profile, and the migrations of this release.
    #[arg(long)]
    json: bool,
}

impl Version {
    /// Prints the version to standard output.
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        if !self.json {
            return print(&format!("iam {VERSION}"));
        }
        let migrations = migration::command_line::migrations();
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let version = json!({
            "name": "iam",
            "version": VERSION,
            "profile": profile,
            "migrations": migrations.len(),
            "newestMigration": migrations.last(),
        });
        print(&version.to_string())
    }
}
