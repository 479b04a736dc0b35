//! The service: every answer from one snapshot of the storage.

use std::sync::Arc;

use iam_domain::{CompanyId, Decision, FeatureId, Reason, Scope, Snapshot, ViewId};
use iam_storage::{Result, Stamped, Storage};

use crate::{EffectivePermissions, FeatureRef, Navigation, Question, Subject, ViewRef};

/// Answers what users may see and do. Cheap to clone behind an `Arc`; safe to call from any task.
///
/// Every answer says which versions it saw. Errors of the storage are passed on: a failure is never an allow, and never
/// looks like a denial either. Cancelling a call leaves nothing behind.
pub struct Permissions {
    storage: Arc<dyn Storage>,
}

impl std::fmt::Debug for Permissions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permissions").finish_non_exhaustive()
    }
}

impl Permissions {
    /// Answers from this storage.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// Decides one question.
    ///
    /// # Errors
    ///
    /// What the storage answered.
    pub async fn check(&self, company: CompanyId, subject: Subject, question: &Question) -> Result<Stamped<Decision>> {
        let Stamped { versions, value: snapshot } = self.snapshot(company, subject).await?;
        Ok(Stamped { versions, value: decide(&snapshot, subject, question) })
    }

    /// Everything that a user may see and do in a company.
    ///
    /// # Errors
    ///
    /// What the storage answered.
    pub async fn effective(&self, company: CompanyId, subject: Subject) -> Result<Stamped<EffectivePermissions>> {
        let Stamped { versions, value: snapshot } = self.snapshot(company, subject).await?;
        Ok(Stamped { versions, value: EffectivePermissions::of(&snapshot, subject) })
    }

    /// The menu that a user sees in a company.
    ///
    /// # Errors
    ///
    /// What the storage answered.
    pub async fn navigation(&self, company: CompanyId, subject: Subject) -> Result<Stamped<Navigation>> {
        let Stamped { versions, value: snapshot } = self.snapshot(company, subject).await?;
        if is_stranger(&snapshot, subject) {
            return Ok(Stamped { versions, value: Navigation::default() });
        }
        let reader = self.storage.reader();
        let items = reader.menu_items().find_all(Some(company)).await?;
        let sub_items = reader.sub_menu_items().find_all(Some(company)).await?;
        Ok(Stamped { versions, value: Navigation::of(&snapshot, subject, &items, &sub_items) })
    }

    /// What decides about the subject.
    ///
    /// # Errors
    ///
    /// What the storage answered.
    pub async fn snapshot(&self, company: CompanyId, subject: Subject) -> Result<Stamped<Snapshot>> {
        let mut stamped = self.storage.reader().snapshots().load_user(company, subject.user_id()).await?;
        if is_stranger(&stamped.value, subject) {
            // Nothing that a stranger is told may depend on the company: not even whether it has ever changed.
            stamped.versions.company = 0;
        }
        Ok(stamped)
    }
}

/// Whether the subject has no business in the company.
pub(crate) fn is_stranger(snapshot: &Snapshot, subject: Subject) -> bool {
    matches!(subject, Subject::User(_)) && snapshot.levels.is_empty()
}

pub(crate) fn decide(snapshot: &Snapshot, subject: Subject, question: &Question) -> Decision {
    match question {
        Question::View(view) => {
            let found = match view {
                ViewRef::Id(id) => snapshot.catalog.view(*id),
                ViewRef::Url(url) => snapshot.catalog.view_by_url(url),
            };
            match found {
                _ if is_stranger(snapshot, subject) => Decision::of_view(false, Reason::NoUserLevels),
                None => Decision::of_view(false, Reason::UnknownView),
                Some(view) => decide_view(snapshot, subject, view.id),
            }
        }
        Question::Feature { feature, action, least_scope } => {
            let found = match feature {
                FeatureRef::Id(id) => snapshot.catalog.feature(*id),
                FeatureRef::Key(key) => snapshot.catalog.feature_by_key(key),
            };
            match found {
                _ if is_stranger(snapshot, subject) => Decision::denied_action(Reason::NoUserLevels),
                None => Decision::denied_action(Reason::UnknownFeature),
                Some(feature) => {
                    let decision = decide_feature(snapshot, subject, feature.id, action);
                    least_scope.map_or(decision.clone(), |least| decision.reaching(least))
                }
            }
        }
    }
}

pub(crate) fn decide_view(snapshot: &Snapshot, subject: Subject, id: ViewId) -> Decision {
    match subject {
        Subject::SuperAdmin(_) => Decision::of_view(true, Reason::SuperAdmin),
        Subject::User(_) if snapshot.levels.is_empty() => Decision::of_view(false, Reason::NoUserLevels),
        Subject::User(_) => snapshot.view(id),
    }
}

pub(crate) fn decide_feature(
    snapshot: &Snapshot,
    subject: Subject,
    id: FeatureId,
    action: &iam_domain::Action,
) -> Decision {
    match subject {
        Subject::SuperAdmin(_) => {
            Decision { allowed: true, scope: Some(Scope::Any), reason: Reason::SuperAdmin, decided_by: Vec::new() }
        }
        Subject::User(_) if snapshot.levels.is_empty() => Decision::denied_action(Reason::NoUserLevels),
        Subject::User(_) => snapshot.feature(id, action),
    }
}
