//! Determines the routes of requests, for logs and metrics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix_web::dev::ServiceRequest;

/// The label of requests that match no route.
const NO_ROUTE: &str = "none";

/// The routes of health checks.
pub(super) const HEALTH_CHECKS: [&str; 3] = ["/livez", "/readyz", "/health"];

/// A cache of the patterns of matched routes. Matching a path against all routes takes longer than handling most
/// requests. A path without parameters equals its pattern, so a lookup in this cache replaces the matching.
#[derive(Debug, Default)]
pub(super) struct Routes(RefCell<HashMap<Box<str>, Rc<str>>>);

impl Routes {
    /// Returns the pattern of the route that a request matches, or `none`.
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
