//! Which cryptography is used: AWS-LC, which was the faster one where it was measured (`docs/authentication.md`).

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// Chooses it for this process. Without it a program that depends on both back ends, perhaps through others, would panic
/// at its first token.
pub(crate) fn use_aws_lc() {
    // Chosen before, by us or by the program: then that one is used.
    let _ = DEFAULT_PROVIDER.install_default();
}
