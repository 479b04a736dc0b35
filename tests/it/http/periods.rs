//! Tests of assignments with a start or an end: what they grant and when, who may make them, and how they are listed and
//! removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Timestamp, UserId};
use iam_http::HttpOptions;
use iam_identity::system_clock;
use iam_storage_memory::MemoryStorage;
use serde_json::{Value, json};

use super::delegation::{allow, delegate, deny, held, put_matrix};
use crate::support::api::{Answer, Company, Request, TestApi, both_adapters, each, new_user};
use crate::support::clock::SetTime;
use crate::support::replica::{Line, Replica, until};

const HOUR: Duration = Duration::from_secs(3600);

fn one(user: UserId, level: &str) -> String {
    format!("/api/iam/users/{user}/user-levels/{level}")
}

/// Returns a request that assigns a level for a period, as the administrator.
fn give(api: &TestApi, company: Company, user: UserId, level: &str, period: &Value) -> Request {
    api.put(&one(user, level)).by(company.admin).within(company.id).json(period)
}

fn edit(api: &TestApi, company: Company, add: &Value) -> Request {
    api.post("/api/iam/assignments").within(company.id).json(&json!({ "add": add }))
}

async fn read(api: &TestApi, company: Company, path: &str) -> Value {
    api.get(path).by(company.admin).within(company.id).send().await.expect(200).data()
}

/// Returns the time in an hour, and the time in two hours.
fn soon() -> (Timestamp, Timestamp) {
    let now = system_clock().now();
    (now.plus(HOUR), now.plus(HOUR * 2))
}

/// Returns the code of the first error of a response with the status 400, and the field that it names.
fn refused(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["errors"][0];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("field"), text("code"))
}

async fn is_allowed(api: &TestApi, company: Company, user: UserId) -> bool {
    api.check(company, user, json!({ "view": "/dashboard" })).await["allowed"] == json!(true)
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

/// Returns an API on in-memory storage whose clock only the test advances.
async fn with_set_time() -> (TestApi, SetTime) {
    let time = SetTime::at(system_clock().now());
    let storage = Arc::new(MemoryStorage::seeded(time.clock()).await.unwrap());
    (TestApi::over(storage, None, HttpOptions::default()).await, time)
}

both_adapters! {
    /// An assignment has a start and an end if the request states them. All lists show them with the state of the
    /// assignment. Replacing all levels of the user keeps them, and `null` removes them.
    async fn the_period_of_an_assignment_is_stored_and_listed(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let (start, end) = soon();
        let (user, period) = (new_user(), json!({ "startsAt": start, "expiresAt": end }));
        let answer = give(&api, company, user, &member, &period).send().await.expect(200);
        let shown = |level: &Value| (level["startsAt"].clone(), level["expiresAt"].clone(), level["state"].clone());
        let pending = (json!(start), json!(end), json!("pending"));
        assert_eq!(shown(&answer.data()["userLevels"][0]), pending);
        assert!(!is_allowed(&api, company, user).await, "the assignment has not started");
        let list = format!("/api/iam/users/{user}/user-levels");
        assert_eq!(shown(&read(&api, company, &list).await["userLevels"][0]), pending);
        for path in [format!("/api/iam/users?q={user}"), format!("/api/iam/user-levels/{member}/users?q={user}")] {
            assert_eq!(shown(&read(&api, company, &path).await["users"][0]["userLevels"][0]), pending, "{path}");
        }

        let both = json!({ "userLevelIds": [member, visitor] });
        let answer = api.put(&list).by(company.admin).within(company.id).json(&both).send().await.expect(200);
        let levels = answer.data()["userLevels"].clone();
        assert_eq!((shown(&levels[0]), shown(&levels[1])), (pending, (json!(null), json!(null), json!(null))));

        let ends = json!({ "expiresAt": end });
        let answer = give(&api, company, user, &member, &ends).send().await.expect(200);
        assert_eq!(shown(&answer.data()["userLevels"][0]), (json!(null), json!(end), json!("active")));
        assert!(is_allowed(&api, company, user).await);
        let unlimited = json!({ "startsAt": null, "expiresAt": null });
        let answer = give(&api, company, user, &member, &unlimited).send().await.expect(200);
        assert_eq!(shown(&answer.data()["userLevels"][0]), (json!(null), json!(null), json!(null)));
    }

    /// Many levels are assigned for a period in one request. The list of assignments with an end contains them, page by
    /// page, and its cursor is valid only for this list.
    async fn assignments_with_an_end_are_listed_for_reviews(api: TestApi) {
        let company = api.company().await;
        let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
        let (first, last) = soon();
        let users = [(); 3].map(|()| new_user());
        let mut add: Vec<_> = users
            .iter()
            .map(|user| json!({ "userId": user, "userLevelId": member, "expiresAt": last }))
            .collect();
        add.push(json!({ "userId": users[0], "userLevelId": visitor, "startsAt": null, "expiresAt": first }));
        add.push(json!({ "userId": users[1], "userLevelId": visitor }));
        let answer = edit(&api, company, &json!(add)).by(company.admin).send().await.expect(200);
        assert_eq!((&answer.data()["added"], &answer.data()["usersChanged"]), (&json!(5), &json!(3)));

        let list = |before: Timestamp| format!("/api/iam/assignments?expiresBefore={before}");
        let page = read(&api, company, &list(last)).await;
        assert_eq!(each(&page["assignments"], "userId"), [users[0].to_string()]);
        let element = &page["assignments"][0];
        assert_eq!(
            (&element["userLevelName"], &element["expiresAt"], &element["state"], &element["displayName"]),
            (&json!("Visitor"), &json!(first), &json!("active"), &json!(null))
        );
        let all = list(last.plus(HOUR));
        let mut found = Vec::new();
        let mut next = format!("{all}&limit=3");
        let cursor = loop {
            let page = read(&api, company, &next).await;
            found.extend(each(&page["assignments"], "userId").into_iter().map(str::to_owned));
            let Some(cursor) = page["nextCursor"].as_str() else { break next };
            next = format!("{all}&limit=3&cursor={cursor}");
        };
        let mut expected: Vec<_> = users.iter().map(ToString::to_string).collect();
        expected.sort();
        expected.insert(0, users[0].to_string());
        assert_eq!(found, expected);

        let cursor = cursor.split("cursor=").nth(1).unwrap().to_owned();
        let other = api.company().await;
        let foreign = api.get(&format!("{all}&cursor={cursor}")).by(other.admin).within(other.id).send().await;
        assert_eq!(refused(&foreign), (400, "cursor".into(), "cursor".into()));
        for path in [format!("{}&cursor={cursor}", list(last)), format!("/api/iam/users?cursor={cursor}")] {
            let answer = api.get(&path).by(company.admin).within(company.id).send().await;
            assert_eq!(refused(&answer), (400, "cursor".into(), "cursor".into()), "{path}");
        }
        assert_eq!(read(&api, other, &all).await["assignments"], json!([]), "other companies");
        for path in ["/api/iam/assignments", "/api/iam/assignments?expiresBefore=2026-11-22T12:00:00"] {
            let answer = api.get(path).by(company.admin).within(company.id).send().await;
            assert_eq!((refused(&answer).0, refused(&answer).1), (400, "expiresBefore".to_owned()), "{path}");
        }
    }

    /// A period that ends before it starts, that has ended, or whose times have no time zone is rejected, and nothing
    /// changes. A misspelled member is rejected, too: the assignment would otherwise have no end.
    async fn invalid_periods_are_rejected(api: TestApi) {
        let company = api.company().await;
        let visitor = api.level_id(company, "Visitor").await;
        let (start, end) = soon();
        let past = system_clock().now().minus(HOUR);
        for (period, field, code) in [
            (json!({ "startsAt": end, "expiresAt": start }), "expiresAt", "range"),
            (json!({ "startsAt": start, "expiresAt": start }), "expiresAt", "range"),
            (json!({ "expiresAt": past }), "expiresAt", "range"),
            (json!({ "expiresAt": "2036-11-22T12:00:00" }), "expiresAt", "time"),
            (json!({ "startsAt": "2036-11-22T12:00:00", "expiresAt": null }), "startsAt", "time"),
            (json!({ "startsAt": "tomorrow" }), "startsAt", "time"),
            (json!({ "expiresAt": 7 }), "expiresAt", "type"),
            (json!({ "expireAt": end }), "expireAt", "unknown_field"),
        ] {
            let answer = give(&api, company, company.member, &visitor, &period).send().await;
            assert_eq!(refused(&answer), (400, field.into(), code.into()), "{period}");
            let mut pair = period.clone();
            pair["userId"] = json!(company.member);
            pair["userLevelId"] = json!(visitor);
            let answer = edit(&api, company, &json!([pair])).by(company.admin).send().await;
            assert_eq!(refused(&answer), (400, format!("add[0].{field}"), code.into()), "{pair}");
        }
        let remove = json!({ "remove": [{ "userId": company.member, "userLevelId": visitor, "expiresAt": end }] });
        let answer = api.post("/api/iam/assignments").by(company.admin).within(company.id).json(&remove).send().await;
        assert_eq!(refused(&answer), (400, "remove[0].expiresAt".into(), "unknown_field".into()));
        assert_eq!(held(&api, company, company.member).await, ["Member"]);
    }

    /// A right that a caller holds only through an assignment with an end does not count as the caller's own: the caller
    /// cannot grant it, neither with a level nor with a matrix, and cannot extend the own assignment.
    async fn rights_with_an_end_cannot_be_granted(api: TestApi) {
        let company = api.company().await;
        let read = [allow(&api, "general.read", "Read", "company").await];
        let (user, own) = delegate(&api, company, &[], &read).await;
        let (_, granted) = api.holder_of(company, json!([]), json!(read)).await;
        let level = api.new_level(company, "New").await;
        let (_, end) = soon();
        let (pair, target) = (|user: UserId, level: &str| json!([{ "userId": user, "userLevelId": level }]), new_user());
        edit(&api, company, &pair(target, &granted)).by(user).send().await.expect(200);
        put_matrix(&api, company, &level, "features", &read).by(user).send().await.expect(200);
        put_matrix(&api, company, &level, "features", &[]).by(user).send().await.expect(200);

        give(&api, company, user, &own, &json!({ "expiresAt": end })).send().await.expect(200);
        let limited = json!([{ "userId": new_user(), "userLevelId": granted, "expiresAt": end }]);
        for request in [
            edit(&api, company, &pair(new_user(), &granted)),
            edit(&api, company, &limited),
            put_matrix(&api, company, &level, "features", &read),
            edit(&api, company, &json!([{ "userId": user, "userLevelId": own, "expiresAt": null }])),
            api.post("/api/iam/user-levels").within(company.id).json(&json!({ "name": "Copy", "copyFrom": granted })),
        ] {
            let answer = request.by(user).send().await;
            let codes: BTreeSet<_> = each(&answer.json()["errors"], "code").into_iter().map(str::to_owned).collect();
            assert!(answer.status == 403 && codes.contains("not_held"), "{:?} {codes:?}", answer.status);
        }
        // What the caller holds without an end can be granted even so.
        edit(&api, company, &pair(user, &granted)).by(company.admin).send().await.expect(200);
        edit(&api, company, &pair(new_user(), &granted)).by(user).send().await.expect(200);
        // Assigning a level that grants nothing, and removing levels, remain possible.
        let empty = api.new_level(company, "Empty").await;
        edit(&api, company, &pair(target, &empty)).by(user).send().await.expect(200);
        api.delete(&one(target, &granted)).by(user).within(company.id).send().await.expect(200);
    }

    /// Assignments with an end hide neither grants nor revocations: what they deny is allowed later, and what they allow
    /// ends. A limited caller cannot remove a deny although a temporary one remains, cannot allow what a temporary level
    /// of a user allows, and cannot revoke an administrative right that a temporary level still grants.
    async fn assignments_with_an_end_do_not_hide_what_a_change_grants_and_revokes(api: TestApi) {
        let company = api.company().await;
        let read = [allow(&api, "general.read", "Read", "company").await];
        let (caller, _) = delegate(&api, company, &[], &[]).await;
        let (target, reading) = api.holder_of(company, json!([]), json!(read)).await;
        let denied = json!([deny(&api, "general.read", "Read").await]);
        let (lasting, ending) = (api.new_level(company, "Lasting").await, api.new_level(company, "Ending").await);
        for level in [&lasting, &ending] {
            api.set_matrix(company, level, "features", denied.clone()).await;
        }
        let (_, end) = soon();
        let ends = json!({ "expiresAt": end });
        give(&api, company, target, &lasting, &json!({})).send().await.expect(200);
        give(&api, company, target, &ending, &ends).send().await.expect(200);
        api.delete(&one(target, &lasting)).by(caller).within(company.id).send().await.expect(403);

        // Another user holds the allowing level until an end, and the denying level without an end.
        let other = new_user();
        give(&api, company, other, &reading, &ends).send().await.expect(200);
        give(&api, company, other, &lasting, &json!({})).send().await.expect(200);
        api.delete(&one(target, &lasting)).by(company.admin).within(company.id).send().await.expect(200);
        put_matrix(&api, company, &lasting, "features", &[]).by(caller).send().await.expect(403);

        let admin = api.level_id(company, "Admin").await;
        let (_, administers) = delegate(&api, company, &[], &[]).await;
        let colleague = new_user();
        give(&api, company, colleague, &administers, &json!({})).send().await.expect(200);
        give(&api, company, colleague, &admin, &ends).send().await.expect(200);
        api.delete(&one(colleague, &administers)).by(caller).within(company.id).send().await.expect(403);
    }

    /// An administrator whose assignment has an end does not hold Approve without an end, so the exemption from the
    /// delegation guard does not apply.
    async fn approve_with_an_end_does_not_exempt_its_holder(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let (temporary, (_, end)) = (new_user(), soon());
        give(&api, company, temporary, &admin, &json!({ "expiresAt": end })).send().await.expect(200);
        let add = json!([{ "userId": new_user(), "userLevelId": admin }]);
        edit(&api, company, &add).by(temporary).send().await.expect(403);
        edit(&api, company, &add).by(company.admin).send().await.expect(200);
    }

    /// Only assignments without an end count for the guard against lockout: the last lasting administrator can neither be
    /// removed nor receive an end, and a temporary administrator can be removed.
    async fn the_last_administrator_without_an_end_remains(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let (start, end) = soon();
        let temporary = new_user();
        give(&api, company, temporary, &admin, &json!({ "expiresAt": end })).send().await.expect(200);
        let later = json!({ "startsAt": start });
        give(&api, company, new_user(), &admin, &later).send().await.expect(200);
        for request in [
            give(&api, company, company.admin, &admin, &json!({ "expiresAt": end })),
            give(&api, company, company.admin, &admin, &later),
            api.delete(&one(company.admin, &admin)).by(company.admin).within(company.id),
            api.delete(&format!("/api/iam/users/{}", company.admin)).by(company.admin).within(company.id),
        ] {
            request.send().await.expect(409);
        }
        api.delete(&one(temporary, &admin)).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(held(&api, company, temporary).await, [""; 0]);
    }

    /// A decision changes at the end of an assignment although the replica receives no poll and no request changes
    /// anything. `X-IAM-Version` changes with it.
    async fn a_replica_without_polls_applies_the_end_of_an_assignment(api: TestApi) {
        let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
        let company = a.api.company().await;
        let visitor = api.level_id(company, "Visitor").await;
        let (user, end) = (new_user(), system_clock().now().plus(Duration::from_millis(900)));
        give(&a.api, company, user, &visitor, &json!({ "expiresAt": end })).send().await.expect(200);
        b.catch_up().await;
        let check = async || {
            let check = b.api.post("/api/iam/check").by(user).within(company.id);
            check.json(&json!({ "view": "/dashboard" })).send().await.expect(200)
        };
        let before = check().await;
        b.channel.set(Line::Stalled);
        let is_denied = |answer: &Answer| answer.data()["allowed"] == json!(false);
        until(async || is_denied(&check().await)).await;
        assert!(system_clock().now() >= end.minus(Duration::from_millis(100)), "the assignment had not ended");
        if !is_denied(&before) {
            assert_ne!(before.header("x-iam-version"), check().await.header("x-iam-version"));
        }
    }
}

/// Decisions, permissions, menus, and the lists of users who are allowed change on two replicas when the clock of the
/// storage reaches the start and the end. Versions and entity tags change with them: an entity tag from before is not
/// answered with 304 afterwards.
#[actix_web::test]
async fn everything_changes_at_the_boundaries_on_every_replica() {
    let (api, time) = with_set_time().await;
    let (a, b) = (Replica::of(&api).await, Replica::of(&api).await);
    let company = a.api.company().await;
    let member = api.level_id(company, "Member").await;
    let user = new_user();
    let (start, end) = (time.now().plus(HOUR), time.now().plus(HOUR * 2));
    let period = json!({ "startsAt": start, "expiresAt": end });
    give(&a.api, company, user, &member, &period).send().await.expect(200);
    let mut seen: Vec<(String, String)> = Vec::new();
    for (advance, expected) in [(Duration::ZERO, false), (HOUR, true), (HOUR, false)] {
        time.advance(advance);
        for replica in [&a, &b] {
            replica.catch_up().await;
            let api = &replica.api;
            let check = api.post("/api/iam/check").by(user).within(company.id);
            let check = check.json(&json!({ "view": "/dashboard" })).send().await.expect(200);
            assert_eq!(check.data()["allowed"], json!(expected));
            let current = async |tag: &str| {
                let request = api.get("/api/iam/permissions/current").by(user).within(company.id);
                request.header("if-none-match", tag).send().await
            };
            let of_admin = api.get("/api/iam/permissions/current").by(company.admin).within(company.id).send().await;
            let (version, own) = (of_admin.header("x-iam-version").unwrap().to_owned(), current("\"none\"").await);
            assert_eq!(current(&tag(&own)).await.status, 304);
            if let Some((_, last)) = seen.last().filter(|(before, _)| *before != version) {
                assert_eq!(current(last).await.status, 200, "the entity tag of the earlier permissions");
            }
            seen.push((version, tag(&own)));
            let who = api.get("/api/iam/who-can?view=/dashboard&limit=200").by(company.admin).within(company.id);
            let who = who.send().await.expect(200).data();
            assert_eq!(each(&who["users"], "id").contains(&user.to_string().as_str()), expected);
            let menu = api.get("/api/iam/navigation").by(user).within(company.id).send().await.expect(200).data();
            assert_eq!(menu["menu"] != json!([]), expected);
            let mine = api.get("/api/iam/me/companies").by(user).send().await.expect(200).data();
            assert_eq!(mine["companies"] != json!([]), expected);
        }
    }
    let versions: BTreeSet<_> = seen.iter().map(|(version, _)| version).collect();
    assert_eq!(versions.len(), 3, "the version changes at each boundary: {versions:?}");
}

/// Expired assignments are listed as such until they are removed, with one audit record of the system for each user.
/// Decisions remain, and the version of the company increases.
#[actix_web::test]
async fn expired_assignments_are_listed_until_they_are_removed() {
    let (api, time) = with_set_time().await;
    let company = api.company().await;
    let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
    let (user, ends) = (new_user(), json!({ "expiresAt": time.now().plus(HOUR) }));
    give(&api, company, user, &member, &ends).send().await.expect(200);
    give(&api, company, user, &visitor, &json!({})).send().await.expect(200);
    time.advance(HOUR * 2);
    let list = format!("/api/iam/users/{user}/user-levels");
    let levels = read(&api, company, &list).await["userLevels"].clone();
    assert_eq!((&levels[0]["state"], &levels[1]["state"]), (&json!("expired"), &json!(null)));
    let reviews = format!("/api/iam/assignments?expiresBefore={}", time.now());
    assert_eq!(each(&read(&api, company, &reviews).await["assignments"], "state"), ["expired"]);

    let remove = async |expired_for| api.application.remove_expired_assignments(expired_for).await.unwrap();
    assert_eq!(remove(HOUR * 2).await, 0, "the assignment is kept");
    assert_eq!(remove(HOUR).await, 1);
    assert_eq!(remove(HOUR).await, 0);
    assert_eq!(each(&read(&api, company, &list).await["userLevels"], "name"), ["Visitor"]);
    assert_eq!(read(&api, company, &reviews).await["assignments"], json!([]));
    let logs = read(&api, company, &format!("/api/iam/audit-logs?entityId={user}")).await;
    let record = &logs["logs"][0];
    assert_eq!(
        (&record["action"], &record["actorKind"], &record["userId"], &record["changes"]["removed"]),
        (&json!("assignment.expired"), &json!("system"), &json!(null), &json!([member]))
    );
}
