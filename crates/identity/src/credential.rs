//! The credential in an `Authorization` header.

use crate::{AuthenticationError, PresentedKey};

/// The credential that a caller presents. Nothing is verified yet.
#[derive(Debug)]
pub enum Credential<'a> {
    /// A person's token, for [`TokenVerifier::verify`](crate::TokenVerifier::verify).
    Token(&'a str),
    /// A service's API key.
    ApiKey(PresentedKey),
}

impl<'a> Credential<'a> {
    /// Parses the value of an `Authorization` header: `Bearer`, one space or more, and a token or a key.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError::Missing`] without a header, [`AuthenticationError::Malformed`] if the header has another
    /// form, and [`AuthenticationError::Invalid`] if the value begins like a key but is none.
    pub fn of(authorization: Option<&'a str>) -> Result<Self, AuthenticationError> {
        let header = authorization.ok_or(AuthenticationError::Missing)?;
        match header.split_once(' ').map(|(scheme, text)| (scheme, text.trim_start_matches(' '))) {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && !text.is_empty() => {
                if PresentedKey::looks_like_one(text) {
                    PresentedKey::parse(text).map(Self::ApiKey).ok_or(AuthenticationError::Invalid)
                } else {
                    Ok(Self::Token(text))
                }
            }
            _ => Err(AuthenticationError::Malformed),
        }
    }
}
