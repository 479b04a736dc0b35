//! The command `iam health`, which asks a running service whether it is ready or alive.

use std::error::Error;

use clap::Args;
use iam_composition::Settings;

use super::ask::get;
use super::listen::reachable;
use super::output::print;

#[derive(Args)]
pub(crate) struct Health {
    /// Asks whether the process is alive (/livez) instead of whether it is ready (/readyz).
    #[arg(long)]
    live: bool,
    /// Sets the address of the service.
    ///
    /// Without this option, the settings of the server specify the address (IAM__SERVER__HOST and PORT).
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Sets the timeout for the response, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

impl Health {
    /// Prints the state of the service to standard output. Fails unless the service answers with the status 200.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let address = match self.address {
            Some(address) => address,
            None => configured()?,
        };
        let (path, state) = if self.live { ("/livez", "alive") } else { ("/readyz", "ready") };
        match get(&address, path, self.timeout).await? {
            (200, _) => print(state),
            (status, body) => Err(format!("not {state}: {path} answered {status}: {body}").into()),
        }
    }
}

/// Returns the address of the server with the settings of this process.
fn configured() -> Result<String, Box<dyn Error>> {
    let settings = Settings::load(&iam_composition::environment())?;
    match settings.server.port {
        0 => Err("server.port (PORT) is 0, so the operating system has selected the port: pass --address".into()),
        port => Ok(format!("{}:{port}", reachable(&settings.server.host))),
    }
}
