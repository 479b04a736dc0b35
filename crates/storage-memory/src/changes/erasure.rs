//! The erasure of a company.

use std::sync::Arc;

use iam_domain::{CompanyDetails, CompanyId, CompanyStatus};
use iam_storage::ErasedRows;

use crate::repository::StateSource;
use crate::state::{CompanyData, LevelData};
use crate::unit_of_work::Unit;

impl Unit {
    /// Replaces the data of a company with a tombstone, and returns the numbers of deleted rows. The commit deletes the
    /// company's API keys and its auxiliary data.
    pub(crate) fn erase(&mut self, company: CompanyId) -> ErasedRows {
        let auxiliary = self.auxiliary();
        let keys = self.work.credentials.api_keys.values().filter(|(key, _, _)| key.company_id == Some(company));
        let keys = keys.count() as u64;
        let requests = self.state().idempotency.values().filter(|(of, _)| *of == Some(company)).count() as u64;
        let erased_at = Some(self.recorder.now());
        let data = self.work.company_mut(company);
        let of_levels =
            |count: fn(&LevelData) -> usize| -> usize { data.levels.values().map(Arc::as_ref).map(count).sum() };
        let (views, features) = auxiliary.effective_row_counts(company);
        let rows = [
            ("api_keys", keys),
            ("company2modules", data.modules.len() as u64),
            ("effective_feature_permissions", features),
            ("effective_view_permissions", views),
            ("iam_audit_logs", data.audit.len() as u64),
            ("idempotency_keys", requests),
            ("menu_items", data.menu.items.len() as u64),
            ("nav_trail", auxiliary.trail_len(company, None)),
            ("sub_menu_items", data.menu.sub_items.len() as u64),
            ("user_level_feature_permissions", of_levels(|level| level.features.len()) as u64),
            ("user_level_view_permissions", of_levels(|level| level.views.len()) as u64),
            ("user_levels", data.levels.len() as u64),
            ("user_profiles", data.profiles.len() as u64),
            ("user_user_levels", of_levels(|level| level.holders.len()) as u64),
        ];
        // The tombstone is suspended, so no decision about the company can ever be an allow.
        let details = CompanyDetails { name: None, status: CompanyStatus::Suspended };
        let tombstone = CompanyData { version: data.version, details, erased_at, ..CompanyData::default() };
        let before = std::mem::replace(data, tombstone);
        self.release_ids(before.ids());
        self.removed.company = Some(company);
        ErasedRows(rows.into_iter().collect())
    }
}
