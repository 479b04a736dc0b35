//! The steps of a sign-in at an identity provider. All of them are links and redirects, because the content security policy
//! forbids forms that lead to another origin.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use iam_domain::Timestamp;
use iam_identity::{AuthenticationError, ExpectedIdToken};
use serde::Deserialize;
use url::Url;

use super::sign_in::{Return, problem_page};
use crate::authorized::{account, console};
use crate::console::Console;
use crate::error::PageError;
use crate::page::see_other;
use crate::path::PATH;
use crate::provider::{ProviderError, SignInIssuer};
use crate::session::{Attempt, Identity, Session};

/// The time within which the person must return from the identity provider.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Returns an address of the console, which is configured at the identity provider.
fn address(console: &Console, page: &str) -> Result<Url, PageError> {
    let public = console.options.public_url.as_ref().ok_or(PageError::NotFound)?;
    public.join(&format!("{PATH}{page}")).map_err(|error| PageError::internal(&error))
}

fn issuer(console: &Console, number: usize) -> Result<&SignInIssuer, PageError> {
    console.options.issuers.get(number).ok_or(PageError::NotFound)
}

/// `GET /console/sign-in/provider/{number}`: leads to the identity provider.
pub(crate) async fn begin(
    request: HttpRequest,
    number: Path<usize>,
    to: Query<Return>,
) -> Result<HttpResponse, PageError> {
    let (console, mut attempt) = (console(&request)?, Attempt::of(&request)?);
    account(&request)?.charge_address()?;
    let issuer = issuer(&console, *number)?;
    let now = console.services.clock.now();
    let begun = issuer.begin(address(&console, "/sign-in/callback")?, to.path().to_owned(), now.micros()).await;
    match begun {
        Ok((address, pending)) => {
            attempt.begin(pending);
            attempt.remembered(see_other(address.as_str()))
        }
        Err(error) => {
            tracing::warn!(%error, issuer = issuer.issuer, "sign-in failed");
            let text = "The identity provider is not available. Try again later.";
            problem_page(&request, &attempt, &to, StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// The parameters with which the person returns from the identity provider.
#[derive(Debug, Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /console/sign-in/callback`: the person returns from the identity provider.
pub(crate) async fn callback(request: HttpRequest, query: Query<Callback>) -> Result<HttpResponse, PageError> {
    let (console, account, mut attempt) = (console(&request)?, account(&request)?, Attempt::of(&request)?);
    account.may_authenticate()?;
    let Callback { state, code, error, iss } = query.into_inner();
    let pending = attempt.end();
    let to = pending.as_ref().map(|pending| Return::to_page(&pending.to)).unwrap_or_default();
    let problem = |status, text: &str| problem_page(&request, &attempt, &to, status, text);
    let refuse = |text: &str| problem(StatusCode::BAD_REQUEST, text);
    let now = console.services.clock.now();
    let is_fresh = |began_at| Timestamp::from_micros(began_at).is_some_and(|began_at| now < began_at.plus(LONGEST));
    let Some(pending) = pending.filter(|pending| is_fresh(pending.began_at) && state.as_ref() == Some(&pending.state))
    else {
        return refuse("This sign-in has expired, was already completed, or began in another browser. Sign in again.");
    };
    if iss.is_some_and(|iss| iss != pending.issuer) {
        return refuse("The response is from another identity provider. Sign in again.");
    }
    let known = console.options.issuers.iter().find(|issuer| issuer.issuer == pending.issuer);
    let (Some(issuer), Some(code), None) = (known, code, error) else {
        return refuse("The identity provider did not sign you in. Sign in again.");
    };
    account.charge_address()?;
    let token = match issuer.id_token(address(&console, "/sign-in/callback")?, &pending, code).await {
        Ok(token) => token,
        Err(ProviderError::Code) => {
            account.record_failed_authentication("untrusted");
            return refuse(
                "The identity provider does not accept this sign-in, or it was already completed. Sign in again.",
            );
        }
        Err(error) => {
            tracing::warn!(%error, issuer = issuer.issuer, "sign-in failed");
            return problem(StatusCode::SERVICE_UNAVAILABLE, "The identity provider is not available. Sign in again.");
        }
    };
    let expected = ExpectedIdToken { issuer: &issuer.issuer, client_id: &issuer.client_id, nonce: &pending.nonce };
    match console.services.verifier.verify_id_token(&token, &expected).await {
        Ok((verified, _)) if console.application().is_cut_off(verified.user_id, verified.issued_at).await? => {
            refuse("Your access was revoked after the identity provider signed you in. Sign in there again.")
        }
        Ok((verified, admission)) => {
            Session::of(&request).sign_in(&Identity::of_sign_in(&verified, &admission))?;
            attempt.completed(see_other(to.path()))
        }
        Err(AuthenticationError::Unavailable) => Err(PageError::unavailable(&AuthenticationError::Unavailable)),
        Err(error) => {
            account.record_failed_authentication(error.reason());
            refuse("The token of the identity provider is not valid. Sign in again.")
        }
    }
}

/// `GET /console/sign-out/provider/{number}`: leads to the identity provider, which signs the person out, too.
pub(crate) async fn end(request: HttpRequest, number: Path<usize>) -> Result<HttpResponse, PageError> {
    let console = console(&request)?;
    account(&request)?.charge_address()?;
    let issuer = issuer(&console, *number)?;
    match issuer.end_session(&address(&console, "/sign-in")?).await {
        Ok(Some(address)) => Ok(see_other(address.as_str())),
        Ok(None) => Ok(see_other(&format!("{PATH}/sign-in"))),
        Err(error) => {
            tracing::warn!(%error, issuer = issuer.issuer, "sign-out failed");
            Err(PageError::Unavailable(Duration::from_secs(5)))
        }
    }
}
