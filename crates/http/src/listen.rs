//! Opens the listening sockets of the server. Errors identify the invalid setting: the host or the port.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use actix_web::rt::net::TcpSocket;

/// Maximum length of a listener's accept queue in the kernel, in connections (the `backlog` of `listen`).
const BACKLOG: u32 = 1024;

/// Binds a listening socket, and returns it with its local address. Port 0 selects any free port. `names` contains the
/// names of the host and port settings, which error messages include.
pub(crate) async fn listen(names: (&str, &str), host: &str, port: u16) -> Result<(TcpListener, SocketAddr), String> {
    let (of_host, of_port) = names;
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| {
        let rule =
            "must be an IP address of this machine or a host name that resolves to one, such as 127.0.0.1 or 0.0.0.0";
        format!("{of_host}: {rule}: {error}")
    })?;
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
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
