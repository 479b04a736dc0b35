//! A company that floods the service does not take it from other companies, and its attacker can be cut off.

mod postgres {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use iam_domain::{CompanyId, UserId};
    use serde_json::{Value, json};

    use super::super::persistence::{authorization, start, super_admin};
    use crate::support::api::{new_company, new_user};
    use crate::support::client::Connection;
    use crate::support::database::{Content, TestDatabase};
    use crate::support::process::{ServerProcess, wait_until};

    /// Number of decisions and of changes that the other company requests during the flood.
    const REQUESTS: usize = 50;

    /// A caller in a company.
    struct Caller<'a> {
        server: &'a ServerProcess,
        authorization: String,
        company: CompanyId,
    }

    impl Caller<'_> {
        fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
            let company = self.company.to_string();
            let headers = [("authorization", self.authorization.as_str()), ("x-company-id", company.as_str())];
            let answer = self.server.request(method, path, &headers, body);
            (answer.status.as_u16(), answer.json())
        }

        fn check(&self) -> u16 {
            self.ask("POST", "/api/iam/check", Some(&json!({ "view": "/dashboard" }))).0
        }

        fn rename(&self, level: &str) -> u16 {
            let body = json!({ "description": new_user().to_string() });
            self.ask("PATCH", &format!("/api/iam/user-levels/{level}"), Some(&body)).0
        }

        fn level(&self) -> String {
            let levels = self.ask("GET", "/api/iam/user-levels", None).1;
            levels["data"]["userLevels"][0]["id"].as_str().unwrap().to_owned()
        }
    }

    /// Provisions a company and returns its administrator.
    fn administrator(server: &ServerProcess) -> (UserId, Caller<'_>) {
        let (admin, company) = (new_user(), new_company());
        let platform = Caller { server, authorization: super_admin(), company };
        let path = format!("/api/iam/companies/{company}/provision");
        assert_eq!(platform.ask("POST", &path, Some(&json!({ "adminUserId": admin }))).0, 201);
        (admin, Caller { server, authorization: authorization(admin, false), company })
    }

    /// Sends a request of the attacker: loads, an expensive read, a change, or a body that never ends. The connections with
    /// such bodies are kept in `parked`. Returns the status of the response, if there is one.
    fn attack(attacker: &Caller<'_>, level: &str, turn: usize, parked: &mut Vec<Connection>) -> Option<u16> {
        match turn % 4 {
            0 => {
                let checks: Vec<_> = (0..500).map(|_| json!({ "view": "/dashboard", "userId": new_user() })).collect();
                Some(attacker.ask("POST", "/api/iam/checks", Some(&json!({ "checks": checks }))).0)
            }
            1 => Some(attacker.ask("GET", "/api/iam/audit-logs?includeTotal=true&limit=200", None).0),
            2 => Some(attacker.rename(level)),
            _ => {
                let mut connection = Connection::open(attacker.server.address).ok()?;
                let headers = format!(
                    "authorization: {}\r\nx-company-id: {}\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n",
                    attacker.authorization, attacker.company
                );
                let _ = connection.request("POST", "/api/iam/check", &headers, "");
                let _ = connection.send(&[b' '; 200_000]);
                parked.truncate(20);
                parked.insert(0, connection);
                None
            }
        }
    }

    /// While the administrator of one company floods the service, all requests of another company succeed, and the
    /// memory of the process stays far below the limit of the manifests. A super admin cuts the attacker off at the first
    /// attempt.
    #[test]
    fn a_company_that_floods_the_service_affects_no_other_company() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let server = start(&[("DATABASE_URL", database.url())]);
        let (attacking, attacker) = administrator(&server);
        let (_, victim) = administrator(&server);
        let (theirs, ours) = (attacker.level(), victim.level());
        let (stop, seen) = (AtomicBool::new(false), Mutex::new(BTreeMap::<u16, usize>::new()));
        std::thread::scope(|scope| {
            for thread in 0..12 {
                let (attacker, theirs, stop, seen) = (&attacker, &theirs, &stop, &seen);
                scope.spawn(move || {
                    let mut parked = Vec::new();
                    for turn in thread.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        if let Some(status) = attack(attacker, theirs, turn, &mut parked) {
                            *seen.lock().unwrap().entry(status).or_default() += 1;
                        }
                    }
                });
            }
            wait_until(|| seen.lock().unwrap().contains_key(&429).then_some(()));
            let statuses: Vec<_> = (0..REQUESTS).flat_map(|_| [victim.check(), victim.rename(&ours)]).collect();
            let cut_off = Caller { server: &server, authorization: super_admin(), company: victim.company };
            let path = format!("/api/iam/users/{attacking}/not-before");
            let answer = cut_off.ask("PUT", &path, Some(&json!({}))).0;
            wait_until(|| seen.lock().unwrap().contains_key(&401).then_some(()));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(statuses, [200; 2 * REQUESTS]);
            assert_eq!(answer, 200);
        });
        assert!(server.peak_memory_mebibytes() < 300, "{}", server.peak_memory_mebibytes());
        server.stop();
    }
}
