//! Read operations on the audit log.

use std::ops::Bound;

use async_trait::async_trait;
use iam_domain::{AuditRecord, CompanyId, EntityType, UserId};
use iam_storage::{AuditCursor, AuditFilter, AuditLogs, AuditRecords, PageBounds, Result};
use uuid::Uuid;

use crate::limit::to_usize;
use crate::repository::{Repository, StateSource};

#[async_trait]
impl<S: StateSource> AuditLogs for Repository<S> {
    async fn list_for_company(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        bounds: PageBounds,
    ) -> Result<AuditRecords> {
        let state = self.0.state();
        let older = (Bound::Unbounded, cursor.map_or(Bound::Unbounded, Bound::Excluded));
        let records = state.audit(company).range(older).rev().map(|(_, record)| record);
        let mut page = AuditRecords { records: Vec::new(), has_more: false };
        let (limit, mut bytes) = (to_usize(bounds.records), 0_u64);
        for record in records.filter(|record| filter.matches(record)) {
            bytes = bytes.saturating_add(size(record));
            let is_first = page.records.is_empty();
            if page.records.len() >= limit || (bytes > bounds.bytes && !is_first) {
                page.has_more = !is_first;
                break;
            }
            page.records.push(AuditRecord::clone(record));
        }
        Ok(page)
    }

    async fn count_for_company(&self, company: Option<CompanyId>, filter: &AuditFilter, at_most: u64) -> Result<u64> {
        let state = self.0.state();
        let matching = state.audit(company).values().filter(|record| filter.matches(record));
        Ok(matching.take(to_usize(at_most)).count() as u64)
    }

    async fn list_for_entity(
        &self,
        company: Option<CompanyId>,
        entity_type: EntityType,
        entity_id: Uuid,
        limit: u64,
    ) -> Result<Vec<AuditRecord>> {
        let filter =
            AuditFilter { entity_type: Some(entity_type), entity_id: Some(entity_id), ..AuditFilter::default() };
        Ok(self.list_for_company(company, &filter, None, PageBounds::records(limit)).await?.records)
    }

    async fn list_for_user(&self, company: Option<CompanyId>, user: UserId, limit: u64) -> Result<Vec<AuditRecord>> {
        let filter = AuditFilter { actor_id: Some(user.as_uuid()), ..AuditFilter::default() };
        Ok(self.list_for_company(company, &filter, None, PageBounds::records(limit)).await?.records)
    }
}

/// Returns the size of a record: the length of the JSON texts of its changes and of its metadata.
fn size(record: &AuditRecord) -> u64 {
    let parts = record.changes.iter().chain(&record.metadata);
    parts.map(|part| part.to_string().len() as u64).sum()
}
