//! Reads the display names of users.

use std::collections::BTreeSet;

use iam_application::{Failure, Requirement};
use iam_domain::UserId;

use super::effect::People;
use crate::authorized::{Authorized, Policy};
use crate::error::PageError;

/// Maximum number of names that are read for one page.
const MOST: usize = 40;

/// Returns the display names of these users, as far as they have profiles that the person may read.
pub(crate) async fn names_of<P: Policy>(page: &Authorized<P>, users: BTreeSet<UserId>) -> Result<People, PageError> {
    let mut people = People::new();
    if !page.meets(Requirement::ReadProfiles).await? {
        return Ok(people);
    }
    for user in users.into_iter().take(MOST) {
        let profile = match page.application().user_profile(page.company, user).await {
            Ok(profile) => profile,
            Err(Failure::NotFound(_)) => None,
            Err(failure) => return Err(failure.into()),
        };
        people.extend(profile.and_then(|profile| profile.display_name).map(|name| (user, name)));
    }
    Ok(people)
}
