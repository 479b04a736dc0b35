//! Reads the JSON objects in a body field by field. One response then reports all invalid fields, each with its path.

use std::collections::BTreeSet;
use std::fmt::Display;

use iam_application::{FIELD_ERRORS_LIMIT, FieldCode, FieldError, Patch};
use iam_domain::{Description, NamedUser};
use iam_identity::{UserNameError, UserNames};
use serde_json::{Map, Value};

use super::field::Field;

/// The field errors of a request, up to the maximum number that a response lists.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: Vec<FieldError>,
    /// The errors for fields of the body that the operation does not read.
    unknown: Vec<FieldError>,
}

impl Findings {
    /// Adds a field error, if the maximum number is not reached.
    pub(crate) fn push(&mut self, finding: FieldError) {
        if !self.is_full() {
            self.errors.push(finding);
        }
    }

    /// Adds the errors for unknown fields, which are otherwise ignored.
    pub(crate) fn reject_unknown(&mut self) {
        for finding in std::mem::take(&mut self.unknown) {
            self.push(finding);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns `true` if the maximum number of field errors is reached.
    fn is_full(&self) -> bool {
        self.errors.len() >= FIELD_ERRORS_LIMIT
    }

    pub(crate) fn into_vec(self) -> Vec<FieldError> {
        self.errors
    }
}

/// A reader for the fields of a JSON object. If a field is invalid, the method that reads it records a field error and
/// returns `None`. When the reader is dropped, it records the fields that were not read as unknown.
pub(crate) struct FieldReader<'a> {
    fields: &'a Map<String, Value>,
    /// The names of the fields that were read.
    known: Vec<&'static str>,
    /// The prefix of field names in errors, such as `views[2].`. Empty if the object is the body itself.
    prefix: String,
    names: UserNames<'a>,
    findings: &'a mut Findings,
}

impl<'a> FieldReader<'a> {
    /// Creates a reader for an object. `names` maps external ids of users (`issuer|subject`) to user ids.
    pub(crate) fn of(
        fields: &'a Map<String, Value>,
        prefix: String,
        names: UserNames<'a>,
        findings: &'a mut Findings,
    ) -> Self {
        Self { fields, known: Vec::new(), prefix, names, findings }
    }

    /// Returns the value of a field, which is a known field from now on.
    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name)
    }

    fn found(&mut self, name: &str, code: FieldCode, what: impl Display) {
        let field = format!("{}{name}", self.prefix);
        // Only the message of a missing field is capitalized: "Name is required", but "views must be an array". Clients
        // of the original system depend on the wording of these messages.
        let finding = if code == FieldCode::Required {
            FieldError { message: format!("{} {what}", capitalized(&field)), field, code }
        } else {
            FieldError::new(field, code, what)
        };
        self.findings.push(finding);
    }

    fn read<T: Field>(&mut self, name: &str, value: &Value) -> Option<T> {
        match T::read(value) {
            Ok(value) => Some(value),
            Err((code, what)) => {
                self.found(name, code, what);
                None
            }
        }
    }

    /// Reads a required field.
    pub(crate) fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        match self.get(name) {
            None => {
                self.found(name, FieldCode::Required, "is required");
                None
            }
            Some(value) => self.read(name, value),
        }
    }

    /// Reads an optional field. `null` is invalid.
    pub(crate) fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.get(name) {
            None => Some(None),
            Some(value) => self.read(name, value).map(Some),
        }
    }

    /// Reads an optional user, identified by user id or external id. `null` is invalid.
    pub(crate) fn user(&mut self, name: &'static str) -> Option<Option<NamedUser>> {
        let Some(text) = self.optional::<String>(name)? else { return Some(None) };
        match self.names.user(&text) {
            Ok(user) => Some(Some(user)),
            Err(error) => self.reject(name, FieldCode::User, error),
        }
    }

    /// Reads a required user, identified by user id or external id.
    pub(crate) fn required_user(&mut self, name: &'static str) -> Option<NamedUser> {
        match self.user(name)? {
            Some(user) => Some(user),
            None => self.reject(name, FieldCode::Required, "is required"),
        }
    }

    /// Reads the optional subject of a check. An error that concerns an external id is returned instead of the user, and
    /// is reported only to callers who may check other users.
    pub(crate) fn subject(&mut self, name: &'static str) -> Option<Option<Result<NamedUser, FieldError>>> {
        let Some(text) = self.optional::<String>(name)? else { return Some(None) };
        match self.names.user(&text) {
            Ok(user) => Some(Some(Ok(user))),
            Err(error @ UserNameError::Form) => self.reject(name, FieldCode::User, error),
            Err(error) => Some(Some(Err(FieldError::new(name, FieldCode::User, error)))),
        }
    }

    /// Reads an optional field. Returns `default` if the field is missing.
    pub(crate) fn or<T: Field>(&mut self, name: &'static str, default: T) -> Option<T> {
        Some(self.optional(name)?.unwrap_or(default))
    }

    /// Reads a field in a partial update. A missing field leaves the stored value unchanged, and `null` clears it.
    pub(crate) fn patch<T: Field>(&mut self, name: &'static str) -> Option<Patch<T>> {
        match self.get(name) {
            None => Some(Patch::Keep),
            Some(Value::Null) => Some(Patch::Clear),
            Some(value) => self.read(name, value).map(Patch::Set),
        }
    }

    /// Reads a required list, which must not contain duplicates.
    pub(crate) fn list<T: Field + Ord + Clone>(&mut self, name: &'static str) -> Option<Vec<T>> {
        let values = self.array(name)?;
        let mut elements = Vec::with_capacity(values.len());
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            if self.findings.is_full() {
                return None;
            }
            let place = format!("{name}[{index}]");
            if let Some(element) = self.read::<T>(&place, value) {
                if !seen.insert(element.clone()) {
                    self.found(&place, FieldCode::Duplicate, "occurs twice");
                }
                elements.push(element);
            }
        }
        (elements.len() == values.len()).then_some(elements)
    }

    /// Reads an optional list. `null` is invalid.
    pub(crate) fn optional_list<T: Field + Ord + Clone>(&mut self, name: &'static str) -> Option<Option<Vec<T>>> {
        if self.get(name).is_some() { self.list(name).map(Some) } else { Some(None) }
    }

    /// Reads a list in a partial update. A missing list leaves the stored list unchanged, and `null` clears it.
    pub(crate) fn list_patch<T: Field + Ord + Clone>(&mut self, name: &'static str) -> Option<Patch<Vec<T>>> {
        match self.get(name) {
            None => Some(Patch::Keep),
            Some(Value::Null) => Some(Patch::Clear),
            Some(_) => self.list(name).map(Patch::Set),
        }
    }

    /// Reads a required list of objects, each with the function `read`. A second object with the same `key` is a
    /// duplicate, which is an error.
    pub(crate) fn objects<T, K: Ord>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut FieldReader<'_>) -> Option<T>,
        key: impl Fn(&T) -> K,
        key_name: &str,
    ) -> Option<Vec<T>> {
        let values = self.array(name)?;
        let mut elements = Vec::with_capacity(values.len());
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            if self.findings.is_full() {
                return None;
            }
            let place = format!("{name}[{index}]");
            let Value::Object(fields) = value else {
                self.found(&place, FieldCode::Type, "must be an object");
                continue;
            };
            let mut inner = FieldReader::of(fields, format!("{}{place}.", self.prefix), self.names, self.findings);
            let element = read(&mut inner);
            drop(inner);
            if let Some(element) = element {
                if !seen.insert(key(&element)) {
                    self.found(&format!("{place}.{key_name}"), FieldCode::Duplicate, "occurs twice");
                }
                elements.push(element);
            }
        }
        (elements.len() == values.len()).then_some(elements)
    }

    /// Reads an optional list of objects, as [`Self::objects`] does. Default: the empty list.
    pub(crate) fn optional_objects<T, K: Ord>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut FieldReader<'_>) -> Option<T>,
        key: impl Fn(&T) -> K,
        key_name: &str,
    ) -> Option<Vec<T>> {
        if self.get(name).is_some() { self.objects(name, read, key, key_name) } else { Some(Vec::new()) }
    }

    /// Records an error for each element of the list `name` whose key is also in `other`, which contains the keys of the
    /// list `other_name`.
    pub(crate) fn reject_common<K: Ord>(
        &mut self,
        (name, keys, key_name): (&str, impl IntoIterator<Item = K>, &str),
        (other_name, other): (&str, &BTreeSet<K>),
    ) {
        for (index, _) in keys.into_iter().enumerate().filter(|(_, key)| other.contains(key)) {
            let place = format!("{name}[{index}].{key_name}");
            self.found(&place, FieldCode::Duplicate, format_args!("is also in {other_name}"));
        }
    }

    /// Reads a required list of 1 to `most` objects, each with the function `read`. In the result, an invalid object is
    /// replaced by its field errors.
    pub(crate) fn each<T>(
        &mut self,
        name: &'static str,
        most: usize,
        read: impl Fn(&mut FieldReader<'_>) -> Option<T>,
    ) -> Option<Vec<Result<T, Vec<FieldError>>>> {
        let values = self.array(name)?;
        if values.is_empty() || values.len() > most {
            return self.reject(name, FieldCode::Length, format_args!("must contain 1 to {most} elements"));
        }
        let names = self.names;
        let read_one = |value: &Value| {
            let Value::Object(fields) = value else {
                return Err(vec![FieldError::new("check", FieldCode::Type, "must be an object")]);
            };
            let mut findings = Findings::default();
            let element = read(&mut FieldReader::of(fields, String::new(), names, &mut findings));
            findings.reject_unknown();
            match element {
                Some(element) if findings.is_empty() => Ok(element),
                _ => Err(findings.into_vec()),
            }
        };
        Some(values.iter().map(read_one).collect())
    }

    /// Reads an optional object, without its members. `null` is invalid.
    pub(crate) fn optional_object(&mut self, name: &'static str) -> Option<Option<&'a Map<String, Value>>> {
        match self.get(name) {
            None => Some(None),
            Some(Value::Object(fields)) => Some(Some(fields)),
            Some(_) => self.reject(name, FieldCode::Type, "must be an object"),
        }
    }

    /// Returns the number of elements of a list, and 0 if the field is missing or is not a list.
    pub(crate) fn length(&self, name: &str) -> usize {
        self.fields.get(name).and_then(Value::as_array).map_or(0, Vec::len)
    }

    fn array(&mut self, name: &'static str) -> Option<&'a Vec<Value>> {
        match self.get(name) {
            Some(Value::Array(values)) => Some(values),
            _ => {
                self.found(name, FieldCode::Type, "must be an array");
                None
            }
        }
    }

    /// Declares fields that are known even if they are not read.
    pub(crate) fn know(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Returns `true` if the field is present.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Records an error for a field, and returns `None`.
    pub(crate) fn reject<T>(&mut self, name: &str, code: FieldCode, what: impl Display) -> Option<T> {
        self.found(name, code, what);
        None
    }

    /// Reads an optional description. Default: the empty string.
    pub(crate) fn description(&mut self, name: &'static str) -> Option<Description> {
        let empty = Value::String(String::new());
        let value = self.get(name).unwrap_or(&empty);
        self.read(name, value)
    }
}

impl Drop for FieldReader<'_> {
    fn drop(&mut self) {
        // The company can be specified in the body of each operation.
        let is_known = |name: &str| self.known.contains(&name) || (self.prefix.is_empty() && name == COMPANY);
        for name in self.fields.keys().filter(|name| !is_known(name)) {
            if self.findings.unknown.len() >= FIELD_ERRORS_LIMIT {
                break;
            }
            let finding = unknown_field(&self.prefix, name, &self.known);
            self.findings.unknown.push(finding);
        }
    }
}

/// The name of the field that specifies the company of a request.
const COMPANY: &str = "companyId";

/// Maximum length of an unknown name in an error, in characters.
const LONGEST_NAME: usize = 100;

/// Returns the error for an unknown field or parameter. The message suggests a known name if the two names differ only
/// in case.
pub(crate) fn unknown_field(prefix: &str, name: &str, known: &[&str]) -> FieldError {
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    let field = format!("{prefix}{shown}");
    match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(similar) => {
            FieldError::new(field, FieldCode::UnknownField, format_args!("is unknown; did you mean {similar}?"))
        }
        None => FieldError::new(field, FieldCode::UnknownField, "is unknown"),
    }
}

fn capitalized(field: &str) -> String {
    let mut letters = field.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
