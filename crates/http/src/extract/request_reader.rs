//! Reads the input of a handler from the path, query, headers and body of a request.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::{Path, Url};
use actix_web::http::Method;
use iam_application::{FieldCode, FieldError, IfMatch};
use iam_domain::{CompanyId, NamedUser};
use iam_identity::{UserNameError, UserNames};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::body_reader::{FieldReader, Findings, unknown_field};
use super::conditional::if_match;
use super::field::Field;
use crate::respond::ApiError;

/// The method and the path of a request, and its precondition.
pub(crate) struct RequestLine<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// The path, which has been matched against the pattern.
    pub(crate) path: &'a Path<Url>,
    /// The pattern of the operation's path.
    pub(crate) pattern: Cow<'a, str>,
    /// The precondition in the `If-Match` header.
    pub(crate) if_match: IfMatch,
}

impl<'a> RequestLine<'a> {
    /// Returns the method, the path and the precondition of a request.
    pub(super) fn of(request: &'a HttpRequest) -> Self {
        Self {
            method: request.method(),
            path: request.match_info(),
            pattern: request.match_pattern().unwrap_or_default().into(),
            if_match: if_match(request.headers()),
        }
    }
}

/// A reader for the parameters, headers and body of a request. If a value is invalid, the method that reads it records
/// a field error and returns `None`.
pub(crate) struct RequestReader<'a> {
    line: RequestLine<'a>,
    names: UserNames<'a>,
    company: Option<CompanyId>,
    query: &'a [(String, String)],
    /// The names of the query parameters that the operation supports. [`Self::query`] adds each name that it reads.
    parameters: Vec<&'static str>,
    /// The fields of the body, or an error that concerns the body as a whole. `None` if there is no body.
    body: &'a Option<Result<Map<String, Value>, ApiError>>,
    findings: Findings,
    /// The error that concerns the body as a whole. Set when the body is read.
    fatal: Option<ApiError>,
}

/// The input of a handler, which is read from a request.
pub(crate) trait Input: Sized + 'static {
    /// Parses the body on the fast path. The returned value equals the result of [`Self::read`]. Returns `None` if the
    /// fast path does not support the body, so that [`Self::read`] must parse it.
    fn read_fast(_body: &[u8]) -> Option<Self> {
        None
    }

    /// Reads the input, and records a field error for each invalid value.
    fn read(request: &mut RequestReader<'_>) -> Option<Self>;
}

impl Input for () {
    fn read(_: &mut RequestReader<'_>) -> Option<Self> {
        Some(())
    }
}

/// Reads the input of a request. The error either concerns the body as a whole, or lists all invalid parameters and
/// fields.
pub(super) fn read<T: Input>(
    line: RequestLine<'_>,
    names: UserNames<'_>,
    company: Option<CompanyId>,
    query: &[(String, String)],
    body: &Option<Result<Map<String, Value>, ApiError>>,
) -> Result<T, ApiError> {
    let mut reader = RequestReader {
        line,
        names,
        company,
        query,
        parameters: vec![COMPANY_PARAMETER],
        body,
        findings: Findings::default(),
        fatal: None,
    };
    let input = T::read(&mut reader);
    if !is_compatible(&reader.line) {
        reader.reject_unknown_parameters();
        reader.findings.reject_unknown();
    }
    let RequestReader { findings, fatal, .. } = reader;
    match (input, fatal) {
        (_, Some(error)) => Err(error),
        (Some(input), None) if findings.is_empty() => Ok(input),
        _ => Err(ApiError::invalid(findings.into_vec())),
    }
}

/// The name of the query parameter that specifies the company. All operations accept it.
const COMPANY_PARAMETER: &str = "companyId";

/// The operations of the original system. They ignore unknown query parameters and unknown members of the body, because
/// existing clients may send them.
const COMPATIBLE: [(Method, &str); 15] = [
    (Method::GET, "/api/iam/navigation"),
    (Method::GET, "/api/iam/permissions/current"),
    (Method::GET, "/api/iam/user-levels"),
    (Method::POST, "/api/iam/user-levels"),
    (Method::GET, "/api/iam/user-levels/{id}"),
    (Method::PATCH, "/api/iam/user-levels/{id}"),
    (Method::DELETE, "/api/iam/user-levels/{id}"),
    (Method::GET, "/api/iam/user-levels/{id}/permissions/views"),
    (Method::PUT, "/api/iam/user-levels/{id}/permissions/views"),
    (Method::GET, "/api/iam/user-levels/{id}/permissions/features"),
    (Method::PUT, "/api/iam/user-levels/{id}/permissions/features"),
    (Method::GET, "/api/iam/users/{userId}/user-levels"),
    (Method::PUT, "/api/iam/users/{userId}/user-levels"),
    (Method::GET, "/api/iam/views"),
    (Method::GET, "/api/iam/features"),
];

/// Returns `true` if the request is for an operation of the original system.
fn is_compatible(line: &RequestLine<'_>) -> bool {
    COMPATIBLE.iter().any(|(method, path)| method == line.method && *path == line.pattern)
}

/// Returns `true` if the query contains no parameter other than the company.
pub(super) fn has_only_company(query: &[(String, String)]) -> bool {
    query.iter().all(|(name, _)| name == COMPANY_PARAMETER)
}

impl<'a> RequestReader<'a> {
    fn reject_unknown_parameters(&mut self) {
        let names: BTreeSet<_> = self.query.iter().map(|(name, _)| name.as_str()).collect();
        for name in names.into_iter().filter(|name| !self.parameters.contains(name)) {
            self.findings.push(unknown_field("", name, &self.parameters));
        }
    }

    /// Returns the company of the request. If the policy requires a company, the result is always `Some`.
    pub(crate) const fn company(&self) -> Option<CompanyId> {
        self.company
    }

    /// Returns the method of the request.
    pub(crate) fn method(&self) -> &Method {
        self.line.method
    }

    /// Returns the precondition in the `If-Match` header.
    pub(crate) fn if_match(&self) -> IfMatch {
        self.line.if_match.clone()
    }

    /// Reads a path parameter.
    pub(crate) fn path<T: Field>(&mut self, name: &str) -> Option<T> {
        let text = self.line.path.query(name).to_owned();
        self.parameter(name, text)
    }

    /// Returns `true` if the path of the operation has this parameter.
    pub(crate) fn has_path_parameter(&self, name: &str) -> bool {
        self.line.path.get(name).is_some()
    }

    /// Reads a user from the path, identified by user id or external id.
    pub(crate) fn user(&mut self, name: &str) -> Option<NamedUser> {
        // Actix does not decode %2F and %25, so these sequences are decoded here. Actix replaces invalid UTF-8 with
        // U+FFFD, so different ids could become equal. Ids that contain U+FFFD are therefore rejected.
        let text = percent_decode_str(self.line.path.query(name)).decode_utf8().map(Cow::into_owned);
        match text {
            Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => self.user_named(name, &text),
            _ => self.reject(name, FieldCode::User, UserNameError::Form),
        }
    }

    /// Returns the tolerated clock skew between this service and token issuers.
    pub(crate) fn clock_skew(&self) -> Duration {
        self.names.clock_skew()
    }

    /// Reads an optional user from the query, identified by user id or external id.
    pub(crate) fn query_user(&mut self, name: &'static str) -> Option<Option<NamedUser>> {
        match self.query::<String>(name)? {
            Some(text) => self.user_named(name, &text).map(Some),
            None => Some(None),
        }
    }

    fn user_named(&mut self, name: &str, text: &str) -> Option<NamedUser> {
        match self.names.user(text) {
            Ok(user) => Some(user),
            Err(error) => self.reject(name, FieldCode::User, error),
        }
    }

    /// Reads an optional query parameter. An empty value counts as omitted.
    pub(crate) fn query<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        self.parameters.push(name);
        let query = self.query;
        let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => {
                self.findings.push(FieldError::new(name, FieldCode::Duplicate, "is specified more than once"));
                None
            }
            (Some(text), None) if !text.is_empty() => self.parameter(name, text.clone()).map(Some),
            _ => Some(None),
        }
    }

    /// Reads a required query parameter.
    pub(crate) fn required_query<T: Field>(&mut self, name: &'static str) -> Option<T> {
        match self.query(name)? {
            Some(value) => Some(value),
            None => self.reject(name, FieldCode::Required, "is required"),
        }
    }

    /// Records an error for a parameter, and returns `None`.
    pub(crate) fn reject<T>(&mut self, name: &str, code: FieldCode, what: impl std::fmt::Display) -> Option<T> {
        self.findings.push(FieldError::new(name, code, what));
        None
    }

    fn parameter<T: Field>(&mut self, name: &str, text: String) -> Option<T> {
        match T::read(&Value::String(text)) {
            Ok(value) => Some(value),
            Err((code, what)) => self.reject(name, code, what),
        }
    }

    /// Returns a reader of the body, which is required and must be a JSON object.
    pub(crate) fn body(&mut self) -> Option<FieldReader<'_>> {
        let body: &'a _ = self.body;
        match body {
            Some(Ok(fields)) => {
                return Some(FieldReader::of(fields, String::new(), self.names, &mut self.findings));
            }
            Some(Err(error)) => self.fatal = Some(error.clone()),
            None => return self.reject("body", FieldCode::Type, "is required and must be a JSON object"),
        }
        None
    }

    /// Returns a reader of the body, which is optional and must be a JSON object.
    pub(crate) fn optional_body(&mut self) -> Option<Option<FieldReader<'_>>> {
        if self.body.is_none() { Some(None) } else { self.body().map(Some) }
    }
}
