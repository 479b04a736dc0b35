//! Compares the credentials of a file with those of a storage, and writes the difference.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyDigest, Timestamp, UserId};
use iam_storage::{CredentialChanges, UnitOfWork, Work};

use crate::error::ImportError;
use crate::options::OnConflict;
use crate::report::{Outcome, Report};

/// An API key with the hash of its secret.
pub(crate) type Key = (ApiKey, ApiKeyDigest);

/// Compares API keys. A key exists if its id or its prefix exists. The time of its last use is not compared.
pub(crate) fn compare_keys(there: &CredentialChanges, keys: &[Key], report: &mut Report) {
    let by_id: BTreeMap<_, _> = there.api_keys.iter().map(|(key, digest)| (key.id, (key, digest))).collect();
    let by_prefix: BTreeMap<_, _> = there.api_keys.iter().map(|(key, digest)| (&key.prefix, (key, digest))).collect();
    for (wanted, wanted_digest) in keys {
        let outcome = match by_id.get(&wanted.id).or_else(|| by_prefix.get(&wanted.prefix)) {
            None => Outcome::Create,
            Some((key, digest)) => {
                let unused = ApiKey { last_used_at: None, ..(*key).clone() };
                if unused == *wanted && digest.0 == wanted_digest.0 {
                    Outcome::Unchanged
                } else {
                    Outcome::Conflict("it exists with other content; API keys are never replaced".to_owned())
                }
            }
        };
        report.note(format!("API key iam_{}…", wanted.prefix), outcome);
    }
}

/// Compares token cut-offs. A cut-off that is at least as late as that of the file remains unchanged.
pub(crate) fn compare_cut_offs(there: &CredentialChanges, cut_offs: &[(UserId, Timestamp)], report: &mut Report) {
    let existing: BTreeMap<_, _> = there.cutoffs.iter().copied().collect();
    for (user, not_before) in cut_offs {
        let is_covered = existing.get(user).is_some_and(|there| there >= not_before);
        let outcome = if is_covered { Outcome::Unchanged } else { Outcome::Create };
        report.note(format!("cut-off of user {user}"), outcome);
    }
}

/// Writes API keys or cut-offs that the storage does not contain.
pub(crate) struct ImportCredentials {
    keys: Vec<Key>,
    cut_offs: Vec<(UserId, Timestamp)>,
    on_conflict: OnConflict,
}

impl ImportCredentials {
    pub(crate) fn keys(keys: Vec<Key>, on_conflict: OnConflict) -> Self {
        Self { keys, cut_offs: Vec::new(), on_conflict }
    }

    pub(crate) fn cut_offs(cut_offs: Vec<(UserId, Timestamp)>, on_conflict: OnConflict) -> Self {
        Self { keys: Vec::new(), cut_offs, on_conflict }
    }
}

#[async_trait]
impl Work for ImportCredentials {
    type Output = Report;
    type Error = ImportError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Report, ImportError> {
        let there = tx.credentials().changes_since(0).await?;
        let (mut keys, mut cut_offs) = (Report::default(), Report::default());
        compare_keys(&there, &self.keys, &mut keys);
        compare_cut_offs(&there, &self.cut_offs, &mut cut_offs);
        for ((key, digest), finding) in self.keys.iter().zip(&keys.findings) {
            match &finding.outcome {
                Outcome::Create => tx.api_keys_mut().create(key, digest).await?,
                Outcome::Conflict(_) if self.on_conflict == OnConflict::Stop => {
                    return Err(ImportError::Conflict(finding.what.clone()));
                }
                _ => {}
            }
        }
        for ((user, not_before), finding) in self.cut_offs.iter().zip(&cut_offs.findings) {
            if finding.outcome == Outcome::Create {
                tx.users_mut().cut_off(*user, *not_before).await?;
            }
        }
        keys.findings.append(&mut cut_offs.findings);
        Ok(keys)
    }
}
