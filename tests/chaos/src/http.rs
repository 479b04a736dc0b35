//! An HTTP/1.1 client with one keep-alive connection to each replica. It never retries a request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::Result;

/// A request with a bearer token.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: &'static str,
    path: String,
    token: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    /// Creates a request without a body.
    pub(crate) fn new(method: &'static str, path: impl Into<String>, token: &str) -> Self {
        Self { method, path: path.into(), token: token.to_owned(), headers: Vec::new(), body: None }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a JSON body.
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Returns the method and the path, for reports.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn bytes(&self) -> Vec<u8> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: iam\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n",
            self.method,
            self.path,
            self.token,
            body.len()
        );
        if self.body.is_some() {
            text.push_str("content-type: application/json\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        text.into_bytes()
    }
}

/// The response of a replica.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Returns the member `data` of the JSON body, or `null` if it is missing.
    pub(crate) fn data(&self) -> Value {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json.get("data").cloned().unwrap_or_default()
    }

    /// Returns the status and the shortened body, for reports.
    pub(crate) fn text(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(400).collect();
        format!("{} {body}", self.status)
    }
}

/// An HTTP client with its idle keep-alive connections, at most one per replica.
#[derive(Debug, Default)]
pub(crate) struct Client {
    kept: HashMap<SocketAddr, TcpStream>,
}

impl Client {
    /// Sends a request once and waits for the response. On an error, the outcome of the request is unknown.
    pub(crate) async fn send(&mut self, address: SocketAddr, call: &Call, patience: Duration) -> Result<Answer> {
        match timeout(patience, self.exchange(address, call)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no response within {} s", patience.as_secs_f32()).into()),
        }
    }

    async fn exchange(&mut self, address: SocketAddr, call: &Call) -> Result<Answer> {
        // A keep-alive connection carries no data while it is idle. If it is readable, the server has closed it.
        let kept = self.kept.remove(&address);
        let idle =
            kept.filter(|stream| stream.try_read(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(&call.bytes()).await?;
        let answer = read_answer(&mut stream).await?;
        if !answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.kept.insert(address, stream);
        }
        Ok(answer)
    }
}

async fn read_answer(stream: &mut TcpStream) -> Result<Answer> {
    let mut bytes = Vec::with_capacity(4096);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("the connection was closed before the response".into());
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes)?;
    let status = head.split(' ').nth(1).ok_or("the response has no status")?.parse()?;
    let mut answer = Answer { status, head, body: Vec::new() };
    let length: usize = match answer.header("content-length") {
        Some(length) => length.parse()?,
        None if status == 204 || status == 304 => 0,
        None => return Err("the response has no length".into()),
    };
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err("the connection was closed in the middle of the response".into());
        }
    }
    answer.body = body;
    Ok(answer)
}
