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

/// Returns the build profile of the program.
const fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// Publishes the metric `iam_build_info`, whose labels identify the program.
pub(crate) fn publish_build_info() {
    metrics::describe_gauge!("iam_build_info", "Identifies the program by its labels; the value is always 1");
    let schema = migration::command_line::migrations().pop().unwrap_or_default();
    metrics::gauge!("iam_build_info", "version" => VERSION, "profile" => profile(), "schema" => schema).set(1.0);
}

impl Version {
    /// Prints the version to standard output.
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        if !self.json {
            return print(&format!("iam {VERSION}"));
        }
        let migrations = migration::command_line::migrations();
        let version = json!({
            "name": "iam",
            "version": VERSION,
            "profile": profile(),
            "migrations": migrations.len(),
            "newestMigration": migrations.last(),
        });
        print(&version.to_string())
    }
}
