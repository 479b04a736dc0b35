//! The generated data of the benchmarks: the seeded catalog, and companies with five levels, in which each user holds
//! two levels.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::provisioning::default_levels;
use iam_domain::{
    Action, Catalog, CompanyId, CompanyStatus, Description, FeatureId, FeaturePermission, FeaturePermissionId,
    FeatureRule, LevelPermissions, ModuleId, Name, Scope, Snapshot, Timestamp, UserId, UserLevel, UserLevelId, ViewId,
    ViewPermission, ViewPermissionId, ViewState, seed,
};
use iam_storage::{ChangeContext, Storage, Target};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::Result;

/// The fixed seed of the random number generator, so that every run measures the same data.
const SEED: u64 = 0x1a4d;
/// Number of levels per company: the three that provisioning creates, and two more.
pub const LEVELS: usize = 5;

/// The resource that is checked: a view, or an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A view.
    View(ViewId),
    /// An action of a feature. The value is a pair, because hash maps use it as their key.
    Action((FeatureId, Action)),
}

/// A user level and its permissions.
#[derive(Debug, Clone)]
pub struct Level {
    /// The id.
    pub id: UserLevelId,
    /// The name, unique in the company.
    pub name: Name,
    /// The matrices of the level.
    pub permissions: LevelPermissions,
}

/// A user, with the indexes of the user's two levels in the company.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The indexes of the two levels, in ascending order.
    pub levels: [usize; 2],
}

/// A company with its modules, levels and users.
#[derive(Debug, Clone)]
pub struct Company {
    /// The id.
    pub id: CompanyId,
    /// The modules of the company, all of them enabled.
    pub modules: Vec<ModuleId>,
    /// The levels of the company.
    pub levels: Vec<Level>,
    /// The members of the company.
    pub users: Vec<User>,
}

/// All generated data of a benchmark.
#[derive(Debug, Clone)]
pub struct Data {
    /// The catalog in the form that resolution uses.
    pub catalog: Arc<Catalog>,
    /// All resources that can be checked: 14 views and 19 features × 6 actions.
    pub cells: Vec<Cell>,
    /// The generated companies.
    pub companies: Vec<Company>,
}

/// A random check, with ids.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The company.
    pub company: CompanyId,
    /// The user.
    pub user: UserId,
    /// The index of the view or action in [`Data::cells`].
    pub cell: u16,
}

/// A random check, with indexes instead of ids, for peers that look up data by index.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The index of the company.
    pub company: usize,
    /// The index of the user in the company.
    pub user: usize,
    /// The index of the view or action in [`Data::cells`].
    pub cell: usize,
}

/// Random checks, with ids and with indexes, in the same order.
#[derive(Debug, Clone, Default)]
pub struct Asks {
    /// The checks with ids.
    pub by_id: Vec<Ask>,
    /// The checks with indexes.
    pub by_place: Vec<Place>,
}

fn uuid(rng: &mut StdRng) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

/// Returns the timestamp of all generated data.
fn at() -> Result<Timestamp> {
    Ok(Timestamp::from_millis(1_700_000_000_000).ok_or("a time out of range")?)
}

impl Data {
    /// Generates `companies` companies with `users` users each.
    ///
    /// # Errors
    ///
    /// Never returns an error in practice, because the parsed strings are valid constants.
    pub fn generate(companies: usize, users: usize) -> Result<Self> {
        let seeded = seed::catalog(at()?)?;
        let modules: Vec<_> = seeded.modules.iter().map(|module| module.id).collect();
        let views = seeded.views.iter().map(|view| Cell::View(view.id));
        let actions = seeded
            .features
            .iter()
            .flat_map(|feature| Action::listed().map(move |action| Cell::Action((feature.id, action))));
        let cells = views.chain(actions).collect();
        let catalog = Arc::new(Catalog::new(
            seeded.views,
            seeded.features,
            seeded.modules,
            seeded.module_views,
            seeded.module_features,
        ));
        let mut data = Self { catalog, cells, companies: Vec::with_capacity(companies) };
        let mut rng = StdRng::seed_from_u64(SEED);
        for _ in 0..companies {
            let company = data.company(&mut rng, &modules, users)?;
            data.companies.push(company);
        }
        Ok(data)
    }

    fn company(&self, rng: &mut StdRng, modules: &[ModuleId], users: usize) -> Result<Company> {
        let mut levels = Vec::with_capacity(LEVELS);
        for level in default_levels(&self.catalog)? {
            let id = UserLevelId::from_uuid(uuid(rng));
            let permissions = LevelPermissions::new(id, level.views, level.features);
            levels.push(Level { id, name: level.name, permissions });
        }
        while levels.len() < LEVELS {
            let id = UserLevelId::from_uuid(uuid(rng));
            let name = Name::parse(format!("Level {}", levels.len()))?;
            levels.push(Level { id, name, permissions: self.random_level(rng, id) });
        }
        // Every company has the module `core`, which is the first one, and each other module with a probability of one
        // half.
        let modules = modules.iter().enumerate().filter(|(n, _)| *n == 0 || rng.random()).map(|(_, id)| *id).collect();
        let users = (0..users)
            .map(|_| {
                let (a, b) = (rng.random_range(0..LEVELS), rng.random_range(1..LEVELS));
                let b = (a + b) % LEVELS;
                User { id: UserId::from_uuid(uuid(rng)), levels: [a.min(b), a.max(b)] }
            })
            .collect();
        Ok(Company { id: CompanyId::from_uuid(uuid(rng)), modules, levels, users })
    }

    /// Generates the matrices of a level: on average, seven of ten cells allow and one of ten denies.
    fn random_level(&self, rng: &mut StdRng, id: UserLevelId) -> LevelPermissions {
        const SCOPES: [Scope; 4] = [Scope::Own, Scope::Team, Scope::Company, Scope::Any];
        let mut views = Vec::new();
        let mut features = Vec::new();
        for cell in &self.cells {
            let says = rng.random_range(0..10);
            match cell {
                Cell::View(view) => views.push((
                    *view,
                    match says {
                        0..7 => ViewState::Allow,
                        7 => ViewState::Deny,
                        _ => ViewState::Inherit,
                    },
                )),
                Cell::Action((feature, action)) if says < 8 => {
                    let scope = SCOPES.choose(rng).copied().unwrap_or(Scope::Own);
                    features.push((*feature, action.clone(), FeatureRule { value: says < 7, scope }));
                }
                Cell::Action(_) => {}
            }
        }
        LevelPermissions::new(id, views, features)
    }

    /// Generates checks of random cells for random users of random companies.
    #[must_use]
    pub fn asks(&self, count: usize) -> Asks {
        let mut rng = StdRng::seed_from_u64(SEED + 1);
        let mut asks = Asks::default();
        for _ in 0..count {
            let company = rng.random_range(0..self.companies.len());
            let user = rng.random_range(0..self.companies[company].users.len());
            let cell = rng.random_range(0..self.cells.len());
            asks.by_place.push(Place { company, user, cell });
            let Company { id, users, .. } = &self.companies[company];
            asks.by_id.push(Ask { company: *id, user: users[user].id, cell: u16::try_from(cell).unwrap_or(0) });
        }
        asks
    }

    /// Writes the companies to a storage that contains the seeded catalog, in one unit of work per company.
    ///
    /// # Errors
    ///
    /// Returns an error if the storage returns an error.
    pub async fn fill(&self, storage: &dyn Storage) -> Result<()> {
        for company in &self.companies {
            company.write(storage).await?;
        }
        Ok(())
    }
}

impl Company {
    /// Returns the snapshot of a user who holds these levels. The reference decisions, with which all programs are
    /// compared, are computed from this snapshot.
    #[must_use]
    pub fn snapshot(&self, catalog: &Arc<Catalog>, levels: [usize; 2]) -> Snapshot {
        Snapshot {
            catalog: Arc::clone(catalog),
            status: CompanyStatus::Active,
            ceilings: Arc::default(),
            modules: self.modules.iter().copied().collect(),
            levels: levels.iter().map(|level| self.levels[*level].permissions.clone()).collect(),
        }
    }

    /// Calls `make` once for each set of levels that at least one user holds. Returns the results by set of levels.
    #[must_use]
    pub fn by_levels<T>(&self, catalog: &Arc<Catalog>, make: impl Fn(&Snapshot) -> T) -> BTreeMap<[usize; 2], T> {
        let mut made = BTreeMap::new();
        for user in &self.users {
            made.entry(user.levels).or_insert_with(|| make(&self.snapshot(catalog, user.levels)));
        }
        made
    }

    async fn write(&self, storage: &dyn Storage) -> Result<()> {
        let mut tx = storage.begin(Target::Company(self.id), ChangeContext::command_line()).await?;
        let now = tx.now();
        for module in &self.modules {
            tx.company_modules_mut().add(self.id, *module).await?;
        }
        for level in &self.levels {
            let row = UserLevel {
                id: level.id,
                company_id: self.id,
                name: level.name.clone(),
                description: Description::parse("")?,
                is_default: false,
                created_at: now,
                updated_at: now,
            };
            tx.user_levels_mut().create(&row).await?;
            let views = self.view_rows(level, now);
            tx.view_permissions_mut().replace_for_user_level(self.id, level.id, &views).await?;
            let features = self.feature_rows(level, now);
            tx.feature_permissions_mut().replace_for_user_level(self.id, level.id, &features).await?;
        }
        for user in &self.users {
            let levels = user.levels.map(|level| self.levels[level].id);
            tx.assignments_mut().replace_for_user(self.id, user.id, &levels, None).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    fn view_rows(&self, level: &Level, now: Timestamp) -> Vec<ViewPermission> {
        let row = |(view, state): (&ViewId, &ViewState)| ViewPermission {
            id: ViewPermissionId::generate(now),
            company_id: self.id,
            user_level_id: level.id,
            view_id: *view,
            state: *state,
            modifiable: true,
            created_at: now,
            updated_at: now,
        };
        level.permissions.views.iter().map(row).collect()
    }

    fn feature_rows(&self, level: &Level, now: Timestamp) -> Vec<FeaturePermission> {
        let cells = level.permissions.features.iter();
        cells
            .flat_map(|(feature, rules)| rules.iter().map(move |(action, rule)| (*feature, action, *rule)))
            .map(|(feature, action, rule)| feature_row(self.id, level.id, feature, action, rule, now))
            .collect()
    }
}

/// Creates a row of a feature matrix.
#[must_use]
pub fn feature_row(
    company_id: CompanyId,
    user_level_id: UserLevelId,
    feature_id: FeatureId,
    action: &Action,
    rule: FeatureRule,
    now: Timestamp,
) -> FeaturePermission {
    FeaturePermission {
        id: FeaturePermissionId::generate(now),
        company_id,
        user_level_id,
        feature_id,
        action: action.clone(),
        value: rule.value,
        scope: rule.scope,
        modifiable: true,
        created_at: now,
        updated_at: now,
    }
}
