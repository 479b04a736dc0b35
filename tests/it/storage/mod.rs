//! The storage contract over PostgreSQL, its statements and plans, the migrations, and what happens when the database fails.

mod contract;
mod effective_rows;
mod migrations;
mod outages;
pub mod plans;
mod statements;
mod tenancy;
mod turns;
