//! Write operations on the profiles of users.

use async_trait::async_trait;
use iam_domain::{CompanyId, UserId, UserProfile};
use iam_storage::{Forgotten, Result, Target, UserProfilesMut};

use crate::repository::Repository;
use crate::unit_of_work::Unit;

#[async_trait]
impl UserProfilesMut for Repository<Unit> {
    async fn replace(&mut self, profile: &UserProfile) -> Result<Option<UserProfile>> {
        self.0.change(Target::Company(profile.company_id), |unit| {
            let profiles = &mut unit.work.company_mut(profile.company_id).profiles;
            let before = profiles.get(&profile.user_id).cloned();
            let created_at = before.as_ref().map_or(profile.created_at, |before| before.created_at);
            let content = |profile: &UserProfile| (profile.display_name.clone(), profile.email.clone(), profile.source);
            if before.as_ref().map(content) != Some(content(profile)) {
                profiles.insert(profile.user_id, UserProfile { created_at, ..profile.clone() });
                unit.recorder.profile_replaced(before.as_ref(), profile);
            }
            Ok(before)
        })
    }

    async fn forget(&mut self, company: CompanyId, user: UserId) -> Result<Forgotten> {
        self.0.change(Target::Company(company), |unit| {
            let profile = unit.work.company_mut(company).profiles.remove(&user);
            let trail = unit.auxiliary().trail_len(company, Some(user));
            unit.removed.trails.insert((company, user));
            let forgotten = Forgotten { profile, trail };
            unit.recorder.user_forgotten(user, &forgotten);
            Ok(forgotten)
        })
    }
}
