//! An HTTP server that records its requests, in the place of a server that the service calls.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that a [`Stub`] has received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request line and the headers.
    head: Vec<String>,
    pub body: Vec<u8>,
}

impl Received {
    /// Returns the request line without the version.
    pub fn line(&self) -> &str {
        self.head[0].trim_end_matches(" HTTP/1.1")
    }

    /// Returns the value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.iter().filter_map(|line| line.split_once(": "));
        headers.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// The function that returns the status and the body of a response.
type Respond = Box<dyn Fn(&Received) -> (u16, String) + Send + Sync>;

/// A server on a free port of this machine. It runs until the process of the tests ends.
pub struct Stub {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Stub {
    /// Starts a server that responds as `respond` states.
    pub fn start(respond: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Received>>>::default());
        let (respond, log): (Arc<Respond>, _) = (Arc::new(Box::new(respond)), Arc::clone(&received));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (respond, log) = (Arc::clone(&respond), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &respond, &log));
            }
        });
        Self { address, received }
    }

    /// Returns the requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Responds to the requests of a connection. A request is recorded before its response is sent.
fn serve(stream: TcpStream, respond: &Respond, log: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, body) = respond(&request);
        log.lock().unwrap().push(request);
        let response = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if reader.get_mut().write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a request whose head states the length of its body. Returns `None` at the end of the connection.
fn read(reader: &mut impl BufRead) -> Option<Received> {
    let lines = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let request = Received { head: lines.collect(), body: Vec::new() };
    request.head.first()?;
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { body, ..request })
}
