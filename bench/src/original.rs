//! Measures the operations in the performance table of the original system through our use cases, in memory and on
//! PostgreSQL.

use std::sync::Arc;
use std::time::Instant;

use iam_application::{
    Application, ChangeFeaturePermissions, CreateUserLevel, IfMatch, NewFeaturePermission, RequestedCells,
};
use iam_domain::{Action, CompanyId, Description, Name, Scope, UserId, UserLevelId};
use iam_storage::Storage;
use iam_storage_memory::MemoryStorage;

use crate::clock::system_clock;
use crate::data::{Cell, Data};
use crate::measure::median;
use crate::ours::{self, Ours};
use crate::postgres::{Database, super_admin};
use crate::report::Row;
use crate::{Result, progress};

const SECTION: &str = "The original's table";
const WARM_UP: usize = 20;
const TURNS: usize = 220;
/// Number of levels in the company whose levels are listed.
const LISTED: usize = 10;
/// Number of permissions in a replacement.
const REPLACED: usize = 10;

/// The name of a storage, and the times that the original system states for create, find, list and update.
struct Place {
    name: &'static str,
    stated: [&'static str; 4],
}

/// Runs one operation and appends its duration in microseconds to `times`.
async fn timed<T>(times: &mut Vec<f64>, operation: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let done = operation.await?;
    times.push(start.elapsed().as_secs_f64() * 1e6);
    Ok(done)
}

/// Measures the operations with in-memory storage and on PostgreSQL.
///
/// # Errors
///
/// Returns an error if the database rejects a statement.
pub async fn original(server: &str) -> Result<Vec<Row>> {
    let place = Place { name: "in memory", stated: ["< 1 ms", "< 1 ms", "< 1 ms", "< 1 ms"] };
    let mut rows = measure(&place, Arc::new(MemoryStorage::seeded(system_clock()).await?)).await?;
    let place = Place { name: "PostgreSQL", stated: ["~5 ms", "~3 ms", "~5 ms", "~15 ms"] };
    rows.extend(
        Database::with(server, async |database| {
            let storage = database.storage()?;
            let rows = measure(&place, Arc::clone(&storage)).await;
            storage.close().await;
            rows
        })
        .await?,
    );
    Ok(rows)
}

async fn measure(place: &Place, storage: Arc<impl Storage>) -> Result<Vec<Row>> {
    progress(format_args!("the original's operations, {}", place.name));
    let data = Data::generate(2, 100)?;
    data.fill(storage.as_ref()).await?;
    let own = Ours::over(storage).await;
    let application = own.application();
    // New levels are created in one company; the levels of the other company are listed.
    let [growing, company] = data.companies.as_slice() else { return Err("two companies".into()) };
    let administrator = company.users[0].id;
    for nth in company.levels.len()..LISTED {
        create(&application, administrator, company.id, &format!("Listed {nth}")).await?;
    }
    let level = company.levels[0].id;
    let [mut created, mut found, mut listed, mut replaced] = <[Vec<f64>; 4]>::default();
    for turn in 0..TURNS {
        let name = format!("Created {turn}");
        timed(&mut created, create(&application, administrator, growing.id, &name)).await?;
        timed(&mut found, async { Ok(application.user_level(company.id, level).await?) }).await?;
        let levels = timed(&mut listed, async { Ok(application.user_levels(company.id).await?) }).await?;
        if levels.len() != LISTED {
            return Err(format!("{} levels instead of {LISTED}", levels.len()).into());
        }
        let change = replacement(&data, company.id, level, turn % 2 == 0)?;
        let replace = async { Ok(application.execute(super_admin(administrator), change).await?) };
        timed(&mut replaced, replace).await?;
    }
    let checked = cached_check(&own, &data, place.name).await?;
    application.finish().await;
    let operations = [
        ("create a level", created),
        ("find a level by id", found),
        ("list 10 levels", listed),
        ("update 10 permissions", replaced),
    ];
    let mut rows: Vec<_> = operations
        .into_iter()
        .zip(place.stated)
        .map(|((operation, mut times), stated)| {
            let row = Row::new(SECTION, format!("{operation}, {}", place.name), "µs", median(times.split_off(WARM_UP)));
            row.note(format!("the original states {stated}"))
        })
        .collect();
    rows.push(checked);
    Ok(rows)
}

async fn create(application: &Application, user: UserId, company: CompanyId, name: &str) -> Result<UserLevelId> {
    let (name, description) = (Name::parse(name)?, Description::parse("")?);
    let done =
        application.execute(super_admin(user), CreateUserLevel { company, name, description, copy_from: None }).await?;
    Ok(done.value.level.id)
}

fn replacement(data: &Data, company: CompanyId, level: UserLevelId, way: bool) -> Result<ChangeFeaturePermissions> {
    let features = data.catalog.features().take(REPLACED);
    let permissions = features.map(|feature| NewFeaturePermission {
        feature_id: feature.id,
        action: Action::read(),
        value: way,
        scope: Scope::Any,
        modifiable: None,
    });
    let permissions = RequestedCells::All(permissions.collect());
    Ok(ChangeFeaturePermissions { company, level, permissions, force: false, if_match: IfMatch::default() })
}

/// Measures checks for cached users, as the median of batches.
async fn cached_check(own: &Ours, data: &Data, place: &str) -> Result<Row> {
    let name = format!("cached check, {place}");
    let company = &data.companies[1];
    let actions: Vec<_> =
        data.cells.iter().filter(|cell| matches!(cell, Cell::Action(_))).map(ours::question).collect();
    for user in &company.users {
        own.load(company.id, user.id, &actions[0]).await?;
    }
    let mut batches = Vec::new();
    for turn in 0..100 {
        let question = &actions[turn % actions.len()];
        let start = Instant::now();
        let mut missed = 0;
        for user in &company.users {
            missed += usize::from(own.try_decide(company.id, user.id, question).is_none());
        }
        batches.push(start.elapsed().as_secs_f64() * 1e6 / company.users.len() as f64);
        if missed > 0 {
            return Ok(Row::failed(SECTION, name, "a check for a cached user missed the cache"));
        }
    }
    Ok(Row::new(SECTION, name, "µs", median(batches)))
}
