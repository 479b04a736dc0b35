//! The decisions about the users of a company, decided one by one, and the difference between two sets of decisions.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::escalation::Cell;
use iam_domain::{CompanyId, CompanySnapshot, Scope, UserId, allowed};
use serde_json::{Value, json};

use crate::support::api::TestApi;

/// The decisions about one user.
#[derive(Debug, PartialEq)]
pub struct OfUser {
    holds_levels: bool,
    /// The scope that the user has for each cell. Denied cells are omitted.
    allowed: BTreeMap<Cell, Scope>,
}

/// The decisions about each user.
pub type Decisions = BTreeMap<UserId, OfUser>;

/// Decides every view and every action of the catalog for these users, one by one.
pub async fn decisions(api: &TestApi, company: CompanyId, users: &[UserId]) -> Decisions {
    let snapshot: CompanySnapshot = api.storage.reader().snapshots().load_company(company).await.unwrap().value;
    let mut cells: Vec<_> = snapshot.catalog.views().map(|view| Cell::View(view.id)).collect();
    for feature in snapshot.catalog.features() {
        let actions = snapshot.of_user(users[0]).actions(feature);
        cells.extend(actions.into_iter().map(|action| Cell::Action(feature.id, action)));
    }
    let of_user = |user: UserId| {
        let own = snapshot.of_user(user);
        let allowed = cells.iter().filter_map(|cell| Some((cell.clone(), allowed(&own, cell)?))).collect();
        OfUser { holds_levels: !own.levels.is_empty(), allowed }
    };
    users.iter().map(|user| (*user, of_user(*user))).collect()
}

/// Returns the decisions that differ, in the form of a preview: the users, and the numbers of gains and losses. Users who
/// hold levels neither before nor after are omitted.
pub fn difference(before: &Decisions, after: &Decisions) -> (Vec<Value>, usize, usize) {
    let (mut users, mut gaining, mut losing) = (Vec::new(), 0, 0);
    for (user, was) in before {
        let is = &after[user];
        if !was.holds_levels && !is.holds_levels {
            continue;
        }
        let (was, is) = (&was.allowed, &is.allowed);
        let mut lists = [false, true].map(|_| json!({ "views": [], "actions": [] }));
        let cells: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        let mut is_affected = false;
        for cell in cells {
            let (was, is) = (was.get(cell), is.get(cell));
            if was == is {
                continue;
            }
            is_affected = true;
            let is_gain = is > was;
            gaining += usize::from(is_gain);
            losing += usize::from(!is_gain);
            let list = &mut lists[usize::from(!is_gain)];
            match cell {
                Cell::View(view) => list["views"].as_array_mut().unwrap().push(json!(view)),
                Cell::Action(feature, action) => list["actions"].as_array_mut().unwrap().push(json!({
                    "featureId": feature, "action": action, "scopeBefore": was, "scopeAfter": is,
                })),
            }
        }
        if is_affected {
            let [gains, loses] = lists;
            users.push(json!({ "userId": user, "gains": gains, "loses": loses }));
        }
    }
    (users, gaining, losing)
}
