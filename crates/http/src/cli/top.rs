//! The command `iam top`, which prints the storage operations of a running service.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use iam_composition::Settings;

use super::ask::get;
use super::listen::reachable;
use super::output::print;
use super::statements::{Column, Table};

/// The path of the table on the admin port.
const PATH: &str = "/admin/statements";
/// The timeout for a response, in seconds.
const TIMEOUT: u32 = 5;
/// The escape sequence that clears a terminal and moves the cursor to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

#[derive(Args)]
pub(crate) struct Top {
    /// Prints the table once, instead of refreshing it. This is the default if standard output is not a terminal.
    #[arg(long)]
    once: bool,
    /// Prints the table once, as JSON.
    #[arg(long)]
    json: bool,
    /// Sets the column by which the operations are sorted.
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "total")]
    sort: Column,
    /// Sets the maximum number of operations.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Sets the time between two refreshes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// Sets the address of the admin port.
    ///
    /// Without this option, the settings of the server specify the address (IAM__ADMIN__HOST and IAM__ADMIN__PORT).
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
}

impl Top {
    /// Prints the table to standard output.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => configured()?,
        };
        if self.json {
            return print(&serde_json::to_string(&self.read(&address).await?)?);
        }
        if self.once || !io::stdout().is_terminal() {
            return print(&self.read(&address).await?.text());
        }
        let mut table = self.read(&address).await?.text();
        loop {
            print(&format!("{CLEAR}{table}"))?;
            tokio::time::sleep(Duration::from_secs(self.interval.into())).await;
            // The service may be restarting. The table is shown again as soon as it responds.
            table = self.read(&address).await.map_or_else(|error| format!("no figures: {error}"), |table| table.text());
        }
    }

    async fn read(&self, address: &str) -> Result<Table, Box<dyn Error>> {
        let (status, body) = get(address, PATH, TIMEOUT).await?;
        if status != 200 {
            return Err(
                format!("{address} answered {status} to {PATH}: it is not the admin port of this release").into()
            );
        }
        let table: Table = serde_json::from_str(&body)?;
        Ok(table.first_by(self.sort, self.limit.into()))
    }
}

/// Returns the address of the admin port with the settings of this process.
fn configured() -> Result<String, Box<dyn Error>> {
    let admin = Settings::load(&iam_composition::environment())?.admin;
    match admin.port {
        _ if !admin.enabled => Err("admin.enabled (IAM__ADMIN__ENABLED) is false, so there is no admin port".into()),
        0 => {
            Err("admin.port (IAM__ADMIN__PORT) is 0, so the operating system has selected the port: pass --address"
                .into())
        }
        port => Ok(format!("{}:{port}", reachable(&admin.host))),
    }
}
