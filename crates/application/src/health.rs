//! The health of the process, as probes query it. The composition root implements it.

use async_trait::async_trait;

/// One condition of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// The name of the condition.
    pub name: &'static str,
    /// The reason why the condition fails, for operators. `None` if it holds.
    pub problem: Option<String>,
}

/// The readiness of the process for requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// All conditions that were checked.
    pub checks: Vec<ReadinessCheck>,
}

impl Readiness {
    /// Returns `true` if all conditions hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// Reports the health of the process.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Returns `true` if the storage responds to a ping within the timeout. A result of the last second is reused.
    async fn storage_is_healthy(&self) -> bool;
    /// Checks whether the process is ready for requests. This uses no connection of the pool.
    fn readiness(&self) -> Readiness;
}
