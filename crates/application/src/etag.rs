//! Entity tags: what a client saw, so that a change can be refused when it is no longer so.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Failure;

/// A strong entity tag over the content of an answer, with its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// The tag of a content, by its JSON form. Equal contents have equal tags, in every process and on every adapter.
    ///
    /// # Errors
    ///
    /// `Internal` when the content does not serialize.
    pub fn of(content: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_vec(content).map_err(|error| Failure::Internal(Box::new(error)))?;
        Ok(Self::of_bytes(&json))
    }

    /// The tag of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        // Half of the digest is plenty to tell versions of one resource apart.
        let half = digest.get(..16).unwrap_or_default();
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(half)))
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request's `If-Match` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IfMatch {
    /// Nothing: there was no such header.
    #[default]
    Absent,
    /// That it exists, whatever it is (`*`).
    Any,
    /// That it is one of these, as strong tags with their quotes. Weak tags match nothing.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Whether a change may go on.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` when the content is another than the client saw.
    pub(crate) fn check(&self, content: &impl Serialize) -> Result<(), Failure> {
        match self {
            Self::Absent | Self::Any => Ok(()),
            Self::OneOf(tags) if tags.iter().any(|tag| tag == Etag::of(content).as_ref().map_or("", Etag::as_str)) => {
                Ok(())
            }
            Self::OneOf(_) => Err(Failure::PreconditionFailed),
        }
    }

    /// Whether the content must be read for the check.
    pub(crate) const fn needs_content(&self) -> bool {
        matches!(self, Self::OneOf(_))
    }
}
