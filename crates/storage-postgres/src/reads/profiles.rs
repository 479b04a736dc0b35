//! Reads of the profiles of users.

use async_trait::async_trait;
use iam_domain::{CompanyId, UserId, UserProfile};
use iam_storage::{Result, UserProfiles};
use uuid::Uuid;

use crate::entities::{columns, user_profiles};
use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::statement;

#[async_trait]
impl<T: Executor> UserProfiles for Repository<T> {
    async fn find(&self, company: CompanyId, users: &[UserId]) -> Result<Vec<UserProfile>> {
        operation("user_profiles.find", async {
            // `OFFSET 0` (an optimization fence) makes the plan look up each profile by its key.
            let sql = format!(
                "SELECT {} FROM (SELECT DISTINCT unnest($2::uuid[]) AS id) AS asked, LATERAL (
                SELECT {} FROM user_profiles AS own WHERE company_id = $1 AND user_id = asked.id OFFSET 0
            ) AS profile ORDER BY profile.user_id",
                columns::<user_profiles::Entity>("profile"),
                columns::<user_profiles::Entity>("own")
            );
            let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
            let find = self.for_company(company, statement(sql, [company.as_uuid().into(), ids.into()]));
            self.query::<user_profiles::Model, _>(find).await
        })
        .await
    }

    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserProfile>> {
        operation("user_profiles.find_all", async {
            let sql = format!(
                "SELECT {} FROM user_profiles AS own WHERE company_id = $1 ORDER BY user_id",
                columns::<user_profiles::Entity>("own")
            );
            let find = self.for_company(company, statement(sql, [company.as_uuid().into()]));
            self.query::<user_profiles::Model, _>(find).await
        })
        .await
    }
}
