//! The data that the platform has and every company has too: a menu and an audit log.

use std::sync::Arc;

use iam_domain::{AuditRecord, MenuItem, MenuItemId, SubMenuItem, SubMenuItemId};
use iam_storage::AuditCursor;
use imbl::OrdMap;

/// The menu of one owner.
#[derive(Clone, Default)]
pub(crate) struct MenuData {
    pub(crate) items: OrdMap<MenuItemId, MenuItem>,
    pub(crate) sub_items: OrdMap<SubMenuItemId, SubMenuItem>,
}

/// The audit records of one owner, oldest first.
pub(crate) type AuditTrail = OrdMap<AuditCursor, Arc<AuditRecord>>;
