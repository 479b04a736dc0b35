//! Private PostgreSQL servers for one run: a primary with custom settings, and a standby that streams from the primary.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::Result;

/// Timeout for the start of a server, and for the start of streaming replication.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of attempts with different ports, because another process may bind a port first.
const TRIES: usize = 5;
const ROLE: &str = "iam_bench";

/// PostgreSQL's server programs, and the user that runs them.
#[derive(Debug, Clone)]
struct Programs {
    folder: PathBuf,
    /// The id of the operating system user that runs the programs, because PostgreSQL does not run as root. `None` if
    /// this process does not run as root.
    user: Option<u32>,
}

impl Programs {
    /// Finds the programs in the directory that `tests/with-postgres.sh` has determined.
    fn find() -> Result<Self> {
        let folder = std::env::var_os("IAM_PG_BINDIR").ok_or("set IAM_PG_BINDIR to the directory of initdb")?;
        let user = if geteuid().is_root() {
            let users = std::fs::read_to_string("/etc/passwd")?;
            let id = |name: &str| {
                let mut fields = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.split(':');
                fields.nth(1)?.parse().ok()
            };
            Some(
                id("postgres")
                    .or_else(|| id("nobody"))
                    .ok_or("PostgreSQL does not run as root, and no other user was found")?,
            )
        } else {
            None
        };
        Ok(Self { folder: folder.into(), user })
    }

    /// Creates a directory that is writable for the user that runs the servers.
    fn folder(&self) -> Result<TempDir> {
        // The temporary directory of root may be inaccessible to the user that runs the servers.
        let base = if self.user.is_some() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("iam-bench.").tempdir_in(base)?;
        if self.user.is_some() {
            chown(folder.path(), self.user, None)?;
        }
        Ok(folder)
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        // If the directory contains links to the server programs only, the client programs are next to the link's
        // target or in the `PATH`.
        let beside = |folder: &Path| Some(folder.join(program)).filter(|path| path.exists());
        let server = std::fs::canonicalize(self.folder.join("postgres")).ok();
        let found = beside(&self.folder).or_else(|| beside(server?.parent()?));
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    /// Runs a program to completion, without blocking the other tasks of this process.
    async fn run(&self, program: &str, folder: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(program, folder);
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{program} exited with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// A running PostgreSQL server. Dropping the value stops the server and removes its data.
pub struct Postgres {
    programs: Programs,
    process: Child,
    /// The directory that contains the data and the log of the server.
    _folder: TempDir,
    /// The port on which the server listens.
    pub port: u16,
    /// The URL of the server's database `postgres`, for a superuser.
    pub url: String,
}

impl Postgres {
    /// Starts a new server with these settings (`name=value`). The server runs with `fsync` off, so it never waits for
    /// the disk.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be started. The error contains the output of the server.
    pub async fn start(settings: &[&str]) -> Result<Self> {
        let programs = Programs::find()?;
        let folder = programs.folder()?;
        let arguments = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", ROLE, "-D", "data"];
        programs.run("initdb", folder.path(), &arguments).await?;
        Self::launch(programs, folder, settings).await
    }

    /// Starts a synchronous standby that streams from this server through port `through`: commits wait for the standby.
    ///
    /// # Errors
    ///
    /// Returns an error if the standby does not start or does not stream.
    pub async fn standby(&self, through: u16) -> Result<Self> {
        let folder = self.programs.folder()?;
        let from = format!("host=127.0.0.1 port={through} user={ROLE}");
        let arguments = ["-d", &from, "-D", "data", "-R", "-c", "fast", "-X", "stream", "--no-sync"];
        self.programs.run("pg_basebackup", folder.path(), &arguments).await?;
        let standby = Self::launch(self.programs.clone(), folder, &[]).await?;
        let mut primary = self.connect().await?;
        raw_sql("ALTER SYSTEM SET synchronous_standby_names = '*'").execute(&mut primary).await?;
        raw_sql("SELECT pg_reload_conf()").execute(&mut primary).await?;
        let is_followed = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
        let until = Instant::now() + PATIENCE;
        while !query_scalar::<_, bool>(is_followed).fetch_one(&mut primary).await? {
            if Instant::now() > until {
                return Err("the standby does not stream".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(standby)
    }

    /// Connects to the database `postgres` of this server.
    async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// Executes SQL statements in the database `postgres`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server rejects the SQL.
    pub async fn sql(&self, sql: String) -> Result<()> {
        raw_sql(AssertSqlSafe(sql)).execute(&mut self.connect().await?).await?;
        Ok(())
    }

    async fn launch(programs: Programs, folder: TempDir, settings: &[&str]) -> Result<Self> {
        let log = folder.path().join("server.log");
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let mut command = programs.command("postgres", folder.path());
            command.args(["-D", "data", "-p", &port.to_string()]);
            let base = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100", "fsync=off"];
            for setting in base.iter().chain(settings) {
                command.args(["-c", setting]);
            }
            let mut process = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log)?).spawn()?;
            let status = folder.path().join("data/postmaster.pid");
            let until = Instant::now() + PATIENCE;
            while process.try_wait()?.is_none() && Instant::now() < until {
                if std::fs::read_to_string(&status).is_ok_and(|status| status.contains("ready")) {
                    let url = format!("postgres://{ROLE}@127.0.0.1:{port}/postgres?sslmode=disable");
                    return Ok(Self { programs, process, _folder: folder, port, url });
                }
                sleep(Duration::from_millis(10)).await;
            }
            // Fails if the process has already exited, which is the usual case.
            let _ = process.kill();
            process.wait()?;
        }
        Err(format!("PostgreSQL does not start: {}", std::fs::read_to_string(&log)?.trim()).into())
    }

    /// Returns the URL of a database of this server with another port, such as that of a proxy.
    #[must_use]
    pub fn by(&self, port: u16, url: &str) -> String {
        url.replacen(&format!(":{}/", self.port), &format!(":{port}/"), 1)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate shutdown is sufficient, because the data is removed, too. Sending the signal fails only if the
        // process has already exited.
        if let Some(process) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::QUIT);
        }
        let _ = self.process.wait();
    }
}
