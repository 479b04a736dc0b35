//! The second body parser and the JSON writer, which only decisions use.

mod decision;
mod decision_request;

pub(crate) use decision::{DecisionData, write};
