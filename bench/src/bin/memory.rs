//! Prints the size of the permissions cache in bytes, after a decision for each user of all companies. The arguments are
//! the number of companies, and the number of users in each of them.

use std::alloc::System;
use std::process::ExitCode;
use std::sync::Arc;

use iam_bench::Result;
use iam_bench::clock::system_clock;
use iam_bench::data::Data;
use iam_bench::ours::{self, Ours};
use iam_storage_memory::MemoryStorage;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

async fn held() -> Result<usize> {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<usize>());
    let mut next = || -> Result<usize> { Ok(arguments.next().ok_or("usage: iam-bench-memory COMPANIES USERS")??) };
    let data = Data::generate(next()?, next()?)?;
    let storage = Arc::new(MemoryStorage::seeded(system_clock()).await?);
    data.fill(storage.as_ref()).await?;
    let question = ours::question(&data.cells[0]);

    let region = Region::new(ALLOCATOR);
    let ours = Ours::over(storage).await;
    for company in &data.companies {
        for user in &company.users {
            ours.load(company.id, user.id, &question).await?;
        }
    }
    let change = region.change();
    let users = data.companies.iter().flat_map(|company| company.users.iter().map(|user| (company.id, user.id)));
    let missing = users.filter(|(company, user)| ours.try_decide(*company, *user, &question).is_none()).count();
    if missing > 0 {
        return Err(format!("{missing} users who were loaded are not cached").into());
    }
    Ok(change.bytes_allocated.saturating_sub(change.bytes_deallocated))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match held().await {
        Ok(bytes) => {
            println!("{bytes}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
