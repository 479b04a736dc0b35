//! A running flood: the child process that floods the server.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::fairness::attack::{Outcome, Plan};

/// A flood. Dropping the value ends the flood, because the standard input of the child process then ends.
pub(super) struct Flood {
    child: Child,
}

impl Flood {
    /// Starts a flood with this plan. The program is this program.
    pub(super) fn start(plan: &Plan) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("flood")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let input = child.stdin.as_mut().ok_or("the flood has no standard input")?;
        writeln!(input, "{}", serde_json::to_string(plan)?)?;
        Ok(Self { child })
    }

    /// Ends the flood, and returns what it did.
    pub(super) async fn stop(self) -> Result<Outcome> {
        let output = tokio::task::spawn_blocking(move || self.child.wait_with_output()).await??;
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
