//! Selects the cryptographic back end: AWS-LC, which was faster in the measurements of `docs/authentication.md`.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// Installs AWS-LC as the `jsonwebtoken` back end of this process. Without an explicit choice, a program that depends
/// on both back ends, perhaps indirectly, would panic when it uses the first token.
pub(crate) fn use_aws_lc() {
    // An error means that a back end is already installed. The installed back end remains in use.
    let _ = DEFAULT_PROVIDER.install_default();
}
