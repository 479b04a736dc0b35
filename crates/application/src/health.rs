//! The health checks of the process, which liveness and readiness probes call. The composition root implements
//! [`HealthProbe`].

use async_trait::async_trait;

/// The kind of a problem that readiness reports. The codes are stable: monitoring and scripts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadinessReason {
    /// The process has not reached a usable database yet.
    FirstContact,
    /// The schema of the database is missing, is behind, or cannot be checked.
    Schema,
    /// New database connections are rejected, because the server is a standby, is read-only, or has another encoding.
    UnusableDatabase,
    /// Polls of the database fail.
    Degraded,
    /// The process is shutting down.
    Draining,
}

impl ReadinessReason {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::FirstContact, Self::Schema, Self::UnusableDatabase, Self::Degraded, Self::Draining];

    /// Returns the stable code of the reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::FirstContact => "first_contact",
            Self::Schema => "schema",
            Self::UnusableDatabase => "unusable_database",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
        }
    }
}

/// A problem with one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessProblem {
    /// The kind of the problem.
    pub reason: ReadinessReason,
    /// The description of the problem, for operators.
    pub text: String,
    /// `true` if the process is not ready because of the problem.
    pub is_blocking: bool,
}

/// The versions of the schema that this program accepts, and the version of the database. A version is the name of a
/// migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaVersions {
    /// The oldest version that the program accepts: its own newest migration.
    pub min: String,
    /// The newest version that the program accepts. `None`: every newer version, because migrations keep the schema
    /// compatible with the previous release.
    pub max: Option<String>,
    /// The newest migration that the database has. `None` if the database has none.
    pub found: Option<String>,
}

/// The result of checking one condition that the process must meet to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// The name of the condition.
    pub name: &'static str,
    /// The problem with the condition. `None` if the condition is met.
    pub problem: Option<ReadinessProblem>,
    /// The versions of the schema, if the condition is about the schema and the schema has been read.
    pub schema: Option<SchemaVersions>,
}

/// The readiness of the process to serve requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// The results, one per checked condition.
    pub checks: Vec<ReadinessCheck>,
}

impl Readiness {
    /// Returns `true` if no problem blocks requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.problems().all(|problem| !problem.is_blocking)
    }

    /// Returns the problems of all conditions.
    pub fn problems(&self) -> impl Iterator<Item = &ReadinessProblem> {
        self.checks.iter().filter_map(|check| check.problem.as_ref())
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
