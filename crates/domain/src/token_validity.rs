//! The token cut-off of a user.

use crate::Timestamp;

/// Returns `true` if a token issued at `issued_at` is valid for a user with the token cut-off `not_before`. Tokens
/// issued before the cut-off are rejected. If there is a cut-off, tokens without an `iat` are rejected too.
#[must_use]
pub fn is_token_valid(issued_at: Option<Timestamp>, not_before: Option<Timestamp>) -> bool {
    not_before.is_none_or(|not_before| issued_at.is_some_and(|issued_at| issued_at >= not_before))
}
