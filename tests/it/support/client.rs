//! An HTTP client that reads the responses of server processes and validates them. The client never retries a request.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};

use super::answer::Answer;
use super::contract;

/// Timeout for each response. If it expires, the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server. The connection can be reused for several requests, as in SDKs and proxies, unless a
/// request has the header `Connection: close`. Dropping this value closes the connection.
pub struct Connection {
    reader: BufReader<TcpStream>,
    /// The bytes of all sent requests whose responses have not been read yet.
    sent: Vec<u8>,
}

/// A request that was sent.
struct Sent {
    method: Method,
    uri: String,
    body: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(stream), sent: Vec::new() })
    }

    /// Returns `true` if the server has neither closed the connection nor sent data on it. HTTP clients perform the
    /// same check before they reuse an idle connection.
    pub fn is_open(&self) -> bool {
        let stream = self.reader.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.extend_from_slice(bytes);
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends a request. If `body` is not empty, it is sent as JSON.
    pub fn request(&mut self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<()> {
        let content = match body {
            "" => String::new(),
            body => format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()),
        };
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}{content}\r\n{body}").as_bytes())
    }

    /// Reads the response to the oldest request whose response has not been read yet. A complete response must conform
    /// to the OpenAPI document.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, line))?;
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value.trim()).unwrap());
        }
        assert!(!headers.contains_key("transfer-encoding"), "chunked responses are not supported: {headers:?}");
        let mut answer = Answer { status, headers, body: Vec::new() };
        let Sent { method, uri, body } = self.take_request();
        if method != Method::HEAD {
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            answer.body.resize(length, 0);
            self.reader.read_exact(&mut answer.body)?;
        }
        // The pages of the admin port and of the console are not part of the API.
        if uri != "/metrics" && uri != "/admin/statements" && !uri.to_string().starts_with("/console") {
            contract::check(&method, &uri, &body, &answer);
        }
        Ok(answer)
    }

    /// Waits until the server closes the connection. Returns the bytes that the server sent before that.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).map(|_| rest)
    }

    /// Removes the oldest request from the sent bytes, and returns it.
    fn take_request(&mut self) -> Sent {
        let end = self.sent.windows(4).position(|window| window == b"\r\n\r\n").expect("a request must be sent");
        let head = String::from_utf8(self.sent.drain(..end + 4).collect()).unwrap();
        let mut words = head.split(' ');
        let (method, uri) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        // The server may respond before it has received the whole body.
        let length = length.map_or(0, |length| length.parse().unwrap()).min(self.sent.len());
        Sent { method, uri, body: self.sent.drain(..length).collect() }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
