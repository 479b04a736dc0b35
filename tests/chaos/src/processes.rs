//! The replicas of the service: processes that use the same port after a restart, and can be frozen and killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::common::Result;
use crate::http::{Call, Client};
use crate::ports::free_port;

/// Sends the signal with this name to a process.
pub(crate) async fn signal(process: &Child, name: &str) -> Result<()> {
    let id = process.id().ok_or("the process has exited")?;
    let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await?;
    if status.success() { Ok(()) } else { Err(format!("kill -{name} {id} exited with {status}").into()) }
}

/// A running replica of the service. Dropping this value kills the process.
#[derive(Debug)]
pub(crate) struct Replica {
    program: PathBuf,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// The address on which the replica serves requests.
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Replica {
    /// Starts `program` as a replica with these settings (environment variables) and waits until it is ready.
    pub(crate) async fn start(program: PathBuf, settings: &[(&str, &str)], log: PathBuf) -> Result<Self> {
        let port = free_port()?;
        let mut environment: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        environment.push(("PORT".to_owned(), port.to_string()));
        environment.push(("IAM__ADMIN__PORT".to_owned(), "0".to_owned()));
        environment.push(("IAM__LOG__FILTER".to_owned(), "info".to_owned()));
        // The clients of the soak send more requests than people.
        for limit in ["PER_USER", "PER_COMPANY", "LOADS_PER_USER", "LOADS_PER_API_KEY", "FAILURES_PER_ADDRESS"] {
            environment.push((format!("IAM__RATE_LIMIT__{limit}"), "0".to_owned()));
        }
        let process = Self::spawn(&program, &environment, &log)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut replica = Self { program, environment, log, address, process };
        replica.wait_until_ready().await?;
        Ok(replica)
    }

    fn spawn(program: &PathBuf, environment: &[(String, String)], log: &PathBuf) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        Ok(command.spawn()?)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let mut client = Client::default();
        for _ in 0..600 {
            if self.process.try_wait()?.is_some() {
                return Err(format!("a replica exited: see {}", self.log.display()).into());
            }
            let answer = client.send(self.address, &Call::new("GET", "/readyz", ""), Duration::from_secs(1)).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("a replica did not become ready: see {}", self.log.display()).into())
    }

    /// Freezes the process with SIGSTOP, like a paused container.
    pub(crate) async fn freeze(&self) -> Result<()> {
        signal(&self.process, "STOP").await
    }

    /// Resumes the process with SIGCONT.
    pub(crate) async fn thaw(&self) -> Result<()> {
        signal(&self.process, "CONT").await
    }

    /// Kills the process with SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Starts the process again on the same port.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.process = Self::spawn(&self.program, &self.environment, &self.log)?;
        Ok(())
    }
}
