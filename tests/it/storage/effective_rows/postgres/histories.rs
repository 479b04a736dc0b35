//! Property tests with random sequences of changes, both sequential and concurrent. No effective-permission row ever
//! differs from a fresh resolution.

use std::cell::Cell;

use futures_util::future::join_all;
use iam_domain::{CompanyId, UserId};
use serde_json::{Value, json};

use super::{Filler, all_rows_match_the_resolution, compare};
use crate::support::api::{Company, TestApi, new_user};
use crate::support::database::run;
use crate::support::replica::until;

/// A deterministic random number generator (splitmix64).
struct Chance(u64);

impl Chance {
    /// Returns a pseudo-random number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Returns a random subset of the elements.
    fn some_of<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }
}

/// A company with the user levels and users that the random changes modify.
struct Tenant {
    pub company: Company,
    pub levels: Vec<String>,
    users: Vec<UserId>,
}

impl Tenant {
    pub async fn new(api: &TestApi) -> Self {
        let company = api.company().await;
        let levels = vec![api.new_level(company, "One").await, api.new_level(company, "Two").await];
        Self { company, levels, users: vec![company.admin, company.member, new_user()] }
    }
}

/// The companies and catalog entries that the random changes modify.
struct World {
    pub api: TestApi,
    tenants: Vec<Tenant>,
    pub views: Vec<String>,
    pub features: Vec<String>,
    modules: Vec<String>,
}

impl World {
    pub async fn new() -> Self {
        let api = TestApi::postgres().await;
        let tenants = vec![Tenant::new(&api).await, Tenant::new(&api).await];
        let (mut views, mut features, mut modules) = (Vec::new(), Vec::new(), Vec::new());
        for url in ["/dashboard", "/users", "/modules/risks", "/modules/audit"] {
            views.push(api.view_id(url).await);
        }
        for key in ["general.read", "risks.create", "risks.edit"] {
            features.push(api.feature_id(key).await);
        }
        for code in ["core", "risks", "audit"] {
            modules.push(api.module_id(code).await);
        }
        Self { api, tenants, views, features, modules }
    }

    /// Returns a random change: its method, path, company and body. Some of these changes have no effect, and some are
    /// rejected.
    fn change(&self, chance: &mut Chance) -> (&'static str, String, Option<CompanyId>, Value) {
        let tenant = chance.one_of(&self.tenants);
        let company = Some(tenant.company.id);
        let (level, user) = (chance.one_of(&tenant.levels), chance.one_of(&tenant.users));
        let (view, feature) = (chance.one_of(&self.views), chance.one_of(&self.features));
        let module = chance.one_of(&self.modules);
        let yes = chance.below(2) == 0;
        match chance.below(15) {
            0 | 1 => {
                let mut cells = Vec::new();
                for view in chance.some_of(&self.views) {
                    let state = chance.one_of(&["allow", "allow", "deny", "inherit"]);
                    cells.push(json!({ "viewId": view, "state": state }));
                }
                ("PUT", format!("/user-levels/{level}/permissions/views"), company, json!({ "views": cells }))
            }
            2 | 3 => {
                let mut cells = Vec::new();
                for feature in chance.some_of(&self.features) {
                    for action in ["Read", "Publish", "Seal"] {
                        let (value, scope) = (chance.below(4) > 0, chance.one_of(&["own", "team", "any"]));
                        cells.push(json!({ "featureId": feature, "action": action, "value": value, "scope": scope }));
                    }
                }
                (
                    "PUT",
                    format!("/user-levels/{level}/permissions/features?force=true"),
                    company,
                    json!({ "features": cells }),
                )
            }
            4..=6 => {
                let levels = chance.some_of(&tenant.levels);
                ("PUT", format!("/users/{user}/user-levels?force=true"), company, json!({ "userLevelIds": levels }))
            }
            7 => {
                let modules = chance.some_of(&self.modules);
                let path = format!("/companies/{}/modules", tenant.company.id);
                ("PUT", path, None, json!({ "moduleIds": modules }))
            }
            8 => {
                let path = format!("/companies/{}/modules/{module}", tenant.company.id);
                ("PATCH", path, None, json!({ "enabled": yes }))
            }
            9 => {
                ("PATCH", format!("/user-levels/{level}"), company, json!({ "name": format!("Level {}", new_user()) }))
            }
            10 => ("PATCH", format!("/modules/{module}"), None, json!({ "enabled": yes })),
            11 => ("PATCH", format!("/features/{feature}"), None, json!({ "enabled": yes })),
            12 => {
                let actions: &[&str] = if yes { &["Seal"] } else { &[] };
                ("PATCH", format!("/features/{feature}"), None, json!({ "actions": actions }))
            }
            13 => ("PATCH", format!("/views/{view}"), None, json!({ "requiresAuth": yes })),
            _ => ("PUT", format!("/modules/{module}/views"), None, json!({ "viewIds": [view], "ungate": true })),
        }
    }

    pub async fn send(&self, api: &TestApi, change: (&'static str, String, Option<CompanyId>, Value)) -> String {
        let (method, path, company, body) = change;
        let method = method.parse().unwrap();
        let mut request = api.request(method, &format!("/api/iam{path}")).by_super_admin().json(&body);
        if let Some(company) = company {
            request = request.within(company);
        }
        let answer = request.send().await;
        // A change is rejected in two cases: a cell specifies an action that its feature does not have at this moment,
        // or the change sets the enabled flag of a module that the company does not have.
        assert!(matches!(answer.status.as_u16(), 200 | 400 | 404), "{}", String::from_utf8_lossy(&answer.body));
        format!("{path} {body} {}", answer.status)
    }

    /// Runs one random sequence of reads, changes, fills, expirations and sweeps on two replicas. Parts of the sequence
    /// run concurrently. Returns the number of compared rows.
    async fn live(&self, seed: u64) -> usize {
        let mut chance = Chance(seed);
        let (mut a, mut b) = (Filler::new(&self.api).await, Filler::new(&self.api).await);
        let mut connection = self.api.database.as_ref().unwrap().connect().await;
        let mut rows = 0;
        for step in 0..60 {
            let (tenant, change) = (chance.one_of(&self.tenants), self.change(&mut chance));
            let (company, user) = (tenant.company.id, *chance.one_of(&tenant.users));
            let done = match chance.below(8) {
                0 | 1 => self.send(&a.replica.api, change).await,
                2 | 3 => {
                    let all = tenant
                        .users
                        .iter()
                        .map(|user| async { tokio::join!(a.read(company, *user), b.read(company, *user)) });
                    join_all(all).await;
                    "reads".to_owned()
                }
                4 => format!("written {:?}", tokio::join!(a.fill(), b.fill())),
                5 => {
                    a.read(company, user).await;
                    b.read(company, user).await;
                    let router = b.replica.api.clone();
                    format!("at once {:?}", tokio::join!(self.send(&router, change), a.fill(), b.fill()))
                }
                6 => {
                    let expire =
                        format!("UPDATE effective_view_permissions SET expires_at = now() WHERE user_id = '{user}'");
                    run(&mut connection, expire).await.unwrap();
                    "expiry".to_owned()
                }
                _ => format!(
                    "swept {:?}",
                    tokio::join!(a.replica.permissions.sweep(50), b.replica.permissions.sweep(50))
                ),
            };
            rows +=
                all_rows_match_the_resolution(&self.api, &mut connection, &format!("seed {seed}, step {step}, {done}"))
                    .await;
        }
        rows
    }
}

/// The seeds are fixed, so the random sequences are the same in each run.
#[actix_web::test]
async fn no_row_ever_differs_from_a_fresh_resolution() {
    let world = World::new().await;
    let mut compared = 0;
    for seed in 1..=4 {
        compared += world.live(seed).await;
    }
    assert!(compared > 1000, "only {compared} rows were compared");
}

/// No row differs from a fresh resolution while three kinds of work run concurrently: random changes, two replicas that
/// fill and sweep the rows, and a program that reads the rows.
#[actix_web::test]
async fn no_row_differs_while_everything_changes() {
    let world = World::new().await;
    let (mut a, mut b) = (Filler::new(&world.api).await, Filler::new(&world.api).await);
    let (router_a, router_b) = (a.replica.api.clone(), b.replica.api.clone());
    let all_users: Vec<_> =
        world.tenants.iter().flat_map(|tenant| tenant.users.iter().map(|user| (tenant.company.id, *user))).collect();
    let (is_over, compared) = (Cell::new(false), Cell::new(0));
    let changes = async {
        let mut chance = Chance(5);
        for round in 0..60 {
            let (one, other) = (world.change(&mut chance), world.change(&mut chance));
            tokio::join!(world.send(&router_a, one), world.send(&router_b, other));
            // Every fourth round waits until rows have been written and compared, however long that takes.
            if round % 4 == 3 {
                let before = compared.get();
                until(async || compared.get() >= before + 100).await;
            }
        }
        is_over.set(true);
    };
    let fills = async |filler: &mut Filler| {
        while !is_over.get() {
            join_all(all_users.iter().map(|(company, user)| filler.read(*company, *user))).await;
            filler.fill().await;
            filler.replica.permissions.sweep(100).await.unwrap();
        }
    };
    let compares = async {
        let mut connection = world.api.database.as_ref().unwrap().connect().await;
        while !is_over.get() {
            let equal = compare(&world.api, &mut connection, "while everything changes").await.1;
            compared.set(compared.get() + equal);
        }
    };
    tokio::join!(changes, fills(&mut a), fills(&mut b), compares);
    assert!(compared.get() > 1000, "only {} rows were compared", compared.get());
}
