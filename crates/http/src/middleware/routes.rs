//! The routes that requests take, for logs and metrics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix_web::dev::ServiceRequest;

/// The route of a request whose path has no pattern.
const NO_ROUTE: &str = "none";

/// The patterns of the routes that requests have taken. To match a path takes longer than to answer most requests, so
/// that a path without parameters, which is its own pattern, is only looked up.
#[derive(Debug, Default)]
pub(super) struct Routes(RefCell<HashMap<Box<str>, Rc<str>>>);

impl Routes {
    /// Returns the pattern of the route that a request takes, or `none`.
    pub(super) fn of(&self, request: &ServiceRequest) -> Rc<str> {
        let mut patterns = self.0.borrow_mut();
        if let Some(pattern) = patterns.get(request.path()) {
            return Rc::clone(pattern);
        }
        let pattern = request.match_pattern();
        let pattern = pattern.as_deref().unwrap_or(NO_ROUTE);
        match patterns.get(pattern) {
            Some(pattern) => Rc::clone(pattern),
            None => Rc::clone(patterns.entry(pattern.into()).or_insert_with(|| pattern.into())),
        }
    }
}
