//! The levels of a company: the list, one level, and the comparison of two levels.

pub(crate) mod compare;
mod form;
pub(crate) mod level;
pub(crate) mod list;
