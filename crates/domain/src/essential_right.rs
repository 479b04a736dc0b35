//! The rights that a company must not lose: at least one user must hold each of them.

use crate::{Action, IamAction, IamPermission, Snapshot};

/// A right that at least one user of a company must hold, once a user of the company holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EssentialRight {
    /// The right of administrators: `Update` on both `iam.manage_levels` and `iam.assign_permissions`.
    Administer,
    /// The right to grant permissions that one does not hold: `Approve` on `iam.assign_permissions`.
    Approve,
}

impl EssentialRight {
    /// All essential rights.
    pub const ALL: [Self; 2] = [Self::Administer, Self::Approve];

    const fn permissions(self) -> &'static [(IamPermission, IamAction)] {
        match self {
            Self::Administer => &[
                (IamPermission::ManageLevels, IamAction::Update),
                (IamPermission::AssignPermissions, IamAction::Update),
            ],
            Self::Approve => &[(IamPermission::AssignPermissions, IamAction::Approve)],
        }
    }

    /// Returns the feature key and the action of each permission that the right consists of. The required scope is
    /// `company` or `any`.
    pub fn actions(self) -> impl Iterator<Item = (&'static str, Action)> {
        self.permissions().iter().map(|(permission, action)| (permission.key(), action.action()))
    }

    /// Returns `true` if the user of the snapshot holds the right. Module gates and denies are applied. The status of the
    /// company is ignored: a suspended company must retain its administrators too.
    #[must_use]
    pub fn is_held(self, snapshot: &Snapshot) -> bool {
        self.permissions().iter().all(|(permission, action)| permission.is_held_if_active(*action, snapshot))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Catalog, FeatureRule, LevelPermissions, Scope, Timestamp, UserLevelId, seed};

    const LEVELS: IamPermission = IamPermission::ManageLevels;
    const PERMISSIONS: IamPermission = IamPermission::AssignPermissions;
    const UPDATE: IamAction = IamAction::Update;
    const APPROVE: IamAction = IamAction::Approve;

    type Rule = (IamPermission, IamAction, bool, Scope);

    /// Returns the rights that a user with these levels holds.
    fn held(levels: &[&[Rule]]) -> Vec<EssentialRight> {
        let at = Timestamp::from_millis(0).unwrap();
        let catalog = Arc::new(Catalog::new([], seed::catalog(at).unwrap().features, [], [], []));
        let level = |rules: &&[Rule]| {
            let rows = rules.iter().map(|(permission, action, value, scope)| {
                let feature = catalog.feature_by_key(permission.key()).unwrap().id;
                (feature, action.action(), FeatureRule { value: *value, scope: *scope })
            });
            LevelPermissions::new(UserLevelId::generate(at), [], rows)
        };
        let levels = levels.iter().map(level).collect();
        let snapshot = Snapshot { catalog: Arc::clone(&catalog), levels, ..Snapshot::default() };
        EssentialRight::ALL.into_iter().filter(|right| right.is_held(&snapshot)).collect()
    }

    #[test]
    fn an_administrator_holds_update_on_both_features_for_the_whole_company() {
        let (levels, permissions) =
            ([(LEVELS, UPDATE, true, Scope::Company)], [(PERMISSIONS, UPDATE, true, Scope::Any)]);
        assert_eq!((held(&[&levels]), held(&[&permissions])), (vec![], vec![]));
        assert_eq!(held(&[&levels, &permissions]), [EssentialRight::Administer]);
        assert_eq!(held(&[&[(LEVELS, UPDATE, true, Scope::Team)], &permissions]), []);
        assert_eq!(held(&[&levels, &permissions, &[(LEVELS, UPDATE, false, Scope::Own)]]), []);
    }

    #[test]
    fn approve_applies_to_permissions_and_to_the_whole_company() {
        let approve = |scope| [(PERMISSIONS, APPROVE, true, scope)];
        for (scope, expected) in [
            (Scope::Own, vec![]),
            (Scope::Team, vec![]),
            (Scope::Company, vec![EssentialRight::Approve]),
            (Scope::Any, vec![EssentialRight::Approve]),
        ] {
            assert_eq!(held(&[&approve(scope)]), expected, "{scope}");
        }
        assert_eq!(held(&[&approve(Scope::Any), &[(PERMISSIONS, APPROVE, false, Scope::Own)]]), []);
        assert_eq!(held(&[&[(LEVELS, APPROVE, true, Scope::Any)]]), []);
    }
}
