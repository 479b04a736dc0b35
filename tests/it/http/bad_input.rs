//! Tests of input validation: invalid input is rejected with an error that names the field or parameter, and nothing is
//! stored. The tests cover every field of every body and every parameter.

mod cases;
mod expected;
mod forms;
mod queries;
mod sending;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::cases::{Case, SPLICE, cases_of};
use self::expected::Expected;
use self::forms::{FORMS, Field, Kind, NEEDS_NO_BODY, NO_USER};
pub use self::queries::queries;
use self::sending::{by_header, send};
use super::operation::{Entity, Needs, Operation, TestCaller};
use super::operations::{operation, operations};
use super::world::{Dump, World};
use crate::support::api::{TestApi, both_adapters};

/// Maximum size of a request body in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// A test case with a complete body: description, headers, bytes of the body, and expected response.
type Whole = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, Expected);

/// Returns test cases with complete bodies. Most are invalid, for example with another content type or encoding, and
/// some are valid.
fn whole_bodies(operation: Operation, valid: &str) -> Vec<Whole> {
    let plain = || vec![("content-type", "application/json")];
    let not_json = || Expected::Begins("body".to_owned(), "is not valid JSON");
    let no_object = || Expected::Invalid("body must be a JSON object".to_owned());
    let declared = "body must be JSON with Content-Type: application/json and without Content-Encoding";
    let other_type = || Expected::Error(415, "ERR_VALIDATION_005", declared.to_owned());
    let padded = |length: usize| format!("{valid}{}", " ".repeat(length - valid.len())).into_bytes();
    let too_large = || Expected::Error(413, "ERR_VALIDATION_004", format!("body must be at most {BODY_LIMIT} bytes"));
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(1000), close.repeat(1000)).into_bytes();
    let empty = if NEEDS_NO_BODY.contains(&operation.name) {
        Expected::Accepted
    } else {
        Expected::Invalid("body is required and must be a JSON object".to_owned())
    };
    let gzip = vec![("content-type", "application/json"), ("content-encoding", "gzip")];
    vec![
        ("empty", plain(), vec![], empty),
        ("one space", plain(), b" ".to_vec(), not_json()),
        ("no JSON", plain(), b"nonsense".to_vec(), not_json()),
        ("cut off", plain(), b"{".to_vec(), not_json()),
        ("two documents", plain(), b"{} {}".to_vec(), not_json()),
        ("trailing comma", plain(), b"{\"a\":1,}".to_vec(), not_json()),
        ("byte order mark", plain(), [b"\xef\xbb\xbf".as_slice(), valid.as_bytes()].concat(), not_json()),
        ("invalid UTF-8", plain(), b"\xff\xfe".to_vec(), not_json()),
        ("invalid UTF-8 in a name", plain(), b"{\"\xff\":1}".to_vec(), not_json()),
        ("lone surrogate", plain(), br#""\ud800""#.to_vec(), not_json()),
        ("NUL bytes", plain(), b"\0\0".to_vec(), not_json()),
        ("deep lists", plain(), nested("[", "]"), not_json()),
        ("deep objects", plain(), nested("{\"a\":", "}"), Expected::Begins("a.a.a".to_owned(), "is not valid JSON")),
        ("list", plain(), b"[]".to_vec(), no_object()),
        ("list of it", plain(), format!("[{valid}]").into_bytes(), no_object()),
        ("text", plain(), b"\"{}\"".to_vec(), no_object()),
        ("number", plain(), b"0".to_vec(), no_object()),
        ("null", plain(), b"null".to_vec(), no_object()),
        ("one byte too many", plain(), padded(BODY_LIMIT + 1), too_large()),
        ("all that fits", plain(), padded(BODY_LIMIT), Expected::Accepted),
        ("plain text", vec![("content-type", "text/plain")], valid.into(), other_type()),
        ("a form", vec![("content-type", "application/x-www-form-urlencoded")], valid.into(), other_type()),
        ("no type", vec![], valid.into(), other_type()),
        ("a type that is none", vec![("content-type", "json")], valid.into(), other_type()),
        ("compressed", gzip, valid.into(), other_type()),
        ("with a charset", vec![("content-type", "application/json; charset=utf-8")], valid.into(), Expected::Accepted),
    ]
}

/// Returns a value that changes with every audited write. Writes to navigation trails are not audited, so they do not
/// change this value.
async fn changes(world: &World) -> Value {
    let last = "/api/iam/audit-logs?limit=1&includeTotal=true";
    json!([world.look(&world.platform_trail(1), None).await, world.look(last, Some(world.ours.id)).await])
}

/// Returns all data of the company and of the catalog that an operation could change.
async fn dump(world: &World) -> (Dump, Dump) {
    (world.dump(world.ours).await, world.dump_catalog().await)
}

/// Sends the body of one test case and checks the response.
async fn send_case(world: &World, operation: Operation, case: &Case) {
    let path = world.fill(&operation.valid_path()).await;
    let body = world.fill(&case.body).await;
    let body = match &case.splice {
        None => body.into_bytes(),
        Some(bytes) => {
            let (start, end) = body.split_once(SPLICE).expect("the body must contain the placeholder");
            [start.as_bytes(), bytes, end.as_bytes()].concat()
        }
    };
    let expected = match &case.expected {
        Expected::Invalid(message) => Expected::Invalid(world.fill(message).await),
        Expected::InPlace(message) => Expected::InPlace(world.fill(message).await),
        other => other.clone(),
    };
    let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation));
    send(world, operation, &case.what, request.bytes("application/json", body), &expected).await;
}

/// Creates all entities to which requests in the table of operations refer. The tests call this function first, because
/// entities that are created later would appear as differences when the stored data is compared.
async fn create_all_entities(world: &World) {
    world.renew();
    for form in FORMS {
        world.fill(&form.valid().to_string()).await;
    }
    for entity in operations().flat_map(|operation| operation.ids).chain(&[Entity::TheirItem, Entity::TheirLevel]) {
        world.entity(*entity).await;
    }
}

/// Sends every field of every body with all kinds of invalid values and at its limits. The error names the invalid field.
pub async fn fields(world: &World) {
    let mut accepted = Vec::new();
    let mut sent = 0;
    create_all_entities(world).await;
    let before = dump(world).await;
    for (index, form) in FORMS.iter().enumerate() {
        let (operation, valid) = (operation(form.operation), form.valid());
        let letter = char::from_u32(0x1f400 + u32::try_from(index).unwrap()).unwrap();
        let changes_before = changes(world).await;
        for case in cases_of(&valid, letter, form.fields, form.is_strict()) {
            sent += 1;
            if case.expected.is_accepted() {
                accepted.push((operation, case));
            } else {
                send_case(world, operation, &case).await;
            }
        }
        let name = operation.name;
        assert_eq!(changes(world).await, changes_before, "{name} must store nothing when it rejects a request");
    }
    assert_eq!(dump(world).await, before, "a rejected request must store nothing");
    for (operation, case) in accepted {
        send_case(world, operation, &case).await;
    }
    assert!(sent > 2_000, "{sent}");
}

/// Sends bodies that are not JSON objects, are too large, or have a content type other than JSON. They are rejected.
pub async fn bodies(world: &World) {
    let mut sent = 0;
    let mut seen = BTreeSet::new();
    let mut accepted = Vec::new();
    create_all_entities(world).await;
    let before = dump(world).await;
    for operation in FORMS.iter().map(|form| operation(form.operation)).filter(|operation| seen.insert(operation.name))
    {
        let valid = world.fill(&operation.valid_body()).await;
        let changes_before = changes(world).await;
        for (index, whole) in whole_bodies(operation, &valid).into_iter().enumerate() {
            sent += 1;
            if whole.3.is_accepted() {
                accepted.push((operation, index));
            } else {
                send_whole(world, operation, whole).await;
            }
        }
        let name = operation.name;
        assert_eq!(changes(world).await, changes_before, "{name} must store nothing when it rejects a request");
    }
    assert_eq!(dump(world).await, before, "a rejected request must store nothing");
    for (operation, index) in accepted {
        let valid = world.fill(&operation.valid_body()).await;
        send_whole(world, operation, whole_bodies(operation, &valid).swap_remove(index)).await;
    }
    assert!(sent > 500, "{sent}");
}

async fn send_whole(world: &World, operation: Operation, (what, headers, body, expected): Whole) {
    let path = world.fill(&operation.valid_path()).await;
    let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation)).payload(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    send(world, operation, &format!("body {what}"), request, &expected).await;
}

/// Sends invalid ids in paths. They are rejected.
pub async fn paths(world: &World) {
    let over_long = "a".repeat(5000);
    let no_ids = [
        "x",
        "0",
        "null",
        "00000000-0000-0000-0000-000000000000",
        "018f3c1e000070008000000000000001",
        "%7B018f3c1e-0000-7000-8000-000000000001%7D",
        "018f3c1e-0000-7000-8000-000000000001%00",
        "018f3c1e-0000-7000-8000-000000000001%20",
        "%00",
        "%ff%fe",
        "%F0%9F%90%84",
        "%2e%2e",
        "%2F",
        "%25",
        "%",
        "%zz",
        "..;",
        "'%20OR%201=1--",
        over_long.as_str(),
    ];
    let mut sent = 0;
    create_all_entities(world).await;
    let before = changes(world).await;
    for operation in operations() {
        for (index, parameter) in operation.parameters().enumerate() {
            for no_id in no_ids {
                let mut ids: Vec<_> = operation.ids.iter().map(Entity::to_string).collect();
                ids[index] = no_id.to_owned();
                let path = world.fill(&operation.path_with(&ids, operation.query)).await;
                let body = world.fill(&operation.valid_body()).await;
                let company = by_header(world, operation);
                let mut request = world.request(operation.method(), &path, operation.user(), company);
                if !body.is_empty() {
                    request = request.bytes("application/json", body);
                }
                let about = format!("{parameter} {}", no_id.chars().take(60).collect::<String>());
                let no_id = if parameter == "userId" { NO_USER } else { "must be a valid UUID" };
                let expected = Expected::invalid(parameter, no_id);
                send(world, operation, &about, request, &expected).await;
                sent += 1;
            }
        }
    }
    assert_eq!(changes(world).await, before);
    assert!(sent > 500, "{sent}");
}

/// Collects the field names of a schema in the OpenAPI document, including the fields of objects in lists.
fn fields_of(document: &Value, schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return fields_of(document, document.pointer(name.trim_start_matches('#')).unwrap(), prefix, found);
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        fields_of(document, one, prefix, found);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{prefix}{name}"));
        fields_of(document, &member["items"], &format!("{prefix}{name}[]."), found);
    }
}

/// The table of fields ([`FORMS`]) contains exactly the fields of the request bodies in the OpenAPI document.
#[test]
fn the_table_covers_every_field() {
    fn names(fields: &[Field], prefix: &str, found: &mut BTreeSet<String>) {
        for field in fields {
            found.insert(format!("{prefix}{}", field.name));
            if let Kind::Objects(fields, _) | Kind::Apart(fields, _) = field.kind {
                names(fields, &format!("{prefix}{}[].", field.name), found);
            }
        }
    }
    let document = iam_http::document().unwrap();
    for operation in operations() {
        let described = &document["paths"][operation.path()][operation.method().to_lowercase()]["requestBody"];
        let mut expected = BTreeSet::new();
        fields_of(&document, &described["content"]["application/json"]["schema"], "", &mut expected);
        // The field `companyId` is tested separately, since a request can specify the company in four places.
        expected.retain(|field| !field.ends_with("companyId"));
        let mut known = BTreeSet::new();
        for form in FORMS.iter().filter(|form| form.operation == operation.name) {
            names(form.fields, "", &mut known);
        }
        assert_eq!(known, expected, "{}", operation.name);
        assert_eq!(described.is_null(), expected.is_empty(), "{}", operation.name);
        assert!(
            (operation.body)().is_null() == expected.is_empty() || operation.needs == Needs::Token,
            "{}",
            operation.name
        );
    }
}

// The scripts run in memory here. The tests of parity run them on both adapters and compare the responses.

#[actix_web::test]
async fn the_error_for_invalid_fields_contains_their_names() {
    fields(&World::new(TestApi::memory().await).await).await;
}

#[actix_web::test]
async fn invalid_bodies_are_rejected() {
    bodies(&World::new(TestApi::memory().await).await).await;
}

#[actix_web::test]
async fn invalid_paths_are_rejected() {
    paths(&World::new(TestApi::memory().await).await).await;
}

#[actix_web::test]
async fn the_error_for_invalid_query_parameters_contains_their_names() {
    queries(&World::new(TestApi::memory().await).await).await;
}

both_adapters! {
    /// A check must specify either a view, or a feature and an action. Other combinations are rejected.
    async fn a_check_specifies_either_a_view_or_a_feature(api: TestApi) {
        let world = World::new(api).await;
        for (body, message) in [
            (json!({}), "View or feature is required"),
            (json!({ "action": "Read" }), "View or feature is required"),
            (json!({ "view": "/home", "feature": "general.read" }), "view cannot be combined with feature"),
            (json!({ "view": "/home", "action": "Read" }), "view cannot be combined with action or scope"),
            (json!({ "view": "/home", "scope": "own" }), "view cannot be combined with action or scope"),
            (json!({ "feature": "general.read" }), "Action is required"),
            (json!({ "feature": "general.read", "scope": "own" }), "Action is required"),
        ] {
            let request = world.request("POST", "/api/iam/check", TestCaller::Admin, Some(world.ours.id)).json(&body);
            Expected::Invalid(message.to_owned()).check(&body.to_string(), 200, &world.send("check", request).await);
        }
    }

    /// Clients of the original system depend on the text of some error messages. These messages are the same as in the
    /// original system.
    async fn the_messages_of_the_original_are_unchanged(api: TestApi) {
        let world = World::new(api).await;
        let level = format!("/api/iam/user-levels/{}", world.entity(Entity::Level).await);
        let user = format!("/api/iam/users/{}/user-levels", world.entity(Entity::User).await);
        let (views, features) = (format!("{level}/permissions/views"), format!("{level}/permissions/features"));
        for (method, path, body, message) in [
            ("POST", "/api/iam/user-levels", json!({}), "Name is required"),
            ("POST", "/api/iam/user-levels", json!({ "name": " " }), "Name is required"),
            ("PUT", &views, json!({}), "views must be an array"),
            ("PUT", &features, json!({ "features": null }), "features must be an array"),
            ("PUT", &user, json!({ "userLevelIds": "x" }), "userLevelIds must be an array"),
        ] {
            let request = world.request(method, path, TestCaller::Admin, Some(world.ours.id)).json(&body);
            Expected::Invalid(message.to_owned()).check(path, 200, &world.send(path, request).await);
        }
        let both = json!({ "name": 1, "description": null });
        let request = world.request("POST", "/api/iam/user-levels", TestCaller::Admin, Some(world.ours.id)).json(&both);
        let answer = world.send("/api/iam/user-levels", request).await.expect(400).json();
        assert_eq!(
            answer,
            json!({
                "status": "error", "code": "ERR_VALIDATION_003", "message": "Validation failed",
                "errors": [
                    { "field": "name", "message": "name must be a string", "code": "type" },
                    { "field": "description", "message": "description must be a string", "code": "type" },
                ],
            })
        );
    }

    /// A value that is not a JSON boolean never grants a permission: the user's permissions remain unchanged.
    async fn a_value_that_is_no_boolean_grants_nothing(api: TestApi) {
        let world = World::new(api).await;
        let user = world.entity(Entity::User).await;
        let level = world.entity(Entity::Level).await;
        let feature = world.entity(Entity::Feature).await;
        let path = format!("/api/iam/users/{user}/user-levels");
        let body = json!({ "userLevelIds": [level] });
        let request = world.request("PUT", &path, TestCaller::Admin, Some(world.ours.id)).json(&body);
        world.send(&path, request).await.expect(200);
        let path = format!("/api/iam/user-levels/{level}/permissions/features");
        for value in [json!("false"), json!("true"), json!(0), json!(1), json!(null), json!([true]), json!({})] {
            let body = json!({ "features": [{ "featureId": feature, "action": "Read", "value": value }] });
            let request = world.request("PUT", &path, TestCaller::Admin, Some(world.ours.id)).json(&body);
            let answer = world.send(&path, request).await;
            Expected::invalid("features[0].value", "must be a boolean").check(&value.to_string(), 200, &answer);
            let question = json!({ "feature": feature, "action": "Read", "userId": user });
            let check = world.request("POST", "/api/iam/check", TestCaller::Admin, Some(world.ours.id));
            let decision = world.send("/api/iam/check", check.json(&question)).await.expect(200).data();
            assert_eq!(
                (&decision["allowed"], &decision["reasonCode"]),
                (&json!(false), &json!("no_explicit_allow")),
                "{value}"
            );
        }
    }
}
