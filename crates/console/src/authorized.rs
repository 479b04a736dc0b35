//! The extractors of the pages: the signed-in person, and the authorization in the company of the page.
//!
//! Actix runs the extractors of a handler concurrently, so each handler has at most one of them that reads the session.
//! They check in a fixed order: sign-in (401), company (404), permission (403), then the form (403, 400).

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use iam_application::{
    Application, Change, Committed, Failure, PageRequest, Preview, PreviewRequest, RequestAccount, RequestContext,
    Requirement, Reserve,
};
use iam_domain::{Caller, CompanyDetails, CompanyId, CompanyStatus, NamedUser, Timestamp, Versions};
use iam_identity::{UserNameError, UserNames};
use iam_permissions_cache::Consistency;
use maud::Markup;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::console::Console;
use crate::error::PageError;
use crate::form::{self, Fields};
use crate::layout::{self, Frame, OF_COMPANY, Section};
use crate::page::Page;
use crate::path::PATH;
use crate::session::{Identity, Session};

/// The future of an extractor.
pub(crate) type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, PageError>>>>;

/// A signed-in person who was authorized for a page, before the form of the request is read.
pub(crate) trait Admitted: Sized + 'static {
    /// Authorizes the person who sent the request.
    async fn of(request: &HttpRequest) -> Result<Self, PageError>;

    /// Returns the person.
    fn signed_in(&self) -> &SignedIn;
}

/// Returns the future of the extractor of this type.
pub(crate) fn extract<A: Admitted>(request: &HttpRequest) -> Extraction<A> {
    let request = request.clone();
    Box::pin(async move { A::of(&request).await })
}

/// The requirement that a page has.
pub(crate) trait Policy: 'static {
    /// The requirement that the signed-in person must meet.
    const REQUIREMENT: Requirement;
}

macro_rules! policies {
    ($($(#[doc = $doc:literal])+ $name:ident: $requirement:ident;)+) => {$(
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl Policy for $name {
            const REQUIREMENT: Requirement = Requirement::$requirement;
        }
    )+};
}

policies! {
    /// Any member of the company.
    Member: Member;
    /// People who may read the company's IAM data.
    ReadIam: ReadIam;
    /// People who may manage levels.
    ManageLevels: ManageLevels;
    /// People who may manage permissions.
    ManagePermissions: ManagePermissions;
    /// People who may assign levels to users.
    AssignLevels: AssignLevels;
    /// People who may check other users.
    CheckOthers: CheckOthers;
    /// People who may find the users whom a check allows.
    FindAllowed: FindAllowed;
    /// People who may read the audit log.
    ReadAudit: ReadAudit;
    /// People who may end the sessions of users, and manage API keys.
    ManageCredentials: ManageCredentials;
    /// Super admins.
    SuperAdmin: SuperAdmin;
}

/// A signed-in person, who is not authorized for anything yet.
pub(crate) struct SignedIn {
    pub(crate) console: Data<Console>,
    pub(crate) identity: Identity,
    session: Session,
    account: Rc<dyn RequestAccount>,
    reserve: Reserve,
}

/// Returns the account of a request, which the server has inserted.
pub(crate) fn account(request: &HttpRequest) -> Result<Rc<dyn RequestAccount>, PageError> {
    request.extensions().get::<Rc<dyn RequestAccount>>().cloned().ok_or(PageError::Internal)
}

/// Returns the console that a request is for.
pub(crate) fn console(request: &HttpRequest) -> Result<Data<Console>, PageError> {
    request.app_data::<Data<Console>>().cloned().ok_or(PageError::Internal)
}

/// Returns the error for a request without a session. After the sign-in, the person returns to the page.
fn not_signed_in(request: &HttpRequest) -> PageError {
    // A fragment or a form cannot be shown or sent again, but the page that contains it can.
    let is_page = *request.method() == Method::GET && !request.headers().contains_key("hx-request");
    let page = if is_page { request.uri().path_and_query().map(ToString::to_string) } else { referring_page(request) };
    let query = page.map(|page| format!("?return={}", utf8_percent_encode(&page, NON_ALPHANUMERIC)));
    PageError::NotSignedIn(Some(format!("{PATH}/sign-in{}", query.unwrap_or_default())))
}

/// Returns the path of the page that contains the fragment or the form.
fn referring_page(request: &HttpRequest) -> Option<String> {
    let page = url::Url::parse(request.headers().get(header::REFERER)?.to_str().ok()?).ok()?;
    Some(match page.query() {
        Some(query) => format!("{}?{query}", page.path()),
        None => page.path().to_owned(),
    })
}

impl SignedIn {
    /// Reads the session of a request, and checks that it is still valid.
    pub(crate) async fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let (console, account) = (console(request)?, account(request)?);
        let session = Session::of(request);
        let identity = session.identity().ok_or_else(|| not_signed_in(request))?;
        let is_cut_off = console.application().is_cut_off(identity.user(), identity.issued_at()).await?;
        if is_cut_off || !identity.is_still_valid(&console) {
            session.sign_out();
            return Err(not_signed_in(request));
        }
        // Requests that change something may revoke rights.
        let reserve = if request.method().is_safe() { Reserve::None } else { Reserve::Revocation };
        account.admit(identity.caller(), reserve)?;
        Ok(Self { console, identity, session, account, reserve })
    }

    /// Returns the application, which provides the use cases.
    pub(crate) fn application(&self) -> &Application {
        self.console.application()
    }

    /// Returns the signed-in person as the caller of use cases.
    pub(crate) const fn caller(&self) -> Caller {
        self.identity.caller()
    }

    /// Authorizes the person on the platform.
    pub(crate) async fn authorize_on_platform(&self, requirement: Requirement) -> Result<(), PageError> {
        self.application().authorize(self.caller(), None, requirement, Consistency::Cached).await?;
        Ok(self.account.authorize(None, self.reserve)?)
    }

    /// Authorizes the person in a company, and returns the details of the company. A person who is not a member of the
    /// company cannot distinguish it from a company that does not exist.
    async fn authorize(&self, company: CompanyId, requirement: Requirement) -> Result<CompanyDetails, PageError> {
        let (application, caller) = (self.application(), self.caller());
        if !application.meets(caller, Some(company), Requirement::Member, Consistency::Cached).await? {
            return Err(PageError::NotFound);
        }
        match application.authorize(caller, Some(company), requirement, Consistency::Cached).await {
            Err(Failure::Forbidden(requirement)) => {
                let details = application.company_details(company).await?;
                let because = match details.status {
                    CompanyStatus::Active => "",
                    CompanyStatus::Suspended => ", because the company is suspended",
                };
                return Err(PageError::Forbidden(format!("{}{because}", requirement.denial_message())));
            }
            authorized => authorized?,
        }
        self.account.authorize(Some(company), self.reserve)?;
        Ok(application.company_details(company).await?)
    }

    /// Returns the requirements of the sections of a company that the person meets, so that no link leads to a page that
    /// the person may not see.
    async fn requirements_met(&self, company: CompanyId) -> Result<Vec<Requirement>, PageError> {
        let mut met = Vec::new();
        for (.., requirement) in OF_COMPANY {
            let (application, caller) = (self.application(), self.caller());
            if !met.contains(&requirement)
                && application.meets(caller, Some(company), requirement, Consistency::Cached).await?
            {
                met.push(requirement);
            }
        }
        Ok(met)
    }

    /// Returns the context of a change that the person makes with this request.
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext {
            request_id: Some(self.account.request_id()),
            console: true,
            issued_at: self.identity.issued_at(),
            external_id: self.identity.external_id().map(Arc::new),
            ..RequestContext::from(self.caller())
        }
    }

    /// Reads the form that the authorized person has sent. From now on, the request may have effects.
    pub(crate) async fn read_form<T: DeserializeOwned>(&self, payload: &mut Payload) -> Result<(T, Fields), PageError> {
        let read = form::read(payload, &self.session).await?;
        self.account.begin_change()?;
        Ok(read)
    }

    /// Charges further requests to the budgets, for a page that does the work of several operations of the API.
    pub(crate) fn charge(&self, company: Option<CompanyId>, requests: usize) -> Result<(), PageError> {
        for _ in 0..requests {
            self.account.admit(self.caller(), self.reserve)?;
            self.account.authorize(company, self.reserve)?;
        }
        Ok(())
    }

    /// Returns the user that a text identifies, by the same rules as in requests of the API.
    ///
    /// # Errors
    ///
    /// Returns [`UserNameError`] if the text does not identify a user.
    pub(crate) fn user_named(&self, text: &str) -> Result<NamedUser, UserNameError> {
        self.user_names().user(text)
    }

    /// Returns the rules by which a text of the person identifies a user.
    pub(crate) fn user_names(&self) -> UserNames<'_> {
        UserNames::of_caller(&self.console.services.verifier, self.caller())
    }

    /// Returns a token for the forms of a page.
    pub(crate) fn form_token(&self) -> Result<String, PageError> {
        self.session.form_token()
    }

    /// Returns a page that is about no company. `content` receives the token for the forms of the page.
    pub(crate) fn page(
        &self,
        title: &str,
        section: Section,
        content: impl FnOnce(&str) -> Markup,
    ) -> Result<Page, PageError> {
        self.framed(title, section, None, &[], content)
    }

    fn framed(
        &self,
        title: &str,
        section: Section,
        company: Option<(CompanyId, &CompanyDetails)>,
        met: &[Requirement],
        content: impl FnOnce(&str) -> Markup,
    ) -> Result<Page, PageError> {
        let (csrf, person) = (self.form_token()?, self.identity.label());
        let is_super_admin = self.caller().is_super_admin();
        let frame = Frame { title, section, company, met, person: &person, is_super_admin, csrf: &csrf };
        Ok(Page::new(StatusCode::OK, layout::framed(&frame, &content(&csrf))))
    }
}

/// A signed-in person who meets the requirement of the policy `P` in the company of the page.
pub(crate) struct Authorized<P> {
    pub(crate) signed_in: SignedIn,
    pub(crate) company: CompanyId,
    pub(crate) details: CompanyDetails,
    /// The requirements of the sections that the person meets in the company.
    met: Vec<Requirement>,
    policy: PhantomData<P>,
}

impl<P: Policy> Authorized<P> {
    /// Returns the application, which provides the use cases.
    pub(crate) fn application(&self) -> &Application {
        self.signed_in.application()
    }

    /// Returns the signed-in person as the caller of use cases.
    pub(crate) const fn caller(&self) -> Caller {
        self.signed_in.caller()
    }

    /// Returns `true` if the person meets another requirement in the company.
    pub(crate) async fn meets(&self, requirement: Requirement) -> Result<bool, PageError> {
        let application = self.application();
        Ok(application.meets(self.caller(), Some(self.company), requirement, Consistency::Cached).await?)
    }

    /// Charges further requests to the budgets, for a page that does the work of several operations of the API.
    pub(crate) fn charge(&self, requests: usize) -> Result<(), PageError> {
        self.signed_in.charge(Some(self.company), requests)
    }

    /// Executes a change. Compilation fails if the policy and the change have different requirements.
    ///
    /// # Errors
    ///
    /// Returns the [`Failure`] of the change, which a page can show next to the form.
    pub(crate) async fn execute<C: Change>(&self, change: C) -> Result<Committed<C::Answer>, Failure> {
        const { assert!(P::REQUIREMENT.is(C::REQUIREMENT), "the policy and the change must have the same requirement") };
        self.application().execute(self.signed_in.context(), change).await
    }

    /// Executes a change if the company and the catalog still have these versions.
    ///
    /// # Errors
    ///
    /// Returns the [`Failure`] of the change: [`Failure::PreconditionFailed`] if the versions are others.
    pub(crate) async fn execute_at<C: Change>(
        &self,
        versions: Versions,
        change: C,
    ) -> Result<Committed<C::Answer>, Failure> {
        const { assert!(P::REQUIREMENT.is(C::REQUIREMENT), "the policy and the change must have the same requirement") };
        let context = RequestContext { if_version: Some(versions), ..self.signed_in.context() };
        self.application().execute(context, change).await
    }

    /// Previews a change that the person makes with this request, with the first `users` users whom it affects. Compilation
    /// fails if the policy and the change have different requirements.
    ///
    /// # Errors
    ///
    /// Returns the [`Failure`] to compute the preview. The failure with which the change would be rejected is part of the
    /// result.
    pub(crate) async fn preview<C: Change>(
        &self,
        change: C,
        users: u64,
        may_list_users: bool,
    ) -> Result<Preview, Failure> {
        const { assert!(P::REQUIREMENT.is(C::REQUIREMENT), "the policy and the change must have the same requirement") };
        let page = PageRequest { limit: users, cursor: None, include_total: false };
        let (company, parameters) = (self.company, String::new());
        let request = PreviewRequest { change, company, parameters, page, may_list_users };
        self.application().preview(self.signed_in.context(), request).await
    }

    /// Returns the user that a text identifies, by the same rules as in requests of the API.
    ///
    /// # Errors
    ///
    /// Returns [`UserNameError`] if the text does not identify a user.
    pub(crate) fn user_named(&self, text: &str) -> Result<NamedUser, UserNameError> {
        self.signed_in.user_named(text)
    }

    /// Returns the tolerated clock skew between this service and token issuers.
    pub(crate) fn clock_skew(&self) -> Duration {
        self.signed_in.user_names().clock_skew()
    }

    /// Returns the context of a change that the person makes with this request, for a use case that makes several changes.
    pub(crate) fn context(&self) -> RequestContext {
        self.signed_in.context()
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.signed_in.console.services.clock.now()
    }

    /// Returns a page about the company. `content` receives the token for the forms of the page.
    pub(crate) fn page(
        &self,
        title: &str,
        section: Section,
        content: impl FnOnce(&str) -> Markup,
    ) -> Result<Page, PageError> {
        let company = Some((self.company, &self.details));
        self.signed_in.framed(title, section, company, &self.met, content)
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

impl<P: Policy> FromRequest for Authorized<P> {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request)
    }
}

impl<P: Policy> Admitted for Authorized<P> {
    async fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let signed_in = SignedIn::of(request).await?;
        let company = request.match_info().get("company").and_then(|id| CompanyId::parse(id).ok());
        let company = company.ok_or(PageError::NotFound)?;
        let details = signed_in.authorize(company, P::REQUIREMENT).await?;
        let met = signed_in.requirements_met(company).await?;
        Ok(Self { signed_in, company, details, met, policy: PhantomData })
    }

    fn signed_in(&self) -> &SignedIn {
        &self.signed_in
    }
}
