//! Read operations on the audit log.

use std::ops::Bound;

use async_trait::async_trait;
use iam_domain::{AuditRecord, CompanyId, EntityType, UserId};
use iam_storage::{AuditCursor, AuditFilter, AuditLogs, Result};
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
        limit: u64,
    ) -> Result<Vec<AuditRecord>> {
        let state = self.0.state();
        let older = (Bound::Unbounded, cursor.map_or(Bound::Unbounded, Bound::Excluded));
        let records = state.audit(company).range(older).rev().map(|(_, record)| record);
        let wanted = records.filter(|record| filter.matches(record)).take(to_usize(limit));
        Ok(wanted.map(|record| AuditRecord::clone(record)).collect())
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
        self.list_for_company(company, &filter, None, limit).await
    }

    async fn list_for_user(&self, company: Option<CompanyId>, user: UserId, limit: u64) -> Result<Vec<AuditRecord>> {
        let filter = AuditFilter { actor_id: Some(user.as_uuid()), ..AuditFilter::default() };
        self.list_for_company(company, &filter, None, limit).await
    }
}
