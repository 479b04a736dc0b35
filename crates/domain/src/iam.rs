//! The service's own permissions: who may administer a company's levels and permissions.

use crate::{Action, FeatureKey, Scope, Snapshot};

/// Keys that begin so belong to the service itself.
pub const RESERVED_PREFIX: &str = "iam.";

/// Whether a feature key belongs to the service itself.
#[must_use]
pub fn is_reserved(key: &FeatureKey) -> bool {
    key.as_str().starts_with(RESERVED_PREFIX)
}

/// A feature of the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IamPermission {
    /// `iam.manage_levels`: user levels, and who holds them.
    ManageLevels,
    /// `iam.assign_permissions`: what levels may see and do.
    AssignPermissions,
}

/// What one does with a feature of the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IamAction {
    /// Look at it.
    Read,
    /// Change it.
    Update,
}

impl IamPermission {
    /// The feature's key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ManageLevels => "iam.manage_levels",
            Self::AssignPermissions => "iam.assign_permissions",
        }
    }

    /// Whether the user of the snapshot holds this permission for the whole company: administration needs a grant of
    /// scope company or wider.
    #[must_use]
    pub fn is_held(self, action: IamAction, snapshot: &Snapshot) -> bool {
        let action = match action {
            IamAction::Read => Action::read(),
            IamAction::Update => Action::update(),
        };
        snapshot.catalog.feature_by_key(self.key()).is_some_and(|feature| {
            let decision = snapshot.feature(feature.id, &action);
            decision.allowed && decision.scope.is_some_and(|scope| scope >= Scope::Company)
        })
    }
}
