//! Tests of the page about the health of a replica.

use std::sync::Arc;
use std::time::Duration;

use iam_application::{Figures, OperationFigures, PoolUse, RecentOperations};
use iam_domain::Timestamp;
use iam_permissions_cache::CacheStats;

use crate::http::console::scene::{Scene, assert_contains, content, row};
use crate::support::api::TestApi;
use crate::support::console::{FixedFigures, Setting, TestConsole};

/// Returns the figures of a replica that served requests, heard of a change, and uses a pool.
fn figures() -> FixedFigures {
    let start = Timestamp::parse("2026-11-28T10:00:00Z").unwrap();
    let at = |seconds: u64, hits, misses, delay| Figures {
        at: start.plus(Duration::from_secs(seconds)),
        cache: CacheStats {
            hits,
            misses,
            age: Some(Duration::from_millis(1200)),
            lease_remaining: Duration::from_millis(3800),
            ..CacheStats::default()
        },
        longest_revocation_delay: delay,
        pool: Some(PoolUse { size: 8, idle: 5, max: 20 }),
    };
    let history = vec![
        at(0, 100, 10, None),
        at(5, 190, 20, Some(Duration::from_millis(37))),
        at(10, 190, 20, None),
        at(15, 990, 20, Some(Duration::from_millis(12))),
    ];
    let operation = |operation, millis, errors| OperationFigures {
        operation,
        calls: 4,
        errors,
        rows: 40,
        total: Duration::from_millis(millis * 2),
        p99: Duration::from_millis(millis),
    };
    let operations = vec![operation("user_levels.find_all", 8, 0), operation("snapshots.load", 250, 3)];
    FixedFigures { history, operations: RecentOperations { window: Duration::from_secs(90), operations } }
}

/// Returns the scene, and the page as a super admin sees it on a replica with these figures.
async fn page(figures: FixedFigures) -> String {
    let scene = Scene::new(TestApi::memory().await).await;
    let setting = Setting { figures: Arc::new(figures), ..Setting::default() };
    let replica = TestConsole::of(&scene.api, setting).await;
    let browser = scene.super_admin.at(&replica);
    content(&browser.get("/console/health").await.expect(200))
}

#[actix_web::test]
async fn super_admins_see_the_figures_of_the_replica() {
    let page = page(figures()).await;
    assert_contains(
        &page,
        &[
            "✓ Ready",
            "replica-of-the-test",
            "1.2 s old",
            "ends in 3.8 s",
            "at most 37 ms",
            // 890 hits, and 10 requests that waited.
            "98.9 %",
            "10 of 900 requests waited",
            // 800 hits in the last five seconds.
            "160 per second",
            "3 in use",
            "8 connections are open, 5 of them idle. The maximum is 20.",
        ],
    );
    let slowest = row(&page, "snapshots.load");
    assert_contains(slowest, &["250 ms", "125 ms", ">3<", ">40<"]);
    assert!(page.find("snapshots.load") < page.find("user_levels.find_all"), "the slowest operation is first");
}

#[actix_web::test]
async fn a_chart_states_its_values_as_text_and_has_gaps_where_there_are_none() {
    let page = page(figures()).await;
    assert_contains(&page, &["aria-label=\"Delay of revocations: from 12 ms to 37 ms\""]);
    let chart = |title: &str| {
        let card = page.split("<li class=\"card\">").find(|card| card.contains(&format!("<h2>{title}"))).unwrap();
        (card.matches("<polyline").count(), card.matches("<rect").count())
    };
    assert_eq!(chart("Age of the cached data"), (1, 0));
    assert_eq!(chart("Delay of revocations"), (0, 2), "there is a bar for each interval with a change");
    assert_eq!(chart("Hit ratio"), (2, 0), "the line is interrupted in the interval without requests");
}

#[actix_web::test]
async fn a_replica_without_figures_and_with_data_in_memory_says_so() {
    let page = page(FixedFigures::default()).await;
    assert_contains(&page, &["No values yet", "so each change applies at once", "so there are no connections"]);
    assert_contains(&page, &["so there are no storage operations"]);
}

#[actix_web::test]
async fn only_super_admins_see_the_health() {
    let scene = Scene::new(TestApi::memory().await).await;
    for path in ["/console/health", "/console/health/figures?n=1"] {
        scene.super_admin.get(path).await.expect(200);
        scene.admin.get(path).await.expect(403);
        scene.reader().await.get(path).await.expect(403);
        for (browser, _) in scene.outsiders().await {
            browser.get(path).await.expect(403);
        }
        scene.console.browser().get(path).await.expect(303);
    }
    assert!(scene.super_admin.get("/console/companies").await.text().contains("/console/health"));
    assert!(!scene.admin.get("/console/companies").await.text().contains("/console/health"));
}

#[actix_web::test]
async fn the_figures_are_refreshed_for_ten_minutes_only() {
    let scene = Scene::new(TestApi::memory().await).await;
    let page = scene.super_admin.get("/console/health").await.expect(200).text();
    assert_contains(&page, &["hx-get=\"/console/health/figures?n=1\"", "hx-trigger=\"load delay:5s\""]);
    let refreshed =
        async |n: &str| scene.super_admin.get(&format!("/console/health/figures?n={n}")).await.expect(200).text();
    assert_contains(&refreshed("1").await, &["figures?n=2"]);
    for n in ["120", "4294967295"] {
        let last = refreshed(n).await;
        assert!(!last.contains("hx-get"), "{last}");
        assert_contains(&last, &["no longer refreshed", "href=\"/console/health\""]);
    }
}
