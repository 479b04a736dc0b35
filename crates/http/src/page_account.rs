//! Requests for pages in the accounts of the API: budgets, failed authentications, work in flight, logs.

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use iam_application::{Refusal, RequestAccount, Reserve};
use iam_domain::{Caller, CompanyId};

use crate::Api;
use crate::in_flight::{FREE_BYTES, Held, Standing};
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
    /// Counts the bytes of the body as in flight, once there are any.
    pub(crate) body: OnceCell<RefCell<Held>>,
}

impl Account {
    /// Returns the refusal that an error of the API stands for.
    pub(crate) fn refusal(error: &ApiError) -> Refusal {
        let retry_after = Duration::from_secs(error.retry_after.unwrap_or(1));
        match error.code {
            Code::RateLimited => Refusal::RateLimited(retry_after),
            Code::TooSlow => Refusal::TooSlow,
            _ => Refusal::Busy(retry_after),
        }
    }

    /// Counts this many bytes of the body as in flight until the request ends.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Held::grow_to`].
    pub(crate) fn hold(&self, received: usize) -> Result<(), ApiError> {
        if received <= FREE_BYTES {
            return Ok(());
        }
        let nothing = || RefCell::new(self.api.in_flight().bytes.hold_nothing(self.span.standing()));
        self.body.get_or_init(nothing).borrow_mut().grow_to(received)
    }
}

impl RequestAccount for Account {
    fn request_id(&self) -> Arc<str> {
        Arc::clone(&self.span.id().0)
    }

    fn may_authenticate(&self) -> Result<(), Refusal> {
        self.api.check_failures(self.client).map_err(|error| Self::refusal(&error))
    }

    fn record_failed_authentication(&self, reason: &'static str) {
        metrics::counter!("iam_authentication_failures_total", "reason" => reason).increment(1);
        self.api.failures().record(self.client);
    }

    fn charge_address(&self) -> Result<(), Refusal> {
        self.may_authenticate()?;
        self.api.failures().record(self.client);
        Ok(())
    }

    fn admit(&self, caller: Caller, reserve: Reserve) -> Result<(), Refusal> {
        self.span.record_actor(caller);
        self.api.in_flight().bytes.admit(caller).map_err(|error| Self::refusal(&error))?;
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
        self.span.enter(self.api.in_flight()).map_err(|error| Self::refusal(&error))
    }
}
