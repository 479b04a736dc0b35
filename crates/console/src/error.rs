//! The pages for requests that fail.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use iam_application::{Failure, Refusal, causes};
use maud::{Markup, html};

use crate::layout::alone;
use crate::page::Page;
use crate::path::PATH;

/// The time after which a client may retry if the storage is not available.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageError {
    /// The client is not signed in. The response leads to the sign-in page, and from there back to this path.
    NotSignedIn(Option<String>),
    /// The form comes from another site, or from a session that has ended.
    Forged,
    /// The signed-in person may not see or do this.
    Forbidden(String),
    /// The page does not exist, or the signed-in person may not know that it exists.
    NotFound,
    /// The request is not valid.
    Invalid(String),
    /// The path exists, but only with these methods.
    WrongMethod(&'static str),
    /// The body arrived too slowly.
    TooSlow,
    /// The change conflicts with the data.
    Conflict(String),
    /// A budget is exhausted.
    RateLimited(Duration),
    /// The storage, or another service that the request needs, is not available.
    Unavailable(Duration),
    /// An unexpected error.
    Internal,
}

impl PageError {
    /// Logs an unexpected error, and returns the page for it.
    pub(crate) fn internal(cause: &(dyn Error + 'static)) -> Self {
        let error = causes(cause);
        tracing::error!(error, "internal error");
        Self::Internal
    }

    /// Logs the failure of something that the request needs, and returns the page for it.
    pub(crate) fn unavailable(cause: &(dyn Error + 'static)) -> Self {
        let error = causes(cause);
        tracing::warn!(error, "service unavailable");
        Self::Unavailable(RETRY_AFTER)
    }

    /// Returns the page for a failure outside of the console with this status.
    pub(crate) fn of_status(status: StatusCode, retry_after: Duration) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited(retry_after),
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable(retry_after),
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::REQUEST_TIMEOUT => Self::TooSlow,
            status if status.is_client_error() => Self::Invalid("The request cannot be read".to_owned()),
            _ => Self::Internal,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotSignedIn(_) => "Please sign in",
            Self::Forged => "This form is no longer valid",
            Self::Forbidden(_) => "You may not see this page",
            Self::NotFound => "Page not found",
            Self::Invalid(_) => "This request is not valid",
            Self::WrongMethod(_) => "This address cannot be used like this",
            Self::TooSlow => "The request arrived too slowly",
            Self::Conflict(_) => "This conflicts with the current data",
            Self::RateLimited(_) => "Too many requests",
            Self::Unavailable(_) => "The service is temporarily unavailable",
            Self::Internal => "Something went wrong",
        }
    }

    fn text(&self) -> Markup {
        html! {
            @match self {
                Self::NotSignedIn(_) => p { "Your session has ended, or you have not signed in yet." },
                Self::Forged => p {
                    "The form was sent from another site, or your session has changed since the form was opened. \
                     Nothing was changed. Go back, reload the page, and send the form again."
                },
                Self::Forbidden(message) => p { (message) "." },
                Self::NotFound => p { "This page does not exist, or you do not have access to it." },
                Self::Invalid(message) | Self::Conflict(message) => p { (message) "." },
                Self::WrongMethod(_) => p { "A form that was sent to this address, or this address itself, is out of date." },
                Self::TooSlow => p { "The connection is slow or was interrupted. Nothing was changed. Send the form again." },
                Self::RateLimited(_) => p { "You have sent more requests than your budget allows." },
                Self::Unavailable(_) => p {
                    "The data cannot be read or changed at the moment, so nothing is shown. Nothing that you sent now \
                     should be considered saved."
                },
                Self::Internal => p { "The error was logged. Nothing is shown, because the data may be incomplete." },
            }
            @if let Some(after) = self.retry_after() {
                p { "Try again in " (after) @if after == 1 { " second." } @else { " seconds." } }
            }
            @if matches!(self, Self::NotSignedIn(_)) {
                p { a.button.primary href={ (PATH) "/sign-in" } { "Sign in" } }
            } @else {
                p { a.button href=(PATH) { "To the start page" } }
            }
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(after) | Self::Unavailable(after) => Some(after.as_secs_f64().ceil().max(1.0) as u64),
            _ => None,
        }
    }
}

impl From<Failure> for PageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Forbidden(requirement) => Self::Forbidden(requirement.denial_message().to_owned()),
            Failure::ForbiddenChange { message, .. } => Self::Forbidden(message),
            Failure::NotFound(_) => Self::NotFound,
            Failure::Conflict(message) | Failure::InUse { message, .. } => Self::Conflict(message),
            Failure::QuotaExceeded { quota, limit } => {
                Self::Conflict(format!("The company has reached its quota {}: {limit}", quota.key()))
            }
            Failure::Invalid(findings) => {
                let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
                Self::Invalid(messages.join("; "))
            }
            Failure::PreconditionFailed => Self::Conflict("The data has changed since it was read".to_owned()),
            Failure::Outdated => Self::Invalid("The data has changed since the first page was read".to_owned()),
            Failure::Exhausted(exhausted) => Self::RateLimited(exhausted.retry_after),
            Failure::Unavailable(_) => Self::unavailable(&failure),
            other => Self::internal(&other),
        }
    }
}

impl From<Refusal> for PageError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::RateLimited(after) => Self::RateLimited(after),
            Refusal::Busy(after) => Self::Unavailable(after),
            Refusal::TooSlow => Self::TooSlow,
        }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl Error for PageError {}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn(None) => StatusCode::UNAUTHORIZED,
            Self::NotSignedIn(Some(_)) => StatusCode::SEE_OTHER,
            Self::Forged | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = Page::new(self.status_code(), alone(self.title(), &self.text())).into_response();
        let headers = response.headers_mut();
        if let Self::NotSignedIn(Some(location)) = self
            && let Ok(location) = location.parse()
        {
            headers.insert(header::LOCATION, location);
        }
        if let Self::WrongMethod(allowed) = self {
            headers.insert(header::ALLOW, header::HeaderValue::from_static(allowed));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
        }
        response
    }
}
