//! Pages that are mounted beside the operations of the API, within the same middleware and limits: the admin console.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;

use crate::respond::ApiError;

/// Mounts the routes of pages.
type Mount = dyn Fn(&mut ServiceConfig) + Send + Sync;

/// Pages that [`configure`](crate::configure) mounts beside the operations of the API. Requests for them pass through the
/// same middleware. The extensions of each request contain an `Rc<dyn RequestAccount>`.
#[derive(Clone)]
pub struct Pages {
    /// The path under which all pages are mounted, without a slash at the end.
    pub path: &'static str,
    /// Mounts the routes.
    pub mount: Arc<Mount>,
    /// Returns the page for a request that fails outside of its handler, such as a request that times out. The second
    /// argument is the time after which the client may send it again.
    pub failed: fn(StatusCode, Option<Duration>) -> HttpResponse,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Pages {
    /// Returns `true` if requests with this path are for a page.
    pub(crate) fn contain(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the page for an error.
    pub(crate) fn page_of(&self, error: &ApiError) -> HttpResponse {
        (self.failed)(error.code.status(), error.retry_after.map(Duration::from_secs))
    }
}
