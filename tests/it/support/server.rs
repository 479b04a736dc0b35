//! A PostgreSQL server of a test's own, which may stop it and start it again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sea_orm::sqlx::{Connection, PgConnection, query_scalar};
use sea_orm::{ConnectOptions, Database};

use super::database::run;
use super::process::wait_until;
use super::replica::until;

/// A server on a free port, with its data in a folder of its own; both end with this value.
pub struct PostgresServer {
    programs: PathBuf,
    tenant: Tenant,
    port: u16,
    process: Child,
}

/// An operating-system user that may run servers, which root may not, and a folder of that user's. The folder is
/// removed with this value.
pub struct Tenant {
    folder: PathBuf,
    /// Never root: another user, or the one that runs the tests.
    user: Option<u32>,
}

impl Tenant {
    /// Creates a folder whose name begins like this.
    pub fn new(name: &str) -> Self {
        let is_root = ask("id", &["-u"]).unwrap() == "0";
        let lent = || ["postgres", "nobody"].into_iter().find_map(|name| ask("id", &["-u", name]));
        let user = is_root.then(|| lent().expect("a user to run servers").parse().unwrap());
        // Root's own TMPDIR may be closed to that user.
        let base = if is_root { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        // Short, since the path of a socket may have a hundred characters.
        let number = uuid::Uuid::new_v4().simple().to_string();
        let folder = base.join(format!("{name}-{}", number.get(..12).unwrap_or(&number)));
        std::fs::create_dir(&folder).unwrap();
        if user.is_some() {
            std::os::unix::fs::chown(&folder, user, None).unwrap();
        }
        Self { folder, user }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program that it runs, in its folder.
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

/// The answer of a program.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn programs() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "tests/with-postgres.sh says where the programs are")]
    let configured = std::env::var("IAM_PG_BINDIR").ok();
    let found =
        configured.or_else(|| ask("pg_config", &["--bindir"])).expect("IAM_PG_BINDIR, or pg_config in the path");
    PathBuf::from(found)
}

impl PostgresServer {
    /// A server with the schema and the seeded catalog.
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
        database.close().await.unwrap();
        server
    }

    /// Starts the program at a free port, and returns the port.
    fn launch_anywhere(programs: &Path, tenant: &Tenant) -> (u16, Child) {
        let launched = (0..20).find_map(|_| {
            // Below the ports that systems give to programs that ask for any, so that it is still free after a stop.
            let port = 20_000 + u16::try_from(uuid::Uuid::new_v4().as_u128() % 12_000).unwrap();
            Some((port, Self::launch(programs, tenant, port)?))
        });
        launched.expect("a server that starts")
    }

    /// Starts the program and waits until it answers, which is when it writes so; `None` if it ends instead, as it
    /// does if the port is taken.
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

    /// A standby that replays this server's changes. This server is stopped to copy it, and started again.
    pub async fn standby(&mut self) -> Self {
        let tenant = Tenant::new("iam-standby");
        self.stop();
        let data = self.tenant.folder.join("data");
        let mut copy = tenant.command("cp".into());
        assert!(copy.arg("-R").arg(data).arg("data").status().unwrap().success(), "a copy of the data");
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

    /// From now on changes are acknowledged when a standby has them.
    pub async fn wait_for_standbys(&self) {
        self.run("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.run("SELECT pg_reload_conf()").await;
        self.until("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')").await;
    }

    /// Promotes a standby; the server that it followed is not notified.
    pub async fn promote(&self) {
        self.run("SELECT pg_promote()").await;
        self.until("SELECT NOT pg_is_in_recovery()").await;
    }

    /// Runs SQL as the superuser.
    pub async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        run(&mut connection, sql.to_owned()).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Waits until a query returns true.
    async fn until(&self, question: &'static str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        until(async || query_scalar(question).fetch_one(&mut connection).await.unwrap()).await;
        connection.close().await.unwrap();
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The url of its database.
    pub fn url(&self) -> String {
        format!("postgres://iam_test@127.0.0.1:{}/postgres", self.port)
    }

    /// The url of its database, by a Unix socket.
    pub fn url_of_socket(&self) -> String {
        format!("postgres://iam_test@localhost/postgres?host={}&port={}", self.tenant.folder.display(), self.port)
    }

    /// Stops it, as an operator does without waiting for clients.
    pub fn stop(&mut self) {
        let interrupted = Command::new("kill").arg("-INT").arg(self.process.id().to_string()).status().unwrap();
        assert!(interrupted.success());
        wait_until(|| self.process.try_wait().unwrap());
    }

    /// Starts it again and waits until it answers.
    pub fn start_again(&mut self) {
        self.process = wait_until(|| Self::launch(&self.programs, &self.tenant, self.port));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Its children end when it does.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
