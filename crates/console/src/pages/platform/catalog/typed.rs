//! The content of a form of the catalog: what was typed, or the stored values.

use std::collections::BTreeMap;
use std::fmt::Display;

use iam_application::Patch;
use maud::{Markup, html};

use super::super::control::{Control, Problems, optional, required};
use crate::form::Fields;

/// The fields of a form by name. A check box that is not checked has no field.
#[derive(Debug, Default)]
pub(crate) struct Typed(BTreeMap<String, String>);

impl Typed {
    /// Returns the fields as they were sent.
    pub(super) fn sent(fields: &Fields) -> Self {
        Self(fields.iter().cloned().collect())
    }

    /// Sets a field to a stored value.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets a field to a stored value, if there is one.
    pub(super) fn with_any(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sets a check box to a stored value.
    pub(super) fn with_flag(self, name: &str, value: bool) -> Self {
        if value { self.with(name, "on") } else { self }
    }

    /// Returns a field, which is empty if the form does not contain it.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns `true` if the check box with this name is checked.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns controls with the fields, and with the reasons why they are not valid.
    pub(super) fn controls(&self, controls: &[Control], problems: &Problems) -> Markup {
        html! { @for control in controls { (control.show(self.get(control.name()), problems)) } }
    }

    /// Parses a required field. If it is not valid, `problems` contains the reason afterwards.
    pub(super) fn required<T, E: Display>(
        &self,
        problems: &mut Problems,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        required(problems, name, self.get(name), parse)
    }

    /// Parses an optional field. If it is not valid, `problems` contains the reason afterwards.
    pub(super) fn optional<T, E: Display>(
        &self,
        problems: &mut Problems,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        optional(problems, name, self.get(name), parse)
    }

    /// Parses a field with one value on each line. Returns `None` if the field is empty.
    pub(super) fn lines<T, E: Display>(
        &self,
        problems: &mut Problems,
        name: &'static str,
        parse: impl Fn(String) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let lines = self.get(name).lines().map(str::trim).filter(|line| !line.is_empty());
        let mut values = Vec::new();
        for line in lines {
            match parse(line.to_owned()) {
                Ok(value) => values.push(value),
                Err(error) => drop(problems.insert(name, format!("{line}: it {error}."))),
            }
        }
        Some(values).filter(|values| !values.is_empty())
    }
}

/// Returns the update of an optional field whose form contains all values.
pub(super) fn replaced<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Clear, Patch::Set)
}
