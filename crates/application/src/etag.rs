//! Entity tags (`ETag`, `If-Match`) for optimistic concurrency: a change that is based on an outdated version of the
//! entity is rejected.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Failure;

/// The content codings that compressing proxies append to the entity tag of a response, inside the quotes. Apache httpd
/// (`mod_deflate`, `mod_brotli`) and Caddy write one hyphen before the coding. Jetty writes two hyphens.
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// The strong entity tag of the response content, including the quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// Computes the entity tag of `content` from its JSON form. Equal contents have equal entity tags, in every replica
    /// and with every storage adapter.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Internal`] if the content cannot be serialized.
    pub fn of(content: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_vec(content).map_err(|error| Failure::Internal(Box::new(error)))?;
        Ok(Self::of_bytes(&json))
    }

    /// Computes the entity tag of serialized content.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        // Half of the digest (128 bits) is enough to distinguish the versions of one resource.
        let half = digest.get(..16).unwrap_or_default();
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(half)))
    }

    /// Returns the value of the `ETag` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if an entity tag from a client identifies this content. Three forms match: the tag itself, its
    /// weak form, and the tag with the suffix that a compressing proxy appends. The tag is a digest of the uncompressed
    /// content, so in each form it proves that the client received exactly this content.
    #[must_use]
    pub fn matches_tag(&self, tag: &str) -> bool {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        let own = self.0.strip_suffix('"').unwrap_or(&self.0);
        let Some(suffix) = strong.strip_prefix(own).and_then(|rest| rest.strip_suffix('"')) else { return false };
        let coding = suffix.strip_prefix("--").or_else(|| suffix.strip_prefix('-'));
        suffix.is_empty() || coding.is_some_and(|coding| CODINGS.contains(&coding))
    }
}

/// The precondition in the `If-Match` header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IfMatch {
    /// The request has no `If-Match` header.
    #[default]
    Absent,
    /// The entity must exist, with any content (`*`).
    Any,
    /// The content must have one of these entity tags. The tags are stored as received, including their quotes. They
    /// have the prefix `W/` if a proxy converted them to weak tags.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Checks the precondition against the content.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::PreconditionFailed`] if the content does not have one of the required entity tags.
    pub(crate) fn check(&self, content: &impl Serialize) -> Result<(), Failure> {
        match self {
            Self::Absent | Self::Any => Ok(()),
            Self::OneOf(tags) => {
                let etag = Etag::of(content)?;
                if tags.iter().any(|tag| etag.matches_tag(tag)) { Ok(()) } else { Err(Failure::PreconditionFailed) }
            }
        }
    }

    /// Returns `true` if the precondition can be checked only against the current content of the entity.
    pub(crate) const fn needs_content(&self) -> bool {
        matches!(self, Self::OneOf(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_the_weak_and_suffixed_forms_of_proxies() {
        let etag = Etag::of_bytes(b"x");
        let own = etag.as_str().trim_matches('"');
        for form in
            [own.to_owned(), format!("{own}-gzip"), format!("{own}-br"), format!("{own}--gzip"), format!("{own}-zstd")]
        {
            assert!(etag.matches_tag(&format!("\"{form}\"")), "{form}");
            assert!(etag.matches_tag(&format!("W/\"{form}\"")), "W/ {form}");
        }
    }

    #[test]
    fn no_other_tag_matches() {
        let (etag, other) = (Etag::of_bytes(b"x"), Etag::of_bytes(b"y"));
        let (own, other) = (etag.as_str().trim_matches('"'), other.as_str().trim_matches('"'));
        let inner = ["", "-gzip", "gzip", &own[1..], &own[..21]].map(str::to_owned);
        let suffixed = ["x", "-", "--", "---gzip", "-gzip-gzip", "-GZIP", "-identity", "gzip", "\"-gzip"];
        let suffixed = suffixed.map(|suffix| format!("{own}{suffix}"));
        let others = ["", "-gzip", "--br"].map(|suffix| format!("{other}{suffix}"));
        for form in inner.iter().chain(&suffixed).chain(&others) {
            assert!(!etag.matches_tag(&format!("\"{form}\"")), "{form}");
            assert!(!etag.matches_tag(&format!("W/\"{form}\"")), "W/ {form}");
        }
        for form in
            [own.to_owned(), format!("w/\"{own}\""), format!("\"{own}"), format!("{own}\""), format!("W/W/\"{own}\"")]
        {
            assert!(!etag.matches_tag(&form), "{form}");
        }
    }
}
