//! Opens the listening sockets of the server. Errors identify the invalid setting: the host or the port.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use actix_web::rt::net::TcpSocket;

/// Maximum length of a listener's accept queue in the kernel, in connections (the `backlog` of `listen`).
const BACKLOG: u32 = 1024;

/// The names of the settings of a listener: its host and its port. Error messages include them.
type Names = (&'static str, &'static str);

/// The names of the settings of the API's listener.
pub(super) const API: Names = ("server.host (IAM__SERVER__HOST)", "server.port (PORT)");
/// The names of the settings of the admin port's listener.
pub(super) const ADMIN: Names = ("admin.host (IAM__ADMIN__HOST)", "admin.port (IAM__ADMIN__PORT)");

/// Returns the host with which a client on this machine reaches a listener on `host`.
pub(super) fn reachable(host: &str) -> String {
    match host {
        "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    }
}

/// Resolves the host of a listener.
pub(super) async fn addresses((of_host, _): Names, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| {
        let rule =
            "must be an IP address of this machine or a host name that resolves to one, such as 127.0.0.1 or 0.0.0.0";
        format!("{of_host}: {rule}: {error}")
    })?;
    Ok(found.collect())
}

/// Binds a listening socket, and returns it with its local address. Port 0 selects any free port.
pub(super) async fn listen(names: Names, host: &str, port: u16) -> Result<(TcpListener, SocketAddr), String> {
    let (of_host, of_port) = names;
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses(names, host, port).await? {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    let why = match last.kind() {
        ErrorKind::AddrInUse => "the port is in use; configure another port, or 0 for any free port",
        ErrorKind::PermissionDenied => "permission denied; configure a port from 1024 to 65535",
        ErrorKind::AddrNotAvailable => {
            return Err(format!("{of_host}: must be an address of this machine, such as 127.0.0.1 or 0.0.0.0: {last}"));
        }
        _ => return Err(format!("{of_host} and {of_port}: cannot listen on {host} port {port}: {last}")),
    };
    Err(format!("{of_port}: cannot listen on {host} port {port}: {why}"))
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Without this option, the connections of an exited server that are still in TIME_WAIT would block the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
