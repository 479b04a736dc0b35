//! The reason why a change is refused.

use iam_application::{Failure, FieldError};
use maud::{Markup, html};

use crate::error::PageError;

/// The reason why a change is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    message: String,
    details: Vec<String>,
}

impl Refused {
    /// Returns the reason.
    ///
    /// # Errors
    ///
    /// Returns a [`PageError`] if the change failed for a reason that is not about the change.
    pub(crate) fn of(failure: Failure) -> Result<Self, PageError> {
        let texts = |errors: Vec<FieldError>| errors.into_iter().map(|error| error.message).collect();
        let (message, details) = match failure {
            Failure::ForbiddenChange { message, errors } | Failure::InUse { message, errors } => {
                (message, texts(errors))
            }
            Failure::Conflict(message) => (message, Vec::new()),
            Failure::Forbidden(requirement) => (requirement.denial_message().to_owned(), Vec::new()),
            Failure::Invalid(errors) => ("The change is not valid".to_owned(), texts(errors)),
            Failure::QuotaExceeded { quota, limit } => {
                (format!("The company has reached its quota {}: {limit}", quota.key()), Vec::new())
            }
            Failure::NotFound(what) => (format!("{what} not found"), Vec::new()),
            other => return Err(other.into()),
        };
        Ok(Self { message, details })
    }

    /// Returns the reason for a change that failed for a reason that is not about the change.
    pub(crate) fn failed(error: &PageError) -> Self {
        Self { message: error.to_string(), details: Vec::new() }
    }

    /// Returns the reason as text. Details that repeat the message are hidden until they are opened.
    pub(crate) fn text(&self) -> Markup {
        html! {
            p { bdi { (self.message) } "." }
            @if self.details.len() > 1 { details { summary { "All reasons" } (self.list()) } }
        }
    }

    /// Returns the reason as a notice.
    pub(crate) fn notice(&self, title: &str) -> Markup {
        html! {
            div.notice.error role="alert" {
                p { strong { (title) } " " bdi { (self.message) } "." }
                @if !self.details.is_empty() { (self.list()) }
            }
        }
    }

    fn list(&self) -> Markup {
        html! { ul { @for detail in &self.details { li { bdi { (detail) } "." } } } }
    }
}
