//! The yardstick: a straightforward implementation with the standard library, as a lower bound for the time of an
//! in-memory decision.

use std::collections::HashMap;

use iam_domain::{Action, CompanyId, FeatureId, Scope, UserId, ViewId};

use crate::Result;
use crate::data::{Ask, Cell, Data};

/// Maximum number of actions. 19 features × 6 actions are 114.
const ACTIONS: usize = 120;

/// The resolved permissions of one user: one bit per view, and one byte per action (0 if denied, otherwise the scope).
struct UserPermissions {
    views: u64,
    actions: [u8; ACTIONS],
}

/// The yardstick's hash maps with the standard hasher: from users to permissions, and from views and actions to their
/// indexes.
pub struct Yardstick {
    users: HashMap<(CompanyId, UserId), UserPermissions>,
    views: HashMap<ViewId, usize>,
    actions: HashMap<(FeatureId, Action), usize>,
}

impl Yardstick {
    /// Creates the yardstick and resolves the permissions of all users in advance.
    ///
    /// # Errors
    ///
    /// Returns an error if there are more views or actions than supported.
    pub fn new(data: &Data) -> Result<Self> {
        let mut yardstick = Self { users: HashMap::new(), views: HashMap::new(), actions: HashMap::new() };
        for cell in &data.cells {
            match cell {
                Cell::View(view) => drop(yardstick.views.insert(*view, yardstick.views.len())),
                Cell::Action(pair) => drop(yardstick.actions.insert(pair.clone(), yardstick.actions.len())),
            }
        }
        if yardstick.views.len() > 64 || yardstick.actions.len() > ACTIONS {
            return Err("more views or actions than the yardstick supports".into());
        }
        for company in &data.companies {
            let resolved = company.by_levels(&data.catalog, |snapshot| {
                let mut views = 0;
                let mut actions = [0; ACTIONS];
                for (view, place) in &yardstick.views {
                    views |= u64::from(snapshot.view(*view).allowed) << place;
                }
                for ((feature, action), place) in &yardstick.actions {
                    let decision = snapshot.feature(*feature, action);
                    actions[*place] = match decision.scope {
                        _ if !decision.allowed => 0,
                        None | Some(Scope::Own) => 1,
                        Some(Scope::Team) => 2,
                        Some(Scope::Company) => 3,
                        Some(Scope::Any) => 4,
                    };
                }
                (views, actions)
            });
            for user in &company.users {
                let (views, actions) = resolved[&user.levels];
                yardstick.users.insert((company.id, user.id), UserPermissions { views, actions });
            }
        }
        Ok(yardstick)
    }

    /// Returns `true` if the user is allowed to access the cell. Unknown users, views and actions are denied.
    #[inline]
    #[must_use]
    pub fn decide(&self, ask: &Ask, cell: &Cell) -> bool {
        let Some(user) = self.users.get(&(ask.company, ask.user)) else { return false };
        match cell {
            Cell::View(view) => self.views.get(view).is_some_and(|place| user.views >> place & 1 == 1),
            Cell::Action(pair) => self.actions.get(pair).is_some_and(|place| user.actions[*place] > 0),
        }
    }
}
