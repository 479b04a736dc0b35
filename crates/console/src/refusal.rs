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
        let texts = |errors: Vec<FieldError>| errors.iter().map(sentence).collect();
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

/// Returns the message of an error without the names that the fields have in the API.
pub(crate) fn sentence(error: &FieldError) -> String {
    let Some(rest) = error.message.strip_prefix(&error.field) else { return error.message.clone() };
    let rest = rest.replace("expiresAt", "the end").replace("startsAt", "the start");
    let field = error.field.rsplit('.').next().unwrap_or_default();
    let name = field.split('[').next().unwrap_or_default();
    let label = match name {
        "expiresAt" => "end".to_owned(),
        "startsAt" => "start".to_owned(),
        _ => words(name.strip_suffix("Id").or_else(|| name.strip_suffix("Ids")).unwrap_or(name)),
    };
    format!("The {label}{rest}")
}

/// Returns the words of a name in camel case.
fn words(name: &str) -> String {
    name.chars().fold(String::new(), |mut words, letter| {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        words
    })
}

#[cfg(test)]
mod tests {
    use iam_application::FieldCode;

    use super::*;

    #[test]
    fn errors_name_fields_in_words() {
        for (field, rest, text) in [
            ("add[0].expiresAt", "must be after startsAt", "The end must be after the start"),
            ("viewId", "refers to an unknown view", "The view refers to an unknown view"),
            ("moduleIds[3]", "must not be repeated", "The module must not be repeated"),
            ("sortOrder", "must be positive", "The sort order must be positive"),
        ] {
            let message = format!("{field} {rest}");
            let error = FieldError { field: field.to_owned(), message, code: FieldCode::Invalid };
            assert_eq!(sentence(&error), text);
        }
        let other = FieldError { field: "body".to_owned(), message: "too many".to_owned(), code: FieldCode::Invalid };
        assert_eq!(sentence(&other), "too many");
    }
}
