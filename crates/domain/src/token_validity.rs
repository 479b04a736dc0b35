//! Validity of tokens after a cut-off.

use crate::Timestamp;

/// Whether a token is valid for a user whose tokens are valid since `not_before`. A token without an issue time is
/// invalid after a cut-off.
#[must_use]
pub fn is_token_valid(issued_at: Option<Timestamp>, not_before: Option<Timestamp>) -> bool {
    not_before.is_none_or(|not_before| issued_at.is_some_and(|issued_at| issued_at >= not_before))
}
