//! Determines the address of the client of a request. Behind trusted proxies it is in the header `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The header to which each proxy appends the address of its client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Determines the addresses of clients. It trusts the `X-Forwarded-For` header only as far as trusted proxies have written
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientAddresses {
    proxies: Vec<IpNet>,
}

/// The error for a trusted proxy that is neither an IP address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("each entry must be an IP address or a network, such as 10.0.0.0/8")]
pub struct ProxyError;

impl ClientAddresses {
    /// Parses the addresses and networks of the trusted proxies. Empty entries are ignored.
    ///
    /// # Errors
    ///
    /// Returns [`ProxyError`] if an entry is neither an IP address nor a network.
    pub fn parse(proxies: &[String]) -> Result<Self, ProxyError> {
        let entries = proxies.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty());
        let parse = |entry: &str| {
            let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| ProxyError)
        };
        Ok(Self { proxies: entries.map(parse).collect::<Result<_, _>>()? })
    }

    /// Returns `true` if the address belongs to a trusted proxy.
    pub(crate) fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Returns the address of the client: the peer of the connection or, if the peer is a trusted proxy, the last address
    /// in `X-Forwarded-For` that is not a trusted proxy. Returns `None` if the connection has no peer address.
    pub(crate) fn of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        if !self.is_trusted_proxy(peer) {
            return Some(peer);
        }
        let lines: Vec<_> = request.headers().get_all(FORWARDED_FOR).filter_map(|line| line.to_str().ok()).collect();
        let mut client = peer;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            // An entry that is not an address ends the part of the header that trusted proxies have written.
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address;
            if !self.is_trusted_proxy(address) {
                break;
            }
        }
        Some(client)
    }
}

/// Parses an entry of `X-Forwarded-For`: an address, which may be followed by a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().or_else(|_| hop.parse().map(|address: std::net::SocketAddr| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Returns the address under which a client is counted: the IPv4 address, or the /64 network of an IPv6 address. A client
/// usually has a whole /64 network.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let addresses = ClientAddresses::parse(&["10.0.0.0/8".into(), " 2001:db8::7".into(), String::new()]).unwrap();
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for line in forwarded {
            request = request.append_header((FORWARDED_FOR, *line));
        }
        addresses.of(&request.to_http_request()).unwrap().to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_trusted() {
        let peer = "203.0.113.5:1000";
        assert_eq!(client(peer, &["198.51.100.1"]), "203.0.113.5", "the peer is not a proxy");
        let proxy = "10.1.2.3:1000";
        assert_eq!(client(proxy, &[]), "10.1.2.3");
        assert_eq!(client(proxy, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(proxy, &["1.1.1.1, 198.51.100.1:80, 10.9.9.9"]), "198.51.100.1", "the last untrusted hop");
        assert_eq!(client(proxy, &["1.1.1.1", "198.51.100.1"]), "198.51.100.1", "the header may be repeated");
        assert_eq!(client("[2001:db8::7]:80", &["forged, [2001:db8::9]:80"]), "2001:db8::9");
        assert_eq!(client(proxy, &["198.51.100.1, unknown"]), "10.1.2.3", "an entry that is not an address");
        assert_eq!(ClientAddresses::parse(&["10.0.0.0/40".into()]), Err(ProxyError));
    }
}
