//! The settings of expired assignments.

use std::time::Duration;

use serde::Deserialize;

use super::parse::{duration, seconds};

/// The settings of the background removal of expired assignments.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssignmentSettings {
    /// The interval between two removals of expired assignments.
    #[serde(deserialize_with = "seconds")]
    pub sweep_interval: Duration,
    /// The duration for which an expired assignment is kept, and listed as expired.
    #[serde(deserialize_with = "duration")]
    pub keep_expired: Duration,
}

impl Default for AssignmentSettings {
    fn default() -> Self {
        Self { sweep_interval: Duration::from_secs(5 * 60), keep_expired: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}
