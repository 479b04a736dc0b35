//! The extractor for every handler that requires an authenticated caller. It authorizes the caller before it parses the
//! parameters and the body.
//!
//! Actix runs the extractors of a handler concurrently. Therefore, separate extractors for authorization and for the
//! body could report errors in the body to non-members. This extractor checks in a fixed order: authentication (401),
//! company (400), permission (403), then parameters and body (400).

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::{Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use iam_application::{Application, Change, Committed, DecisionContext, Failure, RequestContext, Requirement, Reserve};
use iam_domain::{Caller, CompanyId, ExternalId, UserId};
use iam_identity::UserNames;
use iam_permissions_cache::{Access, Consistency};
use iam_traces::{SpanKind, child, traced};
use serde_json::{Map, Value};

use super::authenticate::{Authenticated, authenticate};
use super::body::{Body, has_body, may_be_large};
use super::company::{company_missing, find_company};
use super::consistency::{consistency, if_version};
use super::idempotency::idempotent_request;
use super::policy::{CompanyRule, Policy};
use super::request_reader::{Input, RequestLine, has_only_company, read};
use crate::Api;
use crate::in_flight::{Held, Standing};
use crate::middleware::RequestSpan;
use crate::respond::ApiError;

/// An authorized and parsed request. `P` is the policy that the caller satisfies, and `T` is the type of the parsed
/// input.
pub(crate) struct Authorized<P, T = ()> {
    caller: Caller,
    pub(crate) input: T,
    api: Data<Api>,
    company: Option<CompanyId>,
    consistency: Consistency,
    context: RequestContext,
    span: RequestSpan,
    policy: PhantomData<P>,
}

impl<P: Policy, T> Authorized<P, T> {
    /// Returns the application, which provides the use cases.
    pub(crate) fn application(&self) -> &Application {
        &self.api.services().application
    }

    /// Returns the API state, which all requests share.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Returns the context of a decision: the caller, the company, and the required consistency. If the request
    /// specifies no company, the response is 400.
    pub(crate) fn decision_context(&self) -> Result<DecisionContext, ApiError> {
        Ok(DecisionContext { caller: self.caller, company: self.company()?, consistency: self.consistency })
    }

    /// Executes a change that the handler has built from the input of the request.
    pub(crate) async fn make<C: Change>(&self, change: C) -> Result<Committed<C::Answer>, ApiError> {
        execute::<P, C>(&self.api, self.context.clone(), change).await
    }

    /// Returns the context of the request, for a use case that makes several changes.
    pub(crate) fn context(&self) -> RequestContext {
        self.context.clone()
    }

    /// Returns a guard that counts the bytes of the response as in flight while the response is being written.
    pub(crate) fn hold_response(&self) -> Held {
        self.api.in_flight().bytes.hold_nothing(self.span.standing())
    }

    /// Returns the caller.
    pub(crate) const fn caller(&self) -> Caller {
        self.caller
    }

    /// Returns the external id of the caller, if an external issuer issued the token.
    pub(crate) fn external_id(&self) -> Option<&ExternalId> {
        self.context.external_id.as_deref()
    }

    /// Returns the company that the request specifies, if any.
    pub(crate) const fn company_if_any(&self) -> Option<CompanyId> {
        self.company
    }

    /// Returns the company that the request specifies. If the request specifies no company, the response is 400.
    pub(crate) fn company(&self) -> Result<CompanyId, ApiError> {
        self.company.ok_or_else(company_missing)
    }

    /// Returns the user id of the caller. If the caller is a service, the response is 403.
    pub(crate) fn user(&self) -> Result<UserId, ApiError> {
        Ok(self.caller.user_id().ok_or(Failure::Forbidden(P::REQUIREMENT))?)
    }
}

impl<P: Policy, T> Authorized<P, T> {
    /// Charges decisions to the budgets of the caller and of the company. The caller has already been charged for one
    /// decision. `access` is an access on which the decisions are based. Non-members are not charged to the company, so
    /// that they cannot exhaust its budget.
    pub(crate) fn spend_decisions(&self, access: Option<&Access>, count: usize) -> Result<(), ApiError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let budgets = self.api.budgets();
        budgets.charge(self.caller, count.saturating_sub(1));
        let (Some(access), Some(company)) = (access, self.company) else { return Ok(()) };
        let belongs = match self.caller {
            Caller::Service(service) => service.is_valid_for(company),
            // Only members may check other users.
            Caller::User { id, .. } => access.is_member() || access.subject().user_id() != Some(id),
        };
        if belongs {
            self.span.record_standing(Standing::of_authorized(self.caller, Some(company)));
            budgets.spend_of_company(company, self.caller, count, Reserve::None)?;
        }
        Ok(())
    }
}

impl<P: Policy, T> Authorized<P, T> {
    /// Charges the caller for a request that makes this number of changes. The caller has already been charged for one.
    pub(crate) fn charge(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.api.budgets().charge(self.caller, count.saturating_sub(1));
    }
}

impl<P: Policy, T> Authorized<P, T> {
    /// Reads the input of another request, which this request contains. It is read as if the same caller had sent it for
    /// the same company.
    pub(crate) fn read_inner<I: Input>(
        &self,
        line: RequestLine<'_>,
        query: &[(String, String)],
        body: &Option<Result<Map<String, Value>, ApiError>>,
    ) -> Result<I, ApiError> {
        read(line, UserNames::of_caller(&self.api.services().verifier, self.caller), self.company, query, body)
    }

    /// Checks that the caller meets the requirement of another request, which this request contains.
    pub(crate) async fn authorize_inner(&self, requirement: Requirement) -> Result<(), ApiError> {
        Ok(self.application().authorize(self.caller, self.company, requirement, self.consistency).await?)
    }

    /// Returns `true` if the caller meets another requirement in the company.
    pub(crate) async fn meets(&self, requirement: Requirement) -> Result<bool, ApiError> {
        Ok(self.application().meets(self.caller, self.company, requirement, self.consistency).await?)
    }
}

impl<P: Policy, C: Change> Authorized<P, C> {
    /// Executes the change that is the input of the request.
    pub(crate) async fn execute(self) -> Result<Committed<C::Answer>, ApiError> {
        execute::<P, C>(&self.api, self.context, self.input).await
    }
}

/// Executes a change. Compilation fails if the policy and the change have different requirements.
async fn execute<P: Policy, C: Change>(
    api: &Api,
    context: RequestContext,
    change: C,
) -> Result<Committed<C::Answer>, ApiError> {
    const { assert!(P::REQUIREMENT.is(C::REQUIREMENT), "the policy and the change must have the same requirement") };
    Ok(api.services().application.execute(context, change).await?)
}

impl<P: Policy, T: Input> FromRequest for Authorized<P, T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move { authorize_then_parse(&request, &mut payload).await })
    }
}

/// Authorizes the caller, and then parses the input.
async fn authorize_then_parse<P: Policy, T: Input>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Authorized<P, T>, ApiError> {
    let Admitted { caller, api, company, consistency, mut context, span, query, body } =
        admit(request, payload, P::REQUIREMENT, P::COMPANY).await?;
    context.if_version = if_version(request.headers())?;
    context.idempotency = idempotent_request(request, caller, company, body.json().unwrap_or_default())?;
    let input = match body.json().and_then(T::read_fast) {
        Some(input) if has_only_company(&query) => input,
        _ => {
            let names = UserNames::of_caller(&api.services().verifier, caller);
            read(RequestLine::of(request), names, company, &query, &body.object())?
        }
    };
    Ok(Authorized { caller, input, api, company, consistency, context, span, policy: PhantomData })
}

/// A request whose caller is authorized, and whose input is not parsed yet.
struct Admitted {
    caller: Caller,
    api: Data<Api>,
    company: Option<CompanyId>,
    consistency: Consistency,
    context: RequestContext,
    span: RequestSpan,
    query: Vec<(String, String)>,
    body: Body,
}

/// What is needed to authorize a request.
struct Admission<'a> {
    request: &'a HttpRequest,
    api: &'a Data<Api>,
    span: &'a RequestSpan,
    caller: Caller,
    requirement: Requirement,
    company_rule: CompanyRule,
    reserve: Reserve,
}

impl Admission<'_> {
    /// Authorizes the caller in the company, and returns the required consistency. The request then counts as work of the
    /// company, unless its policy admits non-members: [`Authorized::spend_decisions`] charges such requests.
    async fn authorize(&self, company: Option<CompanyId>) -> Result<Consistency, ApiError> {
        let span = child("authorize", SpanKind::Internal, Vec::new);
        traced(span, self.authorize_within_span(company), ApiError::failure).await
    }

    async fn authorize_within_span(&self, company: Option<CompanyId>) -> Result<Consistency, ApiError> {
        let Self { request, api, span, caller, requirement, company_rule, reserve } = *self;
        if let Some(company) = company {
            span.record_company(company);
        }
        let may_be_left_out = match company_rule {
            CompanyRule::Required => false,
            CompanyRule::OptionalForSuperAdmins => requirement.is_met_without_company(caller),
            CompanyRule::Optional => true,
        };
        if company.is_none() && !may_be_left_out {
            return Err(company_missing());
        }
        let consistency = consistency(request.headers())?;
        api.services().application.authorize(caller, company, requirement, consistency).await?;
        if requirement == Requirement::Authenticated {
            span.record_standing(Standing::of(caller, company));
        } else {
            if let Some(company) = company {
                api.budgets().spend_of_company(company, caller, 1, reserve)?;
            }
            span.record_standing(Standing::of_authorized(caller, company));
        }
        Ok(consistency)
    }

    /// Determines whether the caller is a member of the company, if this is unknown. Members may send larger bodies than
    /// other callers. A failure is ignored: the caller then remains unknown.
    async fn find_membership(&self, company: Option<CompanyId>) {
        if let (Standing::Outside(caller), Some(company)) = (self.span.standing(), company) {
            let context = DecisionContext { caller, company, consistency: Consistency::Cached };
            let access = self.api.services().application.own_access(&context).await;
            if access.is_ok_and(|access| access.is_member()) {
                self.span.record_standing(Standing::Member(caller, company));
            }
        }
    }
}

/// Returns whether a request may use the reserve of its budgets. Requests that delete or replace may revoke rights.
const fn reserve_of(method: &Method) -> Reserve {
    match *method {
        Method::DELETE | Method::PUT => Reserve::Revocation,
        _ => Reserve::None,
    }
}

/// Authenticates the caller, determines the company, and authorizes the caller. This function is not generic, because a
/// generic function would be compiled once for each operation.
async fn admit(
    request: &HttpRequest,
    payload: &mut Payload,
    requirement: Requirement,
    company_rule: CompanyRule,
) -> Result<Admitted, ApiError> {
    let api = request.app_data::<Data<Api>>().ok_or_else(|| ApiError::internal("no API is mounted"))?.clone();
    let span = request.extensions().get::<RequestSpan>().cloned();
    let span = span.ok_or_else(|| ApiError::internal("the request has no span"))?;
    let mut authenticated = authenticate(request, &api, &span).await?;
    let caller = authenticated.caller;
    api.in_flight().bytes.admit(caller)?;
    let reserve = reserve_of(request.method());
    span.record_budget(api.budgets().spend(caller, 1, reserve)?);

    let query = match request.query_string() {
        "" => Vec::new(),
        text => Query::<Vec<(String, String)>>::from_query(text).map(Query::into_inner).unwrap_or_default(),
    };
    let admission = Admission { request, api: &api, span: &span, caller, requirement, company_rule, reserve };
    let mut company = find_company(request, &query, &Body::Absent)?;
    // If the company is known without the body, the caller is authorized before the body is read.
    let mut consistency = None;
    let has_body = has_body(request, payload);
    if company.is_some() || !has_body {
        consistency = Some(admission.authorize(company).await?);
    }
    if has_body && may_be_large(request) {
        admission.find_membership(company).await;
    }
    let held = api.in_flight().bytes.hold_nothing(span.standing());
    let body = {
        let _reading = span.reading_body();
        Body::read(request, payload, held, api.options().body_timeout).await?
    };
    if has_body {
        // While the body was arriving, the token or the API key may have expired or been revoked.
        authenticated = authenticated.recheck(request, &api, &span).await?;
        company = find_company(request, &query, &body)?;
    }
    let consistency = match consistency {
        Some(consistency) => consistency,
        None => admission.authorize(company).await?,
    };
    if requirement != Requirement::Authenticated {
        // From now on, the request may have effects, so it must not be refused any more.
        span.enter(api.in_flight())?;
    }
    if let (Some(company), Some(user), Some(profile)) = (company, caller.user_id(), authenticated.profile()) {
        api.services().application.offer_claimed_profile(company, user, profile);
    }
    let Authenticated { issued_at, external_id, .. } = authenticated;
    let request_id = Some(Arc::clone(&span.id().0));
    let context = RequestContext { request_id, issued_at, external_id, ..RequestContext::from(caller) };
    Ok(Admitted { caller, api, company, consistency, context, span, query, body })
}
