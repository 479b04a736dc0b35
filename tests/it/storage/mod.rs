//! The storage contract over PostgreSQL, its statements and plans, the migrations, and what happens when the database
//! fails.

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
