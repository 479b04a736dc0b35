//! The data that the platform and each company have: a menu and an audit log.

use std::sync::Arc;

use iam_domain::{AuditRecord, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId};
use iam_storage::AuditCursor;
use imbl::OrdMap;

/// The menu of one owner: the platform or a company.
#[derive(Clone, Default)]
pub(crate) struct MenuData {
    pub(crate) items: OrdMap<MenuItemId, MenuItem>,
    pub(crate) sub_items: OrdMap<SubMenuItemId, SubMenuItem>,
}

/// The audit log of one owner, ordered by timestamp and id, oldest first.
pub(crate) type AuditLog = OrdMap<AuditCursor, Arc<AuditRecord>>;
