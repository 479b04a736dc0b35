//! Test cases for the ceilings of companies.

use std::sync::Arc;

use iam_domain::{Action, Ceilings, EntityType, Reason, Scope, ViewState};
use serde_json::json;

use super::fixtures::{
    change, feature_cell, given, holding, level, records_about, some_company, some_feature, some_user, some_view,
    view_cell,
};
use super::snapshots::{of_company, of_user};
use crate::Storage;

/// The ceilings of a company are read as written. Writing equal ceilings changes nothing. Each change is recorded with
/// the ceilings that differ. Views and features need not exist.
pub async fn ceilings_are_read_as_written(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let read = async |company| storage.reader().company_ceilings().ceilings(company).await.unwrap();
    let (view, feature) = (some_view().id, some_feature().id);
    let none = Ceilings::default();
    let action = |name: &str, max| (Action::parse(name).unwrap(), max);
    let actions = [(feature, [action("Read", Some(Scope::Own)), action("Sign", None)].into())].into();
    let all = Ceilings { hidden_views: [view].into(), actions };
    let some = Ceilings { actions: [(feature, [action("Read", Some(Scope::Team))].into())].into(), ..none.clone() };
    assert_eq!(read(company).await, none);
    let mut before = none.clone();
    for ceilings in [&all, &some, &none] {
        let replaced = change!(storage, company, tx => async {
            let replaced = tx.company_ceilings_mut().replace_ceilings(company, ceilings).await?;
            assert_eq!(tx.company_ceilings().ceilings(company).await?, *ceilings);
            Ok(replaced)
        });
        assert_eq!(replaced.unwrap(), before);
        assert_eq!(read(company).await, *ceilings);
        let again = change!(storage, company, tx => tx.company_ceilings_mut().replace_ceilings(company, ceilings));
        assert_eq!(again.unwrap(), *ceilings);
        before = ceilings.clone();
    }
    assert_eq!(read(other).await, none);
    let records = records_about(&storage, Some(company), EntityType::Company, company.as_uuid()).await;
    assert!(records.iter().all(|record| record.action == "company.ceilings_updated"));
    let changes: Vec<_> = records.into_iter().filter_map(|record| record.changes).collect();
    let (hidden, read, sign) = (view.to_string(), format!("{feature}/Read"), format!("{feature}/Sign"));
    let (own, team, nothing) =
        (json!({ "maxScope": "own" }), json!({ "maxScope": "team" }), json!({ "maxScope": null }));
    let is_hidden = json!({ "hidden": true });
    let expected = [
        json!({ "before": {}, "after": { &hidden: is_hidden, &read: own, &sign: nothing } }),
        json!({ "before": { &hidden: is_hidden, &read: own, &sign: nothing }, "after": { &read: team } }),
        json!({ "before": { &read: team }, "after": {} }),
    ];
    assert_eq!(changes, expected);
}

/// The snapshots of a company and of its users contain the ceilings of this company, and of no other company.
pub async fn a_snapshot_contains_the_ceilings_of_its_company(storage: Arc<dyn Storage>) {
    let (company, other, user) = (some_company(), some_company(), some_user());
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    for company in [company, other] {
        let level = level(company, "Level");
        given(&storage, &[&level, &holding(user, &level)]).await;
        given(&storage, &[&view_cell(&level, view.id, ViewState::Allow)]).await;
        given(&storage, &[&feature_cell(&level, feature.id, "Read")]).await;
    }
    let ceilings = Ceilings {
        hidden_views: [view.id].into(),
        actions: [(feature.id, [(Action::read(), Some(Scope::Own))].into())].into(),
    };
    change!(storage, company, tx => tx.company_ceilings_mut().replace_ceilings(company, &ceilings)).unwrap();
    let (own, theirs) = (of_user(&storage, company, user).await.value, of_user(&storage, other, user).await.value);
    assert_eq!((&*own.ceilings, theirs.ceilings.is_empty()), (&ceilings, true));
    assert_eq!((own.view(view.id).reason, theirs.view(view.id).allowed), (Reason::CompanyCeiling, true));
    assert_eq!(own.feature(feature.id, &Action::read()).scope, Some(Scope::Own));
    assert_eq!(of_company(&storage, company).await.value.of_user(user), own);
    let level = own.levels[0].level;
    let snapshots = storage.reader();
    let of_level = snapshots.snapshots().load_levels(company, &[level]).await.unwrap().value;
    assert_eq!(*of_level.ceilings, ceilings);
    let of_users = snapshots.snapshots().load_users(company, &[user]).await.unwrap().value;
    assert_eq!(of_users.of_user(user), own);
}
