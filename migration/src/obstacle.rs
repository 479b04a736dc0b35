//! The table and the sessions for which a migration waits.

use std::fmt;

/// The lock that was not available, and the sessions that blocked it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacle {
    /// The name of the table. It is `None` if the lock is not a table lock, or could not be determined.
    pub table: Option<String>,
    /// The sessions that held the lock, or waited for it earlier. The list is empty if they could not be determined.
    pub sessions: Vec<BlockingSession>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "the table {table} is locked by ")?,
            None => f.write_str("a lock is held by ")?,
        }
        if self.sessions.is_empty() {
            return f.write_str("an unknown session");
        }
        for (position, session) in self.sessions.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{session}")?;
        }
        Ok(())
    }
}

/// A session that blocked an attempt. It contains no text of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockingSession {
    /// The process id of the session on the database server. It is 0 for a prepared transaction.
    pub pid: i32,
    /// The name that the client program has set.
    pub application: Option<String>,
    /// The state of the session, such as `idle in transaction`. It is `None` if the role may not read it.
    pub state: Option<String>,
}

impl fmt::Display for BlockingSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} (", self.pid)?;
        if let Some(application) = self.application.as_ref().filter(|name| !name.is_empty()) {
            write!(f, "application {application:?}, ")?;
        }
        write!(f, "{})", self.state.as_deref().unwrap_or("in an unknown state"))
    }
}
