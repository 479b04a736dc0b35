//! The controls of forms about the platform, and the parsing of their fields.

use std::collections::BTreeMap;
use std::fmt::Display;

use iam_application::{Failure, HOW_TO_UNGATE};
use iam_domain::Versions;
use maud::{Markup, html};

use crate::error::PageError;
use crate::form::Fields;
use crate::refusal::Refused;

/// The reasons why fields are not valid, by the name of the field.
pub(crate) type Problems = BTreeMap<&'static str, String>;

/// Parses a required field. If it is not valid, `problems` contains the reason afterwards. Browsers send line breaks as
/// `\r\n`.
pub(crate) fn required<T, E: Display>(
    problems: &mut Problems,
    field: &'static str,
    text: &str,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Option<T> {
    match parse(text.trim().replace("\r\n", "\n")) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.insert(field, format!("It {error}."));
            None
        }
    }
}

/// Parses an optional field, as [`required`] does. Returns `None` if the field is empty.
pub(crate) fn optional<T, E: Display>(
    problems: &mut Problems,
    field: &'static str,
    text: &str,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Option<T> {
    if text.trim().is_empty() { None } else { required(problems, field, text, parse) }
}

/// Returns the values of all fields with this name, in the order in which they were sent.
pub(crate) fn values<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
}

/// Returns the reason why a change is refused. This includes that the data has changed since the form was filled.
///
/// # Errors
///
/// Returns a [`PageError`] if the change failed for a reason that is not about the change.
pub(crate) fn refusal(failure: Failure) -> Result<Refused, PageError> {
    Refused::of(match failure {
        Failure::PreconditionFailed => Failure::Conflict(
            "Another person has changed this since you opened the page. Compare your form with the current data before you \
             send it again"
                .to_owned(),
        ),
        Failure::Conflict(message) => Failure::Conflict(message.replace(
            HOW_TO_UNGATE,
            "To confirm, check the box of the form. To disable the module instead, remove its check mark Enabled",
        )),
        other => other,
    })
}

/// Parses the versions that a review was computed from. The change is made only at these versions, so that it has the effect
/// that was reviewed.
pub(crate) fn reviewed(versions: &str) -> Result<Versions, PageError> {
    Versions::parse(versions).ok_or_else(|| PageError::Invalid("The form contains no review".to_owned()))
}

/// The kind of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Lines,
    Time,
}

/// A control of a form for a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Control {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: Kind,
    is_required: bool,
}

impl Control {
    /// Creates a control for a line of text.
    pub(crate) const fn line(name: &'static str, label: &'static str) -> Self {
        Self { name, label, hint: "", kind: Kind::Line, is_required: false }
    }

    /// Creates a control for several lines of text.
    pub(crate) const fn lines(name: &'static str, label: &'static str) -> Self {
        Self { kind: Kind::Lines, ..Self::line(name, label) }
    }

    /// Creates a control for a time.
    pub(crate) const fn time(name: &'static str, label: &'static str) -> Self {
        Self { kind: Kind::Time, ..Self::line(name, label) }
    }

    /// Returns the control of a field that must not be empty.
    pub(crate) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Returns the control with an explanation of the field.
    pub(crate) const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Returns the name of the field.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the control with what was typed, and with the reason why it is not valid.
    pub(crate) fn show(&self, value: &str, problems: &Problems) -> Markup {
        let (name, problem) = (self.name, problems.get(self.name));
        let hint = (!self.hint.is_empty()).then(|| format!("{name}-hint"));
        let error = problem.map(|_| format!("{name}-error"));
        let described: Vec<_> = [hint.as_deref(), error.as_deref()].into_iter().flatten().collect();
        let described = Some(described.join(" ")).filter(|ids| !ids.is_empty());
        let (invalid, type_) =
            (problem.map(|_| "true"), if self.kind == Kind::Time { "datetime-local" } else { "text" });
        html! {
            div.field {
                label for={ "field-" (name) } { (self.label) }
                @if self.kind == Kind::Lines {
                    textarea id={ "field-" (name) } name=(name) dir="auto" required[self.is_required]
                        aria-invalid=[invalid] aria-describedby=[described] { (value) }
                } @else {
                    input id={ "field-" (name) } type=(type_) name=(name) value=(value) dir="auto" autocomplete="off"
                        required[self.is_required] aria-invalid=[invalid] aria-describedby=[described];
                }
                @if let Some(id) = hint { p.hint id=(id) { (self.hint) } }
                @if let Some(problem) = problem { p.error id={ (name) "-error" } { bdi { (problem) } } }
            }
        }
    }
}

/// Returns a check box. The form contains the field only if the box is checked.
pub(crate) fn check_box(name: &str, value: &str, is_checked: bool, label: &Markup) -> Markup {
    html! { label.check { input type="checkbox" name=(name) value=(value) checked[is_checked]; span { (label) } } }
}
