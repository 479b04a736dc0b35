//! A load generator on one thread. It sends prepared requests on keep-alive connections, and parses only the status and
//! length of responses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::ProcessorTime;
use crate::{Failure, Result};

/// Number of concurrent connections.
pub const CONNECTIONS: usize = 32;
/// Length of the warm-up of a round.
const WARM_UP: Duration = Duration::from_millis(150);
/// Length of the measured part of a round.
const ROUND: Duration = Duration::from_millis(1_000);

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The response body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a response header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client connection with HTTP keep-alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// The status of a response, and the positions at which its head and its body end.
struct Frame {
    status: u16,
    head: usize,
    end: usize,
}

impl Connection {
    /// Opens a TCP connection to a server.
    ///
    /// # Errors
    ///
    /// Returns an error if no server listens at the address.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Sends requests over this TCP connection.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; 64 * 1024], filled: 0 }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Frame> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.filled += read;
            if let Some(frame) = frame(&self.buffer[..self.filled])? {
                return Ok(frame);
            }
        }
    }

    /// Sends a request and waits for the complete response.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection breaks, or the response cannot be parsed.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let Frame { status, head, end } = self.exchange(request).await?;
        let body = self.buffer[head..end].to_vec();
        Ok(Answer { status, head: String::from_utf8(self.buffer[..head].to_vec())?, body })
    }
}

/// Parses the status and length of a response. Returns `None` if the response is incomplete.
fn frame(bytes: &[u8]) -> Result<Option<Frame>> {
    let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let status: u16 = std::str::from_utf8(bytes.get(9..12).ok_or("no status line")?)?.parse()?;
    let mut length = None;
    let mut rest = &bytes[..head];
    while let Some(end) = memchr::memchr(b'\n', rest) {
        const NAME: &[u8] = b"content-length:";
        if rest.len() > NAME.len() && rest[..NAME.len()].eq_ignore_ascii_case(NAME) {
            length = Some(std::str::from_utf8(&rest[NAME.len()..end])?.trim().parse::<usize>()?);
            break;
        }
        rest = &rest[end + 1..];
    }
    let length = match (length, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => return Err("the response has no Content-Length".into()),
    };
    // The `Content-Length` of a 304 response is the length of a body that the response does not contain.
    let end = if status == 304 { head } else { head + length };
    Ok((bytes.len() >= end).then_some(Frame { status, head, end }))
}

/// Yields repeatedly until `end`, so that this thread polls its connections and never sleeps.
///
/// A server that sends to a sleeping thread of the same machine must wake the thread, which costs about 2 µs of the
/// server's CPU time. Only the slower server would have this cost, since only its client waits for responses.
async fn stay_awake(end: Instant) -> Result<()> {
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The results of one round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Responses per second.
    pub per_second: f64,
    /// CPU time of the server per response, in microseconds.
    pub server_micros: f64,
    /// CPU time of the load generator per response, in microseconds.
    pub client_micros: f64,
    /// Share of the round in which the server was busy: its threads were running or waiting for a CPU.
    pub server_busy: f64,
}

/// A server under load, and the requests that it receives.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// The address on which the server listens.
    pub address: SocketAddr,
    /// The process id of the server.
    pub process: u32,
    /// The requests, which each connection sends in rotation.
    pub requests: &'a [Vec<u8>],
    /// The expected status of every response.
    pub status: u16,
}

impl Load<'_> {
    /// Sends requests on all connections for one round, and returns its results.
    ///
    /// # Errors
    ///
    /// Returns an error if a connection breaks, or a response has an unexpected status.
    pub async fn round(&self) -> Result<Round> {
        let start = Instant::now() + WARM_UP;
        let end = start + ROUND;
        let lines = (0..CONNECTIONS).map(|line| self.line(line, start, end));
        let watch = async {
            let now = || Ok::<_, Failure>((ProcessorTime::of_process(self.process)?, ProcessorTime::of_this_thread()?));
            tokio::time::sleep_until(start.into()).await;
            let (server, client) = now()?;
            let began = Instant::now();
            tokio::time::sleep_until(end.into()).await;
            let elapsed = began.elapsed();
            let (server_then, client_then) = now()?;
            Ok((server_then.since(server), client_then.since(client), elapsed))
        };
        let lines = futures_util::future::try_join_all(lines);
        let (counts, (server, client, elapsed), ()) =
            futures_util::future::try_join3(lines, watch, stay_awake(end)).await?;
        // The CPU time was measured over a slightly longer period than the number of responses, so this number is
        // scaled.
        let count = counts.into_iter().sum::<u64>() as f64 / ROUND.as_secs_f64() * elapsed.as_secs_f64();
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
        Ok(Round {
            per_second: count / elapsed.as_secs_f64(),
            server_micros: micros(server.ran),
            client_micros: micros(client.ran),
            server_busy: (server.ran + server.waited).as_secs_f64() / elapsed.as_secs_f64(),
        })
    }

    async fn line(&self, line: usize, start: Instant, end: Instant) -> Result<u64> {
        let mut connection = Connection::open(self.address).await?;
        let mut count = 0;
        for request in self.requests.iter().cycle().skip(line) {
            let frame = connection.exchange(request).await?;
            if frame.status != self.status {
                return Err(format!("status {} instead of {}", frame.status, self.status).into());
            }
            let now = Instant::now();
            if now > end {
                break;
            }
            count += u64::from(now > start);
        }
        Ok(count)
    }
}
