//! Tests of the PostgreSQL adapter: the storage contract, SQL statements and query plans, migrations, tenant isolation,
//! and behavior during database failures.

mod bookkeeping;
mod change_lock;
mod connections;
mod contract;
mod effective_rows;
mod migrated_rows;
mod migrations;
mod outages;
mod outdated;
mod partitions;
mod plan_cache;
pub mod plans;
mod requests;
mod reverted_migrations;
mod row_gate;
mod rows_read;
mod seeding;
mod selections;
mod sessions;
mod shares;
mod statements;
mod tenancy;
mod unreadable;
mod write_admission;
