//! What users who hold certain levels see: the inputs to their decisions, and the menu. No user needs to hold these levels.

use iam_domain::{CompanyId, Menu, ResolvedItem, Snapshot, UserLevelId};
use iam_storage::{Stamped, StorageError};

use crate::{Application, Failure};

/// Maximum number of attempts to read the data, if it changes during an attempt.
const ATTEMPTS: usize = 3;

/// What users who hold certain levels of a company see, from one version of the company and of the catalog.
#[derive(Debug, Clone)]
pub struct LevelsView {
    /// The inputs to the decisions.
    pub snapshot: Snapshot,
    /// The common menu.
    common_menu: Menu,
    /// The company's own menu.
    own_menu: Menu,
}

impl LevelsView {
    /// Returns the items of the menu, each with the reason why it is hidden, if it is hidden.
    #[must_use]
    pub fn menu(&self) -> Vec<ResolvedItem<'_>> {
        self.snapshot.menu([&self.common_menu, &self.own_menu])
    }
}

impl Application {
    /// Returns what users who hold exactly these levels of a company see. Unknown levels are omitted. This method does not
    /// check permissions, so the caller must already have been authorized.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read, or if the data changes repeatedly while it is read.
    pub async fn levels_view(&self, company: CompanyId, levels: &[UserLevelId]) -> Result<LevelsView, Failure> {
        let reads = self.reader().snapshots();
        for _ in 0..ATTEMPTS {
            let snapshot = reads.load_levels(company, levels).await?;
            let common = reads.load_menu(None).await?;
            let own = reads.load_menu(Some(company)).await?;
            if is_same_catalog(&snapshot, &common) && is_same_company(&snapshot, &own) {
                return Ok(LevelsView { snapshot: snapshot.value, common_menu: common.value, own_menu: own.value });
            }
        }
        let source = "the data changed repeatedly while it was read".into();
        Err(Failure::Unavailable(StorageError::Unavailable { retryable: false, source: Some(source) }))
    }
}

fn is_same_catalog<A, B>(a: &Stamped<A>, b: &Stamped<B>) -> bool {
    a.versions.epoch == b.versions.epoch && a.catalog_state() == b.catalog_state()
}

fn is_same_company<A, B>(a: &Stamped<A>, b: &Stamped<B>) -> bool {
    a.versions.epoch == b.versions.epoch && a.company_state() == b.company_state()
}
