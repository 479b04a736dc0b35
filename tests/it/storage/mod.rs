//! The storage contract on PostgreSQL, the SQL statements and their query plans, the migrations, and behavior during
//! database failures.

mod bookkeeping;
mod connections;
mod contract;
mod effective_rows;
mod migrations;
mod outages;
mod outdated;
pub mod plans;
mod requests;
mod seeding;
mod statements;
mod tenancy;
mod write_admission;
