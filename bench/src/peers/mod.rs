//! Other ways to decide, on the same data.

pub mod casbin;
pub mod cedar;
