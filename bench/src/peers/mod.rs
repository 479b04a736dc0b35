//! Other policy engines, with the same data as our engine.

pub mod casbin;
pub mod cedar;
