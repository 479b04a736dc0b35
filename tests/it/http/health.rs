//! Tests of the health checks and of the probes of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use iam_application::{HealthProbe, Readiness, ReadinessCheck, ReadinessProblem, ReadinessReason, SchemaVersions};
use iam_http::Services;
use iam_identity::{TokenVerifier, system_clock};
use serde_json::json;

use crate::support::api::{both_adapters, fields, get_from, is_time, secret};

/// A health probe that reports the storage as unavailable, with a problem that may block requests.
struct Broken {
    is_blocking: bool,
    /// The number of pings of the storage.
    pings: AtomicUsize,
}

#[async_trait::async_trait]
impl HealthProbe for Broken {
    async fn storage_is_healthy(&self) -> bool {
        self.pings.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn readiness(&self) -> Readiness {
        let text = "not reached yet".to_owned();
        let problem = ReadinessProblem { reason: ReadinessReason::FirstContact, text, is_blocking: self.is_blocking };
        let schema = SchemaVersions { min: "m2".to_owned(), max: None, found: Some("m3".to_owned()) };
        Readiness {
            checks: vec![
                ReadinessCheck { name: "storage", problem: Some(problem), schema: None },
                ReadinessCheck { name: "schema", problem: None, schema: Some(schema) },
            ],
        }
    }
}

both_adapters! {
    /// Health checks require no token. Without `verbose`, their responses contain no details.
    async fn the_health_response_has_the_documented_shape(api: TestApi) {
        let data = api.get("/health").send().await.expect(200).json();
        assert_eq!(fields(&data), ["status", "timestamp"]);
        assert_eq!(data["status"], "ok");
        assert!(is_time(&data["timestamp"]));
        assert_eq!(api.get("/health/db").send().await.expect(200).json(), json!({ "healthy": true }));
        for path in ["/livez", "/readyz"] {
            assert_eq!(api.get(path).send().await.expect(200).json(), json!({ "status": "ok" }));
            let verbose = json!({ "status": "ok", "checks": [] });
            for query in ["?verbose", "?verbose=true", "?verbose=a&verbose=b", "?%ff&verbose"] {
                assert_eq!(api.get(&format!("{path}{query}")).send().await.expect(200).json(), verbose);
            }
        }
    }

    /// While the storage is unavailable, the readiness check returns 503 with the reasons, or 200 if the problem does not
    /// block requests. The liveness check still returns 200. Only the health of the storage pings the storage, which needs a
    /// connection of the pool.
    async fn a_broken_storage_is_reported(api: TestApi) {
        for (is_blocking, status, word) in [(true, 503, "unavailable"), (false, 200, "degraded")] {
            let probe = Arc::new(Broken { is_blocking, pings: AtomicUsize::new(0) });
            let services = || Services {
                application: Arc::clone(&api.application),
                verifier: Arc::new(TokenVerifier::hs256(&secret())),
                probe: Arc::<Broken>::clone(&probe),
                clock: system_clock(),
            };
            let schema = json!({ "min": "m2", "max": null, "found": "m3" });
            let unready = json!({
                "status": word,
                "checks": [
                    { "name": "storage", "ok": false, "reason": "first_contact", "problem": "not reached yet" },
                    { "name": "schema", "ok": true, "schema": schema },
                ],
            });
            for (path, status, expected) in [
                ("/health/db", 503, json!({ "healthy": false })),
                ("/readyz", status, unready.clone()),
                ("/readyz?verbose", status, unready),
                ("/livez", 200, json!({ "status": "ok" })),
            ] {
                assert_eq!(get_from(services(), path, "").await.expect(status).json(), expected, "{path}");
            }
            assert_eq!(probe.pings.load(Ordering::Relaxed), 1);
        }
    }
}
