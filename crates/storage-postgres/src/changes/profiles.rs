//! Changes to the profiles of users.

use async_trait::async_trait;
use iam_domain::{CompanyId, UserId, UserProfile, folded};
use iam_storage::{Forgotten, Result, Target, UserProfiles, UserProfilesMut};

use super::Unit;
use crate::entities::{columns, user_profiles};
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::statement;

#[async_trait]
impl UserProfilesMut for Repository<Unit> {
    async fn replace(&mut self, profile: &UserProfile) -> Result<Option<UserProfile>> {
        operation("user_profiles.replace", async {
            self.change(Target::Company(profile.company_id), async |unit| {
                let before = unit.find(profile.company_id, &[profile.user_id]).await?.pop();
                let content =
                    |profile: &UserProfile| (profile.display_name.clone(), profile.email.clone(), profile.source);
                if before.as_ref().map(content) == Some(content(profile)) {
                    return Ok(before);
                }
                let sql =
                    "INSERT INTO user_profiles (company_id, user_id, display_name, email, name_folded, email_folded,
                    source, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                ON CONFLICT (company_id, user_id) DO UPDATE SET display_name = excluded.display_name,
                    email = excluded.email, name_folded = excluded.name_folded, email_folded = excluded.email_folded,
                    source = excluded.source, updated_at = excluded.updated_at";
                let (name, email) = (profile.display_name.as_ref(), profile.email.as_ref());
                let values = [
                    profile.company_id.as_uuid().into(),
                    profile.user_id.as_uuid().into(),
                    name.map(ToString::to_string).into(),
                    email.map(ToString::to_string).into(),
                    name.map(|name| folded(name.as_str())).into(),
                    email.map(|email| folded(email.as_str())).into(),
                    profile.source.as_str().into(),
                    profile.created_at.as_datetime().into(),
                    profile.updated_at.as_datetime().into(),
                ];
                unit.execute(statement(sql, values)).await?;
                unit.0.recorder.profile_replaced(before.as_ref(), profile);
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn forget(&mut self, company: CompanyId, user: UserId) -> Result<Forgotten> {
        operation("user_profiles.forget", async {
            self.change(Target::Company(company), async |unit| {
                let values = || [company.as_uuid().into(), user.as_uuid().into()];
                let sql = format!(
                    "DELETE FROM user_profiles AS gone WHERE company_id = $1 AND user_id = $2 RETURNING {}",
                    columns::<user_profiles::Entity>("gone")
                );
                let profile = unit.query_one::<user_profiles::Model, _>(statement(sql, values())).await?;
                let sql = "DELETE FROM nav_trail WHERE company_id = $1 AND user_id = $2";
                let trail = unit.execute(statement(sql, values())).await?;
                let forgotten = Forgotten { profile, trail };
                unit.0.recorder.user_forgotten(user, &forgotten);
                Ok(forgotten)
            })
            .await
        })
        .await
    }
}
