//! The state of the trusted issuers and of their keys, as operators see it.

use iam_domain::Issuer;

use crate::Algorithm;
use crate::issuer_verifier::IssuerVerifier;
use crate::reads::Reads;

/// A key of an issuer, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The id of the key (`kid`). `None` if it has none.
    pub id: Option<String>,
    /// The only algorithm for which the key is used.
    pub algorithm: Algorithm,
}

/// The state of a trusted issuer, without secrets. Each replica has its own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerState {
    /// The issuer. `None` for a shared secret without an issuer.
    pub issuer: Option<Issuer>,
    /// The accepted audiences. If empty, the audience is not checked.
    pub audiences: Vec<String>,
    /// The accepted algorithms. If empty, all algorithms of the keys are accepted.
    pub algorithms: Vec<Algorithm>,
    /// `true` if subjects that are UUIDs are used as user ids unchanged.
    pub is_native: bool,
    /// `true` if tokens of the issuer may grant super admin rights.
    pub may_grant_super_admin: bool,
    /// `true` if the claims of the tokens are the profiles of users.
    pub provides_profiles: bool,
    /// The keys that verify tokens now.
    pub keys: Vec<KeyName>,
    /// The reads of the keys. `None` if the keys never change.
    pub reads: Option<Reads>,
}

impl IssuerState {
    /// Returns the state of an issuer.
    pub(crate) fn of(verifier: &IssuerVerifier) -> Self {
        let (mapping, ring) = (&verifier.mapping, &verifier.ring);
        let name = |(id, algorithm): (Option<&str>, Algorithm)| KeyName { id: id.map(str::to_owned), algorithm };
        Self {
            issuer: mapping.issuer.clone(),
            audiences: mapping.audiences.clone(),
            algorithms: verifier.algorithms.clone(),
            is_native: mapping.is_native,
            may_grant_super_admin: mapping.super_admin_claim.is_some(),
            provides_profiles: mapping.provides_profiles,
            keys: ring.keys().names().map(name).collect(),
            reads: ring.reads(),
        }
    }
}
