//! The extractor of every guarded handler: caller, company, permission, and only then parameters and body.
//!
//! Actix resolves the extractors of a handler concurrently, so separate extractors for permission and body would report
//! errors of the body to non-members. This extractor has a fixed order: authentication (401), company (400), permission
//! (403), parameters and body (400).

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::{Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use iam_application::{Application, Change, FieldError, IfMatch, Made, RequestContext};
use iam_domain::{Caller, CompanyId, NamedUser};
use iam_identity::{TokenVerifier, UserNameError};
use iam_permissions_cache::{Access, Consistency, Permissions, Subject};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::authenticate::{Authenticated, authenticate};
use super::body::Body;
use super::body_reader::{Field, FieldReader, Findings};
use super::company::{company_missing, find_company};
use super::conditional::if_match;
use super::consistency::consistency;
use super::policy::{CompanyRule, Policy};
use crate::Api;
use crate::middleware::RequestId;
use crate::respond::ApiError;

/// The source of a handler's input. Each method returns `None` and adds a finding when something is wrong.
pub(crate) struct RequestReader<'a> {
    request: &'a HttpRequest,
    verifier: &'a TokenVerifier,
    company: Option<CompanyId>,
    query: &'a [(String, String)],
    /// `None` without a body; else its fields, or the error of the body as a whole.
    body: &'a Option<Result<Map<String, Value>, ApiError>>,
    findings: Findings,
    fatal: Option<ApiError>,
}

/// A handler's input.
pub(crate) trait Input: Sized + 'static {
    /// Fast path for bodies of the usual form. `None` means only that [`Self::read`] must read the body; any value
    /// returned here equals the result of [`Self::read`].
    fn read_usual(_body: &[u8]) -> Option<Self> {
        None
    }

    /// Reads any input, with exact findings.
    fn read(request: &mut RequestReader<'_>) -> Option<Self>;
}

impl Input for () {
    fn read(_: &mut RequestReader<'_>) -> Option<Self> {
        Some(())
    }
}

impl<'a> RequestReader<'a> {
    /// The company that the request is about. It is always present where the policy requires one, otherwise if the
    /// request names one.
    pub(crate) const fn company(&self) -> Option<CompanyId> {
        self.company
    }

    /// The client's `If-Match` precondition.
    pub(crate) fn if_match(&self) -> IfMatch {
        if_match(self.request.headers())
    }

    /// A parameter of the path.
    pub(crate) fn path<T: Field>(&mut self, name: &str) -> Option<T> {
        let text = self.request.match_info().query(name).to_owned();
        self.parameter(name, text)
    }

    /// A user in the path: an id, or `issuer|subject`.
    pub(crate) fn user(&mut self, name: &str) -> Option<NamedUser> {
        // The server does not decode %2F and %25, so that a path keeps the parts that the client meant. It turns other
        // bytes that are not UTF-8 into U+FFFD, so that different names would become equal.
        let text = percent_decode_str(self.request.match_info().query(name)).decode_utf8().map(Cow::into_owned);
        match text {
            Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => self.user_named(name, &text),
            _ => self.reject(name, "user", UserNameError::Form),
        }
    }

    /// How much the clocks of issuers may be ahead.
    pub(crate) fn clock_skew(&self) -> Duration {
        self.verifier.clock_skew()
    }

    /// An optional user in the query.
    pub(crate) fn query_user(&mut self, name: &str) -> Option<Option<NamedUser>> {
        match self.query::<String>(name)? {
            Some(text) => self.user_named(name, &text).map(Some),
            None => Some(None),
        }
    }

    fn user_named(&mut self, name: &str, text: &str) -> Option<NamedUser> {
        match self.verifier.user_named(text) {
            Ok(user) => Some(user),
            Err(error) => self.reject(name, "user", error),
        }
    }

    /// An optional parameter of the query; an empty one counts as omitted.
    pub(crate) fn query<T: Field>(&mut self, name: &str) -> Option<Option<T>> {
        let query = self.query;
        let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => {
                self.findings.push(FieldError::new(name, "duplicate", "is given twice"));
                None
            }
            (Some(text), None) if !text.is_empty() => self.parameter(name, text.clone()).map(Some),
            _ => Some(None),
        }
    }

    /// A required parameter of the query.
    pub(crate) fn required_query<T: Field>(&mut self, name: &str) -> Option<T> {
        match self.query(name)? {
            Some(value) => Some(value),
            None => self.reject(name, "required", "is required"),
        }
    }

    /// Adds a finding about a parameter.
    pub(crate) fn reject<T>(&mut self, name: &str, code: &'static str, what: impl std::fmt::Display) -> Option<T> {
        self.findings.push(FieldError::new(name, code, what));
        None
    }

    fn parameter<T: Field>(&mut self, name: &str, text: String) -> Option<T> {
        match T::read(&Value::String(text)) {
            Ok(value) => Some(value),
            Err((code, what)) => self.reject(name, code, what),
        }
    }

    /// The fields of the body, which must be a JSON object.
    pub(crate) fn body(&mut self) -> Option<FieldReader<'_>> {
        let body: &'a _ = self.body;
        match body {
            Some(Ok(fields)) => {
                return Some(FieldReader::of(fields, String::new(), self.verifier, &mut self.findings));
            }
            Some(Err(error)) => self.fatal = Some(error.clone()),
            None => return self.reject("body", "type", "is required: a JSON object"),
        }
        None
    }

    /// The same, but the body is optional.
    pub(crate) fn optional_body(&mut self) -> Option<Option<FieldReader<'_>>> {
        if self.body.is_none() { Some(None) } else { self.body().map(Some) }
    }
}

/// An authorized request: the caller, the company and the input.
pub(crate) struct Authorized<P, T = ()> {
    pub(crate) caller: Caller,
    pub(crate) input: T,
    api: Data<Api>,
    company: Option<CompanyId>,
    consistency: Consistency,
    context: RequestContext,
    policy: PhantomData<P>,
}

impl<P: Policy, T> Authorized<P, T> {
    /// The use cases.
    pub(crate) fn application(&self) -> &Application {
        &self.api.services().application
    }

    /// The permissions cache.
    pub(crate) fn permissions(&self) -> &Permissions {
        self.application().permissions()
    }

    /// The API that all requests share.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// The required consistency.
    pub(crate) const fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// The access of a subject in the company, with the required consistency.
    pub(crate) async fn access(&self, subject: Subject) -> Result<Access, ApiError> {
        let access = self.permissions().access(self.company()?, subject, self.consistency).await;
        Ok(access.map_err(iam_application::Failure::from)?)
    }

    /// Executes a change that is part of the input.
    pub(crate) async fn make<C: Change>(&self, change: C) -> Result<Made<C::Answer>, ApiError> {
        debug_assert_eq!(P::REQUIREMENT, change.requirement(), "what the endpoint asks of its caller");
        Ok(self.application().execute(self.context.clone(), change).await?)
    }

    /// The company, where it is optional.
    pub(crate) const fn company_if_any(&self) -> Option<CompanyId> {
        self.company
    }

    /// The company, where it is required.
    pub(crate) fn company(&self) -> Result<CompanyId, ApiError> {
        self.company.ok_or_else(company_missing)
    }
}

impl<P: Policy, C: Change> Authorized<P, C> {
    /// Executes the requested change.
    pub(crate) async fn execute(self) -> Result<Made<C::Answer>, ApiError> {
        debug_assert_eq!(P::REQUIREMENT, self.input.requirement(), "what the endpoint asks of its caller");
        Ok(self.api.services().application.execute(self.context, self.input).await?)
    }
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

async fn authorize_then_parse<P: Policy, T: Input>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Authorized<P, T>, ApiError> {
    let api = request.app_data::<Data<Api>>().ok_or_else(ApiError::internal)?.clone();
    let mut authenticated = authenticate(request, &api).await?;
    api.admit(authenticated.caller)?;

    let query = match request.query_string() {
        "" => Vec::new(),
        text => Query::<Vec<(String, String)>>::from_query(text).map(Query::into_inner).unwrap_or_default(),
    };
    let may_take_long = !matches!(payload, Payload::None);
    let body = Body::read(request, payload).await;
    if may_take_long {
        // The user may have been cut off, or the key revoked, while the body was sent.
        authenticated = authenticated.recheck(request, &api).await?;
    }
    let Authenticated { caller, issued_at, external_id, .. } = authenticated;
    let company = find_company(request, &query, &body)?;
    let may_be_left_out = match P::COMPANY {
        CompanyRule::Required => false,
        CompanyRule::OptionalForSuperAdmins => P::REQUIREMENT.is_met_without_company(caller),
        CompanyRule::Optional => true,
    };
    if company.is_none() && !may_be_left_out {
        return Err(company_missing());
    }

    let consistency = consistency(request.headers())?;
    api.admit_load(caller, company, consistency)?;
    api.services().application.authorize(caller, company, P::REQUIREMENT, consistency).await?;

    let input = match body.json().and_then(T::read_usual) {
        Some(input) => input,
        None => read_exactly(request, &api, company, &query, &body)?,
    };
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    Ok(Authorized {
        caller,
        context: RequestContext { caller, request_id, issued_at, external_id },
        input,
        company,
        consistency,
        api,
        policy: PhantomData,
    })
}

fn read_exactly<T: Input>(
    request: &HttpRequest,
    api: &Api,
    company: Option<CompanyId>,
    query: &[(String, String)],
    body: &Body,
) -> Result<T, ApiError> {
    let (body, verifier) = (body.object(), api.services().verifier.as_ref());
    let mut reading =
        RequestReader { request, verifier, company, query, body: &body, findings: Findings::default(), fatal: None };
    let input = T::read(&mut reading);
    let RequestReader { findings, fatal, .. } = reading;
    match (input, fatal) {
        (_, Some(error)) => Err(error),
        (Some(input), None) if findings.is_empty() => Ok(input),
        _ => Err(ApiError::invalid(findings.into_vec())),
    }
}
