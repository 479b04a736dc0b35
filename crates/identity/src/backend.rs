//! Selects the cryptography: AWS-LC, which was faster in the measurements of `docs/authentication.md`.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// Selects AWS-LC for this process. Otherwise a program that depends on both back ends, perhaps indirectly, would panic
/// at its first token.
pub(crate) fn use_aws_lc() {
    // A back end that this crate or the program has selected before stays.
    let _ = DEFAULT_PROVIDER.install_default();
}
