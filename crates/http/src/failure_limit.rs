//! Limits the rate of failed authentications of each client address, so that a client cannot make the service verify
//! forged credentials at any rate. Only failures count, since many users can share an address.

use std::net::IpAddr;

use iam_application::{Buckets, Empty, Rate};

use crate::middleware::network_of;

/// The failed authentications of each client address.
#[derive(Debug)]
pub(crate) struct FailureLimit {
    rate: Option<Rate>,
    failures: Buckets<IpAddr>,
}

impl FailureLimit {
    /// Creates a limit with this rate. `None` means no limit.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, failures: Buckets::new() }
    }

    /// Checks that the client may present a credential that must be verified.
    pub(crate) fn check(&self, client: Option<IpAddr>) -> Result<(), (Rate, Empty)> {
        match (self.rate, client) {
            (Some(rate), Some(client)) => {
                self.failures.take(&network_of(client), rate, 0).map(drop).map_err(|empty| (rate, empty))
            }
            _ => Ok(()),
        }
    }

    /// Records a failed authentication of the client.
    pub(crate) fn record(&self, client: Option<IpAddr>) {
        if let (Some(rate), Some(client)) = (self.rate, client) {
            self.failures.charge(&network_of(client), rate, 1);
        }
    }
}
