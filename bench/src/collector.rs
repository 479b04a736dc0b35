//! A collector of traces that accepts every request and ignores its content.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::Result;

/// Starts a collector on a free port of this machine. It runs until the process ends.
///
/// # Errors
///
/// Returns an error if no port can be bound.
pub fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(std::result::Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Ok(true) = accept(&mut reader) {}
            });
        }
    });
    Ok(address)
}

/// Reads a request and accepts it. Returns `false` at the end of the connection.
fn accept(reader: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    Ok(true)
}
