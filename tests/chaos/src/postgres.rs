//! The PostgreSQL servers of the soak test: a primary, and a streaming standby that can replace it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::common::Result;
use crate::ports::free_port;
use crate::processes;

/// The superuser role that `initdb` creates.
const SUPERUSER: &str = "postgres";

/// The name of the application's database.
pub(crate) const DATABASE: &str = "iam";

/// Timeout for the start of a server, and for a standby to catch up with its primary.
const PATIENCE: Duration = Duration::from_secs(60);

/// PostgreSQL's server programs and the operating-system user that runs them.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// The id of the unprivileged user that runs the programs if this process runs as root, because PostgreSQL refuses
    /// to run as root. `None` if this process does not run as root.
    user: Option<u32>,
}

/// The shutdown mode of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A fast shutdown: the server terminates all sessions and writes a checkpoint.
    Fast,
    /// An immediate shutdown, which is equivalent to a crash.
    Immediate,
}

async fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Programs {
    /// Finds the programs in `folder` or, if it is `None`, in the directory that `pg_config --bindir` prints.
    pub(crate) async fn find(folder: Option<PathBuf>) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder,
            None => ask("pg_config", &["--bindir"])
                .await
                .ok_or("set IAM_PG_BINDIR to the directory that contains initdb")?
                .into(),
        };
        let mut user = None;
        if ask("id", &["-u"]).await.as_deref() == Some("0") {
            for name in ["postgres", "nobody"] {
                if user.is_none() {
                    user = ask("id", &["-u", name]).await.and_then(|id| id.parse().ok());
                }
            }
            user.ok_or("PostgreSQL refuses to run as root, and there is no unprivileged user that can run it")?;
        }
        Ok(Self { folder, user })
    }

    /// Creates a directory to which the servers' operating-system user can write.
    pub(crate) fn chown_directory(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        if self.user.is_some() {
            std::os::unix::fs::chown(folder, self.user, None)?;
        }
        Ok(())
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        // A directory of symbolic links may contain the server programs without the client programs. The client
        // programs are then next to the target of the link, or in `PATH`.
        let beside = |folder: &Path| Some(folder.join(program)).filter(|path| path.exists());
        let server = std::fs::canonicalize(self.folder.join("postgres")).ok();
        let found = beside(&self.folder).or_else(|| beside(server?.parent()?));
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    async fn run(&self, program: &str, folder: &Path, arguments: &[&str]) -> Result<String> {
        let output = self.command(program, folder).args(arguments).output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(format!("{program} exited with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// A running server. Dropping this value kills the server.
#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    folder: PathBuf,
    /// The port on which the server listens.
    pub(crate) port: u16,
    process: Child,
}

impl Server {
    /// Initializes an empty database cluster and starts a server on it.
    pub(crate) async fn init(programs: &Programs, folder: PathBuf) -> Result<Self> {
        programs.chown_directory(&folder)?;
        let arguments = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER, "-D", "data"];
        programs.run("initdb", &folder, &arguments).await?;
        Self::launch(programs, folder, None).await
    }

    /// Creates a streaming standby of this server. Waits until the standby has caught up and replication is
    /// synchronous, so that commits on this server wait for the standby.
    pub(crate) async fn standby(&self, folder: PathBuf) -> Result<Self> {
        self.programs.chown_directory(&folder)?;
        let from = format!("host=127.0.0.1 port={} user={SUPERUSER} application_name=standby", self.port);
        let arguments = ["-d", &from, "-D", "data", "-R", "-c", "fast", "-X", "stream", "--no-sync"];
        self.programs.run("pg_basebackup", &folder, &arguments).await?;
        let standby = Self::launch(&self.programs, folder, None).await?;
        self.wait_for_standby("state = 'streaming'").await?;
        self.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'").await?;
        self.sql("SELECT pg_reload_conf()").await?;
        self.wait_for_standby("sync_state = 'sync'").await?;
        Ok(standby)
    }

    /// Waits until the standby is connected and `pg_stat_replication` satisfies the condition `state`.
    pub(crate) async fn wait_for_standby(&self, state: &str) -> Result<()> {
        let question =
            format!("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'standby' AND {state}");
        let until = Instant::now() + PATIENCE;
        while self.sql(&question).await.ok().as_deref() != Some("1") {
            if Instant::now() > until {
                return Err("the standby did not catch up in time".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn launch(programs: &Programs, folder: PathBuf, port: Option<u16>) -> Result<Self> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let port = port.map_or_else(free_port, Ok)?;
            let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
            let mut command = programs.command("postgres", &folder);
            command.args(["-D", "data", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(log);
            for setting in [
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "fsync=off",
                "shared_buffers=32MB",
                "max_connections=200",
                "wal_keep_size=256MB",
                "wal_retrieve_retry_interval=100ms",
                "log_line_prefix=%m [%p] %a ",
            ] {
                command.args(["-c", setting]);
            }
            // Removes the PID file of an earlier process, so that it is not mistaken for the file of the new process.
            let status = folder.join("data/postmaster.pid");
            let _ = std::fs::remove_file(&status);
            let mut process = command.spawn()?;
            while process.try_wait()?.is_none() && Instant::now() < until {
                if std::fs::read_to_string(&status).is_ok_and(|status| status.contains("ready")) {
                    return Ok(Self { programs: programs.clone(), folder, port, process });
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        Err(format!("PostgreSQL did not start: see {}", folder.join("server.log").display()).into())
    }

    /// Stops the server with this shutdown mode and waits until it exits.
    pub(crate) async fn stop(&mut self, how: Stop) -> Result<()> {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        processes::signal(&self.process, signal).await?;
        tokio::time::timeout(PATIENCE, self.process.wait()).await??;
        Ok(())
    }

    /// Starts the server again on the same port.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        *self = Self::launch(&self.programs, self.folder.clone(), Some(self.port)).await?;
        Ok(())
    }

    /// Promotes the standby to primary and disables synchronous replication, so that commits do not wait for a standby.
    pub(crate) async fn promote(&self) -> Result<()> {
        self.sql("SELECT pg_promote()").await?;
        self.sql("ALTER SYSTEM RESET synchronous_standby_names").await?;
        self.sql("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// Returns the URL of the application's database for a role, on the server or proxy at this port.
    pub(crate) fn url(role: &str, port: u16) -> String {
        format!("postgres://{role}@127.0.0.1:{port}/{DATABASE}?sslmode=disable")
    }

    /// Runs SQL in a database as the given role. Returns the rows, one per line.
    pub(crate) async fn sql_in(&self, database: &str, role: &str, text: &str) -> Result<String> {
        let port = self.port.to_string();
        let arguments =
            ["-X", "-h", "127.0.0.1", "-p", &port, "-U", role, "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc", text];
        self.programs.run("psql", &self.folder, &arguments).await
    }

    /// Runs SQL as the superuser in the database `postgres`, which always exists.
    pub(crate) async fn sql(&self, text: &str) -> Result<String> {
        self.sql_in("postgres", SUPERUSER, text).await
    }

    /// Runs SQL as the superuser in the application's database.
    pub(crate) async fn sql_here(&self, text: &str) -> Result<String> {
        self.sql_in(DATABASE, SUPERUSER, text).await
    }

    /// Creates an empty file to which the servers' operating-system user can write.
    pub(crate) fn chown_file(&self, file: &Path) -> Result<()> {
        std::fs::write(file, [])?;
        if self.programs.user.is_some() {
            std::os::unix::fs::chown(file, self.programs.user, None)?;
        }
        Ok(())
    }

    /// Dumps the application's database into a file.
    pub(crate) async fn dump(&self, file: &Path) -> Result<()> {
        let (port, file) = (self.port.to_string(), file.display().to_string());
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-U", SUPERUSER, "-d", DATABASE, "--format=custom", "--file", &file];
        self.programs.run("pg_dump", &self.folder, &arguments).await.map(drop)
    }

    /// Restores the application's database from a file, either in place or into a newly created database.
    pub(crate) async fn restore(&self, file: &Path, in_place: bool) -> Result<()> {
        let (port, file) = (self.port.to_string(), file.display().to_string());
        if !in_place {
            self.sql(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await?;
            self.sql(&format!("CREATE DATABASE {DATABASE} OWNER iam_owner")).await?;
            let arguments =
                ["-h", "127.0.0.1", "-p", &port, "-U", SUPERUSER, "-d", DATABASE, "--single-transaction", &file];
            return self.programs.run("pg_restore", &self.folder, &arguments).await.map(drop);
        }
        // `pg_restore --clean` cannot drop the indexes of partitions, so the schemas are dropped as a whole.
        self.programs.run("pg_restore", &self.folder, &["--file", "restore.sql", &file]).await?;
        let drop_all = "DROP SCHEMA public, public_lock CASCADE; CREATE SCHEMA public;
            ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC";
        // In a deadlock with a change, PostgreSQL aborts the session that detects it first: that of the change, or its wait
        // for a lock times out.
        let database = format!("dbname={DATABASE} options='-c deadlock_timeout=60s'");
        let arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            SUPERUSER,
            "-d",
            &database,
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--output=restore.log",
            "--single-transaction",
            "--command",
            drop_all,
            "--file",
            "restore.sql",
        ];
        self.programs.run("psql", &self.folder, &arguments).await.map(drop)
    }
}
