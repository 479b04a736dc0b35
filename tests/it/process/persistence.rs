//! Tests of durability: data in a database survives a restart, and data in memory does not.

use std::time::Duration;

use iam_domain::{CompanyId, UserId};
use iam_identity::{TokenSigner, system_clock};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::api::{new_company, new_user, now};
use crate::support::process::{ServerProcess, wait_until};

pub(crate) const SECRET: &str = "a perfectly private secret of the tests, long enough";

/// Returns an `Authorization` header of a new super admin, with a token that a server from [`start`] accepts.
pub(crate) fn super_admin() -> String {
    authorization(new_user(), true)
}

/// Returns an `Authorization` header of this user, with a token that a server from [`start`] accepts.
pub(crate) fn authorization(user: UserId, is_super_admin: bool) -> String {
    let token = TokenSigner::hs256(&SecretString::from(SECRET)).sign(user, is_super_admin, now(), 3600).unwrap();
    format!("Bearer {token}")
}

/// Starts a server that accepts tokens signed with [`SECRET`], and waits until it is ready.
pub(crate) fn start(environment: &[(&str, &str)]) -> ServerProcess {
    let mut all = vec![("JWT_SECRET", SECRET)];
    all.extend_from_slice(environment);
    let server = ServerProcess::start(&[], &all);
    wait_until(|| (server.get("/readyz").status == 200).then_some(()));
    server
}

fn level_names(server: &ServerProcess, company: CompanyId) -> Vec<String> {
    let (token, company) = (super_admin(), company.to_string());
    let headers = [("authorization", token.as_str()), ("x-company-id", company.as_str())];
    let answer = server.request("GET", "/api/iam/user-levels", &headers, None).json();
    let levels = answer["data"]["userLevels"].as_array().unwrap();
    levels.iter().map(|level| level["name"].as_str().unwrap().to_owned()).collect()
}

fn audit(server: &ServerProcess, company: CompanyId) -> Value {
    let (token, company) = (super_admin(), company.to_string());
    let headers = [("authorization", token.as_str()), ("x-company-id", company.as_str())];
    server.request("GET", "/api/iam/audit-logs", &headers, None).json()["data"]["logs"].take()
}

fn create_level(server: &ServerProcess, company: CompanyId, name: &str) {
    let (token, company) = (super_admin(), company.to_string());
    let headers = [("authorization", token.as_str()), ("x-company-id", company.as_str())];
    let answer = server.request("POST", "/api/iam/user-levels", &headers, Some(&json!({ "name": name })));
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

#[test]
fn in_memory_mode_a_restart_loses_all_data() {
    let company = new_company();
    let server = start(&[]);
    create_level(&server, company, "Auditors");
    assert_eq!(level_names(&server, company), ["Auditors"]);
    server.stop();
    let server = start(&[]);
    assert!(level_names(&server, company).is_empty());
}

/// The server removes expired assignments in the background, and records the removal as the system.
#[test]
fn expired_assignments_are_removed_in_the_background() {
    let server = start(&[("IAM__ASSIGNMENTS__SWEEP_INTERVAL", "1s"), ("IAM__ASSIGNMENTS__KEEP_EXPIRED", "0")]);
    let company = new_company();
    create_level(&server, company, "Auditors");
    let (token, id) = (super_admin(), company.to_string());
    let headers = [("authorization", token.as_str()), ("x-company-id", id.as_str())];
    let levels = server.request("GET", "/api/iam/user-levels", &headers, None).json();
    let level = levels["data"]["userLevels"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/iam/users/{}/user-levels/{level}", new_user());
    let ends = json!({ "expiresAt": system_clock().now().plus(Duration::from_secs(3)) });
    let answer = server.request("PUT", &path, &headers, Some(&ends));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let newest = wait_until(|| {
        let newest = audit(&server, company)[0].take();
        (newest["action"] == "assignment.expired").then_some(newest)
    });
    assert_eq!((&newest["actorKind"], &newest["changes"]["removed"]), (&json!("system"), &json!([level])));
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase};

    #[actix_web::test]
    async fn changes_and_audit_records_survive_a_restart() {
        let database = TestDatabase::new(Content::Seeded).await;
        let environment = [("DATABASE_URL", database.url())];
        let company = new_company();
        let server = start(&environment);
        create_level(&server, company, "Auditors");
        create_level(&server, company, "Bookkeepers");
        let before = audit(&server, company);
        assert_eq!(before.as_array().unwrap().len(), 2);
        server.stop();
        let server = start(&environment);
        assert_eq!(level_names(&server, company), ["Auditors", "Bookkeepers"]);
        assert_eq!(audit(&server, company), before);
    }

    /// The removal of expired assignments continues until none is left, although one call removes only 500 of them.
    #[actix_web::test]
    async fn all_expired_assignments_are_removed_at_the_start() {
        let database = TestDatabase::new(Content::Seeded).await;
        let url = [("DATABASE_URL", database.url())];
        let company = new_company();
        let server = start(&url);
        create_level(&server, company, "Auditors");
        let (token, id) = (super_admin(), company.to_string());
        let headers = [("authorization", token.as_str()), ("x-company-id", id.as_str())];
        let levels = server.request("GET", "/api/iam/user-levels", &headers, None).json();
        let level = levels["data"]["userLevels"][0]["id"].as_str().unwrap().to_owned();
        let ends = system_clock().now().plus(Duration::from_secs(3));
        let add: Vec<_> =
            (0..501).map(|_| json!({ "userId": new_user(), "userLevelId": level, "expiresAt": ends })).collect();
        let answer = server.request("POST", "/api/iam/assignments", &headers, Some(&json!({ "add": add })));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let path = format!("/api/iam/user-levels/{level}/users?limit=1&total=true");
        let holders = |server: &ServerProcess| server.request("GET", &path, &headers, None).json()["data"].take();
        assert_eq!(holders(&server)["total"], 501);
        wait_until(|| holders(&server).to_string().contains(r#""state":"expired""#).then_some(()));
        server.stop();
        let often = [url[0], ("IAM__ASSIGNMENTS__SWEEP_INTERVAL", "1h"), ("IAM__ASSIGNMENTS__KEEP_EXPIRED", "0")];
        let server = start(&often);
        wait_until(|| (holders(&server)["total"] == 0).then_some(()));
    }

    #[actix_web::test]
    async fn data_in_the_database_survives_a_temporary_switch_to_memory_mode() {
        let database = TestDatabase::new(Content::Seeded).await;
        let company = new_company();
        let server = start(&[("DATABASE_URL", database.url())]);
        create_level(&server, company, "Auditors");
        server.stop();
        let rolled_back = start(&[("DATABASE_URL", database.url()), ("USE_DATABASE", "false")]);
        assert!(level_names(&rolled_back, company).is_empty());
        rolled_back.stop();
        let server = start(&[("DATABASE_URL", database.url())]);
        assert_eq!(level_names(&server, company), ["Auditors"]);
    }
}
