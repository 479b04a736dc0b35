//! The size of the permissions cache in bytes. An allocator counts the bytes in a separate program, because counting
//! costs time.

use std::path::Path;
use std::process::Command;

use crate::report::{Row, Target};
use crate::{Result, progress};

const MIB: f64 = 1024.0 * 1024.0;

/// Runs the counting program, and returns a row with the size of the cache that the program prints.
///
/// # Errors
///
/// Returns an error if the counting program cannot be run, or fails.
pub fn memory(program: &Path) -> Result<Vec<Row>> {
    progress(format_args!("counting bytes"));
    let output = Command::new(program).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let bytes: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let row = Row::new("Memory of the cache", "1,000 companies × 100 users, all loaded", "MiB", bytes / MIB);
    Ok(vec![row.target(Target::AtMost(20.0))])
}
