//! Sends a request to a running service, for commands that need no HTTP client.

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum length of a response, in bytes. The rest is ignored.
const MAX_RESPONSE: u64 = 1024 * 1024;

/// Sends a GET request without a body, and returns the status and the body of the response. Waits at most this number of
/// seconds.
pub(super) async fn get(address: &str, path: &str, seconds: u32) -> Result<(u16, String), Box<dyn Error>> {
    let limit = Duration::from_secs(seconds.into());
    let asked = timeout(limit, ask(address, path)).await;
    let response = asked.map_err(|_| format!("{address} does not respond within {seconds} s"))?;
    let response = response.map_err(|error| format!("{address} cannot be reached: {error}"))?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("{address} does not respond with HTTP"))?;
    Ok((status, body.to_owned()))
}

async fn ask(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE).read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}
