//! The records of changes to a company itself, to the profiles of its users, and of expired assignments.

use std::collections::BTreeMap;

use iam_domain::{CompanyDetails, CompanyId, CompanyStatus, EntityType, UserId, UserProfile};
use serde_json::json;

use super::Recorder;
use crate::record_changes::updated;
use crate::{Assigned, CompanyContent, CopiedLevel, ErasedRows, Forgotten};

impl Recorder {
    /// Records that expired assignments of a user were removed. They had no effect any more, so no decision changes.
    pub fn assignments_expired(&mut self, user: UserId, expired: &Assigned) {
        if expired.is_empty() {
            return;
        }
        let periods: BTreeMap<_, _> = expired.iter().map(|(level, period)| (level.to_string(), period)).collect();
        let changes = json!({ "removed": expired.keys().collect::<Vec<_>>(), "periodsBefore": periods });
        self.record_in_parts("assignment.expired", EntityType::Assignment, user.as_uuid(), changes);
    }

    /// Records that a company was provisioned.
    pub fn provisioned(&mut self, company: CompanyId) {
        self.record("company.provisioned", EntityType::Company, company.as_uuid(), json!({}));
    }

    /// Records that the content of a company was replaced. The record states the number of rows, because the rows of a
    /// company can be many.
    pub fn company_imported(&mut self, content: &CompanyContent) {
        let cells = |level: &CopiedLevel| level.views.len() + level.features.len();
        let rows = json!({
            "levels": content.levels.len(),
            "cells": content.levels.iter().map(cells).sum::<usize>(),
            "assignments": content.assignments(),
            "modules": content.modules.len(),
            "menuItems": content.menu.items.len() + content.menu.sub_items.len(),
            "profiles": content.profiles.len(),
        });
        let changes = json!({ "rows": rows });
        self.record("company.imported", EntityType::Company, content.company.as_uuid(), changes);
    }

    /// Records that the name or the status of a company changed. A suspension only removes: a company that has exhausted
    /// its budget of audit records can be suspended.
    pub fn company_updated(&mut self, company: CompanyId, before: &CompanyDetails, after: &CompanyDetails) {
        if before == after {
            return;
        }
        self.adds |= before.name != after.name || after.status == CompanyStatus::Active;
        let changes = updated(before, after);
        self.record_removal("company.updated", EntityType::Company, company.as_uuid(), changes);
    }

    /// Records that a company was erased. The record belongs to the platform, because the audit log of the company was
    /// erased too.
    pub fn company_erased(&mut self, company: CompanyId, rows: &ErasedRows) {
        self.is_of_platform = true;
        let changes = json!({ "rows": rows });
        self.record_removal("company.erased", EntityType::Company, company.as_uuid(), changes);
    }

    /// Records that the profile of a user was created or changed. The record states which fields changed, and does not
    /// contain their values: the audit log would otherwise retain personal data that was deleted.
    pub fn profile_replaced(&mut self, before: Option<&UserProfile>, after: &UserProfile) {
        let differs = [
            ("displayName", before.and_then(|before| before.display_name.as_ref()) != after.display_name.as_ref()),
            ("email", before.and_then(|before| before.email.as_ref()) != after.email.as_ref()),
            ("source", before.map(|before| before.source) != Some(after.source)),
        ];
        let fields: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect();
        if fields.is_empty() {
            return;
        }
        let changes = json!({ "fields": fields, "source": after.source });
        self.record("user.profile_updated", EntityType::User, after.user_id.as_uuid(), changes);
    }

    /// Records that the profile and the navigation trail of a user were deleted.
    pub fn user_forgotten(&mut self, user: UserId, forgotten: &Forgotten) {
        if *forgotten == Forgotten::default() {
            return;
        }
        let changes = json!({ "profile": forgotten.profile.is_some(), "trail": forgotten.trail });
        self.record_removal("user.data_deleted", EntityType::User, user.as_uuid(), changes);
    }
}
