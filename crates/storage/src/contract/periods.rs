//! Test cases for the periods of assignments. The cases never wait: they assign levels for periods that lie in the past,
//! in the present or in the future.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use iam_domain::escalation::Cell;
use iam_domain::{
    AssignmentState, AuditRecord, CompanyId, EntityType, FeaturePermission, Period, Scope, Timestamp, UserId,
    UserLevel, UserLevelId,
};

use super::fixtures::{
    action, ascending, begin, change, feature_cell, given, given_all, holding, level, records_about, some_company,
    some_feature, some_user, versions,
};
use crate::{Direction, EndPosition, LevelRules, LevelsEdit, MemberFilter, Storage};

/// The time of the storage's clock.
async fn now(storage: &Arc<dyn Storage>, company: CompanyId) -> Timestamp {
    begin(storage, company).await.now()
}

/// The periods of the cases: pending, active with an end, active since a start, and expired.
struct Periods {
    pending: Period,
    active: Period,
    started: Period,
    expired: Period,
}

const HOUR: Duration = Duration::from_secs(3600);

fn hours_before(time: Timestamp, hours: u32) -> Timestamp {
    let micros = i64::try_from((HOUR * hours).as_micros()).unwrap();
    Timestamp::from_micros(time.micros() - micros).unwrap()
}

impl Periods {
    fn around(now: Timestamp) -> Self {
        let of = |starts_at, expires_at| Period { starts_at, expires_at };
        Self {
            pending: of(Some(now.plus(HOUR)), Some(now.plus(HOUR * 2))),
            active: of(None, Some(now.plus(HOUR * 3))),
            started: of(Some(hours_before(now, 4)), None),
            expired: of(None, Some(hours_before(now, 1))),
        }
    }
}

fn edit<'a>(user: UserId, add: impl IntoIterator<Item = (&'a UserLevel, Option<Period>)>) -> LevelsEdit {
    let add = add.into_iter().map(|(level, period)| (level.id, period)).collect();
    LevelsEdit { user, add, remove: BTreeSet::new() }
}

/// Returns four levels, and the user to whom they are assigned: pending, active, started and expired.
async fn assigned_levels(storage: &Arc<dyn Storage>, company: CompanyId) -> ([UserLevel; 4], UserId, Periods) {
    let user = some_user();
    let levels = ["a", "b", "c", "d"].map(|text| level(company, text));
    given_all(storage, &levels).await;
    let periods = Periods::around(now(storage, company).await);
    let Periods { pending, active, started, expired } = periods;
    let of = levels.iter().zip([pending, active, started, expired].map(Some));
    let edits = [edit(user, of)];
    change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    (levels, user, periods)
}

/// Snapshots contain only the assignments that are in effect, with the nearest boundaries of the company.
pub async fn only_assignments_in_effect_grant_permissions(storage: Arc<dyn Storage>) {
    let (company, theirs) = (some_company(), some_company());
    let ([_, b, c, _], user, periods) = assigned_levels(&storage, company).await;
    let other = level(theirs, "a");
    let nearer = Period { expires_at: Some(hours_before(periods.pending.starts_at.unwrap(), 0)), ..Period::UNLIMITED };
    given(&storage, &[&other]).await;
    let edits = [edit(user, [(&other, Some(nearer))])];
    change!(storage, theirs, tx => tx.assignments_mut().edit(theirs, &edits, None)).unwrap();

    let snapshots = storage.reader().snapshots();
    let loaded = snapshots.load_user(company, user).await.unwrap();
    let mut expected = vec![b.id, c.id];
    expected.sort();
    assert_eq!(loaded.value.levels.iter().map(|level| level.level).collect::<Vec<_>>(), expected);
    assert_eq!(loaded.next_boundary, periods.pending.starts_at);
    assert_eq!(loaded.versions.boundary, periods.expired.expires_at.unwrap().micros());
    assert_eq!(loaded.versions, versions(&storage, Some(company)).await);
    let expected = BTreeMap::from([(user, Arc::new(BTreeSet::from([b.id, c.id])))]);
    let together = snapshots.load_users(company, &[user, some_user()]).await.unwrap();
    assert_eq!((together.value.holders, together.versions), (expected.clone(), loaded.versions));
    assert_eq!(snapshots.load_company(company).await.unwrap().value.holders, expected);
    let untouched = snapshots.load_user(some_company(), user).await.unwrap();
    assert_eq!((untouched.versions.boundary, untouched.next_boundary), (0, None));
}

/// The copy of a company contains all its assignments with their periods, and the time at which it was read.
pub async fn copies_contain_the_periods_of_assignments(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (levels, user, periods) = assigned_levels(&storage, company).await;
    let before = now(&storage, company).await;
    let copy = storage.reader().snapshots().load_copy(company).await.unwrap();
    let Periods { pending, active, started, expired } = periods;
    let expected: BTreeMap<_, _> =
        levels.iter().map(|level| level.id).zip([pending, active, started, expired]).collect();
    assert_eq!(copy.value.holders, BTreeMap::from([(user, Arc::new(expected))]));
    assert_eq!((copy.versions, copy.next_boundary), (versions(&storage, Some(company)).await, pending.starts_at));
    assert!((before..=now(&storage, company).await).contains(&copy.value.read_at));
}

/// Lists contain all assignments with their periods, and selections for decisions only those that are in effect.
pub async fn assignments_are_listed_with_their_periods(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (levels, user, periods) = assigned_levels(&storage, company).await;
    let Periods { pending, active, started, expired } = periods;
    let assigned = storage.reader().assignments().get_assigned(company, user).await.unwrap();
    assert!(assigned.iter().map(|held| &held.level).eq(&levels));
    assert!(assigned.iter().map(|held| held.period).eq([pending, active, started, expired]));
    let members = storage.reader().members();
    let listed = members.list(company, &MemberFilter::default(), Direction::Ascending, None, 9).await.unwrap();
    assert!(listed[0].levels.iter().map(|held| held.period).eq([pending, active, started, expired]));
    let [a, b, c, d] = levels.map(|level| level.id);
    let select = async |allowing: &[UserLevelId], denying: &[UserLevelId]| {
        let rules = LevelRules { allowing, denying };
        let selected = members.select(company, rules, None, 9).await.unwrap();
        let counted = members.count_selected(company, rules, 9).await.unwrap();
        assert_eq!((counted.value, counted.versions), (selected.value.members.len() as u64, selected.versions));
        selected
    };
    let selected = select(&[b], &[a, d]).await;
    assert_eq!(selected.versions, versions(&storage, Some(company)).await);
    assert!(selected.value.members[0].levels.iter().map(|held| held.id).eq([b, c]));
    assert_eq!(select(&[a, d], &[]).await.value.members, []);
    assert_eq!(select(&[b], &[c]).await.value.members, []);
}

/// An edit without a period keeps the period of an assignment that has not expired, and replaces an expired assignment.
/// Audit records contain the periods.
pub async fn edits_change_periods(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (levels, user, periods) = assigned_levels(&storage, company).await;
    let [a, b, c, d] = &levels;
    let edits = [edit(user, [(a, None), (b, Some(Period::UNLIMITED)), (d, None)])];
    let edited = change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    assert_eq!(edited.users[0].before[&d.id], periods.expired);
    let expected = [periods.pending, Period::UNLIMITED, periods.started, Period::UNLIMITED];
    let expected = [a, b, c, d].map(|level| level.id).into_iter().zip(expected).collect::<BTreeMap<_, _>>();
    assert_eq!(edited.users[0].after, expected);
    let stored = storage.reader().assignments().get_assigned(company, user).await.unwrap();
    assert_eq!(stored.into_iter().map(|held| (held.level.id, held.period)).collect::<BTreeMap<_, _>>(), expected);
    let records = records_about(&storage, Some(company), EntityType::Assignment, user.as_uuid()).await;
    assert_eq!(records.len(), 2);
    let changes = records
        .iter()
        .filter_map(|record| record.changes.as_ref())
        .find(|changes| changes["added"] == serde_json::json!([]));
    let changes = changes.unwrap();
    let expires_at = |period: Period| serde_json::json!({ "expiresAt": period.expires_at });
    assert_eq!(changes["periodsBefore"][b.id.to_string()], expires_at(periods.active));
    assert_eq!(changes["periodsBefore"][d.id.to_string()], expires_at(periods.expired));
    assert_eq!(changes["periodsAfter"], serde_json::json!({}));
    let before = versions(&storage, Some(company)).await;
    change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before, "repeated edits change nothing");
}

/// Replacing the levels of a user keeps the periods of assignments that have not expired.
pub async fn replaced_levels_keep_their_periods(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (levels, user, periods) = assigned_levels(&storage, company).await;
    let ids = levels.each_ref().map(|level| level.id);
    let replaced =
        change!(storage, company, tx => tx.assignments_mut().replace_for_user(company, user, &ids, None)).unwrap();
    let expected = [periods.pending, periods.active, periods.started, Period::UNLIMITED];
    assert!(replaced.after.iter().map(|held| held.period).eq(expected));
    let stored = storage.reader().assignments().get_assigned(company, user).await.unwrap();
    assert!(stored.iter().map(|held| held.period).eq(expected));
    let assignment = holding(user, &levels[1]);
    assert!(change!(storage, company, tx => tx.assignments_mut().add(&assignment)).unwrap(), "another period");
    assert!(!change!(storage, company, tx => tx.assignments_mut().add(&assignment)).unwrap(), "the same period");
}

/// Only assignments without an end count for the guards against lockout, and any assignment that has not expired can
/// deny.
pub async fn holders_of_rights_hold_them_without_an_end(storage: Arc<dyn Storage>) {
    let (company, feature) = (some_company(), some_feature());
    let ([a, b, c, d], user, _) = assigned_levels(&storage, company).await;
    given(&storage, &[&feature]).await;
    let actions = [(feature.key.as_ref().unwrap().as_str(), action("Read"))];
    let is_holder = async || {
        let assignments = storage.reader().assignments();
        let found = assignments.find_holder(company, &actions, None).await.unwrap();
        let is_holder = assignments.is_holder(company, user, &actions).await.unwrap();
        assert_eq!(found, is_holder.then_some(user));
        is_holder
    };
    for level in [&a, &b, &d] {
        given(&storage, &[&feature_cell(level, feature.id, "Read")]).await;
        assert!(!is_holder().await, "{}", level.name);
    }
    let cell = feature_cell(&c, feature.id, "Read");
    given(&storage, &[&cell]).await;
    assert!(is_holder().await, "an assignment that has started and has no end counts");
    let denied = |level: &UserLevel| FeaturePermission {
        value: false,
        scope: Scope::Own,
        ..feature_cell(level, feature.id, "Read")
    };
    for (level, expected) in [(&d, true), (&a, false)] {
        let denied = [denied(level)];
        change!(storage, company, tx => tx.feature_permissions_mut().replace_for_user_level(company, level.id, &denied)).unwrap();
        assert_eq!(is_holder().await, expected, "{}", level.name);
    }
}

/// For a level, the other levels of its holders count both with and without those whose assignment ends: what they allow
/// ends, and what they deny is allowed later.
pub async fn other_levels_count_with_and_without_those_that_end(storage: Arc<dyn Storage>) {
    let (company, feature) = (some_company(), some_feature());
    let ([a, b, c, d], _, _) = assigned_levels(&storage, company).await;
    given(&storage, &[&feature]).await;
    let cell = Cell::Action(feature.id, action("Read"));
    let load = async || {
        let cells = BTreeSet::from([cell.clone()]);
        let loaded = storage.reader().snapshots().load_other_rules(company, c.id, &cells, None).await.unwrap();
        loaded.value.reaches[&cell].iter().map(|reach| (reach.granted, reach.is_denied)).collect::<Vec<_>>()
    };
    let say = async |level: &UserLevel, value: bool, scope: Scope| {
        let cell = FeaturePermission { value, scope, ..feature_cell(level, feature.id, "Read") };
        let cells = [cell];
        change!(storage, company, tx => tx.feature_permissions_mut().replace_for_user_level(company, level.id, &cells))
            .unwrap();
    };
    say(&d, true, Scope::Any).await;
    assert_eq!(load().await, [(None, false)], "the assignment has expired");
    say(&b, true, Scope::Team).await;
    assert_eq!(load().await, [(None, false), (Some(Scope::Team), false)]);
    say(&a, false, Scope::Own).await;
    assert_eq!(load().await, [(None, false), (Some(Scope::Team), false)], "the denying assignment ends");
    say(&a, true, Scope::Company).await;
    assert_eq!(load().await, [(None, false), (Some(Scope::Company), false)]);
}

/// Expired assignments do not count as held. The companies of a user are those in which an assignment is in effect.
pub async fn expired_assignments_are_not_held(storage: Arc<dyn Storage>) {
    let (company, theirs) = (some_company(), some_company());
    let ([a, b, c, _], user, periods) = assigned_levels(&storage, company).await;
    let other = level(theirs, "a");
    given(&storage, &[&other]).await;
    let assignments = storage.reader().assignments();
    assert_eq!(assignments.get_user_levels(company, user).await.unwrap(), [a, b.clone(), c.clone()]);
    for (period, expected) in [(periods.expired, 1), (periods.pending, 1), (periods.active, 2)] {
        let edits = [edit(user, [(&other, Some(period))])];
        change!(storage, theirs, tx => tx.assignments_mut().edit(theirs, &edits, None)).unwrap();
        let memberships = assignments.get_memberships(user, None, 9).await.unwrap();
        assert_eq!(memberships.len(), expected);
        let own = memberships.iter().find(|membership| membership.company == company).unwrap();
        assert_eq!(own.levels, [b.clone(), c.clone()]);
    }
}

/// Assignments with an end are listed page by page, ordered by their ends, with the state of each assignment.
/// Assignments of other companies are not listed.
pub async fn assignments_with_an_end_are_listed_in_pages(storage: Arc<dyn Storage>) {
    let (company, theirs) = (some_company(), some_company());
    let ([a, b, _, d], user, periods) = assigned_levels(&storage, company).await;
    assigned_levels(&storage, theirs).await;
    let ending = storage.reader().ending_assignments();
    let latest = periods.active.expires_at.unwrap();
    for limit in [1, 2, 9] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ending.list_ending(company, latest.plus(HOUR), after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.position());
            found.extend(page);
        }
        let shown = found.iter().map(|ending| (ending.user, ending.level.id, ending.level.state, ending.level.period));
        let expected = [
            (user, d.id, AssignmentState::Expired, periods.expired),
            (user, a.id, AssignmentState::Pending, periods.pending),
            (user, b.id, AssignmentState::Active, periods.active),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{limit}");
    }
    assert_eq!(ending.list_ending(company, latest, None, 9).await.unwrap().len(), 2, "the time itself is excluded");
    let (member, users) = (level(company, "e"), ascending!(UserId, 4));
    given(&storage, &[&member]).await;
    let edits: Vec<_> = users.iter().map(|user| edit(*user, [(&member, Some(periods.active))])).collect();
    change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    let last = EndPosition { expires_at: latest, user: users[1], level: member.id };
    let rest = ending.list_ending(company, latest.plus(HOUR), Some(last), 9).await.unwrap();
    let mut expected = users[2..].to_vec();
    expected.extend(Some(user).filter(|user| *user > users[1]));
    expected.sort();
    assert_eq!(rest.iter().map(|ending| ending.user).collect::<Vec<_>>(), expected);
}

/// The removal of expired assignments removes at most the given number, beginning with the one that expired first, and
/// nothing else. Each user has one audit record. A removal without an effect commits nothing.
pub async fn expired_assignments_are_removed(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (levels, user, periods) = assigned_levels(&storage, company).await;
    let Periods { pending, active, started, expired } = periods;
    let end = expired.expires_at.unwrap();
    let earlier = Period { expires_at: Some(hours_before(end, 1)), ..Period::UNLIMITED };
    let other = some_user();
    let edits = [edit(other, [(&levels[0], Some(earlier)), (&levels[1], Some(expired))])];
    change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    let find = async |ago: Duration| {
        let found = storage.reader().ending_assignments().find_expired(ago, 10_000).await.unwrap();
        found.contains(&company)
    };
    let remove = async |by: Timestamp, limit: u64| {
        change!(storage, company, tx => tx.assignments_mut().remove_expired(company, by, limit)).unwrap()
    };
    assert!(find(Duration::ZERO).await && find(HOUR * 2).await && !find(HOUR * 3).await);
    assert_eq!(remove(hours_before(end, 2), 9).await, 0);
    assert_eq!(remove(end, 1).await, 1);
    let assigned = async |user| {
        let assigned = storage.reader().assignments().get_assigned(company, user).await.unwrap();
        assigned.into_iter().map(|held| held.period).collect::<Vec<_>>()
    };
    assert_eq!(assigned(other).await, [expired], "the assignment that expired first is removed first");
    assert_eq!(remove(end, 9).await, 2);
    assert_eq!(assigned(user).await, [pending, active, started]);
    assert!(!find(Duration::ZERO).await);
    let before = versions(&storage, Some(company)).await;
    assert_eq!(remove(end, 9).await, 0);
    assert_eq!(versions(&storage, Some(company)).await, before);
    for (user, level, period) in [(user, &levels[3], expired), (other, &levels[0], earlier)] {
        let records = records_about(&storage, Some(company), EntityType::Assignment, user.as_uuid()).await;
        let about = |level: UserLevelId| {
            move |record: &&AuditRecord| {
                record.changes.as_ref().is_some_and(|changes| changes["removed"] == serde_json::json!([level]))
            }
        };
        let record = records.iter().find(about(level.id)).unwrap();
        assert_eq!(record.action, "assignment.expired");
        let expires_at = serde_json::json!({ "expiresAt": period.expires_at });
        assert_eq!(record.changes.as_ref().unwrap()["periodsBefore"][level.id.to_string()], expires_at);
    }
}
