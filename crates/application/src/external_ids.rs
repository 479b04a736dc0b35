//! Looks up the stored external ids of users.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{ExternalId, UserId};
use iam_storage::Users;

use crate::Failure;

/// Returns the stored external ids of these users. Users of the native issuer have no external id and are not looked
/// up.
pub(crate) async fn external_ids(
    stored: &dyn Users,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, ExternalId>, Failure> {
    let users: BTreeSet<_> = users.filter(UserId::is_service_generated).collect();
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = stored.find(&users.into_iter().collect::<Vec<_>>()).await?;
    Ok(stored.into_iter().filter_map(|user| Some((user.id, user.external_id?))).collect())
}
