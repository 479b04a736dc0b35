//! Tests that both storage adapters produce the same responses. The same script runs on each adapter, and the two
//! normalized transcripts are compared byte by byte.

use serde_json::Value;

use super::world::Exchange;

/// Placeholders for values that differ from run to run: ids, cursors, versions and entity tags. The placeholders are
/// numbered by first appearance. All times have the same placeholder, because two times may be equal in one run and
/// different in another.
#[derive(Default)]
pub struct Placeholders(std::collections::HashMap<String, usize>);

impl Placeholders {
    fn of(&mut self, kind: &str, text: &str) -> String {
        let next = self.0.len();
        let number = self.0.entry(text.to_lowercase()).or_insert(next);
        format!("<{kind} {number}>")
    }

    /// Returns the string with its generated ids, times and API keys replaced by placeholders.
    pub fn normalise(&mut self, text: &str) -> String {
        let mut normal = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = if let Some(length) = random_text(rest, &normal) {
                Some((length, "<random>".to_owned()))
            } else if !first.is_ascii_hexdigit() {
                None
            } else if rest.get(..24).is_some_and(is_time) {
                Some((24, "<time>".to_owned()))
            } else if rest.get(..36).is_some_and(is_new_id) {
                rest.get(..36).map(|id| (36, self.of("id", id)))
            } else {
                None
            };
            if let Some((length, name)) = taken {
                normal.push_str(&name);
                rest = &rest[length..];
            } else {
                normal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        normal
    }
}

/// Returns the length of the random string at the start of `text`. This string is an API key, or the prefix of a key if
/// `before` ends with the name of the prefix field. Returns `None` if `text` does not begin with a random string.
fn random_text(text: &str, before: &str) -> Option<usize> {
    let letters = |from: usize, count: usize| {
        let part = text.get(from..from + count)?;
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_').then_some(from + count)
    };
    let is_prefix = before.ends_with(r#"prefix":""#) || before.ends_with(r#"prefix\":\""#);
    if is_prefix { letters(0, 12) } else { text.starts_with("iam_").then(|| letters(4, 56)).flatten() }
}

/// Returns `true` if the string matches the pattern `form`. In the pattern, `d` stands for a decimal digit, `x` for a
/// hexadecimal digit, and `v` for the version digit of a UUID of version 4, 7 or 8.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            b'v' => matches!(byte, b'4' | b'7' | b'8'),
            _ => byte == form,
        })
}

fn is_time(text: &str) -> bool {
    has_form(text, "dddd-dd-ddTdd:dd:dd.dddZ")
}

/// Returns `true` if the string is an id that was generated in this run. The ids of seeded entities do not match,
/// because they are constant UUIDs of version 5.
fn is_new_id(text: &str) -> bool {
    has_form(text, "xxxxxxxx-xxxx-vxxx-xxxx-xxxxxxxxxxxx")
}

/// Returns a JSON body with the fields of all objects sorted. Objects whose keys are random ids would otherwise have a
/// different order in each run.
fn in_order_of_names(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(json) => json.to_string(),
        Err(_) => body.to_owned(),
    }
}

/// Returns a JSON body with its companies sorted by their placeholders. Their order is the order of their random ids.
fn with_sorted_companies(body: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if let Some(companies) = json["data"]["companies"].as_array_mut() {
        companies.sort_by_key(Value::to_string);
    }
    json.to_string()
}

/// Normalizes an exchange for comparison. Returns its description together with the status, its headers, and its body.
fn normal(names: &mut Placeholders, exchange: &Exchange) -> (String, Vec<(String, String)>, String) {
    let answer = &exchange.answer;
    let mut headers: Vec<_> =
        answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    for (name, value) in &mut headers {
        *value = match name.as_str() {
            "etag" | "x-iam-version" => names.of(name, value),
            // The value of this header is a set in arbitrary order.
            "access-control-expose-headers" => {
                let mut exposed: Vec<_> = value.split(", ").collect();
                exposed.sort_unstable();
                exposed.join(", ")
            }
            _ => names.normalise(value),
        };
    }
    let mut body = names.normalise(std::str::from_utf8(&answer.body).unwrap());
    if body.contains(r#""views":{"#) || body.contains(r#""logs":["#) {
        body = in_order_of_names(&body);
    }
    if body.contains(r#""companies":["#) {
        body = with_sorted_companies(&body);
    }
    for field in ["nextCursor", "version"] {
        let field = format!("\"{field}\":\"");
        if let Some((start, value)) = body.split_once(&field) {
            let (value, end) = value.split_once('"').unwrap();
            body = format!("{start}{field}{}\"{end}", names.of(&field, value));
        }
    }
    let what = exchange.what.split("&cursor=").next().unwrap();
    (format!("{} {}", names.normalise(what), answer.status), headers, body)
}

/// Asserts that two transcripts of the same script are equal. Each argument consists of the name of an adapter and its
/// transcript.
pub fn assert_same(one: (&str, &[Exchange]), other: (&str, &[Exchange])) {
    let (mut names, mut other_names) = (Placeholders::default(), Placeholders::default());
    for (index, (exchange, other_exchange)) in one.1.iter().zip(other.1).enumerate() {
        let (normal, other_normal) = (normal(&mut names, exchange), normal(&mut other_names, other_exchange));
        if normal != other_normal {
            let (a, b) = (format!("{normal:?}"), format!("{other_normal:?}"));
            let at = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(200);
            let cut = |text: &str| text.chars().skip(at).take(600).collect::<String>();
            let (a, b) = (cut(&a), cut(&b));
            panic!("response {index} to {} differs:\n{} …{a}\n{} …{b}", normal.0, one.0, other.0);
        }
    }
    assert_eq!(one.1.len(), other.1.len());
}

#[test]
fn normalization_replaces_only_generated_values() {
    let mut names = Placeholders::default();
    let (seven, four) = ("018f3c1e-0000-7000-8000-000000000001", "6f2c9d1e-5b7a-4c38-9e21-d04f7a86b3c5");
    let seeded = "3215edfd-0443-587a-8007-466732f47f9f";
    let text = format!("a{seeded} {four}/{seven},{seven} 2026-11-22T12:00:00.000Z 🐀");
    assert_eq!(names.normalise(&text), format!("a{seeded} <id 0>/<id 1>,<id 1> <time> 🐀"));
    assert_eq!(names.normalise(&seven.to_uppercase()), "<id 1>");
}

/// The tests that need a database. `make test-memory` skips modules named `postgres`.
mod postgres {
    use serde_json::json;

    use super::assert_same;
    use crate::http::operation::{Entity, TestCaller};
    use crate::http::world::{Exchange, World};
    use crate::http::{bad_input, matrix};
    use crate::support::api::TestApi;

    /// Runs the script on this adapter, reads all data, and returns the transcript.
    async fn transcript(api: TestApi, script: impl AsyncFn(&World)) -> Vec<Exchange> {
        let world = World::new(api).await;
        script(&world).await;
        for company in [world.ours, world.theirs] {
            world.dump(company).await;
        }
        world.dump_catalog().await;
        world.transcript()
    }

    /// Asserts that the responses of both adapters to every request of the script have the same status, headers and body.
    async fn assert_parity(script: impl AsyncFn(&World)) {
        let memory = transcript(TestApi::memory().await, &script).await;
        let postgres = transcript(TestApi::postgres().await, &script).await;
        assert_same(("memory", &memory), ("postgres", &postgres));
    }

    /// Sends requests that violate constraints of the stored data, for example unique names.
    async fn conflicts(world: &World) {
        world.renew();
        let level = format!("/api/iam/user-levels/{}", world.entity(Entity::Level).await);
        let admin = format!("/api/iam/user-levels/{}", world.api.level_id(world.ours, "Admin").await);
        let general = format!("/api/iam/features/{}", world.api.feature_id("general.read").await);
        let reserved = format!("/api/iam/features/{}", world.api.feature_id("iam.manage_levels").await);
        let core = format!("/api/iam/modules/{}", world.api.module_id("core").await);
        let view = format!("/api/iam/views/{}", world.api.view_id("/dashboard").await);
        let module = format!("/api/iam/companies/{}/modules/{}", world.ours.id, world.entity(Entity::Module).await);
        let missing = format!("/api/iam/user-levels/{}", world.entity(Entity::Gone).await);
        let user = format!("/api/iam/users/{}/user-levels", world.entity(Entity::User).await);
        let dashboard = world.api.view_id("/dashboard").await;
        let pinned = json!({ "views": [{ "viewId": dashboard, "state": "deny", "modifiable": false }] });
        let views = format!("{level}/permissions/views");
        let iam = json!({ "featureIds": [world.api.feature_id("iam.manage_levels").await] });
        let (ours, all) = (Some(world.ours.id), TestCaller::SuperAdmin);
        for (method, path, who, body, status) in [
            ("POST", "/api/iam/user-levels", TestCaller::Admin, json!({ "name": "Admin" }), 409),
            ("PATCH", &level, TestCaller::Admin, json!({ "name": "Admin" }), 409),
            ("PATCH", &level, TestCaller::Admin, json!({}), 200),
            ("DELETE", &admin, TestCaller::Admin, json!({}), 400),
            ("GET", &missing, TestCaller::Admin, json!({}), 404),
            ("DELETE", &missing, TestCaller::Admin, json!({}), 404),
            ("GET", &user, TestCaller::Admin, json!({}), 200),
            ("POST", "/api/iam/views", all, json!({ "name": "D", "url": "/dashboard" }), 409),
            ("POST", "/api/iam/features", all, json!({ "name": "R", "key": "general.read" }), 409),
            ("POST", "/api/iam/features", all, json!({ "name": "R", "key": "iam.more" }), 409),
            ("POST", "/api/iam/modules", all, json!({ "name": "C", "code": "core" }), 409),
            ("PATCH", &general, all, json!({ "key": "general.update" }), 409),
            ("PATCH", &reserved, all, json!({ "enabled": false }), 409),
            ("DELETE", &reserved, all, json!({}), 409),
            ("DELETE", &view, all, json!({}), 409),
            ("DELETE", &core, all, json!({}), 409),
            ("PUT", &format!("{core}/views"), all, json!({ "viewIds": [] }), 409),
            ("PUT", &format!("{core}/features"), all, iam, 409),
            ("PATCH", &module, all, json!({ "enabled": true }), 404),
            ("PUT", &views, TestCaller::Admin, pinned.clone(), 403),
            ("PUT", &views, all, pinned, 200),
            ("PUT", &views, TestCaller::Admin, json!({ "views": [] }), 403),
            ("DELETE", &level, TestCaller::Admin, json!({}), 403),
            ("DELETE", &level, all, json!({}), 200),
            ("GET", &level, TestCaller::Admin, json!({}), 404),
        ] {
            let company = ours.filter(|_| !path.contains("/companies/"));
            let request = world.request(method, path, who, company).json(&body);
            world.send(&format!("{method} {path} {body}"), request).await.expect(status);
        }
        let request = world.request("PATCH", &admin, TestCaller::Admin, ours).header("if-match", "\"old\"");
        world.send("if-match", request.json(&json!({ "name": "Boss" }))).await.expect(412);
    }

    /// Reads the audit logs page by page, first without a filter and then with each filter.
    async fn pages(world: &World) {
        let ours = "/api/iam/audit-logs?limit=7&includeTotal=true".to_owned();
        for (path, company) in [(ours, Some(world.ours.id)), (world.platform_trail(7), None)] {
            for filter in ["", "&entityType=user-level", "&action=user_level.created", "&from=2026-01-01T00:00:00Z"] {
                let mut cursor = String::new();
                loop {
                    let page = world.look(&format!("{path}{filter}{cursor}"), company).await;
                    match page["nextCursor"].as_str() {
                        Some(next) => cursor = format!("&cursor={next}"),
                        None => break,
                    }
                }
            }
        }
    }

    #[actix_web::test]
    async fn both_adapters_return_the_same_responses_to_every_caller() {
        assert_parity(async |world| {
            matrix::table(world).await;
            conflicts(world).await;
            pages(world).await;
        })
        .await;
    }

    #[actix_web::test]
    async fn both_adapters_return_the_same_responses_to_invalid_fields() {
        assert_parity(bad_input::fields).await;
    }

    #[actix_web::test]
    async fn both_adapters_return_the_same_responses_to_invalid_bodies() {
        assert_parity(bad_input::bodies).await;
    }

    #[actix_web::test]
    async fn both_adapters_return_the_same_responses_to_invalid_paths() {
        assert_parity(bad_input::paths).await;
    }

    #[actix_web::test]
    async fn both_adapters_return_the_same_responses_to_invalid_query_parameters() {
        assert_parity(bad_input::queries).await;
    }
}
