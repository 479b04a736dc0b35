//! The sign-in page, and the forms that sign a person in and out.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use iam_domain::UserId;
use iam_identity::AuthenticationError;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use url::Url;

use crate::authorized::{account, console};
use crate::console::Console;
use crate::error::PageError;
use crate::form;
use crate::layout::{alone, csrf_field};
use crate::page::{Page, see_other};
use crate::path::PATH;
use crate::session::{Attempt, Identity, Session};

/// Maximum length of the path of a page, in bytes. The cookie of a sign-in contains the path, and browsers limit cookies.
const MAX_RETURN: usize = 2000;

/// The page to which the person returns after the sign-in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Return {
    #[serde(default, rename = "return")]
    to: String,
    /// The number of the issuer from whose session the person has just signed out.
    signed_out: Option<usize>,
}

impl Return {
    /// Creates the value for a path.
    pub(crate) fn to_page(path: &str) -> Self {
        Self { to: path.to_owned(), signed_out: None }
    }

    /// Returns the path of the page. A path outside of the console is ignored, so that a link cannot lead to another site.
    pub(crate) fn path(&self) -> &str {
        if is_page(&self.to) { &self.to } else { PATH }
    }
}

/// Returns `true` if a text is the path of a page of the console, in the form to which browsers normalize it.
fn is_page(to: &str) -> bool {
    // The origin is arbitrary: it only makes the path absolute.
    let is_normalized = Url::parse(&format!("https://console.invalid{to}"))
        .is_ok_and(|url| url.as_str().strip_prefix("https://console.invalid") == Some(to));
    let path = to.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let has_dots = decoded.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
    let is_below = path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_below && is_normalized && !has_dots && to.len() <= MAX_RETURN
}

/// `GET /console/sign-in`
pub(crate) async fn show(request: HttpRequest, to: Query<Return>) -> Result<HttpResponse, PageError> {
    let (console, attempt) = (console(&request)?, Attempt::of(&request)?);
    let page = Page::new(StatusCode::OK, page(&console, &attempt, &to, None));
    attempt.remembered(page.respond_to(&request))
}

/// Returns the sign-in page with a problem, and with the status of an error.
pub(crate) fn problem_page(
    request: &HttpRequest,
    attempt: &Attempt,
    to: &Return,
    status: StatusCode,
    problem: &str,
) -> Result<HttpResponse, PageError> {
    let console = console(request)?;
    let page = Page::new(status, page(&console, attempt, to, Some(problem)));
    attempt.remembered(page.respond_to(request))
}

fn page(console: &Console, attempt: &Attempt, to: &Return, problem: Option<&str>) -> Markup {
    let csrf = attempt.form_token();
    let hidden = html! { (csrf_field(&csrf)) input type="hidden" name="return" value=(to.path()); };
    let demo = &console.options.demo_users;
    alone(
        "Sign in",
        &html! {
            @if let Some(problem) = problem { div.notice.error role="alert" { p { (problem) } } }
            @if let Some(number) = to.signed_out.filter(|number| *number < console.options.issuers.len()) {
                div.notice role="status" {
                    p { "You are signed out of the console." }
                    p { a href={ (PATH) "/sign-out/provider/" (number) } { "Sign out of the identity provider, too" } }
                }
            }
            @if !console.options.issuers.is_empty() && console.options.public_url.is_some() {
                section.panel.stack {
                    h2 { "With your account" }
                    @for (number, issuer) in console.options.issuers.iter().enumerate() {
                        p {
                            a.button.primary href={ (PATH) "/sign-in/provider/" (number) "?return="
                                (utf8_percent_encode(to.path(), NON_ALPHANUMERIC)) } {
                                "Sign in at " (issuer.name())
                            }
                        }
                    }
                }
            }
            @if !demo.is_empty() {
                section.panel.stack {
                    h2 { "Demo" }
                    p.muted { "The data is in memory. Choose a person:" }
                    @for user in demo {
                        form method="post" action={ (PATH) "/sign-in/demo" } {
                            (hidden)
                            input type="hidden" name="user" value=(user.user);
                            button.choice type="submit" {
                                span { strong { (user.label) } span.muted { (user.description) } }
                                span aria-hidden="true" { "→" }
                            }
                        }
                    }
                }
            }
            section.panel {
                h2 { "With a token" }
                form method="post" action={ (PATH) "/sign-in/token" } {
                    (hidden)
                    div.field {
                        label for="token" { "Access token" }
                        textarea #token name="token" required autocomplete="off" spellcheck="false" class="mono"
                            aria-describedby="token-help" {}
                        p.muted #token-help {
                            "The token is verified once and not stored. The session ends no later than the token."
                        }
                    }
                    button.primary type="submit" { "Sign in" }
                }
            }
        },
    )
}

#[derive(Debug, Deserialize)]
struct DemoForm {
    user: String,
    #[serde(flatten)]
    to: Return,
}

/// `POST /console/sign-in/demo`
pub(crate) async fn as_demo_user(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, PageError> {
    let (console, attempt) = (console(&request)?, Attempt::of(&request)?);
    let (form, _) = form::read::<DemoForm>(&mut payload.into_inner(), &attempt).await?;
    let user = UserId::parse(&form.user).ok();
    let known = console.options.demo_users.iter().find(|known| Some(known.user) == user).ok_or(PageError::NotFound)?;
    Session::of(&request).sign_in(&Identity::of_demo(known, console.services.clock.now()))?;
    attempt.completed(see_other(form.to.path()))
}

#[derive(Debug, Deserialize)]
struct TokenForm {
    token: String,
    #[serde(flatten)]
    to: Return,
}

/// `POST /console/sign-in/token`
pub(crate) async fn with_token(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, PageError> {
    let (console, account, attempt) = (console(&request)?, account(&request)?, Attempt::of(&request)?);
    let (form, _) = form::read::<TokenForm>(&mut payload.into_inner(), &attempt).await?;
    account.may_authenticate()?;
    let problem = match console.services.verifier.admit(form.token.trim()).await {
        Ok((verified, _)) if console.application().is_cut_off(verified.user_id, verified.issued_at).await? => {
            AuthenticationError::Revoked
        }
        Ok((verified, admission)) => {
            Session::of(&request).sign_in(&Identity::of_token(&verified, &admission))?;
            return attempt.completed(see_other(form.to.path()));
        }
        Err(AuthenticationError::Unavailable) => return Err(PageError::unavailable(&AuthenticationError::Unavailable)),
        Err(error) => error,
    };
    account.record_failed_authentication(problem.reason());
    let text = format!("This token is not accepted: {}.", problem.description());
    problem_page(&request, &attempt, &form.to, StatusCode::UNAUTHORIZED, &text)
}

/// `POST /console/sign-out`
pub(crate) async fn sign_out(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, PageError> {
    #[derive(Deserialize)]
    struct Nothing {}
    let session = Session::of(&request);
    if let Some(identity) = session.identity() {
        form::read::<Nothing>(&mut payload.into_inner(), &session).await?;
        session.sign_out();
        let issuers = &console(&request)?.options.issuers;
        let number = issuers.iter().position(|known| Some(known.issuer.as_str()) == identity.issuer());
        if let Some(number) = number {
            return Ok(see_other(&format!("{PATH}/sign-in?signed_out={number}")));
        }
    }
    Ok(see_other(&format!("{PATH}/sign-in")))
}
