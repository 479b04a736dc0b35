//! Tests of the logs and metrics of key refreshes.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use crate::jwks_server::{Answer, JwksServer};
use crate::refreshing::{INVALID, at_once, keys, outcome, reading, token};
use crate::support::{ISSUER, PAIRS};

#[test]
fn every_fetch_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let server = JwksServer::start(keys(&[(4, "a")])).await;
            let verifier = reading(server.source(), &at_once()).await;
            verifier.refresh().await;
            verifier.refresh().await;
            server.answers(Answer::Text("<html>".to_owned()));
            verifier.refresh().await;
            server.answers(Answer::Raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned()));
            verifier.refresh().await;
            server.answers(Answer::Close);
            let _ = outcome(&verifier, &token(5, "b")).await;
        });
    });
    let text = handle.render();
    for (outcome, count) in [("read", 2), ("unusable", 1), ("status", 1), ("unreachable", 1)] {
        let line = format!("iam_jwks_refresh_total{{issuer=\"{ISSUER}\",outcome=\"{outcome}\"}} {count}");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[test]
fn a_key_set_without_a_usable_key_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let server = JwksServer::start(Answer::Keys(vec![json!({ "kty": "oct" })])).await;
            let verifier = reading(server.source(), &at_once()).await;
            verifier.refresh().await;
            server.answers(Answer::Keys(Vec::new()));
            verifier.refresh().await;
            server.answers(keys(&[(4, "a")]));
            verifier.refresh().await;
        });
    });
    let text = handle.render();
    for (outcome, count) in [("read", 1), ("no_usable_key", 2)] {
        let line = format!("iam_jwks_refresh_total{{issuer=\"{ISSUER}\",outcome=\"{outcome}\"}} {count}");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

thread_local! {
    /// The captured log lines of this thread. `None` if no test captures the log.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Runs `work` and returns the log lines of this thread. All tests share one subscriber, because one subscriber per
/// test would change what other threads log.
fn logged_by(work: impl Future<Output = ()>) -> Vec<String> {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| OwnLines).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LINES.set(Some(Vec::new()));
    runtime.block_on(work);
    let text = String::from_utf8(LINES.take().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A writer that appends to the captured lines of the logging thread.
struct OwnLines;

impl Write for OwnLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.extend(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_ignored_key_is_logged_once_with_its_reason_and_without_its_content() {
    let odd = [
        json!({ "kty": "oct", "kid": "shared", "k": "hunter2" }),
        PAIRS[4].jwk_with(&json!({ "kid": "leaked", "d": "hunter2" })),
        PAIRS[0].jwk_with(&json!({ "kid": "for encryption", "use": "enc" })),
        PAIRS[0].jwk_with(&json!({ "kid": "for wrapping", "key_ops": ["wrapKey"] })),
        PAIRS[0].jwk_with(&json!({ "kid": "of another algorithm", "alg": "RS512" })),
        PAIRS[0].jwk_with(&json!({ "kid": "weak", "n": "_".repeat(100) })),
        json!({ "kty": "AKP", "kid": "quantum\nforged line", "pub": "AA" }),
        json!("hunter2"),
    ];
    let lines = logged_by(async {
        let all = |more: &[serde_json::Value]| Answer::Keys(odd.iter().chain(more).cloned().collect());
        let server = JwksServer::start(all(&[PAIRS[5].jwk("good")])).await;
        let verifier = reading(server.source(), &at_once()).await;
        verifier.refresh().await;
        verifier.refresh().await;
        // A further usable key is added. Nothing new is logged about the ignored entries.
        server.answers(all(&[PAIRS[3].jwk("other"), PAIRS[5].jwk("good")]));
        verifier.refresh().await;
    });
    let about = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    for word in
        ["shared", "leaked", "for encryption", "for wrapping", "of another algorithm", "weak", "quantum", "entry 8"]
    {
        assert_eq!(about(word), 1, "{word}: {lines:#?}");
    }
    assert_eq!(about("is ignored"), odd.len(), "{lines:#?}");
    assert_eq!((about("hunter2"), about("no usable key")), (0, 0), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("forged line")), "{lines:#?}");
}

#[test]
fn a_key_set_without_a_usable_key_is_logged_when_it_is_fetched_and_when_it_is_replaced() {
    let lines = logged_by(async {
        let server = JwksServer::start(keys(&[(4, "a")])).await;
        let verifier = reading(server.source(), &at_once()).await;
        verifier.refresh().await;
        server.answers(Answer::Keys(vec![json!({ "kty": "oct", "k": "hunter2" })]));
        verifier.refresh().await;
        verifier.refresh().await;
        assert_eq!(outcome(&verifier, &token(4, "a")).await, Err(INVALID));
        server.answers(keys(&[(4, "a")]));
        verifier.refresh().await;
        assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    });
    let about = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((about("no usable key"), about("can be read again")), (1, 1), "{lines:#?}");
    assert_eq!(about("WARN"), 1, "{lines:#?}");
}
