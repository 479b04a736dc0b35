//! Tests of tenant isolation, for every operation and every parameter that takes an id. Responses in the first company
//! are the same as if the second company did not exist.
//!
//! The parameters are read from the OpenAPI document, so new operations and parameters are tested without being listed
//! here. For each parameter and every kind of entity, a test sends one request with an id of the second company and one
//! request with an unknown id. Both responses must be equal. Except for ids of companies, all responses must also
//! be the same if the second company has twice as many entities.

mod parameters;
mod rows;
mod theirs;

use actix_web::http::header::HeaderMap;
use iam_domain::Issuer;
use iam_identity::{KeySet, KeySource, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions};
use serde_json::{Value, json};

use self::parameters::{Attempt, Parameter, ask, document, parameters};
use self::theirs::{EXTERNAL_USER, ISSUER, ISSUERS_KEY, MARK, Probe, Theirs, furnished};
use super::operation::{CompanyParameter, Entity, Needs, Operation, TestCaller};
use super::operations::{operation, operations};
use super::parity::{self, Placeholders};
use super::world::{Exchange, World};
use crate::support::api::{Answer, Company, TestApi, both_adapters, new_company, new_user, secret};

/// The operation that lists all API keys. The list belongs to the platform, so super admins receive the same list in
/// every company.
const ALL_KEYS: &str = "GET /api/iam/api-keys";

/// The operation that sets a cut-off. Cut-offs belong to the platform, so the response contains the user's stored
/// issuer and subject in every company.
const CUT_OFF: &str = "PUT /api/iam/users/{userId}/not-before";

/// The operation that lists the companies of a user. Super admins receive the same list in every company.
const COMPANIES_OF_USER: &str = "GET /api/iam/users/{userId}/companies";

/// The operation that creates a company. Super admins can send the id of the new company, so they learn which companies
/// exist.
const NEW_COMPANY: &str = "POST /api/iam/companies";

// --- Comparison of responses ---

/// Returns the status, headers and body of a response in comparable form. Placeholders replace the values that the
/// request sent, generated ids, times, and header values that always differ. Generated names are removed.
fn normalize_response(answer: &Answer, sent: &[String], is_change: bool) -> (u16, Vec<(String, String)>, String) {
    let replaced = |text: &str| {
        let sent = sent.iter().filter(|sent| !sent.is_empty());
        sent.fold(text.to_owned(), |text, sent| text.replace(sent.as_str(), "<sent>"))
    };
    let body = String::from_utf8(answer.body.clone()).unwrap();
    let normalize_response = replaced(&body);
    let names_it = normalize_response != body;
    let normalize_response = without_names(&Placeholders::default().normalise(&normalize_response));
    let differs = |name: &str| match name {
        "etag" => names_it || is_change,
        "x-iam-version" => is_change,
        // The location contains the generated id of the created entity.
        name => name == "x-request-id" || name == "location",
    };
    (answer.status.as_u16(), headers(&answer.headers, differs, replaced), normalize_response)
}

fn headers(headers: &HeaderMap, differs: impl Fn(&str) -> bool, of: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let compared = headers.iter().map(|(name, value)| {
        let value = if differs(name.as_str()) { "<any>".to_owned() } else { of(value.to_str().unwrap()) };
        (name.to_string(), value)
    });
    let mut compared: Vec<_> = compared.collect();
    compared.sort();
    compared
}

/// Returns the string without the unique names and urls that [`World`] generates, such as `n00001`.
fn without_names(text: &str) -> String {
    let mut parts = text.split('n');
    let mut without = parts.next().unwrap().to_owned();
    for part in parts {
        let number = part.get(..5).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        without.push('n');
        without.push_str(if number { &part[5..] } else { part });
    }
    without
}

// --- The script ---

/// The callers whose rights in the first company differ in ways that matter for tenant isolation.
const CALLERS: [TestCaller; 5] =
    [TestCaller::Admin, TestCaller::SuperAdmin, TestCaller::CheckKey, TestCaller::ReadKey, TestCaller::AdministerKey];

/// The operation that lists all companies.
const ALL_COMPANIES: &str = "GET /api/iam/companies";

/// The lists that sign their cursors.
const SIGNED: [&str; 9] = [
    "GET /api/iam/user-levels/{id}/users",
    "GET /api/iam/users",
    "GET /api/iam/who-can",
    "GET /api/iam/assignments",
    "POST /api/iam/previews",
    ALL_COMPANIES,
    COMPANIES_OF_USER,
    "GET /api/iam/me",
    "GET /api/iam/me/companies",
];

fn is_read(operation: &Operation) -> bool {
    let asks = ["/check", "/checks", "/explain", "/explanations", "/previews"]
        .iter()
        .any(|end| operation.path().ends_with(end));
    operation.method() == "GET" || asks
}

/// Returns the values to send in a parameter. Each is a pair of a value of the second company and an unknown value. If
/// `all` is `false`, returns only a sample of the pairs.
fn probes(theirs: &Theirs, operation: &Operation, parameter: &Parameter, all: bool) -> Vec<Probe> {
    let mut probes = match parameter.name() {
        "sessionId" => return vec![theirs.session.clone()],
        // All records of the first company are older than those of the second company. A cursor of the second company
        // is therefore equivalent to no cursor.
        "cursor" => {
            if SIGNED.contains(&operation.name) {
                // These lists sign their cursors, so a cursor of the second company is rejected like any other text.
                let (theirs, unknown) = (vec![theirs.cursor.clone()], vec!["unknown".to_owned()]);
                return vec![Probe { kind: "cursor", theirs, unknown }];
            }
            let (theirs, unknown) = (vec![theirs.cursor.clone()], vec![String::new()]);
            return vec![Probe { kind: "cursor", theirs, unknown }];
        }
        _ if all => theirs.ids.clone(),
        _ => theirs.ids[..3].to_vec(),
    };
    if parameter.name() == "userId" || parameter.name().ends_with("UserId") {
        probes.push(theirs.user_name.clone());
    }
    probes
}

/// Asserts that both responses are equal. Also asserts that they contain no data of the second company, except the
/// values that the requests sent.
fn assert_alike(theirs: &Theirs, operation: &Operation, about: &str, answers: [(&Answer, &[String]); 2]) {
    let is_change = !is_read(operation);
    let [(foreign, sent), (unknown, sent_unknown)] = answers;
    if operation.name == ALL_COMPANIES && foreign.status == 200 {
        // Super admins receive a list of all companies, whatever company the request specifies.
        return;
    }
    assert_eq!(
        normalize_response(foreign, sent, is_change),
        normalize_response(unknown, sent_unknown, is_change),
        "{about}"
    );
    theirs.assert_not_in(about, foreign, sent);
    theirs.assert_not_in(about, unknown, &[]);
}

/// Sends the second company's id and an unknown id in each parameter that specifies a company. Each id is sent alone
/// and together with the first company's id. Asserts that the responses are alike.
async fn companies(world: &World, theirs: &Theirs) {
    let ours = Some(world.ours.id);
    let unknown = new_company();
    for operation in operations() {
        let mut parameters = vec![Parameter::Header("x-company-id"), Parameter::Query("companyId".to_owned())];
        if operation.method() != "GET" {
            parameters.push(Parameter::Body("/companyId".to_owned()));
        }
        if operation.path().ends_with("/checks") {
            parameters.push(Parameter::Body("/checks/0/companyId".to_owned()));
        }
        if operation.company == CompanyParameter::InPath {
            parameters.push(Parameter::Path("companyId".to_owned()));
        }
        for parameter in parameters {
            for who in CALLERS {
                for beside in [true, false] {
                    // Super admins have access to every company, so their two responses differ.
                    if who == TestCaller::SuperAdmin && !beside {
                        continue;
                    }
                    let about = format!("{} {parameter:?} {who:?} {beside}", operation.name);
                    let company =
                        ours.filter(|_| beside || parameter == Parameter::Body("/checks/0/companyId".to_owned()));
                    let mut answers = Vec::new();
                    for id in [world.theirs.id, unknown] {
                        let id = json!(id);
                        let attempt = Attempt { operation, who, company, filled: Some((&parameter, &id)) };
                        let answer = ask(world, &about, attempt).await;
                        answers.push((answer, vec![id.as_str().unwrap().to_owned()]));
                    }
                    let [foreign, unknown] = [&answers[0], &answers[1]].map(|(answer, sent)| (answer, sent.as_slice()));
                    assert_alike(theirs, &operation, &about, [foreign, unknown]);
                }
            }
        }
    }
}

/// Sends two kinds of values in request headers: versions and entity tags of the second company, and values that no
/// response ever contained. Asserts that the responses are alike.
async fn headers_of_theirs(world: &World, theirs: &Theirs) {
    let (epoch_and_catalog, of_company) = theirs.version.rsplit_once('.').unwrap();
    let versions = [theirs.version.clone(), format!("{epoch_and_catalog}.9000000")];
    let mut values = vec![("x-iam-min-version", versions)];
    for name in ["if-match", "if-none-match"] {
        values.extend(theirs.tags.iter().map(|tag| (name, [tag.clone(), "\"unknown\"".to_owned()])));
    }
    for (name, values) in values {
        for operation in operations().filter(|operation| operation.name != ALL_KEYS) {
            let (parameter, who) = (Parameter::Header(name), operation.user());
            let about = format!("{} {parameter:?} {who:?}", operation.name);
            let mut answers = Vec::new();
            for value in &values {
                let filled = json!(value);
                let attempt =
                    Attempt { operation, who, company: Some(world.ours.id), filled: Some((&parameter, &filled)) };
                answers.push(ask(world, &about, attempt).await);
            }
            assert_alike(theirs, &operation, &about, [(&answers[0], &[]), (&answers[1], &[])]);
            let known = version(world, world.ours).await.unwrap();
            let is_newer = i64::from_str_radix(of_company, 16).unwrap() > known;
            assert!(
                is_newer || name != "x-iam-min-version",
                "the second company must have changed more often than the first company"
            );
        }
    }
}

/// Sends ids of the second company and unknown ids in every parameter of these operations. Asserts that the responses
/// are alike. Returns the number of parameters.
async fn ids(world: &World, theirs: &Theirs, of: impl Iterator<Item = Operation>) -> usize {
    let document = document();
    let mut tried = 0;
    for operation in of {
        for parameter in parameters(&document, &operation) {
            tried += 1;
            for who in CALLERS {
                let is_of_platform = [COMPANIES_OF_USER, NEW_COMPANY].contains(&operation.name);
                if is_of_platform && who == TestCaller::SuperAdmin {
                    continue;
                }
                let company = (operation.company != CompanyParameter::InPath).then_some(world.ours.id);
                let attempt = async |about: &str, id: &Value| {
                    ask(world, about, Attempt { operation, who, company, filled: Some((&parameter, id)) }).await
                };
                let is_admitted = who == operation.user();
                let mut of_unknown: Option<(Vec<String>, Answer)> = None;
                let tells_name = |entity: &Probe| operation.name == CUT_OFF && entity.kind == EXTERNAL_USER;
                for entity in
                    probes(theirs, &operation, &parameter, is_admitted).into_iter().filter(|entity| !tells_name(entity))
                {
                    let about = format!("{} {parameter:?} {} {who:?}", operation.name, entity.kind);
                    if of_unknown.as_ref().is_none_or(|(sent, _)| *sent != entity.unknown) {
                        let answer = attempt(&about, &json!(entity.unknown[0])).await;
                        if is_admitted {
                            // Control: a value of the wrong type leads to a different response, which shows that the
                            // operation reads the parameter.
                            let misfit = if matches!(parameter, Parameter::Body(_)) { json!(7) } else { json!("\0") };
                            let odd = attempt(&about, &misfit).await;
                            assert_ne!(
                                normalize_response(&odd, &[], true),
                                normalize_response(&answer, &entity.unknown, true),
                                "{about}: the operation must read the parameter"
                            );
                        }
                        of_unknown = Some((entity.unknown.clone(), answer));
                    }
                    let (sent, unknown) = of_unknown.as_ref().unwrap();
                    let foreign = attempt(&about, &json!(entity.theirs[0])).await;
                    assert_alike(theirs, &operation, &about, [(&foreign, &entity.theirs), (unknown, sent)]);
                }
            }
        }
    }
    tried
}

/// Sends requests in the first company whose responses depend on counts and on the uniqueness of names.
async fn counts(world: &World, theirs: &Theirs) {
    world.renew();
    let level = format!("/api/iam/user-levels/{}", world.entity(Entity::Level).await);
    let admin = format!("/api/iam/user-levels/{}", world.api.level_id(world.ours, "Admin").await);
    let of_admin = format!("/api/iam/users/{}/user-levels", world.ours.admin);
    let of_member = format!("/api/iam/users/{}/user-levels", world.ours.member);
    let module = format!("/api/iam/companies/{}/modules", world.ours.id);
    let view = world.api.view_id("/dashboard").await;
    let pinned = json!({ "views": [{ "viewId": view, "state": "deny", "modifiable": false }] });
    let views = format!("{level}/permissions/views");
    for (method, path, who, body, status) in [
        ("GET", "/api/iam/user-levels", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/menu-items", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/sub-menu-items", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/navigation", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/permissions/current", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/nav-trail?sessionId=s", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/audit-logs?includeTotal=true&limit=200", TestCaller::Admin, Value::Null, 200),
        ("GET", "/api/iam/audit-logs?includeTotal=true&limit=1", TestCaller::SuperAdmin, Value::Null, 200),
        ("GET", &module, TestCaller::SuperAdmin, Value::Null, 200),
        ("DELETE", &admin, TestCaller::Admin, Value::Null, 400),
        ("PUT", &of_admin, TestCaller::Admin, json!({ "userLevelIds": [] }), 409),
        ("PUT", &views, TestCaller::SuperAdmin, pinned, 200),
        ("PUT", &views, TestCaller::Admin, json!({ "views": [] }), 403),
        ("DELETE", &level, TestCaller::Admin, Value::Null, 403),
        ("DELETE", "/api/iam/nav-trail?sessionId=s", TestCaller::Admin, Value::Null, 200),
        ("GET", &of_member, TestCaller::Admin, Value::Null, 200),
    ] {
        let request = world.request(method, path, who, Some(world.ours.id));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = world.send(&format!("{method} {path} counts"), request).await.expect(status);
        theirs.assert_not_in(path, &answer, &[]);
    }
    // A level name of the second company can be used in the first company.
    let request = world.request("POST", "/api/iam/user-levels", TestCaller::Admin, Some(world.ours.id));
    world.send("a name of theirs", request.json(&json!({ "name": "wanted 0" }))).await.expect(201);
}

/// Runs the whole script and returns all requests with their responses.
async fn story(world: &World, theirs: &Theirs) -> Vec<Exchange> {
    let before = world.transcript().len();
    // Reads of the audit log run first. A cursor of the second company is equivalent to no cursor only while the first
    // company has no newer audit records.
    let (mut reads, changes): (Vec<_>, Vec<_>) = operations().partition(is_read);
    reads.sort_by_key(|operation| !operation.path().ends_with("/audit-logs"));
    let mut tried = ids(world, theirs, reads.into_iter()).await;
    counts(world, theirs).await;
    headers_of_theirs(world, theirs).await;
    tried += ids(world, theirs, changes.into_iter()).await;
    assert!(tried > 60, "{tried}");
    world.dump(world.ours).await;
    world.transcript().split_off(before)
}

/// Creates a world whose token verifier also trusts the external issuer [`ISSUER`].
async fn new_world(api: &TestApi) -> World {
    let keys = KeySource::Keys(KeySet::from_pem(ISSUERS_KEY).unwrap());
    let issuer = TrustedIssuer::new(Issuer::parse(ISSUER).unwrap(), keys);
    let options = VerifierOptions::default();
    let verifier = TokenVerifier::start(Some(SharedSecret::new(secret())), vec![issuer], &options).await.unwrap();
    World::new(api.with_verifier(verifier).await).await
}

async fn another(api: &TestApi) -> TestApi {
    if api.database.is_some() { TestApi::postgres().await } else { TestApi::memory().await }
}

async fn version(world: &World, company: Company) -> Option<i64> {
    world.api.storage.reader().company_states().read(company.id).await.unwrap().map(|state| state.version)
}

both_adapters! {
    /// Requests in the first company neither read, change nor count entities of the second company. Requests with ids
    /// of such entities receive the same responses as requests with unknown ids.
    async fn another_company_is_indistinguishable_from_an_unknown_one(api: TestApi) {
        let other_api = another(&api).await;
        let mut stories = Vec::new();
        for (api, sets) in [(api, 1), (other_api, 2)] {
            let world = new_world(&api).await;
            let theirs = furnished(&world, sets).await;
            let before = (world.dump(world.theirs).await, version(&world, world.theirs).await);
            stories.push(story(&world, &theirs).await);
            // The responses to ids of companies do not depend on the entities of the second company, so they are tested once.
            if sets == 1 {
                companies(&world, &theirs).await;
            }
            assert_eq!((world.dump(world.theirs).await, version(&world, world.theirs).await), before);
        }
        parity::assert_same(("one set", &stories[0]), ("two sets", &stories[1]));
        // The versions in the responses do not reveal how often the second company has changed.
        let versions = |story: &[Exchange]| -> Vec<_> {
            let stamped = story.iter().filter_map(|exchange| exchange.answer.header("x-iam-version"));
            stamped.map(|version| version.split_once('.').unwrap().1.to_owned()).collect()
        };
        assert_eq!(versions(&stories[0]), versions(&stories[1]));
    }

    /// A user who is a member of both companies has, in the first company, only the rights of the levels that the user
    /// holds in the first company.
    async fn a_member_of_both_companies_gains_nothing_across_them(api: TestApi) {
        let world = new_world(&api).await;
        let theirs = furnished(&world, 1).await;
        let (both, one) = (new_user(), new_user());
        let member = world.api.level_id(world.ours, "Member").await;
        let admin = world.api.level_id(world.theirs, "Admin").await;
        for user in [both, one] {
            world.api.assign(world.ours, user, &[&member]).await;
        }
        world.api.assign(world.theirs, both, &[&admin]).await;
        let step = json!({ "url": format!("/{MARK}"), "label": MARK, "sessionId": "s" });
        let request = world.api.post("/api/iam/nav-trail").by(both).within(world.theirs.id).json(&step);
        world.send("a step", request).await.expect(201);
        for operation in operations().filter(|operation| !operation.describes_the_caller()) {
            let mut answers = Vec::new();
            for user in [both, one] {
                let path = world.fill(&operation.valid_path()).await;
                let mut request =
                    world.request(operation.method(), &path, TestCaller::Anonymous, Some(world.ours.id)).by(user);
                let body = world.fill(&operation.valid_body()).await;
                if !body.is_empty() {
                    let body = body.replace(&world.ours.admin.to_string(), &user.to_string());
                    request = request.bytes("application/json", body);
                }
                answers.push(world.send(operation.name, request).await);
            }
            let sent = [both, one].map(|user| vec![user.to_string()]);
            assert_alike(&theirs, &operation, operation.name, [(&answers[0], &sent[0]), (&answers[1], &sent[1])]);
            if operation.needs != Needs::Token && operation.needs != Needs::Membership {
                assert_eq!(answers[0].status, 403, "{}", operation.name);
            }
        }
        // The administrator of the first company reads the same levels, permissions and decisions for the member of
        // both companies and for the member of one company.
        for name in [
            "GET /api/iam/users/{userId}",
            "GET /api/iam/users/{userId}/user-levels",
            "GET /api/iam/users/{userId}/permissions",
            "POST /api/iam/check",
            "POST /api/iam/explain",
        ] {
            let operation = operation(name);
            let parameter = if operation.method() == "GET" {
                Parameter::Path("userId".to_owned())
            } else {
                Parameter::Body("/userId".to_owned())
            };
            let mut answers = Vec::new();
            for user in [both, one] {
                let id = json!(user);
                let attempt = Attempt {
                    operation,
                    who: TestCaller::Admin,
                    company: Some(world.ours.id),
                    filled: Some((&parameter, &id)),
                };
                answers.push((ask(&world, name, attempt).await.expect(200), vec![user.to_string()]));
            }
            let [seen, alone] = [&answers[0], &answers[1]].map(|(answer, sent)| (answer, sent.as_slice()));
            assert_alike(&theirs, &operation, name, [seen, alone]);
        }
    }
}
