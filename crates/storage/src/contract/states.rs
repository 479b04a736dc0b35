//! Test cases for the version and the provisioning state of a company.

use std::sync::Arc;

use iam_domain::EntityType;

use super::fixtures::{begin, change, given, level, records_about, some_company, versions};
use crate::{CompanyState, Storage};

/// Before its first change, a company has no stored state, and its version is 0.
pub async fn a_company_has_no_state_before_its_first_change(storage: Arc<dyn Storage>) {
    let company = some_company();
    let states = storage.reader().company_states();
    assert_eq!(states.read(company).await.unwrap(), None);
    assert_eq!(states.versions(Some(company)).await.unwrap().company, 0);
    given(&storage, &[&level(company, "First")]).await;
    assert_eq!(states.read(company).await.unwrap(), Some(CompanyState { version: 1, ..CompanyState::default() }));
    assert_eq!(states.versions(Some(company)).await.unwrap().company, 1);
}

/// Provisioning a company is idempotent: only the first unit of work that provisions the company sets the provisioning
/// time. Provisioning the company again changes nothing and writes no audit record.
pub async fn a_company_is_provisioned_once(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let mut tx = begin(&storage, company).await;
    let provisioned_at = Some(tx.now());
    assert!(tx.company_states_mut().set_provisioned(company).await.unwrap());
    assert!(!tx.company_states_mut().set_provisioned(company).await.unwrap());
    tx.commit().await.unwrap();
    let state = Some(CompanyState { version: 1, provisioned_at, ..CompanyState::default() });
    assert_eq!(storage.reader().company_states().read(company).await.unwrap(), state);

    assert!(!change!(storage, company, tx => tx.company_states_mut().set_provisioned(company)).unwrap());
    assert_eq!(storage.reader().company_states().read(company).await.unwrap(), state);
    assert_eq!(storage.reader().company_states().read(other).await.unwrap(), None);
    let records = records_about(&storage, Some(company), EntityType::Company, company.as_uuid()).await;
    let actions: Vec<_> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["company.provisioned"]);
}

/// A company remains provisioned after later changes. Reads inside the unit of work that provisions the company return
/// it as provisioned even before the commit.
pub async fn a_company_remains_provisioned_after_later_changes(storage: Arc<dyn Storage>) {
    let company = some_company();
    let mut tx = begin(&storage, company).await;
    let now = tx.now();
    tx.company_states_mut().set_provisioned(company).await.unwrap();
    let inside = tx.company_states().read(company).await.unwrap().unwrap();
    assert_eq!(inside.provisioned_at, Some(now));
    tx.commit().await.unwrap();
    given(&storage, &[&level(company, "Later")]).await;
    let after = storage.reader().company_states().read(company).await.unwrap();
    assert_eq!(after, Some(CompanyState { version: 2, provisioned_at: Some(now), ..CompanyState::default() }));
}

/// All reads of versions return the same epoch, and a snapshot has the current versions.
pub async fn versions_are_of_one_epoch(storage: Arc<dyn Storage>) {
    let (one, other) = (some_company(), some_company());
    given(&storage, &[&level(one, "One"), &level(other, "Other")]).await;
    let (of_one, of_other) = (versions(&storage, Some(one)).await, versions(&storage, Some(other)).await);
    assert_eq!(of_one, of_other);
    assert_eq!((of_one.epoch, of_one.catalog), {
        let of_catalog = versions(&storage, None).await;
        (of_catalog.epoch, of_catalog.catalog)
    });
    let loaded = storage.reader().snapshots().load_company(one).await.unwrap();
    assert_eq!(loaded.versions, of_one);
}
