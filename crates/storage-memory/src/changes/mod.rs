//! The write operations of units of work. They enforce the same constraints as a relational database.

mod catalog;
mod company;
mod contents;
mod credentials;
mod erasure;
mod idempotency;
mod matrices;
mod menu;
mod profiles;
mod sets;

use async_trait::async_trait;
use iam_domain::{AuditRecord, CompanyId};
use iam_storage::{AuditLogsMut, Result, StorageError, Target};

use crate::repository::Repository;
use crate::state::{CompanyData, RowKind};
use crate::unit_of_work::Unit;

impl Unit {
    /// Cascades a change to the catalog: applies `change` to all companies for which `concerned` returns `true`.
    fn cascade(&mut self, concerned: impl Fn(&CompanyData) -> bool, mut change: impl FnMut(&mut CompanyData)) {
        for company in self.work.companies_where(concerned) {
            change(self.work.company_mut(company));
        }
    }
}

#[async_trait]
impl AuditLogsMut for Repository<Unit> {
    async fn append(&mut self, record: &AuditRecord) -> Result<()> {
        self.0.change(record.company_id.map_or(Target::Catalog, Target::Company), |unit| {
            unit.take_id((RowKind::AuditLogs, record.id.as_uuid()))?;
            unit.recorder.appended(record.clone());
            Ok(())
        })
    }

    async fn restore(&mut self, owner: Option<CompanyId>, records: &[AuditRecord]) -> Result<u64> {
        self.0.change(Target::of_menu(owner), |unit| {
            if records.iter().any(|record| record.company_id != owner) {
                return Err(StorageError::Misuse("an audit record belongs to another owner"));
            }
            let mut added = 0;
            for record in records {
                if unit.take_id((RowKind::AuditLogs, record.id.as_uuid())).is_ok() {
                    unit.recorder.appended(record.clone());
                    added += 1;
                }
            }
            Ok(added)
        })
    }
}
