//! An HAProxy process that distributes requests over replicas, as the load balancer of a cluster does.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::process::wait_until;
use super::server::Tenant;

/// An HAProxy process that checks `/readyz` of each replica and never retries a request. Dropping this value kills the
/// process.
pub struct HaProxy {
    tenant: Tenant,
    /// The address of the load balancer.
    pub address: SocketAddr,
    process: Child,
}

/// Returns the path of the `haproxy` binary. If it is missing, `tests/with-postgres.sh` tries to install it.
fn program() -> PathBuf {
    let folders =
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = folders.into_iter().map(|folder| folder.join("haproxy")).find(|program| program.exists());
    found.expect("haproxy is missing: run the tests with tests/with-postgres.sh, or install it")
}

/// Returns the path of the administration socket.
fn socket_of(tenant: &Tenant) -> PathBuf {
    tenant.folder().join("socket")
}

/// Returns the configuration. A request that fails at a replica fails at the client: there are no retries.
fn configuration(socket: &Path, port: u16, replicas: &[SocketAddr]) -> String {
    let server = |(number, address): (usize, &SocketAddr)| format!("    server replica{number} {address}\n");
    let servers: String = replicas.iter().enumerate().map(server).collect();
    format!(
        "global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout check 10s
frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 50ms fastinter 50ms downinter 50ms fall 1 rise 1
{servers}",
        socket = socket.display()
    )
}

impl HaProxy {
    /// Starts a process in front of these replicas.
    pub fn of(replicas: &[SocketAddr]) -> Self {
        let tenant = Tenant::new("iam-haproxy");
        let (port, process) = (0..20)
            .find_map(|_| {
                let port = 20_000 + u16::try_from(uuid::Uuid::new_v4().as_u128() % 12_000).unwrap();
                std::fs::write(tenant.folder().join("cfg"), configuration(&socket_of(&tenant), port, replicas))
                    .unwrap();
                Some((port, Self::launch(&tenant)?))
            })
            .expect("HAProxy must start on one of 20 ports");
        Self { tenant, address: SocketAddr::from(([127, 0, 0, 1], port)), process }
    }

    /// Starts the process and waits until its administration socket accepts connections, which it creates after the port.
    /// Returns `None` if the process exits instead.
    fn launch(tenant: &Tenant) -> Option<Child> {
        let mut process = tenant.command(program()).args(["-db", "-f", "cfg"]).stdout(Stdio::null()).spawn().unwrap();
        wait_until(|| match process.try_wait().unwrap() {
            Some(_) => Some(false),
            None => UnixStream::connect(socket_of(tenant)).is_ok().then_some(true),
        })
        .then_some(process)
    }

    /// Replaces the address of a replica.
    pub fn move_replica(&self, number: usize, address: SocketAddr) {
        let answer =
            self.run(&format!("set server replicas/replica{number} addr {} port {}", address.ip(), address.port()));
        assert!(answer.contains("changed"), "{answer}");
    }

    /// Returns `true` if the last check of a replica succeeded.
    pub fn is_up(&self, number: usize) -> bool {
        let states = self.run("show servers state replicas");
        let replica = format!("replica{number}");
        let line = states.lines().find(|line| line.split(' ').nth(3) == Some(replica.as_str())).expect("it must exist");
        // The operational state 2 means that the server is up.
        line.split(' ').nth(5) == Some("2")
    }

    /// Runs a command of the administration socket, and returns its output.
    fn run(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(socket_of(&self.tenant)).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
