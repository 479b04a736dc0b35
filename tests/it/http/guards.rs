//! Tests of the guards against escalation, deposing and lockout: random changes by random callers, compared with a
//! naive model that evaluates all users and levels of the company before and after each change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, CompanySnapshot, EssentialRight, FeatureId, FeatureRule, IamAction, IamPermission, LevelPermissions, Scope,
    UserId, UserLevelId,
};
use serde_json::json;

use super::delegation::{LEVELS, PERMISSIONS};
use crate::support::api::{Answer, Company, TestApi, both_adapters, new_user};

/// A deterministic generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn subset<T: Copy + Ord>(&mut self, all: &[T]) -> BTreeSet<T> {
        all.iter().copied().filter(|_| self.below(3) == 0).collect()
    }
}

type Cell = (FeatureId, Action);
type Reaches = BTreeMap<Cell, Option<Scope>>;

/// The expected outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Accepted,
    NotHeld,
    Protected,
    LockedOut,
}

struct World {
    company: Company,
    users: Vec<UserId>,
    levels: Vec<UserLevelId>,
    cells: Vec<Cell>,
    /// The number of cells at the start of `cells` that belong to the service's own features.
    reserved: usize,
}

impl World {
    async fn new(api: &TestApi) -> Self {
        let company = api.company().await;
        let mut cells = Vec::new();
        let mut reserved = 0;
        for (key, actions) in
            [(LEVELS, &["Update", "Approve"][..]), (PERMISSIONS, &["Update", "Approve"]), ("general.read", &["Read"])]
        {
            let feature = FeatureId::parse(&api.feature_id(key).await).unwrap();
            cells.extend(actions.iter().map(|action| (feature, Action::parse(*action).unwrap())));
            if key != "general.read" {
                reserved = cells.len();
            }
        }
        let mut levels = Vec::new();
        for number in 0..5 {
            let level = api.new_level(company, &format!("Level {number}")).await;
            levels.push(UserLevelId::parse(&level).unwrap());
        }
        levels.push(UserLevelId::parse(&api.level_id(company, "Admin").await).unwrap());
        let users = vec![company.admin, company.member, new_user(), new_user()];
        Self { company, users, levels, cells, reserved }
    }

    fn rules(&self, random: &mut Random) -> BTreeMap<Cell, FeatureRule> {
        let scopes = [Scope::Team, Scope::Company, Scope::Any, Scope::Any];
        let chosen: Vec<_> = self.cells.iter().filter(|_| random.below(2) == 0).cloned().collect();
        let rule = |cell| (cell, FeatureRule { value: random.below(6) > 0, scope: scopes[random.below(4)] });
        chosen.into_iter().map(rule).collect()
    }

    fn reaches(&self, levels: &[&LevelPermissions], ignores_denies: bool) -> Reaches {
        let reach = |(feature, action): &Cell| {
            let rules = || levels.iter().filter_map(|level| level.features.get(feature)?.get(action));
            let is_denied = !ignores_denies && rules().any(|rule| !rule.value);
            rules().filter(|rule| rule.value).map(|rule| rule.scope).max().filter(|_| !is_denied)
        };
        self.cells.iter().map(|cell| (cell.clone(), reach(cell))).collect()
    }

    /// Evaluates the rules for the change from `before` to `after`. `caller` is `None` for a super admin.
    fn outcome(&self, before: &CompanySnapshot, after: &CompanySnapshot, caller: Option<UserId>) -> Outcome {
        let held = |snapshot: &CompanySnapshot, user: UserId| snapshot.of_user(user).levels;
        if let Some(caller) = caller
            && !IamPermission::AssignPermissions.is_held(IamAction::Approve, &before.of_user(caller))
        {
            let own = self.reaches(&held(before, caller).iter().collect::<Vec<_>>(), false);
            let users = self.users.iter().map(|user| (held(before, *user), held(after, *user)));
            let alone = self.levels.iter().map(|id| (vec![before.levels[id].clone()], vec![after.levels[id].clone()]));
            for (was, is) in users.chain(alone) {
                for ignores_denies in [false, true] {
                    let was = self.reaches(&was.iter().collect::<Vec<_>>(), ignores_denies);
                    let is = self.reaches(&is.iter().collect::<Vec<_>>(), ignores_denies);
                    if self.cells.iter().any(|cell| is[cell] > was[cell] && is[cell] > own[cell]) {
                        return Outcome::NotHeld;
                    }
                }
            }
            for user in self.users.iter().filter(|user| **user != caller) {
                let was = self.reaches(&held(before, *user).iter().collect::<Vec<_>>(), false);
                let is = self.reaches(&held(after, *user).iter().collect::<Vec<_>>(), false);
                if self.cells[..self.reserved].iter().any(|cell| is[cell] < was[cell]) {
                    return Outcome::Protected;
                }
            }
        }
        let is_held = |snapshot: &CompanySnapshot, right: EssentialRight| {
            self.users.iter().any(|user| right.is_held(&snapshot.of_user(*user)))
        };
        let is_lost = |right| is_held(before, right) && !is_held(after, right);
        if EssentialRight::ALL.into_iter().any(is_lost) { Outcome::LockedOut } else { Outcome::Accepted }
    }
}

fn outcome_of(answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        200 => Outcome::Accepted,
        409 => Outcome::LockedOut,
        status => {
            let body = answer.json();
            match (status, body["errors"][0]["code"].as_str()) {
                (403, Some("not_held")) => Outcome::NotHeld,
                (403, Some("protected")) => Outcome::Protected,
                _ => panic!("{status} {body}"),
            }
        }
    }
}

both_adapters! {
    /// The outcome of each change equals the outcome of the naive model. A refused change has no effect.
    async fn the_guards_agree_with_a_naive_model(api: TestApi) {
        let world = World::new(&api).await;
        let company = world.company;
        let (mut random, mut outcomes) = (Random(7), BTreeMap::<Outcome, usize>::new());
        for step in 0..240 {
            let before = api.storage.reader().snapshots().load_company(company.id).await.unwrap().value;
            let mut after = before.clone();
            let (request, needed) = if random.below(2) == 0 {
                let level = world.levels[random.below(world.levels.len())];
                let rules = world.rules(&mut random);
                let rows = rules.iter().map(|((feature, action), rule)| (*feature, action.clone(), *rule));
                let views = before.levels[&level].views.clone();
                after.levels.insert(level, LevelPermissions::new(level, views, rows));
                let cells: Vec<_> = rules.iter().map(|((feature, action), FeatureRule { value, scope })| {
                    json!({ "featureId": feature, "action": action.as_str(), "value": value, "scope": scope })
                }).collect();
                let path = format!("/api/iam/user-levels/{level}/permissions/features");
                (api.put(&path).json(&json!({ "features": cells })), IamPermission::AssignPermissions)
            } else {
                let user = world.users[random.below(world.users.len())];
                let levels = random.subset(&world.levels);
                after.holders.remove(&user);
                if !levels.is_empty() {
                    after.holders.insert(user, Arc::new(levels.clone()));
                }
                let path = format!("/api/iam/users/{user}/user-levels");
                (api.put(&path).json(&json!({ "userLevelIds": levels })), IamPermission::ManageLevels)
            };
            let may = |user: &UserId| needed.is_held(IamAction::Update, &before.of_user(*user));
            let callers: Vec<_> = world.users.iter().copied().filter(may).collect();
            let caller = (!callers.is_empty() && random.below(6) > 0).then(|| callers[random.below(callers.len())]);
            let request = match caller {
                Some(user) => request.by(user),
                None => request.by_super_admin(),
            };
            let answer = request.within(company.id).send().await;
            let outcome = outcome_of(&answer);
            let expected = world.outcome(&before, &after, caller);
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(outcome, expected, "step {step}: {caller:?} {text}");
            let stored = api.storage.reader().snapshots().load_company(company.id).await.unwrap().value;
            assert_eq!(stored, if outcome == Outcome::Accepted { after } else { before }, "step {step}");
            *outcomes.entry(outcome).or_default() += 1;
        }
        // The test is meaningful only if all outcomes occur.
        assert!(outcomes.len() == 4 && outcomes.values().all(|count| *count >= 5), "{outcomes:?}");
    }
}
