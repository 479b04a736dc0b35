//! The command `iam health`, which asks a running service whether it is ready or alive.

use std::error::Error;
use std::time::Duration;

use clap::Args;
use iam_composition::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::listen::reachable;
use super::output::print;

/// Maximum length of a response, in bytes. The rest is ignored.
const MAX_RESPONSE: u64 = 64 * 1024;

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
        let limit = Duration::from_secs(self.timeout.into());
        let asked = timeout(limit, ask(&address, path)).await;
        let response = asked.map_err(|_| format!("{address} does not respond within {} s", self.timeout))?;
        let response = response.map_err(|error| format!("{address} cannot be reached: {error}"))?;
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        match head.split(' ').nth(1) {
            Some("200") if head.starts_with("HTTP/1.1 ") => print(state),
            Some(status) if head.starts_with("HTTP/1.1 ") => {
                Err(format!("not {state}: {path} answered {status}: {body}").into())
            }
            _ => Err(format!("{address} does not respond with HTTP").into()),
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

/// Sends a GET request without a body, and returns the response.
async fn ask(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE).read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}
