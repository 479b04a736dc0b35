//! Tests of the guards for users whose assignments start and end at different times: a change has another effect in each
//! interval, and the guards check its effect in all of them.

use std::time::Duration;

use iam_domain::{Timestamp, UserId};
use iam_identity::system_clock;
use serde_json::{Value, json};

use super::delegation::{allow, delegate, deny, held, put_levels, put_matrix};
use crate::support::api::{Company, Request, TestApi, both_adapters, new_user};

fn one(user: UserId, level: &str) -> String {
    format!("/api/iam/users/{user}/user-levels/{level}")
}

fn assign(api: &TestApi, company: Company, user: UserId, level: &str, period: &Value) -> Request {
    api.put(&one(user, level)).within(company.id).json(period)
}

fn remove(api: &TestApi, company: Company, user: UserId, level: &str) -> Request {
    api.delete(&one(user, level)).within(company.id)
}

/// Returns the times in this number of hours.
fn hours<const N: usize>(from_now: [u32; N]) -> [Timestamp; N] {
    let now = system_clock().now();
    from_now.map(|hours| now.plus(Duration::from_secs(3600) * hours))
}

/// Creates a level with these cells of features.
async fn level_with(api: &TestApi, company: Company, name: &str, cells: &[Value]) -> String {
    let level = api.new_level(company, name).await;
    api.set_matrix(company, &level, "features", json!(cells)).await;
    level
}

/// Returns the denies of the administrative permissions.
async fn denies(api: &TestApi) -> [Value; 3] {
    [
        deny(api, "iam.manage_levels", "Update").await,
        deny(api, "iam.assign_permissions", "Update").await,
        deny(api, "iam.assign_permissions", "Approve").await,
    ]
}

both_adapters! {
    /// A caller cannot grant a permission for a time in which the user does not hold it otherwise: neither by an
    /// assignment that begins before or ends after another one, nor by removing a deny that no other assignment replaces
    /// at that time. A caller with a temporary level cannot extend it.
    async fn an_overlapping_assignment_hides_no_grant(api: TestApi) {
        let company = api.company().await;
        let [soon, later, last] = hours([1, 2, 80_000]);
        let by_admin = async |user: UserId, level: &str, period: Value| {
            assign(&api, company, user, level, &period).by(company.admin).send().await.expect(200);
        };
        let read = [allow(&api, "general.read", "Read", "company").await];
        let first = level_with(&api, company, "First", &read).await;
        let second = level_with(&api, company, "Second", &read).await;
        let denied = [deny(&api, "general.read", "Read").await];
        let now_denied = level_with(&api, company, "Denied now", &denied).await;
        let later_denied = level_with(&api, company, "Denied later", &denied).await;
        let (caller, _) = delegate(&api, company, &[], &[]).await;
        let refused = async |request: Request, by: UserId| {
            let answer = request.by(by).send().await;
            assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (403, &json!("not_held")));
        };

        let (ending, starting, held_back) = (new_user(), new_user(), new_user());
        by_admin(ending, &first, json!({ "expiresAt": soon })).await;
        by_admin(caller, &first, json!({ "expiresAt": soon })).await;
        by_admin(starting, &first, json!({ "startsAt": soon })).await;
        for user in [ending, starting, caller] {
            refused(assign(&api, company, user, &second, &json!({ "expiresAt": later })), caller).await;
            let add = json!([{ "userId": user, "userLevelId": second, "expiresAt": later }]);
            refused(api.post("/api/iam/assignments").within(company.id).json(&json!({ "add": add })), caller).await;
        }
        refused(assign(&api, company, ending, &first, &json!({ "expiresAt": later })), caller).await;
        // An assignment within the period of another one grants nothing.
        assign(&api, company, ending, &second, &json!({ "expiresAt": soon })).by(caller).send().await.expect(200);

        by_admin(held_back, &first, json!({ "expiresAt": later })).await;
        by_admin(held_back, &now_denied, json!({})).await;
        let from_then_on = assign(&api, company, held_back, &later_denied, &json!({ "startsAt": last }));
        from_then_on.by(caller).send().await.expect(200);
        refused(remove(&api, company, held_back, &now_denied), caller).await;

        let admin = api.level_id(company, "Admin").await;
        let rights = [
            allow(&api, "iam.manage_levels", "Update", "company").await,
            allow(&api, "iam.assign_permissions", "Update", "company").await,
            allow(&api, "iam.assign_permissions", "Approve", "company").await,
        ];
        let manager = level_with(&api, company, "Manager", &rights).await;
        let temporary = new_user();
        by_admin(temporary, &admin, json!({ "expiresAt": soon })).await;
        refused(assign(&api, company, temporary, &manager, &json!({ "expiresAt": last })), temporary).await;
    }

    /// A caller without Approve cannot revoke an administrative permission of another user for a time in which no other
    /// assignment grants it.
    async fn an_overlapping_assignment_hides_no_revocation(api: TestApi) {
        let company = api.company().await;
        let [soon, later] = hours([1, 2]);
        let (caller, managing) = delegate(&api, company, &[], &[]).await;
        let admin = api.level_id(company, "Admin").await;
        let (rising, falling) = (new_user(), new_user());
        for (user, level, period) in [
            (rising, &managing, json!({ "expiresAt": later })),
            (rising, &admin, json!({ "startsAt": soon })),
            (falling, &managing, json!({ "expiresAt": later })),
            (falling, &admin, json!({ "expiresAt": soon })),
        ] {
            assign(&api, company, user, level, &period).by(company.admin).send().await.expect(200);
        }
        for request in [
            remove(&api, company, rising, &managing),
            put_levels(&api, company, rising, &[&admin]),
            assign(&api, company, rising, &managing, &json!({ "startsAt": soon })),
            remove(&api, company, falling, &managing),
            assign(&api, company, falling, &managing, &json!({ "expiresAt": soon })),
        ] {
            let answer = request.by(caller).send().await;
            assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (403, &json!("protected")));
        }
        // Another assignment grants the permission until then.
        let [sooner] = hours([1]);
        assign(&api, company, rising, &managing, &json!({ "expiresAt": sooner.plus(Duration::from_secs(60)) }))
            .by(caller)
            .send()
            .await
            .expect(200);
    }

    /// The last administrator is protected from a deny that begins later: a level that is assigned from later on cannot
    /// receive denies, and an administrator with such a level does not count as the one who remains.
    async fn denies_that_begin_later_leave_an_administrator(api: TestApi) {
        let company = api.company().await;
        let ([soon], denied) = (hours([1]), denies(&api).await);
        let starts = json!({ "startsAt": soon });
        let own = api.new_level(company, "Own").await;
        assign(&api, company, company.admin, &own, &starts).by(company.admin).send().await.expect(200);
        put_matrix(&api, company, &own, "features", &denied).by(company.admin).send().await.expect(409);

        let (admin, second) = (api.level_id(company, "Admin").await, new_user());
        assign(&api, company, second, &admin, &json!({})).by(company.admin).send().await.expect(200);
        let denying = level_with(&api, company, "Denying", &denied).await;
        assign(&api, company, company.admin, &denying, &starts).by(second).send().await.expect(200);
        for request in [
            remove(&api, company, second, &admin),
            put_levels(&api, company, second, &[]),
            api.delete(&format!("/api/iam/users/{second}")).within(company.id),
            assign(&api, company, second, &admin, &json!({ "expiresAt": soon })),
            assign(&api, company, second, &denying, &starts),
        ] {
            request.by(company.admin).send().await.expect(409);
        }
        let body = json!({ "method": "DELETE", "path": one(second, &admin) });
        let previewed = api.post("/api/iam/previews").by(company.admin).within(company.id).json(&body).send().await;
        assert_eq!(previewed.expect(200).data()["status"], 409);
        // The restoration revokes levels that deny later, too.
        let forced = format!("/api/iam/users/{second}?force=true");
        api.delete(&forced).by_super_admin().within(company.id).send().await.expect(200);
        let restore = json!({ "adminUserId": company.admin, "restoreAdmin": true });
        let path = format!("/api/iam/companies/{}/provision", company.id);
        api.post(&path).by_super_admin().json(&restore).send().await.expect(200);
        assert_eq!(held(&api, company, company.admin).await, ["Admin", "Own"]);
    }
}
