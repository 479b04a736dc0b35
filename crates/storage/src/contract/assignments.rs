//! Test cases for the assignments of levels to users.

use std::sync::Arc;

use iam_domain::{
    ApiKeyId, Assignment, EntityType, FeaturePermission, FeatureRule, LevelPermissions, Scope, UserLevel, UserLevelId,
    ViewState,
};

use super::fixtures::{
    action, ascending, at, change, feature_cell, feature_with_key, given, given_all, holding, keys, level,
    some_company, some_feature, some_user, some_view, unique, versions, view_cell,
};
use super::outcomes::assert_unknown;
use crate::Storage;

/// The levels of a user are sorted by the bytes of their names. The users who hold a level are sorted by id.
pub async fn levels_of_a_user_are_ordered_by_name_and_holders_by_id(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let levels = ["a", "ä", "B"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    given_all(&storage, &levels.each_ref().map(|level| holding(user, level))).await;
    let held = storage.reader().assignments().get_user_levels(company, user).await.unwrap();
    assert_eq!(held, [2, 0, 1].map(|n| levels[n].clone()));

    let (admin, users) = (level(company, "Admin"), ascending!(UserId, 4));
    given(&storage, &[&admin]).await;
    given_all(&storage, &[2, 0, 3, 1].map(|n| holding(users[n], &admin))).await;
    assert_eq!(storage.reader().assignments().get_users(company, admin.id).await.unwrap(), users);
}

/// `find_holder` evaluates all levels of a user together. The levels must allow each action for the whole company and
/// deny none of the actions. Users who hold the excluded level are skipped.
pub async fn find_holder_evaluates_all_levels_together(storage: Arc<dyn Storage>) {
    let company = some_company();
    let features = [(); 2].map(|()| unique("key")).map(feature_with_key);
    given_all(&storage, &features).await;
    let [one, other] = features.each_ref().map(|feature| feature.key.clone().unwrap());
    let asked = [(one.as_str(), action("Update")), (other.as_str(), action("Update"))];
    let find = async |assumed: Option<&LevelPermissions>| {
        storage.reader().assignments().find_holder(company, &asked, assumed).await.unwrap()
    };
    let is_holder = async |user| storage.reader().assignments().is_holder(company, user, &asked).await.unwrap();
    let says = |level: &UserLevel, feature: usize, value, scope| FeaturePermission {
        value,
        scope,
        ..feature_cell(level, features[feature].id, "Update")
    };
    let levels = ["first", "second", "narrow", "deny", "all"].map(|text| level(company, text));
    let [first, second, narrow, deny, all] = &levels;
    given_all(&storage, &levels).await;
    given_all(
        &storage,
        &[
            says(first, 0, true, Scope::Company),
            says(second, 1, true, Scope::Any),
            says(narrow, 1, true, Scope::Team),
            says(deny, 0, false, Scope::Own),
            says(all, 0, true, Scope::Any),
            says(all, 1, true, Scope::Company),
        ],
    )
    .await;
    assert_eq!(find(None).await, None);
    // None of these combinations satisfies the condition: an action is not allowed at all, is not allowed for the whole
    // company, or is denied.
    for held in [vec![first], vec![second], vec![first, narrow], vec![all, deny]] {
        let user = some_user();
        given_all(&storage, &held.iter().map(|level| holding(user, level)).collect::<Vec<_>>()).await;
        assert_eq!((find(None).await, is_holder(user).await), (None, false), "{held:?}");
    }
    let user = some_user();
    given(&storage, &[&holding(user, first), &holding(user, second)]).await;
    assert_eq!(find(None).await, Some(user));
    assert!(is_holder(user).await && !is_holder(some_user()).await);
    let assume = |level: &UserLevel, rules: &[(usize, bool, Scope)]| {
        let rules = rules.iter().map(|(feature, value, scope)| {
            (features[*feature].id, action("Update"), FeatureRule { value: *value, scope: *scope })
        });
        LevelPermissions::new(level.id, [], rules)
    };
    // Assumed rules of a level replace its stored rules. They need not contain the asked actions.
    assert_eq!(find(Some(&assume(narrow, &[]))).await, Some(user));
    assert_eq!(find(Some(&assume(first, &[]))).await, None);
    assert_eq!(find(Some(&assume(second, &[(0, true, Scope::Any)]))).await, None);
    assert_eq!(find(Some(&assume(second, &[(1, true, Scope::Own)]))).await, None);
    assert_eq!(find(Some(&assume(second, &[(1, true, Scope::Company), (0, false, Scope::Any)]))).await, None);
    assert_eq!(find(Some(&assume(second, &[(1, true, Scope::Company)]))).await, Some(user));
    let another = some_user();
    given(&storage, &[&holding(another, narrow), &holding(another, second)]).await;
    assert_eq!(find(Some(&assume(first, &[]))).await, None);
    given(&storage, &[&holding(user, deny)]).await;
    let narrower = assume(narrow, &[(0, true, Scope::Any)]);
    assert_eq!((find(None).await, find(Some(&narrower)).await), (None, Some(another)));
    assert!(find(Some(&assume(deny, &[]))).await.is_some());
    // Assumed rules of a level that no user holds have no effect.
    let unheld = level(company, "unheld");
    given(&storage, &[&unheld]).await;
    assert_eq!(find(Some(&assume(&unheld, &[(0, true, Scope::Any), (1, true, Scope::Any)]))).await, None);

    // No holder is found in another company, or for a feature key that does not exist.
    let elsewhere = storage.reader().assignments().find_holder(some_company(), &asked, None).await.unwrap();
    assert_eq!(elsewhere, None);
    let unknown = [(one.as_str(), action("Update")), ("nothing", action("Update"))];
    assert_eq!(storage.reader().assignments().find_holder(company, &unknown, None).await.unwrap(), None);
}

/// The holders of a level are listed page by page (keyset pagination), sorted by id and without duplicates. Holders in
/// other companies are not listed.
pub async fn holders_are_listed_in_pages(storage: Arc<dyn Storage>) {
    let (company, users) = (some_company(), ascending!(UserId, 5));
    let (admin, member) = (level(company, "Admin"), level(company, "Member"));
    let foreign = level(some_company(), "Admin");
    given(&storage, &[&admin, &member]).await;
    given(&storage, &[&foreign, &holding(users[0], &foreign)]).await;
    given_all(&storage, &[4, 1, 3, 0, 2].map(|n| holding(users[n], &admin))).await;
    given(&storage, &[&holding(users[3], &member)]).await;
    let page = async |company, level, after, limit| {
        storage.reader().assignments().list_users(company, level, after, limit).await.unwrap()
    };
    assert_eq!(page(company, admin.id, None, 2).await, users[..2]);
    assert_eq!(page(company, admin.id, Some(users[1]), 2).await, users[2..4]);
    assert_eq!(page(company, admin.id, Some(users[3]), 2).await, users[4..]);
    assert_eq!(page(company, admin.id, Some(users[4]), 2).await, []);
    assert_eq!(page(company, admin.id, None, u64::MAX).await, users);
    assert_eq!(page(company, member.id, None, 9).await, users[3..4]);
    // The id after which a page starts may be the id of a user who does not hold the level.
    assert_eq!(page(company, member.id, Some(users[2]), 9).await, users[3..4]);
    assert_eq!(page(company, foreign.id, None, 9).await, []);
    assert_eq!(page(foreign.company_id, foreign.id, None, 9).await, users[..1]);
    assert_eq!(page(foreign.company_id, admin.id, None, 9).await, []);
}

/// The companies in which a user holds levels are listed page by page, sorted by id, each with the user's levels.
pub async fn memberships_are_listed_in_pages(storage: Arc<dyn Storage>) {
    let (user, mut companies) = (some_user(), [some_company(), some_company(), some_company()]);
    companies.sort();
    for company in companies {
        let (admin, member) = (level(company, "Admin"), level(company, "Member"));
        given(&storage, &[&member, &admin, &holding(user, &member), &holding(user, &admin)]).await;
        given(&storage, &[&holding(some_user(), &admin)]).await;
    }
    let page = async |after, limit| {
        let page = storage.reader().assignments().get_memberships(user, after, limit).await.unwrap();
        for membership in &page {
            let names: Vec<_> = membership.levels.iter().map(|level| level.name.as_str()).collect();
            assert_eq!(names, ["Admin", "Member"]);
            assert!(membership.levels.iter().all(|level| level.company_id == membership.company));
        }
        page.into_iter().map(|membership| membership.company).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, companies[..2]);
    assert_eq!(page(Some(companies[1]), 2).await, companies[2..]);
    assert_eq!(page(Some(companies[2]), 2).await, []);
    assert_eq!(page(None, u64::MAX).await, companies);
    assert_eq!(storage.reader().assignments().get_memberships(some_user(), None, 9).await.unwrap(), []);
}

/// Replacing the levels of a user returns the previous levels by id, and the new levels by name. Each new level states
/// whether one of its matrices contains a deny.
pub async fn replaced_levels_state_whether_they_deny(storage: Arc<dyn Storage>) {
    let (company, user, view, feature) = (some_company(), some_user(), some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    let levels = ["Allowing", "Denying a view", "Denying an action", "Without cells"].map(|text| level(company, text));
    let former = level(company, "Former");
    for level in levels.iter().chain([&former]) {
        given(&storage, &[level]).await;
    }
    given(&storage, &[&holding(user, &former), &holding(user, &levels[3])]).await;
    let denied = FeaturePermission { value: false, ..feature_cell(&levels[2], feature.id, "Read") };
    given(
        &storage,
        &[&view_cell(&levels[0], view.id, ViewState::Allow), &feature_cell(&levels[0], feature.id, "Read")],
    )
    .await;
    given(&storage, &[&view_cell(&levels[1], view.id, ViewState::Deny), &denied]).await;
    let replace = async |levels: &[UserLevelId]| {
        change!(storage, company, tx => tx.assignments_mut().replace_for_user(company, user, levels, None)).unwrap()
    };
    let mut held = vec![levels[3].id, former.id];
    held.sort();
    let replaced = replace(&[levels[3].id, levels[1].id, levels[0].id, levels[2].id, levels[1].id]).await;
    assert!(replaced.before.keys().eq(&held));
    assert!(replaced.after.iter().map(|assigned| &assigned.level).eq(&levels));
    assert!(replaced.after.iter().map(|assigned| assigned.has_denies).eq([false, true, true, false]));
    let mut held = keys(&levels, |level| level.id);
    held.sort();
    let replaced = replace(&[]).await;
    assert!(replaced.before.keys().eq(&held) && replaced.after.is_empty());
}

/// Unknown users hold no levels, and unknown levels have no holders.
pub async fn unknown_users_hold_nothing(storage: Arc<dyn Storage>) {
    let assignments = storage.reader().assignments();
    assert_eq!(assignments.get_user_levels(some_company(), some_user()).await.unwrap(), []);
    assert_eq!(assignments.get_users(some_company(), UserLevelId::generate(at(0))).await.unwrap(), []);
}

/// In each of two companies, a user holds only the levels that this company assigned. Each company can change only its
/// own assignments.
pub async fn assignments_of_one_user_in_two_companies_are_separate(storage: Arc<dyn Storage>) {
    let (mine, theirs, user) = (some_company(), some_company(), some_user());
    let (my_admin, my_member) = (level(mine, "Admin"), level(mine, "Member"));
    let their_admin = level(theirs, "Admin");
    given(&storage, &[&my_admin, &my_member, &holding(user, &my_admin)]).await;
    given(&storage, &[&their_admin, &holding(user, &their_admin)]).await;
    let held = async |company| {
        let levels = storage.reader().assignments().get_user_levels(company, user).await.unwrap();
        keys(&levels, |level| level.id)
    };
    let replace = async |levels: &[UserLevelId]| change!(storage, mine, tx => tx.assignments_mut().replace_for_user(mine, user, levels, None));
    assert_eq!((held(mine).await, held(theirs).await), (vec![my_admin.id], vec![their_admin.id]));
    replace(&[my_member.id]).await.unwrap();
    assert_eq!((held(mine).await, held(theirs).await), (vec![my_member.id], vec![their_admin.id]));
    assert!(!change!(storage, mine, tx => tx.assignments_mut().remove(mine, user, their_admin.id)).unwrap());
    assert_unknown(replace(&[my_admin.id, their_admin.id]).await, EntityType::UserLevel, [their_admin.id.as_uuid()]);
    replace(&[]).await.unwrap();
    assert_eq!((held(mine).await, held(theirs).await), (vec![], vec![their_admin.id]));
}

/// A company can neither read nor assign another company's levels.
pub async fn levels_of_another_company_cannot_be_assigned(storage: Arc<dyn Storage>) {
    let (mine, theirs, user, holder) = (some_company(), some_company(), some_user(), some_user());
    let foreign = level(theirs, "Admin");
    given(&storage, &[&foreign, &holding(holder, &foreign)]).await;
    assert_eq!(storage.reader().assignments().get_users(mine, foreign.id).await.unwrap(), []);
    assert_eq!(storage.reader().assignments().get_user_levels(mine, holder).await.unwrap(), []);

    let posing = UserLevel { company_id: mine, ..foreign.clone() };
    let outcome = change!(storage, mine, tx => tx.assignments_mut().add(&holding(user, &posing)));
    assert_unknown(outcome, EntityType::UserLevel, [foreign.id.as_uuid()]);
    assert_eq!(storage.reader().assignments().get_users(theirs, foreign.id).await.unwrap(), [holder]);
}

/// Assignments are idempotent: assigning a level again, or replacing a user's levels with the same levels, changes
/// nothing.
pub async fn levels_that_remain_assigned_keep_their_assignment(storage: Arc<dyn Storage>) {
    let (company, user, giver) = (some_company(), some_user(), some_user().as_uuid());
    let admin = level(company, "Admin");
    let assignment = Assignment { assigned_by: Some(giver), ..holding(user, &admin) };
    given(&storage, &[&admin, &assignment]).await;
    let before = versions(&storage, Some(company)).await;
    let again = Assignment { assigned_by: None, created_at: at(99), ..assignment };
    assert!(!change!(storage, company, tx => tx.assignments_mut().add(&again)).unwrap());
    let other = Some(ApiKeyId::generate(at(0)).as_uuid());
    change!(storage, company, tx => tx.assignments_mut().replace_for_user(company, user, &[admin.id], other)).unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before);
}

/// Removing a level from one user does not affect other users who hold the level.
pub async fn holders_of_two_levels_are_separate(storage: Arc<dyn Storage>) {
    let (company, one, other) = (some_company(), some_user(), some_user());
    let admin = level(company, "Admin");
    given(&storage, &[&admin, &holding(one, &admin), &holding(other, &admin)]).await;
    assert!(change!(storage, company, tx => tx.assignments_mut().remove(company, one, admin.id)).unwrap());
    assert_eq!(storage.reader().assignments().get_users(company, admin.id).await.unwrap(), [other]);
    assert_eq!(storage.reader().assignments().get_user_levels(company, other).await.unwrap(), [admin]);
    assert_eq!(storage.reader().assignments().get_user_levels(company, one).await.unwrap(), []);
}
