//! Tests of the limits on client connections: their number, and the time that a client may take in each phase.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::metrics::{admin_address, metric};
use super::persistence::{authorization, start};
use crate::support::api::{new_company, new_user};
use crate::support::client::Connection;
use crate::support::process::{ServerProcess, wait_until};

/// Opens a connection and sends these bytes.
fn sending(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Waits until the server closes the connection, and returns what it has sent.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is closed before the server has read everything is reset.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

const HEAD: &[u8] = b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
const PARTIAL_HEAD: &[u8] = b"GET /livez HTTP/1.1\r\nhost: test\r\nx-a: ";

#[test]
fn the_head_of_every_request_has_a_timeout() {
    let mut server = start(&[("IAM__SERVER__HEAD_TIMEOUT", "300ms")]);
    let mut silent = sending(server.address, b"");
    let mut first = sending(server.address, PARTIAL_HEAD);
    let mut second = sending(server.address, HEAD);
    let mut start = [0; 15];
    second.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    second.write_all(PARTIAL_HEAD).unwrap();
    // This client sends a byte from time to time.
    let mut dripping = second.try_clone().unwrap();
    std::thread::spawn(move || {
        while dripping.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(rest(&mut silent), "");
    assert!(rest(&mut first).starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(rest(&mut second).contains("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(metric(&mut server, r#"iam_http_connections_closed_total{reason="slow_head"}"#), 2);
    server.stop();
}

#[test]
fn an_idle_connection_is_closed() {
    let mut server = start(&[("IAM__SERVER__IDLE_TIMEOUT", "300ms")]);
    let mut idle = Connection::open(server.address).unwrap();
    for _ in 0..3 {
        idle.request("GET", "/livez", "", "").unwrap();
        assert_eq!(idle.answer().unwrap().status, 200);
    }
    assert_eq!(idle.rest().unwrap(), b"");
    assert!(metric(&mut server, r#"iam_http_connections_closed_total{reason="idle"}"#) >= 1);
    server.stop();
}

#[test]
fn a_large_head_is_refused() {
    let server = start(&[]);
    let large = format!("GET /livez HTTP/1.1\r\nhost: test\r\nx-a: {}\r\n\r\n", "a".repeat(100_000));
    let mut client = sending(server.address, HEAD);
    client.read_exact(&mut [0; 15]).unwrap();
    // The server may close the connection while the head is still being sent.
    let _ = client.write_all(large.as_bytes());
    let answer = rest(&mut client);
    assert!(answer.is_empty() || answer.contains("HTTP/1.1 431 "), "{answer}");
    let fitting = format!("GET /livez HTTP/1.1\r\nhost: test\r\nx-a: {}\r\n\r\n", "a".repeat(20_000));
    let mut client = sending(server.address, fitting.as_bytes());
    let mut start = [0; 15];
    client.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    server.stop();
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut server = start(&[("IAM__SERVER__WRITE_TIMEOUT", "300ms")]);
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: test\r\n\r\n".repeat(64);
    let mut unread = sending(server.address, &requests);
    let closed = r#"iam_http_connections_closed_total{reason="slow_read"}"#;
    wait_until(|| (metric(&mut server, closed) == 1).then_some(()));
    // The server resets the connection. Otherwise, the kernel would keep the unsent responses until the client reads them.
    let error = unread.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop();
}

#[test]
fn large_bodies_in_small_chunks_arrive() {
    let server = start(&[]);
    let user = new_user();
    let body = json!({ "view": "x".repeat(700_000) }).to_string();
    let (token, company) = (authorization(user, false), new_company());
    let head = format!(
        "POST /api/iam/check HTTP/1.1\r\nhost: test\r\nauthorization: {token}\r\nx-company-id: {company}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    for chunk in body.as_bytes().chunks(10) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let mut client = sending(server.address, &bytes);
    let mut start = [0; 12];
    client.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 400", "the view is too long");
    server.stop();
}

/// Opens connections until the server refuses one, and returns the others.
fn exhaust(server: &ServerProcess, most: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..2 * most {
        let mut client = sending(server.address, HEAD);
        let mut start = [0; 15];
        if client.read_exact(&mut start).is_ok() {
            open.push(client);
        }
    }
    open
}

#[test]
fn connections_are_bounded_and_the_admin_port_has_its_own_share() {
    for (setting, limit) in
        [("IAM__SERVER__MAX_CONNECTIONS", "total"), ("IAM__SERVER__MAX_CONNECTIONS_PER_ADDRESS", "address")]
    {
        let mut server = start(&[(setting, "10")]);
        // A connection of `start` may still be open at first.
        let open = wait_until(|| {
            let open = exhaust(&server, 10);
            (open.len() == 10).then_some(open)
        });
        for path in ["livez", "readyz"] {
            let request = format!("GET /{path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            let answer = rest(&mut sending(admin_address(&mut server), request.as_bytes()));
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        }
        let refused = format!(r#"iam_http_connections_refused_total{{limit="{limit}"}}"#);
        assert!(metric(&mut server, &refused) >= 10, "{limit}");
        assert_eq!(metric(&mut server, r#"iam_http_connections{server="http"}"#), 10);
        drop(open);
        wait_until(|| TcpStream::connect(server.address).ok().filter(|_| exhaust(&server, 1).len() == 2));
        server.stop();
    }
}

#[test]
fn the_documentation_can_be_moved_to_the_admin_port() {
    let mut server = start(&[("IAM__SERVER__DOCUMENTATION", "admin")]);
    for path in ["/openapi.json", "/docs/"] {
        assert_eq!(server.get(path).status, 404, "{path}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let mut answer = sending(admin_address(&mut server), request.as_bytes());
        let mut start = [0; 15];
        answer.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK", "{path}");
    }
    server.stop();
}

#[test]
fn failed_authentications_of_an_address_are_bounded() {
    let environment = [("IAM__RATE_LIMIT__FAILURES_PER_ADDRESS", "1"), ("IAM__SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let server = start(&environment);
    let ask = |client: &str, authorization: &str| {
        let company = new_company().to_string();
        let headers =
            [("authorization", authorization), ("x-company-id", company.as_str()), ("x-forwarded-for", client)];
        server.request("GET", "/api/iam/navigation", &headers, None)
    };
    let (verified, new) = (authorization(new_user(), false), authorization(new_user(), false));
    let attacker = "198.51.100.7";
    assert_eq!(ask(attacker, &verified).status, 200);
    let refused = (0..1000).map(|_| ask(attacker, "Bearer forged")).find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.error().2, "Too many failed authentications from this address");
    assert!(refused.header("ratelimit").unwrap().starts_with(r#""address";r=0"#), "{refused:?}");
    // A token that is verified for the first time is refused, but other addresses and verified tokens are not affected.
    let is_refused = (0..100).any(|_| {
        ask(attacker, "Bearer forged");
        ask(attacker, &authorization(new_user(), false)).status == 429
    });
    assert!(is_refused);
    assert_eq!(ask(attacker, &verified).status, 200);
    assert_eq!(ask("198.51.100.8", &new).status, 200);
    server.stop();
}
