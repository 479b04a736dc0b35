//! The program `iam-http`: the program `iam` under its former name.

mod cli;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main("iam-http").await
}
