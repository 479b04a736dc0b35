//! The credential in an `Authorization` header.

use crate::{AuthenticationError, PresentedKey};

/// The credential in a request, not yet verified.
#[derive(Debug)]
pub enum Credential<'a> {
    /// A user's token, to be verified by [`TokenVerifier::verify`](crate::TokenVerifier::verify).
    Token(&'a str),
    /// A service's API key.
    ApiKey(PresentedKey),
}

impl<'a> Credential<'a> {
    /// Parses the value of an `Authorization` header: `Bearer`, one or more spaces, and a token or an API key.
    ///
    /// # Errors
    ///
    /// Returns [`AuthenticationError::Missing`] if there is no header. Returns [`AuthenticationError::Malformed`] if
    /// the header does not have this form. Returns [`AuthenticationError::MalformedToken`] if the value after `Bearer`
    /// begins with `iam_` but is not a well-formed API key.
    pub fn of(authorization: Option<&'a str>) -> Result<Self, AuthenticationError> {
        let header = authorization.ok_or(AuthenticationError::Missing)?;
        match header.split_once(' ').map(|(scheme, text)| (scheme, text.trim_start_matches(' '))) {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && !text.is_empty() => {
                if PresentedKey::has_api_key_prefix(text) {
                    PresentedKey::parse(text).map(Self::ApiKey).ok_or(AuthenticationError::MalformedToken)
                } else {
                    Ok(Self::Token(text))
                }
            }
            _ => Err(AuthenticationError::Malformed),
        }
    }
}
