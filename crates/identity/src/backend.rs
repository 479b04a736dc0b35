//! Selects the cryptographic back end: AWS-LC, which was faster in the measurements of `docs/authentication.md`.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// Installs AWS-LC as the `jsonwebtoken` back end of this process. A program may depend on both back ends, directly or
/// through other crates. Without an explicit choice, such a program would panic when it signs or verifies a token.
pub(crate) fn use_aws_lc() {
    // An error means that a back end is already installed. The installed back end remains in use.
    let _ = DEFAULT_PROVIDER.install_default();
}
