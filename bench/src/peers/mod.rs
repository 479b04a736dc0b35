//! Other policy engines, on the same data.

pub mod casbin;
pub mod cedar;
