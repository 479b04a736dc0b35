//! What the outside may ask about the process itself. The composition root answers.

use async_trait::async_trait;

/// One thing that must be so before requests are welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Why it is not so, in words for operators; `None` when it is.
    pub problem: Option<String>,
}

/// Whether requests are welcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Whether everything is so.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// Answers about the process.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether the storage gives a sign of life now.
    async fn storage_is_healthy(&self) -> bool;
    /// Whether requests are welcome. Costs no connection of the pool.
    fn readiness(&self) -> Readiness;
}
