//! The service's own features and actions, which control access to IAM data.

use crate::{Action, FeatureKey, Scope, Snapshot};

/// The prefix of the feature keys that are reserved for the service itself.
pub const RESERVED_PREFIX: &str = "iam.";

/// Returns `true` if the feature key is reserved for the service itself.
#[must_use]
pub fn is_reserved(key: &FeatureKey) -> bool {
    key.as_str().starts_with(RESERVED_PREFIX)
}

/// A feature of the service itself, which controls access to IAM data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IamPermission {
    /// `iam.manage_levels`: manage user levels and their assignments.
    ManageLevels,
    /// `iam.assign_permissions`: manage the permissions of levels.
    AssignPermissions,
}

/// An action of one of the service's own features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IamAction {
    /// Read IAM data.
    Read,
    /// Change IAM data.
    Update,
    /// Grant permissions that the caller does not hold.
    Approve,
}

impl IamAction {
    /// Returns the feature action that corresponds to this action.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Read => Action::read(),
            Self::Update => Action::update(),
            Self::Approve => Action::approve(),
        }
    }
}

impl IamPermission {
    /// Returns the key of the feature.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ManageLevels => "iam.manage_levels",
            Self::AssignPermissions => "iam.assign_permissions",
        }
    }

    /// Returns `true` if a decision on this feature is sufficient to administer the company: the action is allowed with
    /// scope `company` or `any`.
    #[must_use]
    pub fn suffices(allowed: bool, scope: Option<Scope>) -> bool {
        allowed && scope >= Some(Scope::Company)
    }

    /// Returns `true` if the user of the snapshot holds this permission with a scope that [suffices](Self::suffices).
    #[must_use]
    pub fn is_held(self, action: IamAction, snapshot: &Snapshot) -> bool {
        snapshot.catalog.feature_by_key(self.key()).is_some_and(|feature| {
            let decision = snapshot.feature(feature.id, &action.action());
            Self::suffices(decision.allowed, decision.scope)
        })
    }

    /// Returns `true` if the user of the snapshot holds this permission, or would hold it if the company was not
    /// suspended.
    #[must_use]
    pub(crate) fn is_held_if_active(self, action: IamAction, snapshot: &Snapshot) -> bool {
        snapshot.catalog.feature_by_key(self.key()).is_some_and(|feature| {
            let decision = snapshot.feature_if_active(feature.id, &action.action());
            Self::suffices(decision.allowed, decision.scope)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permissions_for_the_whole_company_suffice() {
        let sufficient = [None, Some(Scope::Own), Some(Scope::Team), Some(Scope::Company), Some(Scope::Any)]
            .map(|scope| (IamPermission::suffices(true, scope), IamPermission::suffices(false, scope)));
        assert_eq!(sufficient.map(|(allowed, _)| allowed), [false, false, false, true, true]);
        assert_eq!(sufficient.map(|(_, denied)| denied), [false; 5]);
    }

    #[test]
    fn the_actions_are_those_of_the_catalog() {
        assert_eq!(IamAction::Read.action(), Action::read());
        assert_eq!(IamAction::Update.action(), Action::update());
        assert_eq!(IamAction::Approve.action(), Action::approve());
    }
}
