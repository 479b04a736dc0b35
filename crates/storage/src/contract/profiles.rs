//! Test cases for the profiles of users.

use std::sync::Arc;

use iam_domain::{CompanyId, Email, EntityType, Label, ProfileSource, SessionId, Url, UserId, UserProfile};
use serde_json::json;

use super::fixtures::{at, change, name, records_about, some_company, some_user, unique};
use crate::{Forgotten, NewTrailEntry, Storage};

/// Returns a profile with this name, whose source is the API.
pub(super) fn profile(company: CompanyId, user: UserId, text: &str) -> UserProfile {
    UserProfile {
        company_id: company,
        user_id: user,
        display_name: Some(name(text)),
        email: Some(Email::parse(format!("{text}@example.com")).unwrap()),
        source: ProfileSource::Api,
        created_at: at(1),
        updated_at: at(1),
    }
}

async fn stored(storage: &Arc<dyn Storage>, company: CompanyId, users: &[UserId]) -> Vec<UserProfile> {
    storage.reader().user_profiles().find(company, users).await.unwrap()
}

/// A profile is read as written. Replacing it returns the previous profile and preserves the time of its creation.
/// Replacing it with an equal profile changes nothing. The audit records contain no names and no e-mail addresses.
pub async fn a_profile_is_read_as_written(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    assert_eq!(stored(&storage, company, &[user]).await, []);
    let first = profile(company, user, "Ada");
    let put = async |profile: &UserProfile| change!(storage, company, tx => tx.user_profiles_mut().replace(profile));
    assert_eq!(put(&first).await.unwrap(), None);
    assert_eq!(stored(&storage, company, &[user]).await, [first.clone()]);
    let later = UserProfile { created_at: at(9), updated_at: at(9), ..first.clone() };
    assert_eq!(put(&later).await.unwrap(), Some(first.clone()));
    assert_eq!(stored(&storage, company, &[user]).await, [first.clone()]);
    let second = UserProfile { display_name: None, source: ProfileSource::Token, ..later };
    assert_eq!(put(&second).await.unwrap(), Some(first));
    assert_eq!(stored(&storage, company, &[user]).await, [UserProfile { created_at: at(1), ..second }]);
    let records = records_about(&storage, Some(company), EntityType::User, user.as_uuid()).await;
    assert!(records.iter().all(|record| record.action == "user.profile_updated"));
    let changes: Vec<_> = records.into_iter().map(|record| record.changes.unwrap()).collect();
    let expected = [
        json!({ "fields": ["displayName", "email", "source"], "source": "api" }),
        json!({ "fields": ["displayName", "source"], "source": "token" }),
    ];
    assert_eq!(changes, expected);
}

/// The profiles of several users are ordered by user id. Each company has its own profile of a user.
pub async fn profiles_of_two_companies_are_separate(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let (one, two, absent) = (some_user(), some_user(), some_user());
    let (of_one, of_two) = (profile(company, one, "One"), profile(company, two, "Two"));
    let elsewhere = profile(other, one, "Elsewhere");
    for profile in [&of_two, &of_one, &elsewhere] {
        let company = profile.company_id;
        change!(storage, company, tx => tx.user_profiles_mut().replace(profile)).unwrap();
    }
    assert_eq!(stored(&storage, company, &[two, absent, one, two]).await, [of_one.clone(), of_two.clone()]);
    assert_eq!(stored(&storage, other, &[one, two]).await, [elsewhere.clone()]);
    let forgotten = change!(storage, company, tx => tx.user_profiles_mut().forget(company, one)).unwrap();
    assert_eq!(forgotten.profile, Some(of_one));
    assert_eq!(stored(&storage, company, &[one, two]).await, [of_two]);
    assert_eq!(stored(&storage, other, &[one]).await, [elsewhere]);
}

/// Forgetting a user deletes the user's profile and navigation trail in one company, and records their numbers.
pub async fn a_forgotten_user_has_no_profile_and_no_trail(storage: Arc<dyn Storage>) {
    let (company, other, user, neighbour) = (some_company(), some_company(), some_user(), some_user());
    let step = |company, user| NewTrailEntry {
        user_id: user,
        company_id: company,
        session_id: SessionId::parse(unique("session")).unwrap(),
        view_id: None,
        url: Url::parse("/a").unwrap(),
        label: Label::parse("A").unwrap(),
    };
    for (company, user) in [(company, user), (company, user), (company, neighbour), (other, user)] {
        storage.nav_trail().track(&step(company, user)).await.unwrap();
    }
    let steps = async |company, user| storage.nav_trail().find_recent(company, user, 10).await.unwrap().len();
    let forget = async || change!(storage, company, tx => tx.user_profiles_mut().forget(company, user)).unwrap();
    assert_eq!(forget().await, Forgotten { profile: None, trail: 2 });
    assert_eq!(forget().await, Forgotten::default());
    assert_eq!((steps(company, user).await, steps(company, neighbour).await, steps(other, user).await), (0, 1, 1));
    let records = records_about(&storage, Some(company), EntityType::User, user.as_uuid()).await;
    let recorded: Vec<_> = records.into_iter().map(|record| (record.action, record.changes.unwrap())).collect();
    assert_eq!(recorded, [("user.data_deleted".to_owned(), json!({ "profile": false, "trail": 2 }))]);
}
