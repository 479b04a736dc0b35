//! The health of the process, as probes ask for it. The composition root implements it.

use async_trait::async_trait;

/// One condition of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// Its name.
    pub name: &'static str,
    /// Why it fails, for operators; `None` when it holds.
    pub problem: Option<String>,
}

/// Whether the process is ready for requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// All conditions that were checked.
    pub checks: Vec<ReadinessCheck>,
}

impl Readiness {
    /// Whether all conditions hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// Reports the health of the process.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Whether the storage answers a heartbeat now.
    async fn storage_is_healthy(&self) -> bool;
    /// Whether the process is ready for requests. Uses no connection of the pool.
    fn readiness(&self) -> Readiness;
}
