//! Finds free ports below the ephemeral port range, so that no outgoing connection occupies the port of a process while
//! the process restarts.

use std::net::{SocketAddr, TcpListener};

use rand::RngExt;

use crate::common::Result;

/// Returns a port of the loopback interface that is free at the time of the call.
pub(crate) fn free_port() -> Result<u16> {
    let mut random = rand::rng();
    for _ in 0..100 {
        let port = random.random_range(20_000..32_000);
        if TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port was found".into())
}
