//! Read operations on the audit log, with filters and bounded pages.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use iam_domain::{AuditRecord, AuditRecordId, CompanyId, EntityType, Timestamp, UserId};
use uuid::Uuid;

use crate::Result;

/// A filter for audit records. A field that is `None` matches every record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The type of the changed entity.
    pub entity_type: Option<EntityType>,
    /// The id of the changed entity.
    pub entity_id: Option<Uuid>,
    /// The exact name of the recorded action, such as `user_level.created`.
    pub action: Option<String>,
    /// The id of the user or of the API key that made the change.
    pub actor_id: Option<Uuid>,
    /// The start of the time range, inclusive.
    pub from: Option<Timestamp>,
    /// The end of the time range, exclusive.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns `true` if the record matches the filter.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        self.entity_type.is_none_or(|entity_type| entity_type == record.entity_type)
            && self.entity_id.is_none_or(|id| id == record.entity_id)
            && self.action.as_ref().is_none_or(|action| *action == record.action)
            && self.actor_id.is_none_or(|id| Some(id) == record.actor.id())
            && self.from.is_none_or(|from| record.timestamp >= from)
            && self.to.is_none_or(|to| record.timestamp < to)
    }
}

/// A cursor for keyset pagination of the audit log: the position of the last record of the previous page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// The timestamp of the last record of the previous page.
    pub timestamp: Timestamp,
    /// The id of the last record of the previous page.
    pub id: AuditRecordId,
}

impl fmt::Display for AuditCursor {
    /// Formats the cursor as `microseconds/id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.timestamp.micros(), self.id)
    }
}

/// The error for a text that is no [`AuditCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("was not issued by this service")]
pub struct InvalidAuditCursor;

impl FromStr for AuditCursor {
    type Err = InvalidAuditCursor;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (micros, id) = text.split_once('/').ok_or(InvalidAuditCursor)?;
        // Times before 1970 are rejected: no record is that old, and databases do not support times in the distant past.
        let micros = micros.parse().ok().filter(|micros| *micros >= 0);
        let timestamp = micros.and_then(Timestamp::from_micros).ok_or(InvalidAuditCursor)?;
        Ok(Self { timestamp, id: AuditRecordId::parse(id).map_err(|_| InvalidAuditCursor)? })
    }
}

/// The bounds of a page of audit records. A page contains at least one record, however large the record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBounds {
    /// Maximum number of records.
    pub records: u64,
    /// Maximum size of the records in bytes. The size of a record is the length of the JSON texts of its changes and
    /// of its metadata. The adapters may format JSON with different white space.
    pub bytes: u64,
}

impl PageBounds {
    /// Returns the bounds of a page of at most this many records, whatever their size.
    #[must_use]
    pub const fn records(records: u64) -> Self {
        Self { records, bytes: u64::MAX }
    }
}

/// A page of audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecords {
    /// The records, sorted from newest to oldest: by descending timestamp, then by descending id.
    pub records: Vec<AuditRecord>,
    /// `true` if more records match the filter after the last record of a page that is not empty.
    pub has_more: bool,
}

/// Read operations on the audit log. Records are ordered by descending timestamp, then by descending id. The company
/// `None` selects the audit log of the platform.
#[async_trait]
pub trait AuditLogs: Send + Sync {
    /// Returns a page of the records of a company that match the filter: the records after `cursor`, or from the
    /// newest record if no cursor is given (keyset pagination). Records that do not fit the page are not read.
    async fn list_for_company(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        bounds: PageBounds,
    ) -> Result<AuditRecords>;
    /// Returns the number of records of a company that match the filter, or `at_most` if there are more.
    async fn count_for_company(&self, company: Option<CompanyId>, filter: &AuditFilter, at_most: u64) -> Result<u64>;
    /// Returns at most `limit` records about an entity, newest first.
    async fn list_for_entity(
        &self,
        company: Option<CompanyId>,
        entity_type: EntityType,
        entity_id: Uuid,
        limit: u64,
    ) -> Result<Vec<AuditRecord>>;
    /// Returns at most `limit` records of changes that a user made, newest first.
    async fn list_for_user(&self, company: Option<CompanyId>, user: UserId, limit: u64) -> Result<Vec<AuditRecord>>;
}
