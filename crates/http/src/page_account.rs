//! Requests for pages in the accounts of the API: budgets, failed authentications, work in flight, logs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use iam_application::{Refusal, RequestAccount, Reserve};
use iam_domain::{Caller, CompanyId};

use crate::Api;
use crate::in_flight::Standing;
use crate::middleware::RequestSpan;
use crate::middleware::connection::ConnectionState;
use crate::respond::{ApiError, Code};

/// A request for a page in the accounts of the API.
pub(crate) struct Account {
    pub(crate) api: Data<Api>,
    pub(crate) span: RequestSpan,
    pub(crate) client: Option<IpAddr>,
    /// The connection of the request. `None` in tests without a connection.
    pub(crate) connection: Option<ConnectionState>,
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

    fn begin_anonymous_session(&self) -> Result<(), Refusal> {
        self.may_authenticate()?;
        self.api.failures().record(self.client);
        Ok(())
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

    fn body_read(&self, is_complete: bool) {
        if let Some(connection) = &self.connection {
            connection.body_read(is_complete);
        }
    }

    fn begin_change(&self) -> Result<(), Refusal> {
        self.span.enter(self.api.in_flight()).map_err(|error| refusal(&error))
    }
}
