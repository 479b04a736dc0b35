//! An HTTP server that serves key sets on a free local port, with configurable faults.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use iam_identity::{JwksUrl, KeySource};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The server's response to a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A response with status 200 and these keys.
    Keys(Vec<Value>),
    /// A response with status 200 and this body.
    Text(String),
    /// A response that consists of exactly these bytes.
    Raw(String),
    /// A response with status 200 and these keys, delayed until the semaphore has a permit.
    Gated(Arc<Semaphore>, Vec<Value>),
    /// No response. The connection remains open.
    Silence,
    /// No response. The connection is closed.
    Close,
    /// A response with status 200 whose body never ends.
    Endless,
}

pub(crate) struct JwksServer {
    pub(crate) url: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl JwksServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (answer, requests) = (Arc::new(Mutex::new(answer)), Arc::<AtomicUsize>::default());
        let (shared, counter) = (Arc::clone(&answer), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&counter)));
            }
        });
        Self { url, answer, requests, task }
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Returns the number of requests that the server has received.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn source(&self) -> KeySource {
        KeySource::JwksUrl(JwksUrl::parse(&self.url).unwrap())
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Mutex<Answer>>, requests: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().unwrap().clone();
    let keys = |keys: Vec<Value>| ok(&json!({ "keys": keys }).to_string());
    let response = match answer {
        Answer::Keys(set) => keys(set),
        Answer::Text(text) => ok(&text),
        Answer::Raw(response) => response,
        Answer::Gated(gate, set) => {
            let _ = gate.acquire().await.unwrap();
            keys(set)
        }
        Answer::Silence => std::future::pending().await,
        Answer::Close => return,
        Answer::Endless => {
            let mut response = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
            while stream.write_all(response.as_bytes()).await.is_ok() {
                response = " ".repeat(64 * 1024);
            }
            return;
        }
    };
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
