//! Test cases for the lists of the members of a company, and for the key that signs cursors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    AssignmentState, CompanyDetails, CompanyId, CompanyStatus, Email, ExternalId, FeaturePermission, LevelPermissions,
    Name, Period, ProfileSource, Scope, Snapshot, UserId, UserLevel, UserLevelId, UserProfile, ViewState, folded,
};

use super::fixtures::{
    action, ascending, at, begin, change, feature_cell, given, given_all, holding, level, some_company, some_feature,
    some_module, some_user, some_view, unique, versions, view_at, view_cell,
};
use super::profiles::profile;
use crate::{
    CellName, CompanyFilter, CompanyOrder, CompanyPosition, Direction, HeldLevel, IdOrText, LevelRules, Member,
    MemberFilter, MemberSearch, ProfileText, Selected, Stamped, Storage, UserRange,
};

fn held(level: &UserLevel) -> HeldLevel {
    HeldLevel { id: level.id, name: level.name.clone(), period: Period::UNLIMITED, state: AssignmentState::Active }
}

/// Returns a filter for the members with ids in this range.
fn within(first: UserId, last: UserId) -> MemberFilter {
    let users = Some(UserRange { first, last });
    MemberFilter { level: None, search: Some(MemberSearch { users, text: None }) }
}

async fn listed(
    storage: &Arc<dyn Storage>,
    company: CompanyId,
    filter: &MemberFilter,
    direction: Direction,
    after: Option<UserId>,
    limit: u64,
) -> Vec<UserId> {
    let members = storage.reader().members().list(company, filter, direction, after, limit).await.unwrap();
    members.into_iter().map(|member| member.user).collect()
}

/// The members of a company are listed page by page, each of them once, in ascending or in descending order of id. A
/// filter selects the holders of a level and a range of ids. Members of other companies are not listed.
pub async fn members_are_listed_in_pages(storage: Arc<dyn Storage>) {
    let (company, users, ascending) = (some_company(), ascending!(UserId, 5), Direction::Ascending);
    let (admin, member) = (level(company, "Admin"), level(company, "Member"));
    let foreign = level(some_company(), "Admin");
    let outsider = some_user();
    given(&storage, &[&admin, &member]).await;
    given(&storage, &[&foreign, &holding(users[0], &foreign), &holding(outsider, &foreign)]).await;
    given_all(&storage, &[4, 1, 3, 0, 2].map(|n| holding(users[n], &member))).await;
    given_all(&storage, &[3, 1].map(|n| holding(users[n], &admin))).await;
    let all = MemberFilter::default();
    let page = async |filter: &MemberFilter, direction, after, limit| {
        listed(&storage, company, filter, direction, after, limit).await
    };
    assert_eq!(page(&all, ascending, None, 2).await, users[..2]);
    assert_eq!(page(&all, ascending, Some(users[1]), 2).await, users[2..4]);
    assert_eq!(page(&all, ascending, Some(users[3]), 2).await, users[4..]);
    assert_eq!(page(&all, ascending, Some(users[4]), 2).await, []);
    assert_eq!(page(&all, ascending, None, u64::MAX).await, users);
    let down: Vec<_> = users.iter().rev().copied().collect();
    assert_eq!(page(&all, Direction::Descending, None, 3).await, down[..3]);
    assert_eq!(page(&all, Direction::Descending, Some(down[2]), 3).await, down[3..]);
    let admins = MemberFilter { level: Some(admin.id), search: None };
    assert_eq!(page(&admins, ascending, None, 9).await, [users[1], users[3]]);
    assert_eq!(page(&admins, ascending, Some(users[1]), 9).await, [users[3]]);
    assert_eq!(page(&admins, Direction::Descending, None, 1).await, [users[3]]);
    let some = within(users[1], users[3]);
    assert_eq!(page(&some, ascending, None, 9).await, users[1..4]);
    assert_eq!(page(&MemberFilter { level: Some(admin.id), ..some }, ascending, Some(users[2]), 9).await, [users[3]]);
    let others = MemberFilter { level: Some(foreign.id), search: None };
    assert_eq!(page(&others, ascending, None, 9).await, []);
    assert_eq!(listed(&storage, foreign.company_id, &others, ascending, None, 9).await, [users[0], outsider]);
    assert_eq!(listed(&storage, some_company(), &all, ascending, None, 9).await, []);
}

/// A listed member has all levels of the company that the user holds, ordered by name, the stored external id, and the
/// content and the source of the profile.
pub async fn a_listed_member_has_its_levels_and_its_external_id(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let levels = ["a", "ä", "B"].map(|text| level(company, text));
    let foreign = level(other, "Foreign");
    let external = ExternalId::parse(&unique("https://issuer.example|subject")).unwrap();
    let user = external.user_id();
    given_all(&storage, &levels).await;
    given(&storage, &[&foreign, &holding(user, &foreign)]).await;
    given_all(&storage, &levels.each_ref().map(|level| holding(user, level))).await;
    let mut tx = begin(&storage, company).await;
    tx.user_levels_mut().create(&level(company, "Unheld")).await.unwrap();
    tx.users_mut().remember(&[&external]).await.unwrap();
    tx.commit().await.unwrap();
    let list = async |filter: &MemberFilter| {
        storage.reader().members().list(company, filter, Direction::Ascending, None, 9).await.unwrap()
    };
    let levels = [2, 0, 1].map(|n| held(&levels[n])).to_vec();
    let external_id = Some(external);
    let expected = Member { user, external_id, display_name: None, email: None, profile_source: None, levels };
    assert_eq!(list(&MemberFilter::default()).await, [expected.clone()]);
    let profile = UserProfile { source: ProfileSource::Token, ..profile(company, user, "Ada") };
    change!(storage, company, tx => tx.user_profiles_mut().replace(&profile)).unwrap();
    let UserProfile { display_name, email, source, .. } = profile;
    let expected = Member { display_name, email, profile_source: Some(source), ..expected };
    assert_eq!(list(&MemberFilter::default()).await, [expected.clone()]);
    let by_level = MemberFilter { level: Some(expected.levels[1].id), search: None };
    assert_eq!(list(&by_level).await, [expected]);
}

/// A search finds the members whose display name contains a text, regardless of case, and optionally those whose e-mail
/// address contains it. Only members are found, and only in the company of their profiles.
pub async fn members_are_found_by_their_profiles(storage: Arc<dyn Storage>) {
    let (company, other, users) = (some_company(), some_company(), ascending!(UserId, 5));
    let (admin, member, foreign) = (level(company, "Admin"), level(company, "Member"), level(other, "Member"));
    given(&storage, &[&admin, &member, &foreign]).await;
    given_all(&storage, &[0, 1, 2, 3].map(|n| holding(users[n], &member))).await;
    given(&storage, &[&holding(users[1], &admin), &holding(users[0], &foreign)]).await;
    let profile = |company, user, name: Option<&str>, email: Option<&str>| UserProfile {
        company_id: company,
        user_id: user,
        display_name: name.map(|text| Name::parse(text).unwrap()),
        email: email.map(|text| Email::parse(text).unwrap()),
        source: ProfileSource::Api,
        created_at: at(1),
        updated_at: at(2),
    };
    for profile in [
        profile(company, users[0], Some("Zoë ÄRZTIN"), Some("zoe@example.com")),
        profile(company, users[1], Some("An ärztin"), None),
        profile(company, users[2], None, Some("Aerztin.ÄRZTIN@example.com")),
        // This user is not a member.
        profile(company, users[4], Some("Ärztin"), Some("arzt@example.com")),
        profile(other, users[0], Some("Other"), None),
    ] {
        change!(storage, profile.company_id, tx => tx.user_profiles_mut().replace(&profile)).unwrap();
    }
    let find = async |company, level, text: &str, in_emails, users| {
        let text = Some(ProfileText { folded: folded(text), in_emails });
        let filter = MemberFilter { level, search: Some(MemberSearch { users, text }) };
        let found = listed(&storage, company, &filter, Direction::Ascending, None, 9).await;
        let down = listed(&storage, company, &filter, Direction::Descending, None, 9).await;
        assert_eq!(found.iter().rev().copied().collect::<Vec<_>>(), down);
        let count = storage.reader().members().count(company, &filter, 9).await.unwrap();
        assert_eq!(count, found.len() as u64);
        found
    };
    assert_eq!(find(company, None, "ärztin", false, None).await, [users[0], users[1]]);
    assert_eq!(find(company, None, "ÄrzTIN", true, None).await, users[..3]);
    assert_eq!(find(company, Some(admin.id), "ärztin", true, None).await, [users[1]]);
    assert_eq!(find(company, None, "zoe@", false, None).await, []);
    assert_eq!(find(company, None, "%", true, None).await, []);
    assert_eq!(find(company, None, "\0", true, None).await, []);
    assert_eq!(find(other, None, "ärztin", true, None).await, []);
    assert_eq!(find(other, None, "other", false, None).await, [users[0]]);
    // The parts of a search are alternatives, and a member to whom both apply is found once.
    let range = Some(UserRange { first: users[1], last: users[3] });
    assert_eq!(find(company, None, "zoë", false, range).await, users[..4]);
    assert_eq!(find(company, None, "an ä", false, range).await, users[1..4]);
    let all = MemberFilter::default();
    let list = storage.reader().members().list(company, &all, Direction::Ascending, None, 1);
    let first = list.await.unwrap().pop().unwrap();
    let of = |name: Option<Name>, email: Option<Email>| (name.map(|n| n.to_string()), email.map(|e| e.to_string()));
    let expected = (Some("Zoë ÄRZTIN".to_owned()), Some("zoe@example.com".to_owned()));
    assert_eq!(of(first.display_name, first.email), expected);
}

/// Companies are listed page by page, by id or by folded name. Companies without a name are last. A filter selects a
/// status, a part of the name, or the beginning of the id. Erased companies, and companies that were never changed, are
/// not listed.
pub async fn companies_are_listed_in_pages(storage: Arc<dyn Storage>) {
    let word = unique("Directory");
    let mut companies = ascending!(CompanyId, 5);
    let names = [Some("b"), Some("Ä"), None, Some("B"), Some("gone")];
    for (company, name) in companies.iter().zip(names) {
        let name = name.map(|name| Name::parse(format!("{name} {word}")).unwrap());
        let status = if *company == companies[1] { CompanyStatus::Suspended } else { CompanyStatus::Active };
        given(&storage, &[&level(*company, "Any")]).await;
        let details = CompanyDetails { name, status };
        change!(storage, *company, tx => tx.company_states_mut().replace_details(*company, &details)).unwrap();
    }
    change!(storage, companies[4], tx => tx.company_states_mut().erase(companies[4])).unwrap();
    companies.truncate(4);
    let directory = storage.reader().company_directory();
    let list = async |filter: &CompanyFilter, order, limit| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = directory.list(filter, order, after.as_ref(), limit).await.unwrap();
            assert!(page.len() as u64 <= limit);
            let Some(last) = page.last() else { break };
            let name = last.details.name.as_ref().filter(|_| order == CompanyOrder::Name);
            after = Some(CompanyPosition { name: name.map(|name| folded(name.as_str())), id: last.id });
            found.extend(page.into_iter().map(|company| company.id));
        }
        found
    };
    let all = CompanyFilter::default();
    for limit in [1, 3, 1000] {
        let by_id = list(&all, CompanyOrder::Id, limit).await;
        assert!(by_id.is_sorted() && !by_id.contains(&some_company()));
        let mine: Vec<_> = by_id.iter().filter(|id| companies.contains(id)).copied().collect();
        assert_eq!(mine, companies);
        let by_name = list(&all, CompanyOrder::Name, limit).await;
        assert_eq!((by_name.len(), by_name.iter().collect::<BTreeSet<_>>().len()), (by_id.len(), by_id.len()));
        let mine: Vec<_> = by_name.iter().filter(|id| companies.contains(id)).copied().collect();
        assert_eq!(mine, [0, 3, 1, 2].map(|n| companies[n]));
    }
    assert_eq!(directory.count(&all, u64::MAX).await.unwrap(), list(&all, CompanyOrder::Id, 1000).await.len() as u64);
    let named = CompanyFilter { status: None, text: Some(folded(&word.to_uppercase())) };
    assert_eq!(list(&named, CompanyOrder::Name, 2).await, [0, 3, 1].map(|n| companies[n]));
    assert_eq!((directory.count(&named, 9).await.unwrap(), directory.count(&named, 2).await.unwrap()), (3, 2));
    let suspended = CompanyFilter { status: Some(CompanyStatus::Suspended), ..named };
    assert_eq!(list(&suspended, CompanyOrder::Id, 2).await, [companies[1]]);
    let by_id = |text: &str| CompanyFilter { status: None, text: Some(text.to_owned()) };
    let id = companies[2].to_string();
    assert_eq!(list(&by_id(&id), CompanyOrder::Name, 2).await, [companies[2]]);
    assert_eq!(list(&by_id(&id[1..]), CompanyOrder::Id, 2).await, []);
    assert_eq!(list(&by_id("\0"), CompanyOrder::Id, 2).await, []);
    let listed = directory.list(&suspended, CompanyOrder::Id, None, 1).await.unwrap().pop().unwrap();
    assert_eq!((listed.details.status, listed.provisioned_at), (CompanyStatus::Suspended, None));
}

/// Members are counted up to a limit, and the holders of each level are counted. Other companies are not counted.
pub async fn members_are_counted(storage: Arc<dyn Storage>) {
    let (company, users) = (some_company(), ascending!(UserId, 4));
    let (admin, member) = (level(company, "Admin"), level(company, "Member"));
    let foreign = level(some_company(), "Admin");
    given(&storage, &[&admin, &member, &level(company, "Unheld")]).await;
    given(&storage, &[&foreign, &holding(users[0], &foreign)]).await;
    given_all(&storage, &[0, 1, 2, 3].map(|n| holding(users[n], &member))).await;
    given_all(&storage, &[1, 2].map(|n| holding(users[n], &admin))).await;
    let count = async |company, filter: MemberFilter, limit| {
        storage.reader().members().count(company, &filter, limit).await.unwrap()
    };
    let of = |level: Option<UserLevelId>, search| MemberFilter { level, search };
    assert_eq!(count(company, of(None, None), u64::MAX).await, 4);
    assert_eq!(count(company, of(None, None), 3).await, 3);
    assert_eq!(count(company, of(Some(admin.id), None), 9).await, 2);
    let range = within(users[2], users[3]).search;
    assert_eq!(count(company, of(None, range.clone()), 9).await, 2);
    assert_eq!(count(company, of(Some(admin.id), range), 9).await, 1);
    assert_eq!(count(company, of(Some(foreign.id), None), 9).await, 0);
    assert_eq!(count(some_company(), of(None, None), 9).await, 0);
    let by_level = async |company| storage.reader().members().count_by_level(company).await.unwrap();
    assert_eq!(by_level(company).await, BTreeMap::from([(admin.id, 2), (member.id, 4)]));
    assert_eq!(by_level(foreign.company_id).await, BTreeMap::from([(foreign.id, 1)]));
    assert_eq!(by_level(some_company()).await, BTreeMap::new());
}

/// Members are selected if they hold an allowing level and no denying level. The parts of the selection, in order,
/// contain each such member exactly once, whatever the limit is.
pub async fn members_are_selected_by_their_levels(storage: Arc<dyn Storage>) {
    let (company, users) = (some_company(), ascending!(UserId, 24));
    let levels = ["0", "1", "2", "3"].map(|text| level(company, text));
    let foreign = level(some_company(), "Foreign");
    given_all(&storage, &levels).await;
    given(&storage, &[&foreign, &holding(users[0], &foreign)]).await;
    // The bits of a number determine which levels a user holds.
    let holds = |user: usize, level: usize| (user * 7 % 16) >> level & 1 == 1;
    let pairs = (0..users.len()).flat_map(|user| (0..4).map(move |level| (user, level)));
    let assigned: Vec<_> =
        pairs.filter(|(user, level)| holds(*user, *level)).map(|(user, n)| holding(users[user], &levels[n])).collect();
    given_all(&storage, &assigned).await;
    let now = versions(&storage, Some(company)).await;
    for (allowing, denying) in [
        (vec![0], vec![]),
        (vec![0, 1, 2, 3], vec![]),
        (vec![0, 2], vec![1]),
        (vec![3], vec![0, 1, 2]),
        (vec![], vec![1]),
    ] {
        let ids = |numbers: &[usize]| numbers.iter().map(|n| levels[*n].id).collect::<Vec<_>>();
        let has = |user: usize, numbers: &[usize]| numbers.iter().any(|level| holds(user, *level));
        let expected = (0..users.len()).filter(|user| has(*user, &allowing) && !has(*user, &denying));
        let expected: Vec<_> = expected.map(|user| users[user]).collect();
        let (allow, deny) = (ids(&allowing), ids(&denying));
        let rules = LevelRules { allowing: &allow, denying: &deny };
        for limit in [0, 2, 100] {
            let count = storage.reader().members().count_selected(company, rules, limit).await.unwrap();
            assert_eq!((count.value, count.versions), (limit.min(expected.len() as u64), now));
        }
        for limit in [1, 2, 5, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let part = storage.reader().members().select(company, rules, after, limit).await.unwrap();
                assert_eq!(part.versions, now);
                let Selected { members, examined } = part.value;
                assert!(members.len() as u64 <= limit && members.iter().all(|member| Some(member.user) > after));
                found.extend(members);
                let Some(next) = examined else { break };
                assert!(Some(next) > after, "a part that makes no progress");
                after = Some(next);
            }
            let names: Vec<_> = found.iter().map(|member| member.user).collect();
            assert_eq!(names, expected, "{allowing:?} {denying:?} {limit}");
            for member in &found {
                let user = users.iter().position(|user| *user == member.user).unwrap();
                let own: Vec<_> =
                    (0..4).filter(|level| holds(user, *level)).map(|level| held(&levels[level])).collect();
                assert_eq!(member.levels, own);
            }
        }
    }
    // Levels of another company select nothing, and the part has the versions and stamps of the asked company.
    let rules = LevelRules { allowing: &[foreign.id], denying: &[] };
    let nothing = storage.reader().members().select(company, rules, None, 9).await.unwrap();
    assert_eq!(nothing.value, Selected { members: Vec::new(), examined: None });
    let counted = storage.reader().members().count_selected(company, rules, 9).await.unwrap();
    let loaded = storage.reader().snapshots().load_user(company, users[0]).await.unwrap();
    assert_eq!((nothing.versions, nothing.stamps), (loaded.versions, loaded.stamps));
    assert_eq!((counted.value, counted.versions, counted.stamps), (0, loaded.versions, loaded.stamps));
}

/// The rules of all levels for one cell equal the rules of the whole levels for this cell. A cell is found by the id or
/// by the URL or key. For an unknown view or feature, the levels have no rules.
pub async fn the_rules_for_one_cell_are_loaded(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (view, other_view) = (view_at(unique("/cell")), some_view());
    let (feature, other_feature, module) = (some_feature(), some_feature(), some_module());
    let levels = ["One", "Two", "None"].map(|text| level(company, text));
    let [one, two, _] = &levels;
    let foreign = level(some_company(), "Foreign");
    given(&storage, &[&view, &other_view, &feature, &other_feature, &module, &foreign]).await;
    given_all(&storage, &levels).await;
    given(&storage, &[&view_cell(&foreign, view.id, ViewState::Allow)]).await;
    given_all(
        &storage,
        &[
            view_cell(one, view.id, ViewState::Allow),
            view_cell(two, view.id, ViewState::Deny),
            view_cell(two, other_view.id, ViewState::Allow),
        ],
    )
    .await;
    let denied = FeaturePermission { value: false, scope: Scope::Own, ..feature_cell(two, feature.id, "Read") };
    given_all(
        &storage,
        &[
            feature_cell(one, feature.id, "Read"),
            feature_cell(one, feature.id, "Update"),
            denied,
            feature_cell(two, other_feature.id, "Read"),
        ],
    )
    .await;
    change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
    let ids: Vec<_> = levels.iter().map(|level| level.id).collect();
    let whole = storage.reader().snapshots().load_levels(company, &ids).await.unwrap();
    let read = action("Read");
    let key = feature.key.clone().unwrap().to_string();
    let only_view = |level: &LevelPermissions| LevelPermissions {
        views: level.views.iter().filter(|(id, _)| **id == view.id).map(|(id, state)| (*id, *state)).collect(),
        ..LevelPermissions::new(level.level, [], [])
    };
    let only_action = |level: &LevelPermissions| {
        let rule = level.features.get(&feature.id).and_then(|rules| rules.get(&read));
        LevelPermissions::new(level.level, [], rule.map(|rule| (feature.id, read.clone(), *rule)))
    };
    let nothing = |level: &LevelPermissions| LevelPermissions::new(level.level, [], []);
    let expected = |rules: &dyn Fn(&LevelPermissions) -> LevelPermissions| Stamped {
        value: Snapshot { levels: whole.value.levels.iter().map(rules).collect(), ..whole.value.clone() },
        ..whole.clone()
    };
    let load = async |cell: CellName| storage.reader().snapshots().load_cell(company, &cell).await.unwrap();
    for named in [IdOrText::Id(view.id), text(view.url.as_str())] {
        assert_eq!(load(CellName::View(named)).await, expected(&only_view));
    }
    for named in [IdOrText::Id(feature.id), text(&key)] {
        assert_eq!(load(CellName::Action(named, read.clone())).await, expected(&only_action));
    }
    assert_eq!(load(CellName::Action(text(&key), action("Fly"))).await, expected(&nothing));
    assert_eq!(load(CellName::Action(text("nothing"), read.clone())).await, expected(&nothing));
    for url in ["/nothing", "\0", ""] {
        assert_eq!(load(CellName::View(text(url))).await, expected(&nothing));
    }
    let elsewhere = storage.reader().snapshots().load_cell(some_company(), &CellName::View(text("/"))).await.unwrap();
    assert_eq!((elsewhere.value.levels, elsewhere.value.modules), (Vec::new(), BTreeSet::new()));
}

/// Returns the text that identifies an entity.
fn text<I>(text: &str) -> IdOrText<I> {
    IdOrText::Text(text.to_owned())
}

/// Every read of the key that signs cursors returns the same key, which is not constant.
pub async fn the_cursor_key_does_not_change(storage: Arc<dyn Storage>) {
    let key = storage.reader().cursor_keys().cursor_key().await.unwrap();
    assert!(key.0.iter().collect::<BTreeSet<_>>().len() > 8);
    assert_eq!(format!("{key:?}"), "CursorKey(…)");
    let tx = begin(&storage, some_company()).await;
    assert_eq!(tx.cursor_keys().cursor_key().await.unwrap(), key);
    drop(tx);
    assert_eq!(storage.reader().cursor_keys().cursor_key().await.unwrap(), key);
}
