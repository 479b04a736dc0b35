//! The size of the permissions cache in bytes. An allocator counts the bytes in a separate program, because counting
//! costs time.

use std::path::Path;
use std::process::Command;

use crate::report::{Row, Target};
use crate::{Result, progress};

const SECTION: &str = "Memory of the cache";
const MIB: f64 = 1024.0 * 1024.0;

/// Runs the counting program, and returns rows with the size of the cache.
///
/// # Errors
///
/// Returns an error if the counting program cannot be run, or fails.
pub fn memory(program: &Path) -> Result<Vec<Row>> {
    progress(format_args!("counting bytes"));
    let all = bytes(program, 1_000, 100)?;
    let further_users = bytes(program, 1_000, 200)? - all;
    let further_companies = bytes(program, 10_000, 10)? - all;
    let row = |name: &str, unit, ours| Row::new(SECTION, name, unit, ours);
    Ok(vec![
        row("1,000 companies × 100 users, all loaded", "MiB", all / MIB).target(Target::AtMost(20.0)),
        row("each further user", "bytes", further_users / 100_000.0)
            .note("100 further users in each of 1,000 companies"),
        row("each further company", "bytes", further_companies / 9_000.0)
            .note("the same 100,000 users in 9,000 further companies"),
    ])
}

/// Returns the size of the cache with all users of this many companies, with this many users each.
fn bytes(program: &Path, companies: usize, users: usize) -> Result<f64> {
    let output = Command::new(program).args([companies.to_string(), users.to_string()]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
