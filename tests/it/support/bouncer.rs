//! A PgBouncer process in front of a PostgreSQL server that only one test uses.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::wait_until;
use super::server::{PostgresServer, Tenant};

/// A PgBouncer process in session mode with default settings. Dropping this value kills the process.
pub struct Bouncer {
    tenant: Tenant,
    port: u16,
    process: Child,
}

/// Returns the path of the `pgbouncer` binary. If it is missing, `tests/with-postgres.sh` tries to install it.
fn program() -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = folders.into_iter().map(|folder| folder.join("pgbouncer")).find(|program| program.exists());
    found.expect("pgbouncer is missing: run the tests with tests/with-postgres.sh, or install it")
}

impl Bouncer {
    /// Starts a PgBouncer process in front of this server.
    pub fn of(server: &PostgresServer) -> Self {
        let tenant = Tenant::new("iam-bouncer");
        let (port, process) = (0..20)
            .find_map(|_| {
                let port = 20_000 + u16::try_from(uuid::Uuid::new_v4().as_u128() % 12_000).unwrap();
                let settings = format!(
                    "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                    unix_socket_dir =\nauth_type = trust\nauth_file = users\npool_mode = session\nlogfile = log\n",
                    server.port()
                );
                std::fs::write(tenant.folder().join("ini"), settings).unwrap();
                std::fs::write(tenant.folder().join("users"), "\"iam_test\" \"\"\n").unwrap();
                Some((port, Self::launch(&tenant, port)?))
            })
            .expect("PgBouncer must start on one of 20 ports");
        Self { tenant, port, process }
    }

    /// Starts the process and waits until it accepts connections. Returns `None` if the process exits instead.
    fn launch(tenant: &Tenant, port: u16) -> Option<Child> {
        let mut command: Command = tenant.command(program());
        let mut process = command.arg("ini").stdout(Stdio::null()).spawn().unwrap();
        wait_until(|| match process.try_wait().unwrap() {
            Some(_) => Some(false),
            None => std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true),
        })
        .then_some(process)
    }

    /// Returns the URL that connects to the server's database through PgBouncer.
    pub fn url(&self) -> String {
        format!("postgres://iam_test@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills the process.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the process again on the same port.
    pub fn start_again(&mut self) {
        self.process = wait_until(|| Self::launch(&self.tenant, self.port));
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
