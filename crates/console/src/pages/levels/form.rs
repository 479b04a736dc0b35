//! The fields of a level in forms: its name and its description.

use iam_application::Failure;
use iam_domain::{Description, Name, TextError};
use maud::{Markup, html};

use crate::error::PageError;

/// The name and the description of a level, as they were typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    pub(crate) name: String,
    pub(crate) description: String,
    /// The reason why the name is not valid.
    pub(crate) name_error: Option<String>,
    /// The reason why the description is not valid.
    pub(crate) description_error: Option<String>,
}

impl Fields {
    /// Returns the fields as they were typed. Browsers send line breaks as `\r\n`.
    pub(crate) fn typed(name: &str, description: &str) -> Self {
        Self { name: name.trim().to_owned(), description: description.replace("\r\n", "\n"), ..Self::default() }
    }

    /// Parses the fields. If one of them is not valid, `self` contains the reason afterwards.
    pub(crate) fn parse(&mut self) -> Option<(Name, Description)> {
        let (name, description) = (Name::parse(self.name.as_str()), Description::parse(self.description.as_str()));
        let reason = |error: &TextError| format!("It {error}.");
        self.name_error = name.as_ref().err().map(reason);
        self.description_error = description.as_ref().err().map(reason);
        Some((name.ok()?, description.ok()?))
    }

    /// Returns the controls for both fields. `prefix` makes their ids unique on the page.
    pub(crate) fn controls(&self, prefix: &str) -> Markup {
        html! {
            div.field {
                label for={ (prefix) "name" } { "Name" }
                input id={ (prefix) "name" } name="name" value=(self.name) required maxlength="255" autocomplete="off"
                    dir="auto" aria-invalid=[self.name_error.as_ref().map(|_| "true")]
                    aria-describedby=[self.name_error.as_ref().map(|_| format!("{prefix}name-error"))];
                @if let Some(error) = &self.name_error { p.error id={ (prefix) "name-error" } { (error) } }
            }
            div.field {
                label for={ (prefix) "description" } { "Description" }
                textarea id={ (prefix) "description" } name="description" maxlength="2000" dir="auto"
                    aria-invalid=[self.description_error.as_ref().map(|_| "true")]
                    aria-describedby=[self.description_error.as_ref().map(|_| format!("{prefix}description-error"))]
                    { (self.description) }
                @if let Some(error) = &self.description_error {
                    p.error id={ (prefix) "description-error" } { (error) }
                }
            }
        }
    }
}

/// Returns the message of a failure that a page shows next to the form. Other failures have a page of their own.
pub(crate) fn message_of(failure: Failure) -> Result<String, PageError> {
    Ok(match failure {
        Failure::Conflict(message) | Failure::ForbiddenChange { message, .. } | Failure::InUse { message, .. } => {
            message
        }
        Failure::PreconditionFailed => {
            "Another person has changed this level since you opened it. Compare the fields, and save again".to_owned()
        }
        Failure::QuotaExceeded { quota, limit } => {
            format!("The company has reached its quota {}: {limit}", quota.key())
        }
        Failure::Forbidden(requirement) => requirement.denial_message().to_owned(),
        Failure::Invalid(errors) => errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "),
        other => return Err(other.into()),
    })
}

/// Returns the message that a form shows above its fields.
pub(crate) fn problem(message: Option<&str>) -> Markup {
    html! {
        @if let Some(message) = message { div.notice.error role="alert" { p { bdi { (message) } "." } } }
    }
}
