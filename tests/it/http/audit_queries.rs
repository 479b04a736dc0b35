//! Tests of audit log queries: filters, keyset pagination, and which records a caller can read.

use iam_domain::{Actor, AuditRecord, AuditRecordId, EntityType};
use iam_storage::{ChangeContext, Target};
use serde_json::{Value, json};

use super::audit::{page, platform, total};
use crate::support::api::{Company, TestApi, both_adapters, each, fields, new_company, new_user};

/// Appends audit records with these changes to the audit log of a company.
async fn append(api: &TestApi, company: Company, changes: impl Iterator<Item = Value>) {
    let target = Target::Company(company.id);
    let mut tx = api.storage.begin(target, ChangeContext::command_line()).await.unwrap();
    let now = tx.now();
    for changes in changes {
        let record = AuditRecord {
            id: AuditRecordId::generate(now),
            company_id: Some(company.id),
            actor: Actor::CommandLine,
            action: "company.modules_updated".to_owned(),
            entity_type: EntityType::Company,
            entity_id: company.id.as_uuid(),
            changes: Some(changes),
            metadata: None,
            timestamp: now,
        };
        tx.audit_logs_mut().append(&record).await.unwrap();
    }
    tx.commit().await.unwrap();
}

both_adapters! {
    /// Each filter restricts the list to matching records. Several filters are combined with AND.
    async fn records_are_filtered(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let path = format!("/api/iam/user-levels/{level}");
        for name in ["Two", "Three"] {
            let request = api.patch(&path).by(company.admin).within(company.id).json(&json!({ "name": name }));
            request.send().await.expect(200);
        }
        let actions = async |query: &str| each(&page(&api, company, query).await["logs"], "action").join(" ");
        let (admin, id) = (company.admin, api.super_admin);
        let all = "user_level.updated user_level.updated user_level.created";
        assert_eq!(actions(&format!("entityId={level}")).await, all);
        assert_eq!(
            actions(&format!("entityType=user-level&userId={admin}")).await,
            "user_level.updated user_level.updated"
        );
        assert_eq!(actions(&format!("entityId={level}&userId={id}")).await, "user_level.created");
        assert_eq!(actions(&format!("entityId={level}&action=user_level.created")).await, "user_level.created");
        assert_eq!(actions("action=user_level").await, "", "the filter must match the whole action");
        assert_eq!(actions(&format!("entityId={level}&entityType=menu")).await, "");
        assert_eq!(actions(&format!("entityId={}", new_company())).await, "");
        let data = page(&api, company, "entityType=user-level").await;
        assert!(data["logs"].as_array().unwrap().iter().all(|record| record["entityType"] == "user-level"));
        assert_eq!(data["logs"].as_array().unwrap().len(), 6);
        assert_eq!(data.get("total"), None);
        // An empty parameter is ignored.
        assert_eq!(actions(&format!("entityId={level}&action=&from=&cursor=")).await, all);
    }

    /// The bound `from` is inclusive, and the bound `to` is exclusive.
    async fn records_are_filtered_by_time(api: TestApi) {
        let company = api.company().await;
        let logs = page(&api, company, "limit=200").await["logs"].clone();
        // Times in responses have millisecond precision, so several records can have the same time.
        let times = each(&logs, "timestamp");
        let (newest, oldest) = (times[0], times[times.len() - 1]);
        let count = async |query: String| page(&api, company, &query).await["logs"].as_array().unwrap().len();
        assert_eq!(count(format!("from={oldest}&limit=200")).await, times.len());
        assert_eq!(count(format!("to={oldest}")).await, 0);
        assert_eq!(count(format!("from={newest}")).await, times.iter().filter(|time| *time == &newest).count());
        assert_eq!(
            count(format!("from={oldest}&to={newest}&limit=200")).await,
            times.iter().filter(|time| *time != &newest).count()
        );
        // The filter also accepts the same time with the UTC offset `+00:00` instead of `Z`.
        let elsewhere = newest.replace('Z', "%2B00:00");
        assert_eq!(count(format!("from={elsewhere}")).await, times.iter().filter(|time| *time == &newest).count());
    }

    /// The parameter `limit` must be between 1 and 200. The default is 50 records per page.
    async fn the_size_of_a_page_is_bounded(api: TestApi) {
        let company = api.company().await;
        for n in 0..45 {
            api.new_level(company, &format!("Level {n}")).await;
        }
        let count = async |query: &str| page(&api, company, query).await["logs"].as_array().unwrap().len();
        assert_eq!(count("").await, 50);
        assert_eq!(count("limit=1").await, 1);
        let all = count("limit=200").await;
        assert!(all > 50);
        assert_eq!(total(&api, company).await, all as u64);
        for limit in ["0", "201", "-1", "1.5", "all", "99999999999999999999"] {
            let path = format!("/api/iam/audit-logs?limit={limit}");
            let (status, code, message) = api.get(&path).by(company.admin).within(company.id).send().await.error();
            assert_eq!((status, code.as_str()), (400, "ERR_VALIDATION_001"), "{limit}");
            assert!(message.starts_with("limit "), "{message}");
        }
    }

    /// The total is counted up to 10,000 records. If there are more, the response marks the total as a lower bound.
    async fn the_total_is_counted_up_to_a_bound(api: TestApi) {
        let company = api.company().await;
        let exact = page(&api, company, "limit=1&includeTotal=true").await;
        assert_eq!(fields(&exact), ["logs", "nextCursor", "total"]);
        let missing = 10_000 - exact["total"].as_u64().unwrap();
        let append = async |count: u64| append(&api, company, (0..count).map(|_| json!({ "added": [], "removed": [] }))).await;
        append(missing).await;
        let full = page(&api, company, "limit=1&includeTotal=true").await;
        assert_eq!((&full["total"], full.get("totalIsLowerBound")), (&json!(10_000), None));
        append(1).await;
        let more = page(&api, company, "limit=1&includeTotal=true").await;
        assert_eq!((&more["total"], &more["totalIsLowerBound"]), (&json!(10_000), &json!(true)));
        let filtered = page(&api, company, "limit=1&includeTotal=true&entityType=user-level").await;
        assert_eq!(filtered.get("totalIsLowerBound"), None);
    }

    /// A page of large records ends early. Its cursor leads to the next page, so that a client that follows the cursors
    /// receives all records.
    async fn a_page_of_large_records_ends_early(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Newest but large").await;
        let added: Vec<_> = (0..10_500).map(|_| new_company()).collect();
        let large = |n: usize| json!({ "added": added, "removed": vec![company.id; n] });
        append(&api, company, (0..5).map(large)).await;
        let (mut sizes, mut numbers, mut query) = (Vec::new(), Vec::new(), "limit=200".to_owned());
        let last = loop {
            let path = format!("/api/iam/audit-logs?{query}");
            let answer = api.get(&path).by(company.admin).within(company.id).send().await.expect(200);
            assert!(answer.body.len() < 1_200_000, "a page of {} bytes", answer.body.len());
            let data = answer.data();
            let logs = data["logs"].as_array().unwrap();
            sizes.push(logs.len());
            let large = logs.iter().filter(|record| record["changes"]["added"].as_array().is_some_and(|ids| ids.len() > 9_000));
            numbers.extend(large.map(|record| record["changes"]["removed"].as_array().unwrap().len()));
            let Some(cursor) = data["nextCursor"].as_str() else { break data };
            query = format!("limit=200&cursor={cursor}");
        };
        assert_eq!(numbers, [4, 3, 2, 1, 0]);
        assert_eq!(sizes[..2], [2, 2]);
        assert!(last["logs"].as_array().unwrap().iter().any(|record| record["entityId"] == level.as_str()));
    }

    /// A page also ends early if the names of the entities in its records are long.
    async fn a_page_of_records_with_long_names_ends_early(api: TestApi) {
        let company = api.company().await;
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(api.new_level(company, &format!("{n:02}{}", "𝕏".repeat(253))).await);
        }
        append(&api, company, (0..100).map(|_| json!({ "added": ids, "removed": [] }))).await;
        let data = page(&api, company, "limit=200&action=company.modules_updated").await;
        let first = data["logs"].as_array().unwrap().len();
        assert!((40..60).contains(&first), "{first}");
        let next = format!("limit=200&action=company.modules_updated&cursor={}", data["nextCursor"].as_str().unwrap());
        let rest = page(&api, company, &next).await;
        assert!((40..60).contains(&rest["logs"].as_array().unwrap().len()));
    }

    /// Keyset pagination returns every record exactly once, newest first, even if records are added between two pages.
    async fn cursors_lead_through_all_records(api: TestApi) {
        let company = api.company().await;
        let all = page(&api, company, "limit=200").await;
        assert_eq!(all["nextCursor"], Value::Null);
        let all = all["logs"].as_array().unwrap().clone();
        assert!(each(&Value::from(all.clone()), "timestamp").iter().rev().is_sorted());

        let mut seen = Vec::new();
        let mut query = "limit=4&includeTotal=true".to_owned();
        loop {
            let data = page(&api, company, &query).await;
            assert!(data["total"].as_u64().unwrap() >= all.len() as u64, "the total must include all pages");
            seen.extend(data["logs"].as_array().unwrap().iter().cloned());
            let Some(cursor) = data["nextCursor"].as_str() else { break };
            assert_eq!(data["logs"].as_array().unwrap().len(), 4);
            query = format!("limit=4&includeTotal=true&cursor={cursor}");
            api.new_level(company, &format!("Added after {}", seen.len())).await;
        }
        assert_eq!(seen, all);
    }

    /// A page that ends with the last record has no next cursor, even if it is full.
    async fn a_full_last_page_has_no_next_cursor(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "One").await;
        let data = page(&api, company, &format!("entityId={level}&limit=1")).await;
        assert_eq!((data["logs"].as_array().unwrap().len(), &data["nextCursor"]), (1, &Value::Null));
    }

    /// An invalid cursor, type, id or time is rejected. The error identifies the invalid parameter.
    async fn the_error_for_invalid_parameters_contains_their_names(api: TestApi) {
        let company = api.company().await;
        for (query, message) in [
            ("cursor=x", "cursor was not issued by this service"),
            ("cursor=MTIzLzEyMw", "cursor was not issued by this service"),
            ("entityId=7", "entityId must be a valid UUID"),
            ("userId=7", "userId must be a valid UUID, or issuer|subject"),
            ("from=yesterday", "from must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z"),
            ("to=2026-11-22", "to must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z"),
            ("limit=1&limit=2", "limit is specified more than once"),
        ] {
            let path = format!("/api/iam/audit-logs?{query}");
            let answer = api.get(&path).by(company.admin).within(company.id).send().await;
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{query}");
        }
        let path = "/api/iam/audit-logs?userId=https%3A%2F%2Fa.example%7C1";
        let answer = api.get(path).by_super_admin().within(company.id).send().await.error();
        assert_eq!(answer, (400, "ERR_VALIDATION_001".into(), "userId specifies an unknown issuer".into()));
        let answer = api.get("/api/iam/audit-logs?entityType=person&includeTotal=yes&limit=0").by(company.admin);
        let findings = answer.within(company.id).send().await.findings();
        assert_eq!(
            findings.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
            ["entityType", "limit", "includeTotal"]
        );
    }

    /// A request within a company returns only records of this company. This also applies to a request with a cursor or
    /// a filter value from another company.
    async fn a_company_sees_its_own_records(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let level = api.new_level(other, "Theirs").await;
        for query in ["limit=200".to_owned(), format!("limit=200&entityId={level}")] {
            let data = page(&api, company, &query).await;
            assert!(
                data["logs"].as_array().unwrap().iter().all(|record| record["companyId"] == company.id.to_string())
            );
        }
        assert_eq!(page(&api, company, &format!("entityId={level}")).await["logs"], json!([]));
        let cursor = page(&api, other, "limit=1").await["nextCursor"].as_str().unwrap().to_owned();
        let data = page(&api, company, &format!("cursor={cursor}&limit=200")).await;
        assert!(data["logs"].as_array().unwrap().iter().all(|record| record["companyId"] == company.id.to_string()));
        assert!(platform(&api, "limit=200").await["logs"].as_array().unwrap().iter().all(|r| r["companyId"].is_null()));
    }

    /// The platform's audit log can be read only by super admins. A company's audit log can be read by super admins,
    /// and by users who have Update on `iam.manage_levels` or `iam.assign_permissions` in that company.
    async fn only_administrators_may_read_records(api: TestApi) {
        let company = api.company().await;
        let path = "/api/iam/audit-logs";
        let answer = api.get(path).by(company.admin).send().await.error();
        assert_eq!(answer, (400, "ERR_AUTH_002".into(), "Company ID is required".into()));
        let read = json!([
            { "featureId": api.feature_id("iam.manage_levels").await, "action": "Read" },
            { "featureId": api.feature_id("iam.assign_permissions").await, "action": "Read" },
        ]);
        let (reader, _) = api.holder_of(company, json!([]), read).await;
        for user in [reader, company.member, new_user()] {
            let answer = api.get(path).by(user).within(company.id).send().await.error();
            assert_eq!(answer, (403, "ERR_AUTH_003".into(), "You do not have permission to view audit logs".into()));
        }
        let answer = api.get(path).by_super_admin().within(company.id).send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(fields(&answer.data()), ["logs", "nextCursor"]);
    }
}
