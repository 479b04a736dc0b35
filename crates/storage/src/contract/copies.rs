//! Test cases for copies of companies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{Ceilings, CompanyDetails, CompanyStatus, Period, Quota, QuotaOverrides, Timestamp, ViewState};

use super::fixtures::{
    change, feature_cell, given, holding, level, menu_item, name, some_company, some_feature, some_module, some_user,
    some_view, view_cell,
};
use super::snapshots::of_company;
use crate::{LevelsEdit, Storage};

/// The copy of a company contains its data exactly as it is stored, at the version of other snapshots, and no data of
/// another company.
pub async fn a_copy_contains_the_data_of_its_company(storage: Arc<dyn Storage>) {
    let (company, other, user) = (some_company(), some_company(), some_user());
    let copy = async |company| storage.reader().snapshots().load_copy(company).await.unwrap();
    let (view, feature, module) = (some_view(), some_feature(), some_module());
    given(&storage, &[&view, &feature, &module]).await;
    let empty = copy(company).await;
    assert!(empty.value.levels.is_empty() && empty.value.holders.is_empty() && empty.value.modules.is_empty());
    for owner in [company, other] {
        let level = level(owner, "Level");
        given(&storage, &[&level, &holding(user, &level)]).await;
        given(&storage, &[&view_cell(&level, view.id, ViewState::Deny)]).await;
        given(&storage, &[&feature_cell(&level, feature.id, "Read"), &menu_item(Some(owner), "Item")]).await;
    }
    given(&storage, &[&menu_item(None, "Common")]).await;
    let details = CompanyDetails { name: Some(name("Company")), status: CompanyStatus::Suspended };
    let ceilings = Ceilings { hidden_views: [view.id].into(), ..Ceilings::default() };
    let quotas = QuotaOverrides([(Quota::Levels, 7)].into());
    change!(storage, company, tx => async {
        tx.company_states_mut().set_provisioned(company).await?;
        tx.company_states_mut().replace_details(company, &details).await?;
        tx.company_ceilings_mut().replace_ceilings(company, &ceilings).await?;
        tx.company_quotas_mut().replace_overrides(company, &quotas).await?;
        tx.company_modules_mut().add(company, module.id).await?;
        tx.company_modules_mut().set_enabled(company, module.id, false).await
    })
    .unwrap();
    let (read, snapshot) = (copy(company).await, of_company(&storage, company).await);
    assert_eq!((read.versions, read.stamps), (snapshot.versions, snapshot.stamps));
    let (read, reader) = (read.value, storage.reader());
    assert_eq!(read.catalog, snapshot.value.catalog);
    let held = read.holders.iter().map(|(user, held)| (*user, Arc::new(held.keys().copied().collect())));
    assert_eq!(held.collect::<BTreeMap<_, Arc<BTreeSet<_>>>>(), snapshot.value.holders);
    assert_eq!(Some(read.state), reader.company_states().read(company).await.unwrap());
    assert_eq!((read.company, read.ceilings, read.quotas), (company, ceilings, quotas));
    let granted = reader.company_modules().get_modules_by_company(company).await.unwrap();
    assert_eq!(read.modules.len(), 1);
    assert_eq!((read.modules[0].module_id, read.modules[0].enabled), (granted[0].module.id, false));
    assert_eq!(read.menu, reader.snapshots().load_menu(Some(company)).await.unwrap().value);
    assert_eq!(read.common_menu, reader.snapshots().load_menu(None).await.unwrap().value);
    assert!(read.common_menu.items.iter().any(|item| item.label.as_str() == "Common"));
    let stored = reader.user_levels().find_all(company).await.unwrap();
    assert_eq!(read.levels.iter().map(|copied| copied.level.clone()).collect::<Vec<_>>(), stored);
    for copied in read.levels {
        let id = copied.level.id;
        assert_eq!(copied.views, reader.view_permissions().find_by_user_level(company, id).await.unwrap());
        assert_eq!(copied.features, reader.feature_permissions().find_by_user_level(company, id).await.unwrap());
    }
}

/// The copy of a company contains every assignment with its period, also if it has expired or has not started.
pub async fn a_copy_contains_the_period_of_each_assignment(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels = ["a", "b"].map(|name| level(company, name));
    let [a, b] = &levels;
    given(&storage, &[a, b]).await;
    let read = storage.reader().snapshots().load_copy(company).await.unwrap().value.read_at;
    let at = |hours: i64| Timestamp::from_micros(read.micros() + hours * 3_600_000_000);
    let unlimited = Period::UNLIMITED;
    let (expired, pending) =
        (Period { starts_at: at(-2), expires_at: at(-1) }, Period { starts_at: at(1), expires_at: None });
    let expected: BTreeMap<_, BTreeMap<_, _>> = [
        [(a.id, unlimited), (b.id, unlimited)].into(),
        [(a.id, unlimited), (b.id, unlimited)].into(),
        [(a.id, unlimited), (b.id, pending)].into(),
        [(a.id, expired), (b.id, pending)].into(),
        [(b.id, unlimited)].into(),
    ]
    .map(|held| (some_user(), held))
    .into();
    for (user, held) in &expected {
        let add = held.iter().map(|(level, period)| (*level, Some(*period))).collect();
        let edits = [LevelsEdit { user: *user, add, remove: BTreeSet::new() }];
        change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    }
    let copy = storage.reader().snapshots().load_copy(company).await.unwrap().value;
    let holders = copy.holders.iter().map(|(user, held)| (*user, held.as_ref().clone()));
    assert_eq!(holders.collect::<BTreeMap<_, _>>(), expected);
}
