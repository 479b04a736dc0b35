//! Limits the number of open connections: of all clients together, and of each client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::middleware::{ClientAddresses, network_of};

/// The limits on the number of open connections. `0` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of open connections. Default: 4096.
    pub total: usize,
    /// Maximum number of open connections from one address, or from one /64 network in the case of IPv6. It does not apply
    /// to trusted proxies. Default: 1024.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 4096, per_address: 1024 }
    }
}

/// The limit that a new connection would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Total,
    Address,
}

impl Exceeded {
    /// Returns the metric label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// The open connections of a server.
#[derive(Debug)]
pub(super) struct OpenConnections {
    /// The name of the server, as a metric label.
    server: &'static str,
    limits: ConnectionLimits,
    addresses: ClientAddresses,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl OpenConnections {
    pub(super) fn new(server: &'static str, limits: ConnectionLimits, addresses: ClientAddresses) -> Arc<Self> {
        Arc::new(Self { server, limits, addresses, counts: Mutex::default() })
    }

    /// Counts a connection as open until the returned guard is dropped.
    ///
    /// # Errors
    ///
    /// Returns the limit that the connection would exceed.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionSlot, Exceeded> {
        let ConnectionLimits { total, per_address } = self.limits;
        let address = Some(network_of(peer)).filter(|_| !self.addresses.is_trusted_proxy(peer));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if total > 0 && counts.total >= total {
            return Err(Exceeded::Total);
        }
        if let Some(address) = address {
            let of_address = counts.by_address.entry(address).or_default();
            if per_address > 0 && *of_address >= per_address {
                return Err(Exceeded::Address);
            }
            *of_address += 1;
        }
        counts.total += 1;
        metrics::gauge!("iam_http_connections", "server" => self.server).increment(1);
        Ok(ConnectionSlot { open: Arc::clone(self), address })
    }
}

/// A guard that counts a connection as open until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    open: Arc<OpenConnections>,
    address: Option<IpAddr>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.open.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(of_address) = counts.by_address.get_mut(&address)
        {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                counts.by_address.remove(&address);
            }
        }
        metrics::gauge!("iam_http_connections", "server" => self.open.server).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_in_total_and_per_network() {
        let proxies = ClientAddresses::parse(&["192.0.2.0/24".to_owned()]).unwrap();
        let open = OpenConnections::new("http", ConnectionLimits { total: 5, per_address: 2 }, proxies);
        let mut slots = vec![open.open(address("2001:db8::1")).unwrap(), open.open(address("2001:db8::2")).unwrap()];
        assert_eq!(open.open(address("2001:db8::3")).unwrap_err(), Exceeded::Address);
        // The limit per address does not apply to a trusted proxy.
        slots.extend((0..3).map(|_| open.open(address("192.0.2.7")).unwrap()));
        assert_eq!(open.open(address("198.51.100.1")).unwrap_err(), Exceeded::Total);
        slots.remove(0);
        slots.push(open.open(address("::ffff:198.51.100.1")).unwrap());
        drop(slots);
        assert!(open.counts.lock().unwrap().by_address.is_empty());
        assert_eq!(open.counts.lock().unwrap().total, 0);
    }
}
