//! Prints the results of commands to standard output.

use std::error::Error;
use std::io::{self, ErrorKind, Write};

/// Prints a line to standard output. Succeeds also if the reader has closed the pipe, as `head` does.
pub(super) fn print(line: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
