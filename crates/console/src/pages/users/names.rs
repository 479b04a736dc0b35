//! Reads the display names of users.

use std::collections::BTreeSet;

use iam_application::Requirement;
use iam_domain::UserId;

use super::effect::People;
use crate::authorized::{Authorized, Policy};
use crate::error::PageError;

/// Returns the display names of these users, as far as they have profiles that the person may read.
pub(crate) async fn names_of<P: Policy>(page: &Authorized<P>, users: BTreeSet<UserId>) -> Result<People, PageError> {
    if !page.meets(Requirement::ReadProfiles).await? {
        return Ok(People::new());
    }
    Ok(page.application().display_names(page.company, &users).await?)
}
