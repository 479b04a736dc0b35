//! The storage contract over PostgreSQL, its statements and plans, the migrations, and what happens when the database fails.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod contract;
mod migrations;
mod outages;
mod plans;
mod statements;
