//! The health checks of the process, which liveness and readiness probes call. The composition root implements
//! [`HealthProbe`].

use async_trait::async_trait;

/// The result of checking one condition that the process must meet to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// The name of the condition.
    pub name: &'static str,
    /// The reason why the condition is not met, as a message for operators. `None` if the condition is met.
    pub problem: Option<String>,
}

/// The readiness of the process to serve requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// The results, one per checked condition.
    pub checks: Vec<ReadinessCheck>,
}

impl Readiness {
    /// Returns `true` if all conditions are met.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// The health checks of the process.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Returns `true` if the storage responds to a ping before the timeout. The result is cached for one second.
    async fn storage_is_healthy(&self) -> bool;
    /// Checks whether the process is ready to serve requests. The check does not acquire a connection from the database
    /// connection pool.
    fn readiness(&self) -> Readiness;
}
