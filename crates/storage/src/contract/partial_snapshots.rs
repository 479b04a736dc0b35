//! Test cases for snapshots of single levels, and of the rules beside a level.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::escalation::{Cell, OtherReaches, Reach};
use iam_domain::{CompanyId, FeaturePermission, Scope, UserId, UserLevel, UserLevelId, ViewState};

use super::fixtures::{
    Given, action, begin, change, feature_cell, given, given_all, holding, level, some_company, some_feature,
    some_module, some_user, some_view, versions, view_cell,
};
use crate::{Stamped, Storage};

/// A snapshot of some levels equals the snapshot of a user who holds exactly these levels. Unknown levels and levels of
/// other companies are omitted.
pub async fn a_snapshot_of_some_levels_contains_only_these_levels(storage: Arc<dyn Storage>) {
    let (company, theirs, view, module, user) =
        (some_company(), some_company(), some_view(), some_module(), some_user());
    let levels = ["One", "Two", "Not asked"].map(|name| level(company, name));
    let [one, two, _] = &levels;
    let foreign = level(theirs, "Foreign");
    given(&storage, &[&view, &module, &foreign]).await;
    given_all(&storage, &levels).await;
    given_all(&storage, &levels.each_ref().map(|level| view_cell(level, view.id, ViewState::Allow))).await;
    given_all(&storage, &[one, two].map(|level| holding(user, level))).await;
    change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();

    let load = async |company: CompanyId, levels: &[UserLevelId]| {
        storage.reader().snapshots().load_levels(company, levels).await.unwrap()
    };
    let of_user = storage.reader().snapshots().load_user(company, user).await.unwrap();
    let unknown = level(company, "Unknown");
    assert_eq!(load(company, &[two.id, one.id, unknown.id, two.id, foreign.id]).await, of_user);
    assert_eq!(of_user.value.levels.len(), 2);
    for (company, levels) in [(company, &[] as &[UserLevelId]), (theirs, &[one.id]), (company, &[foreign.id])] {
        assert_eq!(load(company, levels).await.value.levels, []);
    }

    let mut tx = begin(&storage, company).await;
    view_cell(one, view.id, ViewState::Deny).store(tx.as_mut()).await.unwrap();
    let inside = tx.snapshots().load_levels(company, &[one.id]).await.unwrap().value;
    assert_eq!(inside.levels[0].views, BTreeMap::from([(view.id, ViewState::Deny)]));
}

fn reach(granted: Option<Scope>, is_denied: bool) -> Reach {
    Reach { granted, is_denied }
}

/// The rules beside a level are those of the other levels of the users who hold it. For each user, they are combined:
/// the widest scope applies, and a deny is reported. Each distinct result occurs once, and a cell without rules yields
/// an empty result.
pub async fn the_rules_beside_a_level_are_combined_per_user(storage: Arc<dyn Storage>) {
    let (company, theirs) = (some_company(), some_company());
    let (views, feature) = ([some_view(), some_view()], some_feature());
    let [shared, team, any, deny, unrelated] =
        ["Shared", "Team", "Any", "Deny", "Unrelated"].map(|name| level(company, name));
    let foreign = level(theirs, "Foreign");
    given_all(&storage, &views).await;
    given(&storage, &[&feature, &foreign]).await;
    given_all(&storage, &[&shared, &team, &any, &deny, &unrelated].map(UserLevel::clone)).await;
    let says = |level: &UserLevel, text: &str, value, scope| FeaturePermission {
        value,
        scope,
        ..feature_cell(level, feature.id, text)
    };
    given_all(
        &storage,
        &[
            says(&shared, "Read", false, Scope::Any),
            says(&team, "Read", true, Scope::Team),
            says(&any, "Read", true, Scope::Any),
            says(&any, "Update", true, Scope::Own),
            says(&deny, "Read", false, Scope::Own),
            says(&unrelated, "Read", true, Scope::Company),
            says(&foreign, "Read", true, Scope::Company),
        ],
    )
    .await;
    given_all(
        &storage,
        &[
            view_cell(&shared, views[0].id, ViewState::Deny),
            view_cell(&team, views[0].id, ViewState::Allow),
            view_cell(&any, views[0].id, ViewState::Inherit),
            view_cell(&deny, views[1].id, ViewState::Deny),
        ],
    )
    .await;
    let read = Cell::Action(feature.id, action("Read"));
    let update = Cell::Action(feature.id, action("Update"));
    let [first, second] = views.each_ref().map(|view| Cell::View(view.id));
    let cells = BTreeSet::from([read.clone(), update.clone(), first.clone(), second.clone()]);
    let load = async |level: &UserLevel, cells: &BTreeSet<Cell>, without: Option<UserId>| {
        storage.reader().snapshots().load_other_rules(company, level.id, cells, without).await.unwrap()
    };

    assert_eq!(load(&shared, &cells, None).await.value.reaches, OtherReaches::new(), "no user holds the level");
    let users = [(); 5].map(|()| some_user());
    let sets = [vec![&team, &any], vec![&any, &team], vec![&any, &deny], vec![&team], vec![]];
    for (user, others) in users.iter().zip(&sets) {
        given(&storage, &[&holding(*user, &shared), &holding(*user, &foreign)]).await;
        given_all(&storage, &others.iter().map(|level| holding(*user, level)).collect::<Vec<_>>()).await;
    }
    given(&storage, &[&holding(some_user(), &unrelated), &holding(some_user(), &deny)]).await;

    let none = reach(None, false);
    let allow = |scope| reach(Some(scope), false);
    let expected = OtherReaches::from([
        (read.clone(), [allow(Scope::Any), reach(Some(Scope::Any), true), allow(Scope::Team), none].into()),
        (update.clone(), [allow(Scope::Own), none].into()),
        (first.clone(), [allow(Scope::Any), none].into()),
        (second.clone(), [reach(None, true), none].into()),
    ]);
    let Stamped { versions: stamp, value, .. } = load(&shared, &cells, None).await;
    assert_eq!(value.reaches, expected);
    assert_eq!(stamp, versions(&storage, Some(company)).await);
    assert_eq!(value.catalog, storage.reader().snapshots().load_catalog().await.unwrap().value);

    // One cell, and all users but one.
    let one = BTreeSet::from([read.clone()]);
    let without_deny = OtherReaches::from([(read.clone(), [allow(Scope::Any), allow(Scope::Team), none].into())]);
    assert_eq!(load(&shared, &one, Some(users[2])).await.value.reaches, without_deny);
    assert_eq!(load(&shared, &one, Some(some_user())).await.value.reaches[&read], expected[&read]);
    assert_eq!(load(&shared, &BTreeSet::new(), None).await.value.reaches, OtherReaches::new());
    let only = some_user();
    let alone = level(company, "Alone");
    given(&storage, &[&alone, &holding(only, &alone)]).await;
    assert_eq!(load(&alone, &one, None).await.value.reaches, OtherReaches::from([(read.clone(), [none].into())]));
    assert_eq!(load(&alone, &one, Some(only)).await.value.reaches, OtherReaches::new());
    // A level of another company has no holders in this company.
    assert_eq!(load(&foreign, &cells, None).await.value.reaches, OtherReaches::new());
}
