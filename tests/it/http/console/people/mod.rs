//! Tests of the pages of users and decisions: who sees them, what they show, and what they change.

mod changes;
mod decisions;
mod export;
mod pages;
mod user;
