//! The program `iam`: the server, and the commands for operators.

mod cli;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main("iam").await
}
