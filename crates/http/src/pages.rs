//! Pages that are mounted beside the operations of the API, within the same middleware and limits: the admin console.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use iam_application::{Refusal, RequestAccount, Reserve};
use iam_domain::{Caller, CompanyId};

use crate::Api;
use crate::in_flight::Standing;
use crate::middleware::RequestSpan;
use crate::respond::{ApiError, Code};

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

/// A request for a page in the accounts of the API.
pub(crate) struct Account {
    pub(crate) api: Data<Api>,
    pub(crate) span: RequestSpan,
    pub(crate) client: Option<IpAddr>,
}

/// Returns the refusal that an error of the API stands for.
fn refusal(error: &ApiError) -> Refusal {
    let retry_after = Duration::from_secs(error.retry_after.unwrap_or(1));
    match error.code {
        Code::RateLimited => Refusal::RateLimited(retry_after),
        _ => Refusal::Busy(retry_after),
    }
}

impl RequestAccount for Account {
    fn request_id(&self) -> Arc<str> {
        Arc::clone(&self.span.id().0)
    }

    fn may_authenticate(&self) -> Result<(), Refusal> {
        self.api.check_failures(self.client).map_err(|error| refusal(&error))
    }

    fn record_failed_authentication(&self, reason: &'static str) {
        metrics::counter!("iam_authentication_failures_total", "reason" => reason).increment(1);
        self.api.failures().record(self.client);
    }

    fn admit(&self, caller: Caller, reserve: Reserve) -> Result<(), Refusal> {
        self.span.record_actor(caller);
        self.api.in_flight().bytes.admit(caller).map_err(|error| refusal(&error))?;
        self.span.record_budget(self.api.budgets().spend(caller, 1, reserve)?);
        Ok(())
    }

    fn authorize(&self, company: Option<CompanyId>, reserve: Reserve) -> Result<(), Refusal> {
        let Some(caller) = self.span.actor() else { return Ok(()) };
        if let Some(company) = company {
            self.span.record_company(company);
            self.api.budgets().spend_of_company(company, caller, 1, reserve)?;
        }
        self.span.record_standing(Standing::of_authorized(caller, company));
        Ok(())
    }

    fn begin_change(&self) -> Result<(), Refusal> {
        self.span.enter(self.api.in_flight()).map_err(|error| refusal(&error))
    }
}
