//! Test cases for the list of the members of a company that is sorted by name.

use std::sync::Arc;

use iam_domain::{CompanyId, Email, Name, ProfileSource, UserId, UserProfile, folded};

use super::fixtures::{ascending, at, change, given, given_all, holding, level, some_company};
use crate::{MemberFilter, MemberPosition, MemberSearch, ProfileText, Storage, UserRange};

/// Returns all members whom a filter selects, read page by page.
async fn by_name(storage: &Arc<dyn Storage>, company: CompanyId, filter: &MemberFilter, limit: u64) -> Vec<UserId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = storage.reader().members().list_by_name(company, filter, after.as_ref(), limit).await.unwrap();
        assert!(page.len() as u64 <= limit);
        let Some(last) = page.last() else { return found };
        let name = last.display_name.as_ref().map(|name| folded(name.as_str()));
        after = Some(MemberPosition { name, user: last.user });
        found.extend(page.into_iter().map(|member| member.user));
    }
}

/// Members are listed by folded name, then by id. Members without a name are last, also if they have a profile. Users with
/// a profile who are not members, and members of other companies, are not listed. Filters apply as for the order by id.
pub async fn members_are_listed_by_name(storage: Arc<dyn Storage>) {
    let (company, other, users) = (some_company(), some_company(), ascending!(UserId, 9));
    let (all, some, foreign) = (level(company, "All"), level(company, "Some"), level(other, "All"));
    given(&storage, &[&all, &some, &foreign]).await;
    given_all(&storage, &[7, 1, 2, 3, 4, 5, 6].map(|n| holding(users[n], &all))).await;
    given_all(&storage, &[1, 4, 6].map(|n| holding(users[n], &some))).await;
    given_all(&storage, &[0, 1].map(|n| holding(users[n], &foreign))).await;
    let profile = |company_id, user: usize, name: Option<&str>| UserProfile {
        company_id,
        user_id: users[user],
        display_name: name.map(|name| Name::parse(name).unwrap()),
        email: Some(Email::parse("someone@example.com").unwrap()),
        source: ProfileSource::Api,
        created_at: at(1),
        updated_at: at(1),
    };
    for profile in [
        profile(company, 2, Some("ärzte")),
        profile(company, 3, Some("Zoë")),
        profile(company, 4, Some("anna")),
        profile(company, 5, Some("ANNA")),
        profile(company, 6, None),
        profile(company, 7, Some("Bert")),
        profile(company, 8, Some("Aaron")),
        profile(other, 1, Some("Aaron")),
    ] {
        change!(storage, profile.company_id, tx => tx.user_profiles_mut().replace(&profile)).unwrap();
    }
    let text =
        |text: &str| MemberSearch { users: None, text: Some(ProfileText { folded: folded(text), in_emails: true }) };
    let range = MemberSearch { users: Some(UserRange { first: users[2], last: users[5] }), text: None };
    let filter = |level, search| MemberFilter { level, search };
    for (filter, expected) in [
        (MemberFilter::default(), vec![4, 5, 7, 3, 2, 1, 6]),
        (filter(Some(some.id), None), vec![4, 1, 6]),
        (filter(None, Some(text("ANN"))), vec![4, 5]),
        (filter(None, Some(text("@example"))), vec![4, 5, 7, 3, 2, 6]),
        (filter(Some(some.id), Some(text("@example"))), vec![4, 6]),
        (filter(None, Some(range)), vec![4, 5, 3, 2]),
        (filter(None, Some(text("\0"))), vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| users[n]).collect();
        for limit in [1, 2, 3, 100] {
            assert_eq!(by_name(&storage, company, &filter, limit).await, expected, "{filter:?} {limit}");
        }
    }
    assert_eq!(by_name(&storage, other, &MemberFilter::default(), 2).await, [users[1], users[0]]);
    // The position of a member who has left lies between the others.
    let after = MemberPosition { name: Some("anna".to_owned()), user: users[8] };
    let all = MemberFilter::default();
    let rest = storage.reader().members().list_by_name(company, &all, Some(&after), 1).await.unwrap();
    assert_eq!(rest[0].user, users[7]);
    let by_id = storage.reader().members().list(company, &all, crate::Direction::Ascending, Some(users[6]), 1).await;
    assert_eq!(rest, by_id.unwrap());
}
