//! The extractors of the pages about the platform: a signed-in person who meets a requirement without a company.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use iam_application::{Application, Change, Committed, Failure, RequestContext};
use iam_domain::{NamedUser, Timestamp};
use iam_identity::{TokenVerifier, UserNameError};
use maud::Markup;

use crate::authorized::{Admitted, Extraction, Policy, SignedIn, extract};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;

/// A signed-in person who meets the requirement of the policy `P` on the platform.
pub(crate) struct OnPlatform<P> {
    person: SignedIn,
    policy: PhantomData<P>,
}

impl<P: Policy> OnPlatform<P> {
    /// Returns the application, which provides the use cases.
    pub(crate) fn application(&self) -> &Application {
        self.person.application()
    }

    /// Returns the verifier of tokens.
    pub(crate) fn verifier(&self) -> &TokenVerifier {
        &self.person.console.services.verifier
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.person.console.services.clock.now()
    }

    /// Returns the user that a text identifies, by the same rules as in requests of the API.
    ///
    /// # Errors
    ///
    /// Returns [`UserNameError`] if the text does not identify a user.
    pub(crate) fn user_named(&self, text: &str) -> Result<NamedUser, UserNameError> {
        self.person.user_names().user(text)
    }

    /// Returns the context of a change that the person makes with this request.
    pub(crate) fn context(&self) -> RequestContext {
        self.person.context()
    }

    /// Executes a change. Compilation fails if the policy and the change have different requirements.
    ///
    /// # Errors
    ///
    /// Returns the [`Failure`] of the change, which a page can show next to the form.
    pub(crate) async fn execute<C: Change>(&self, change: C) -> Result<Committed<C::Answer>, Failure> {
        self.execute_in(self.context(), change).await
    }

    /// Executes a change in a context that was derived from [`Self::context`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::execute`].
    pub(crate) async fn execute_in<C: Change>(
        &self,
        context: RequestContext,
        change: C,
    ) -> Result<Committed<C::Answer>, Failure> {
        const { assert!(P::REQUIREMENT.is(C::REQUIREMENT), "the policy and the change must have the same requirement") };
        self.application().execute(context, change).await
    }

    /// Returns a page about the platform. `content` receives the token for the forms of the page.
    pub(crate) fn page(
        &self,
        title: &str,
        section: Section,
        content: impl FnOnce(&str) -> Markup,
    ) -> Result<Page, PageError> {
        self.person.page(title, section, content)
    }
}

impl<P: Policy> FromRequest for OnPlatform<P> {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request)
    }
}

impl<P: Policy> Admitted for OnPlatform<P> {
    async fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let person = SignedIn::of(request).await?;
        person.authorize_on_platform(P::REQUIREMENT).await?;
        Ok(Self { person, policy: PhantomData })
    }

    fn signed_in(&self) -> &SignedIn {
        &self.person
    }
}
