//! A PostgreSQL server that only one test uses, so that the test can stop, restart and promote it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sea_orm::sqlx::{Connection, PgConnection, query_scalar};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};

use super::database::run;
use super::engines::{SWITCH, every_database_has_other_forms};
use super::process::wait_until;
use super::replica::until;

/// A server on a free port with its own data directory. Dropping this value stops the server and removes the directory.
pub struct PostgresServer {
    programs: PathBuf,
    tenant: Tenant,
    port: u16,
    process: Child,
}

/// An operating-system user that can run server programs, and a directory of that user. The user is not root, because
/// PostgreSQL and PgBouncer refuse to run as root. Dropping this value removes the directory.
pub struct Tenant {
    folder: PathBuf,
    /// The id of the unprivileged user that runs the programs if root runs the tests. `None` if the tests do not run as
    /// root; the programs then run as the same user as the tests.
    user: Option<u32>,
}

impl Tenant {
    /// Creates a directory whose name begins with `name`, and selects the user.
    pub fn new(name: &str) -> Self {
        let is_root = ask("id", &["-u"]).unwrap() == "0";
        let lent = || ["postgres", "nobody"].into_iter().find_map(|name| ask("id", &["-u", name]));
        let user = is_root.then(|| lent().expect("the user postgres or nobody must exist").parse().unwrap());
        // The unprivileged user may have no access to root's `TMPDIR`.
        let base = if is_root { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        // The name is short, since the path of a Unix socket is limited to about 100 bytes.
        let number = uuid::Uuid::new_v4().simple().to_string();
        let folder = base.join(format!("{name}-{}", number.get(..12).unwrap_or(&number)));
        std::fs::create_dir(&folder).unwrap();
        if user.is_some() {
            std::os::unix::fs::chown(&folder, user, None).unwrap();
        }
        Self { folder, user }
    }

    /// Returns the path of the directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a command that runs a program as this user, with the user's directory as its working directory.
    pub fn command(&self, program: PathBuf) -> Command {
        use std::os::unix::process::CommandExt as _;

        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns the trimmed output of a program, or `None` if it fails.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the directory of PostgreSQL's programs.
pub fn programs() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "tests/with-postgres.sh sets the directory of the programs")]
    let configured = std::env::var("IAM_PG_BINDIR").ok();
    let found = configured
        .or_else(|| ask("pg_config", &["--bindir"]))
        .expect("IAM_PG_BINDIR must be set, or pg_config must be in PATH");
    PathBuf::from(found)
}

impl PostgresServer {
    /// Starts a server with the schema and the seeded catalog.
    pub async fn start() -> Self {
        let tenant = Tenant::new("iam-postgres");
        let programs = programs();
        let mut init = tenant.command(programs.join("initdb"));
        init.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "iam_test", "-D", "data"]);
        assert!(init.status().unwrap().success(), "initdb");
        let (port, process) = Self::launch_anywhere(&programs, &tenant);
        let server = Self { programs, tenant, port, process };
        let mut options = ConnectOptions::new(server.url());
        options.max_connections(1).sqlx_logging(false);
        let database = Database::connect(options).await.unwrap();
        migration::up(&database).await.unwrap();
        migration::seed(&database).await.unwrap();
        if every_database_has_other_forms() {
            database.execute_unprepared(SWITCH).await.unwrap();
        }
        database.close().await.unwrap();
        server
    }

    /// Starts the server on a free port. Returns the port and the process.
    fn launch_anywhere(programs: &Path, tenant: &Tenant) -> (u16, Child) {
        let launched = (0..20).find_map(|_| {
            // The port is below the range of ephemeral ports. No outgoing connection can therefore occupy it while the
            // server is stopped.
            let port = 20_000 + u16::try_from(uuid::Uuid::new_v4().as_u128() % 12_000).unwrap();
            Some((port, Self::launch(programs, tenant, port)?))
        });
        launched.expect("a server must start on one of 20 ports")
    }

    /// Starts the server and waits until its PID file reports that the server is ready. Returns `None` if the process
    /// exits instead, for example because the port is in use.
    fn launch(programs: &Path, tenant: &Tenant, port: u16) -> Option<Child> {
        let mut postgres = tenant.command(programs.join("postgres"));
        postgres.args(["-D", "data", "-p", &port.to_string()]);
        let sockets = format!("unix_socket_directories={}", tenant.folder.display());
        for setting in ["listen_addresses=127.0.0.1", &sockets, "fsync=off", "shared_buffers=16MB"] {
            postgres.args(["-c", setting]);
        }
        let mut process = postgres.spawn().unwrap();
        let status = tenant.folder.join("data/postmaster.pid");
        let is_ready = || std::fs::read_to_string(&status).is_ok_and(|status| status.contains("ready"));
        wait_until(|| match process.try_wait().unwrap() {
            Some(_) => Some(false),
            None => is_ready().then_some(true),
        })
        .then_some(process)
    }

    /// Starts a streaming standby of this server. This server is stopped while its data directory is copied, and then
    /// started again.
    pub async fn standby(&mut self) -> Self {
        let tenant = Tenant::new("iam-standby");
        self.stop();
        let data = self.tenant.folder.join("data");
        let mut copy = tenant.command("cp".into());
        assert!(copy.arg("-R").arg(data).arg("data").status().unwrap().success(), "the data directory must be copied");
        self.start_again();
        let settings = format!("primary_conninfo = 'host=127.0.0.1 port={} user=iam_test'\n", self.port);
        let mut touch = tenant.command("touch".into());
        assert!(touch.arg("data/standby.signal").status().unwrap().success());
        std::fs::write(tenant.folder.join("data/postgresql.auto.conf"), settings).unwrap();
        let programs = self.programs.clone();
        let (port, process) = Self::launch_anywhere(&programs, &tenant);
        let standby = Self { programs, tenant, port, process };
        self.until("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')").await;
        standby
    }

    /// Enables synchronous replication: from now on, commits wait until the standby has confirmed them.
    pub async fn wait_for_standbys(&self) {
        self.run("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.run("SELECT pg_reload_conf()").await;
        self.until("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')").await;
    }

    /// Makes this standby receive nothing further from its primary.
    pub async fn stop_streaming(&self) {
        self.run("ALTER SYSTEM SET primary_conninfo = ''").await;
        self.run("SELECT pg_reload_conf()").await;
        self.until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)").await;
    }

    /// Promotes this standby. Its former primary is not notified.
    pub async fn promote(&self) {
        self.run("SELECT pg_promote()").await;
        self.until("SELECT NOT pg_is_in_recovery()").await;
    }

    /// Executes SQL as the superuser.
    pub async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        run(&mut connection, sql.to_owned()).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Waits until a query returns `true`.
    pub async fn until(&self, question: &'static str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        until(async || query_scalar(question).fetch_one(&mut connection).await.unwrap()).await;
        connection.close().await.unwrap();
    }

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the server's database.
    pub fn url(&self) -> String {
        format!("postgres://iam_test@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the URL with which this role connects to this database of the server.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the URL that connects to the server's database through its Unix socket.
    pub fn url_of_socket(&self) -> String {
        format!("postgres://iam_test@localhost/postgres?host={}&port={}", self.tenant.folder.display(), self.port)
    }

    /// Stops the server with SIGINT (fast shutdown), which does not wait for clients to disconnect.
    pub fn stop(&mut self) {
        let interrupted = Command::new("kill").arg("-INT").arg(self.process.id().to_string()).status().unwrap();
        assert!(interrupted.success());
        wait_until(|| self.process.try_wait().unwrap());
    }

    /// Starts the server again and waits until it is ready.
    pub fn start_again(&mut self) {
        self.process = wait_until(|| Self::launch(&self.programs, &self.tenant, self.port));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The server's child processes exit when the server exits.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
