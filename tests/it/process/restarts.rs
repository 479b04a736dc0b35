//! Tests of rolling restarts: two replicas behind a load balancer that never retries a request. No request fails.

pub(super) mod postgres {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use crate::process::persistence::{start, super_admin};
    use crate::support::api::new_company;
    use crate::support::client::Connection;
    use crate::support::database::{Content, TestDatabase};
    use crate::support::haproxy::HaProxy;
    use crate::support::process::{ServerProcess, wait_until};

    /// The number of clients that send requests during all restarts.
    const CLIENTS: usize = 4;
    /// The number of requests that must succeed between two restarts.
    const REQUESTS: usize = 20;

    /// Returns the number of restarts. `make chaos-restart` sets a larger number than `make test`.
    fn restarts() -> usize {
        #[expect(clippy::disallowed_methods, reason = "`make chaos-restart` sets the number of restarts")]
        let configured = std::env::var("IAM_RESTARTS").ok();
        configured.map_or(5, |number| number.parse().expect("IAM_RESTARTS must be a number"))
    }

    fn replica(database: &TestDatabase) -> ServerProcess {
        start(&[
            ("DATABASE_URL", database.url()),
            ("IAM__SERVER__DRAIN_DELAY", "4s"),
            ("IAM__SERVER__WORKERS", "2"),
            ("IAM__DATABASE__MAX_CONNECTIONS", "4"),
        ])
    }

    /// Sends checks, lists and changes until `stop` is set, each on a connection that is kept if the load balancer keeps
    /// it. Returns the failures.
    pub(in crate::process) fn send_requests(
        address: SocketAddr,
        stop: &AtomicBool,
        succeeded: &AtomicUsize,
    ) -> Vec<String> {
        let headers = format!("authorization: {}\r\nx-company-id: {}\r\n", super_admin(), new_company());
        let mut failures = Vec::new();
        let mut kept: Option<Connection> = None;
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let level = json!({ "name": format!("Level {number}") }).to_string();
            let check = json!({ "view": "/dashboard" }).to_string();
            let (method, path, body, expected) = match number % 20 {
                0 => ("POST", "/api/iam/user-levels", level, 201),
                1..10 => ("GET", "/api/iam/user-levels?limit=5", String::new(), 200),
                _ => ("POST", "/api/iam/check", check, 200),
            };
            let open = kept.take().filter(Connection::is_open);
            let answer = open.map_or_else(|| Connection::open(address), Ok).and_then(|mut connection| {
                connection.request(method, path, &headers, &body)?;
                let answer = connection.answer()?;
                kept = (!answer.closes()).then_some(connection);
                Ok(answer)
            });
            match answer {
                Ok(answer) if answer.status == expected => {
                    succeeded.fetch_add(1, Ordering::Relaxed);
                }
                outcome => failures.push(format!("{method} {path}: {outcome:?}")),
            }
            // The load leaves processor time to the parallel tests.
            thread::sleep(Duration::from_millis(10));
        }
        failures
    }

    #[actix_web::test]
    async fn restarting_one_of_two_replicas_fails_no_request() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut replicas = [replica(&database), replica(&database)];
        let balancer = HaProxy::of(&replicas.each_ref().map(|replica| replica.address));
        let is_up = |number| wait_until(|| balancer.is_up(number).then_some(()));
        (0..replicas.len()).for_each(is_up);
        let (stop, succeeded) = (AtomicBool::new(false), AtomicUsize::new(0));
        let failures = thread::scope(|scope| {
            let client = || send_requests(balancer.address, &stop, &succeeded);
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let more_succeed = || {
                let enough = succeeded.load(Ordering::Relaxed) + REQUESTS;
                // A client ends early if a response does not conform to the API, such as an error of the load balancer.
                let has_ended = || clients.iter().any(|client| client.is_finished());
                wait_until(|| (succeeded.load(Ordering::Relaxed) >= enough || has_ended()).then_some(()));
            };
            more_succeed();
            for number in 0..restarts() {
                let number = number % replicas.len();
                let old = std::mem::replace(&mut replicas[number], replica(&database));
                // As in a rolling update without surge, the new process joins after the old one has ended.
                old.stop();
                more_succeed();
                balancer.move_replica(number, replicas[number].address);
                is_up(number);
                more_succeed();
            }
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        println!("{} restarts, {} requests, {} failed", restarts(), succeeded.into_inner(), failures.len());
        assert_eq!(failures, Vec::<String>::new());
    }
}
