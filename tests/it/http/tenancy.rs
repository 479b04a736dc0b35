//! Two companies, every operation, every parameter that takes an id: the second company is as if it did not exist.
//!
//! Where ids stand is read from the OpenAPI document, so that a new operation or a new id is asked about without being
//! named here. Each parameter takes ids of every kind that the second company has, and an unknown one:
//! the answers must be the same, and the whole script the same again when the second company has twice as much.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use actix_web::http::header::HeaderMap;
use iam_domain::{CompanyId, ExternalId, Issuer};
use iam_identity::{KeySet, KeySource, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions};
use serde_json::{Value, json};

use super::operation::{CompanyParameter, Needs, Operation, Thing, Who};
use super::operations::{operation, operations};
use super::parity::{self, Placeholders};
use super::world::{Exchange, World};
use crate::support::api::{Answer, Company, TestApi, both_adapters, new_company, new_user, secret};

/// All texts of the second company have this in them.
const MARK: &str = "kraken";

/// The platform's list of all keys, which for super admins is the same in every company.
const ALL_KEYS: &str = "GET /api/iam/api-keys";

/// The platform's as well, whichever company is named: the answer has the stored name of the user whom super admins
/// cut off.
const CUT_OFF: &str = "PUT /api/iam/users/{userId}/not-before";

/// What [`Theirs`] calls a user whose name is stored.
const EXTERNAL_USER: &str = "external user";

/// An issuer with users of its own in the second company.
const ISSUER: &str = "https://sign-in.example.com";

/// Its public key. The private one does not exist.
const ISSUERS_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA8FPib3yyoZN9blmCHizPSETRfp3A2FNoglWqNhDP0Rg=
-----END PUBLIC KEY-----";

/// A parameter of an operation that takes an id or another value of a company.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Parameter {
    Path(String),
    Query(String),
    /// A JSON pointer into the body; of a list its first element.
    Body(String),
    Header(&'static str),
}

impl Parameter {
    /// What the id is called.
    fn name(&self) -> &str {
        match self {
            Self::Path(name) | Self::Query(name) => name,
            Self::Body(pointer) => {
                let is_name = |part: &&str| part.parse::<usize>().is_err();
                pointer.rsplit('/').find(is_name).unwrap()
            }
            Self::Header(name) => name,
        }
    }
}

/// A thing of the second company, and an unknown one of the same form. The first text is sent; the others are the
/// names that answers may have for it then.
#[derive(Debug, Clone)]
struct Probe {
    kind: &'static str,
    theirs: Vec<String>,
    unknown: Vec<String>,
}

/// What the second company has.
struct Theirs {
    ids: Vec<Probe>,
    user_name: Probe,
    session: Probe,
    cursor: String,
    tags: Vec<String>,
    version: String,
    /// The texts that no answer may contain.
    secrets: BTreeSet<String>,
}

// --- Where ids stand ---

fn document() -> Value {
    serde_json::to_value(iam_http::document()).unwrap()
}

/// Whether it is an id: by its form, by its name, or because it may be one.
fn is_id(name: &str, schema: &Value) -> bool {
    let may_be = ["id", "view", "feature", "cursor"].contains(&name);
    schema["format"] == "uuid" || may_be || name.ends_with("Id") || name.ends_with("Ids")
}

/// The ids in what a schema describes.
fn ids_of_body(document: &Value, schema: &Value, pointer: &str, found: &mut Vec<Parameter>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return ids_of_body(document, document.pointer(&reference[1..]).unwrap(), pointer, found);
    }
    for choices in ["oneOf", "anyOf", "allOf"] {
        for choice in schema[choices].as_array().into_iter().flatten() {
            ids_of_body(document, choice, pointer, found);
        }
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        ids_of_body(document, member, &format!("{pointer}/{name}"), found);
    }
    if schema.get("items").is_some() {
        ids_of_body(document, &schema["items"], &format!("{pointer}/0"), found);
    }
    let parameter = Parameter::Body(pointer.to_owned());
    let is_leaf = schema.get("properties").is_none() && schema.get("items").is_none();
    // The company is tried in all its parameters at once.
    let is_asked = is_leaf && !pointer.is_empty() && is_id(parameter.name(), schema) && parameter.name() != "companyId";
    if is_asked && !found.contains(&parameter) {
        found.push(parameter);
    }
}

/// Where an operation's ids stand, but for the company's.
fn parameters(document: &Value, operation: &Operation) -> Vec<Parameter> {
    let described = &document["paths"][operation.path()][operation.method().to_lowercase()];
    let mut found = Vec::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            "path" if name != "companyId" => found.push(Parameter::Path(name.to_owned())),
            "query" if is_id(name, &parameter["schema"]) => found.push(Parameter::Query(name.to_owned())),
            _ => {}
        }
    }
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    ids_of_body(document, body, "", &mut found);
    found
}

// --- What is sent there ---

/// As a part of a path or a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}

/// A valid request, apart from the value of one parameter.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    operation: Operation,
    who: Who,
    company: Option<CompanyId>,
    filled: Option<(&'a Parameter, &'a Value)>,
}

/// The operation's valid request, apart from these values.
async fn ask(world: &World, what: &str, attempt: Attempt<'_>) -> Answer {
    let Attempt { operation, who, company, filled } = attempt;
    if operation.method() == "DELETE" {
        // What an earlier request deleted is made anew.
        world.renew();
    }
    let mut ids = operation.ids.iter();
    let mut query: Vec<_> = operation.query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    let mut parts = Vec::new();
    for part in operation.path().split('/') {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            parts.push(part.to_owned());
            continue;
        };
        let own = ids.next().unwrap();
        parts.push(match filled {
            Some((Parameter::Path(filled), id)) if filled == name => encoded(id.as_str().unwrap()),
            _ => world.thing(*own).await,
        });
    }
    if let Some((Parameter::Query(name), id)) = filled {
        query.retain(|pair| !pair.starts_with(&format!("{name}=")));
        query.push(format!("{name}={}", encoded(id.as_str().unwrap())));
    }
    let path = format!("{}?{}", parts.join("/"), query.join("&"));
    let mut request = world.request(operation.method(), &path, who, company);
    if let Some((Parameter::Header(name), value)) = filled {
        request = request.header(name, value.as_str().unwrap());
    }
    let in_body = match filled {
        Some((Parameter::Body(pointer), id)) => Some((pointer, id)),
        _ => None,
    };
    let mut body = (operation.body)();
    if !body.is_null() || in_body.is_some() {
        // Each step is the first of its session.
        if let Some(session) = body.get_mut("sessionId") {
            *session = json!(Thing::Fresh);
        }
        let text = if body.is_null() { "{}".to_owned() } else { world.fill(&body.to_string()).await };
        let mut body: Value = serde_json::from_str(&text).unwrap();
        if let Some((pointer, id)) = in_body {
            put(&mut body, pointer, id);
        }
        request = request.json(&body);
    }
    world.send(what, request).await
}

/// Puts something into a body, where the valid body has something, or where one of its members may stand instead.
fn put(body: &mut Value, pointer: &str, id: &Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if let Some(members) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
        if name == "feature" {
            // One question is about a view or about a feature.
            members.remove("view");
            members.insert("action".to_owned(), json!("Read"));
        }
        members.insert(name.to_owned(), id.clone());
    } else {
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("no valid body has {pointer}")) = id.clone();
    }
}

// --- What is answered ---

/// What an answer says, with what was sent replaced. Times are removed, and so are the id and name of what a change
/// made.
fn said(answer: &Answer, sent: &[String], is_change: bool) -> (u16, Vec<(String, String)>, String) {
    let replaced = |text: &str| {
        let sent = sent.iter().filter(|sent| !sent.is_empty());
        sent.fold(text.to_owned(), |text, sent| text.replace(sent.as_str(), "<sent>"))
    };
    let body = String::from_utf8(answer.body.clone()).unwrap();
    let said = replaced(&body);
    let names_it = said != body;
    let said = without_names(&Placeholders::default().normalise(&said));
    let differs = |name: &str| match name {
        "etag" => names_it || is_change,
        "x-iam-version" => is_change,
        name => name == "x-request-id",
    };
    (answer.status.as_u16(), headers(&answer.headers, differs, replaced), said)
}

fn headers(headers: &HeaderMap, differs: impl Fn(&str) -> bool, of: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let told = headers.iter().map(|(name, value)| {
        let value = if differs(name.as_str()) { "<any>".to_owned() } else { of(value.to_str().unwrap()) };
        (name.to_string(), value)
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// Without the texts that [`World`] makes for each use, in names and in urls: `n00001`.
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

impl Theirs {
    /// The answer contains nothing of the second company but what was sent.
    #[track_caller]
    fn assert_not_in(&self, about: &str, answer: &Answer, sent: &[String]) {
        let mut text = String::from_utf8(answer.body.clone()).unwrap();
        for (_, value) in answer.headers.iter() {
            text.push_str(value.to_str().unwrap());
        }
        let text = sent.iter().fold(text, |text, sent| text.replace(sent.as_str(), ""));
        let found: Vec<_> = self.secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
        assert!(found.is_empty(), "{about}: {found:?} in {text}");
    }
}

// --- What the second company has ---

/// Every UUID in it.
fn ids_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| ids_in(value, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            ids_in(&json!(name), found);
            ids_in(value, found);
        }),
        _ => {}
    }
}

fn external(subject: &str) -> Vec<String> {
    let name = format!("{ISSUER}|{subject}");
    let external = ExternalId::parse(&name).unwrap();
    vec![name, external.user_id().to_string(), subject.to_owned(), external.path_id()]
}

/// Sends a change by the second company's admin, or by a super admin, there.
async fn change(world: &World, by: Who, method: &str, path: &str, body: Value) -> Answer {
    let request = match by {
        Who::SuperAdmin => world.request(method, path, by, Some(world.theirs.id)),
        _ => world.api.request(method.parse().unwrap(), path).by(world.theirs.admin).within(world.theirs.id),
    };
    let answer = world.send(path, request.json(&body)).await;
    assert!(answer.status.is_success(), "{path}: {:?}", answer.json());
    answer
}

/// Fills the second company with a set of everything that companies have.
async fn furnish(world: &World, set: usize) {
    let theirs = world.theirs;
    let name = |of: &str| format!("{MARK} {of} {set}");
    let api = &world.api;
    let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
    // A name that the first company will want as well.
    api.new_level(theirs, &format!("wanted {set}")).await;
    let level = api.new_level(theirs, &name("level")).await;
    let path = format!("/api/iam/user-levels/{level}");
    for (matrix, cells) in [
        ("views", json!([{ "viewId": view, "state": "allow", "modifiable": false }])),
        ("features", json!([{ "featureId": feature, "action": "Read", "scope": "team", "modifiable": false }])),
    ] {
        let body = json!({ (matrix): cells });
        change(world, Who::SuperAdmin, "PUT", &format!("{path}/permissions/{matrix}"), body).await;
    }
    let subjects = [format!("{MARK}@example.com-{set}")];
    let users = [new_user().to_string(), new_user().to_string(), encoded(&external(&subjects[0])[0])];
    for user in users {
        let path = format!("/api/iam/users/{user}/user-levels");
        change(world, Who::Admin, "PUT", &path, json!({ "userLevelIds": [level] })).await;
    }
    // More changes than the first company will have seen when its versions are compared.
    for change_of_level in 0..100 {
        let body = json!({ "description": format!("{MARK} {change_of_level}") });
        change(world, Who::Admin, "PATCH", &path, body).await;
    }
    let item = json!({ "label": name("item"), "viewId": view, "requiredPermissions": ["general.read"] });
    let item = world.made("/api/iam/menu-items", Who::SuperAdmin, Some(theirs), item).await;
    let sub = json!({ "label": name("sub item"), "menuItemId": item, "featureId": feature });
    world.made("/api/iam/sub-menu-items", Who::SuperAdmin, Some(theirs), sub).await;
    for user in [theirs.admin, theirs.member] {
        for session in ["s".to_owned(), name("session")] {
            let step = json!({ "url": format!("/{MARK}/{set}"), "label": name("step"), "sessionId": session });
            let request = api.post("/api/iam/nav-trail").by(user).within(theirs.id).json(&step);
            world.send("a step of theirs", request).await.expect(201);
        }
    }
    let modules = [["core", "risks"], ["core", "compliance"]][set];
    let mut ids = Vec::new();
    for module in modules {
        ids.push(api.module_id(module).await);
    }
    let path = format!("/api/iam/companies/{}/modules", theirs.id);
    change(world, Who::SuperAdmin, "PUT", &path, json!({ "moduleIds": ids })).await;
}

/// Fills the second company this many times, and collects what it has then.
async fn furnished(world: &World, sets: usize) -> Theirs {
    // What requests make in the first company in passing must be older than everything of the second: see the cursor.
    world.thing(Thing::Level).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for set in 0..sets {
        furnish(world, set).await;
    }
    let theirs = world.theirs;
    let look = async |path: &str| world.look(&format!("/api/iam/{path}"), Some(theirs.id)).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = |list: &Value, of: &str, member: &str| {
        let is_it = |thing: &&Value| thing[member] == format!("{MARK} {of} 0");
        text(&list.as_array().unwrap().iter().find(is_it).unwrap()["id"])
    };
    let level = named(&look("user-levels").await["userLevels"], "level", "name");
    let mut ids: Vec<(&str, String)> = vec![
        ("level", level.clone()),
        ("user", theirs.member.to_string()),
        ("item", named(&look("menu-items").await["menuItems"], "item", "label")),
        ("sub item", named(&look("sub-menu-items").await["subMenuItems"], "sub item", "label")),
        ("company", theirs.id.to_string()),
        ("admin", theirs.admin.to_string()),
        ("default level", world.api.level_id(theirs, "Admin").await),
    ];
    for matrix in ["views", "features"] {
        let cells = look(&format!("user-levels/{level}/permissions/{matrix}")).await;
        ids.push(("cell", text(&cells["permissions"][0]["id"])));
    }
    let records = look("audit-logs?limit=1").await;
    ids.push(("record", text(&records["logs"][0]["id"])));
    let thing = |kind, id: String| Probe { kind, theirs: vec![id], unknown: vec![unknown.clone()] };
    let mut ids: Vec<_> = ids.into_iter().map(|(kind, id)| thing(kind, id)).collect();
    let (user, unknown) = (external(&format!("{MARK}@example.com-0")), external("absent@example.com-0"));
    ids.push(Probe { kind: EXTERNAL_USER, theirs: vec![user[1].clone()], unknown: vec![unknown[1].clone()] });
    let user_name = Probe { kind: "name of an external user", theirs: user, unknown };

    // Tags of what only the company has.
    let mut tags = Vec::new();
    for path in ["navigation", "permissions/current", "user-levels", &format!("user-levels/{level}")] {
        let request = world.api.get(&format!("/api/iam/{path}")).by(theirs.member).within(theirs.id);
        let request = if path.starts_with("user") {
            world.request("GET", &format!("/api/iam/{path}"), Who::SuperAdmin, Some(theirs.id))
        } else {
            request
        };
        tags.extend(world.send(path, request).await.expect(200).header("etag").map(str::to_owned));
    }
    let path = format!("/api/iam/user-levels/{level}");
    let renamed = change(world, Who::Admin, "PATCH", &path, json!({ "description": format!("{MARK} last") })).await;

    // Texts that only the second company is shown, and that are not the catalog's.
    let (mut secrets, mut known) = (BTreeSet::new(), BTreeSet::new());
    ids_in(&json!(world.dump(theirs).await), &mut secrets);
    ids_in(&json!(world.dump(world.ours).await), &mut known);
    ids_in(&json!(world.dump_catalog().await), &mut known);
    known.insert(world.api.super_admin.to_string());
    let mut secrets: BTreeSet<_> = secrets.difference(&known).cloned().collect();
    secrets.extend(ids.iter().map(|thing| thing.theirs[0].clone()));
    secrets.insert(MARK.to_owned());
    assert!(secrets.len() > 50, "{secrets:?}");
    Theirs {
        ids,
        user_name,
        session: Probe {
            kind: "session",
            theirs: vec![format!("{MARK} session 0")],
            unknown: vec!["absent session".to_owned()],
        },
        cursor: text(&records["nextCursor"]),
        tags,
        version: renamed.header("x-iam-version").unwrap().to_owned(),
        secrets,
    }
}

// --- The script ---

/// The callers of the first company whose rights make a difference.
const CALLERS: [Who; 5] = [Who::Admin, Who::SuperAdmin, Who::CheckKey, Who::ReadKey, Who::AdministerKey];

fn is_read(operation: &Operation) -> bool {
    let asks = ["/check", "/checks", "/explain"].iter().any(|end| operation.path().ends_with(end));
    operation.method() == "GET" || asks
}

/// Pairs of a thing of the second company and an unknown one for a parameter; all pairs, or one of each sort.
fn probes(theirs: &Theirs, operation: &Operation, parameter: &Parameter, all: bool) -> Vec<Probe> {
    let mut probes = match parameter.name() {
        "sessionId" => return vec![theirs.session.clone()],
        // Nothing of the first company is newer than the second's things: beginning after those is beginning at the
        // start.
        "cursor" => {
            if operation.path().ends_with("/users") {
                // A page of holders begins after a user; only this one is next to the second company's.
                let admin = theirs.ids.iter().find(|thing| thing.kind == "admin").unwrap_or(&theirs.ids[0]);
                let admin = admin.theirs[0].clone();
                let beside = uuid::Uuid::from_u128(admin.parse::<uuid::Uuid>().unwrap().as_u128() ^ 1).to_string();
                return vec![Probe { kind: "cursor", theirs: vec![admin], unknown: vec![beside] }];
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

/// Both answers say the same, and nothing else of the second company.
fn assert_alike(theirs: &Theirs, operation: &Operation, about: &str, answers: [(&Answer, &[String]); 2]) {
    let is_change = !is_read(operation);
    let [(foreign, sent), (unknown, sent_unknown)] = answers;
    assert_eq!(said(foreign, sent, is_change), said(unknown, sent_unknown, is_change), "{about}");
    theirs.assert_not_in(about, foreign, sent);
    theirs.assert_not_in(about, unknown, &[]);
}

/// Companies, in each parameter that names one, alone and beside the first company.
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
                    // Super admins belong to every company.
                    if who == Who::SuperAdmin && !beside {
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

/// Versions and tags in the headers: the second company's, and ones that no answer ever had.
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
            assert!(is_newer || name != "x-iam-min-version", "the first company has changed more often");
        }
    }
}

/// Ids of the second company and unknown ones in every parameter of these operations. Returns the number of
/// parameters.
async fn ids(world: &World, theirs: &Theirs, of: impl Iterator<Item = Operation>) -> usize {
    let document = document();
    let mut tried = 0;
    for operation in of {
        for parameter in parameters(&document, &operation) {
            tried += 1;
            for who in CALLERS {
                let company = (operation.company != CompanyParameter::InPath).then_some(world.ours.id);
                let attempt = async |about: &str, id: &Value| {
                    ask(world, about, Attempt { operation, who, company, filled: Some((&parameter, id)) }).await
                };
                let is_admitted = who == operation.user();
                let mut of_unknown: Option<(Vec<String>, Answer)> = None;
                let tells_name = |thing: &Probe| operation.name == CUT_OFF && thing.kind == EXTERNAL_USER;
                for thing in
                    probes(theirs, &operation, &parameter, is_admitted).into_iter().filter(|thing| !tells_name(thing))
                {
                    let about = format!("{} {parameter:?} {} {who:?}", operation.name, thing.kind);
                    if of_unknown.as_ref().is_none_or(|(sent, _)| *sent != thing.unknown) {
                        let answer = attempt(&about, &json!(thing.unknown[0])).await;
                        if is_admitted {
                            // The parameter is read at all: a value that fits nothing gets another answer.
                            let misfit = if matches!(parameter, Parameter::Body(_)) { json!(7) } else { json!("\0") };
                            let odd = attempt(&about, &misfit).await;
                            assert_ne!(
                                said(&odd, &[], true),
                                said(&answer, &thing.unknown, true),
                                "{about} is not read"
                            );
                        }
                        of_unknown = Some((thing.unknown.clone(), answer));
                    }
                    let (sent, unknown) = of_unknown.as_ref().unwrap();
                    let foreign = attempt(&about, &json!(thing.theirs[0])).await;
                    assert_alike(theirs, &operation, &about, [(&foreign, &thing.theirs), (unknown, sent)]);
                }
            }
        }
    }
    tried
}

/// Counts and unique names in the first company.
async fn counts(world: &World, theirs: &Theirs) {
    world.renew();
    let level = format!("/api/iam/user-levels/{}", world.thing(Thing::Level).await);
    let admin = format!("/api/iam/user-levels/{}", world.api.level_id(world.ours, "Admin").await);
    let of_admin = format!("/api/iam/users/{}/user-levels", world.ours.admin);
    let of_member = format!("/api/iam/users/{}/user-levels", world.ours.member);
    let module = format!("/api/iam/companies/{}/modules", world.ours.id);
    let view = world.api.view_id("/dashboard").await;
    let pinned = json!({ "views": [{ "viewId": view, "state": "deny", "modifiable": false }] });
    let views = format!("{level}/permissions/views");
    for (method, path, who, body, status) in [
        ("GET", "/api/iam/user-levels", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/menu-items", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/sub-menu-items", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/navigation", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/permissions/current", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/nav-trail?sessionId=s", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/audit-logs?includeTotal=true&limit=200", Who::Admin, Value::Null, 200),
        ("GET", "/api/iam/audit-logs?includeTotal=true&limit=1", Who::SuperAdmin, Value::Null, 200),
        ("GET", &module, Who::SuperAdmin, Value::Null, 200),
        ("DELETE", &admin, Who::Admin, Value::Null, 400),
        ("PUT", &of_admin, Who::Admin, json!({ "userLevelIds": [] }), 409),
        ("PUT", &views, Who::SuperAdmin, pinned, 200),
        ("PUT", &views, Who::Admin, json!({ "views": [] }), 403),
        ("DELETE", &level, Who::Admin, Value::Null, 403),
        ("DELETE", "/api/iam/nav-trail?sessionId=s", Who::Admin, Value::Null, 200),
        ("GET", &of_member, Who::Admin, Value::Null, 200),
    ] {
        let request = world.request(method, path, who, Some(world.ours.id));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = world.send(&format!("{method} {path} counts"), request).await.expect(status);
        theirs.assert_not_in(path, &answer, &[]);
    }
    // A name of the second company is free here.
    let request = world.request("POST", "/api/iam/user-levels", Who::Admin, Some(world.ours.id));
    world.send("a name of theirs", request.json(&json!({ "name": "wanted 0" }))).await.expect(201);
}

/// The whole script. Returns the answers.
async fn story(world: &World, theirs: &Theirs) -> Vec<Exchange> {
    let before = world.transcript().len();
    // Reading from the cursor equals reading from the start only while nothing of the first company is newer.
    let (mut reads, changes): (Vec<_>, Vec<_>) = operations().partition(is_read);
    reads.sort_by_key(|operation| !operation.path().ends_with("/audit-logs"));
    let mut tried = ids(world, theirs, reads.into_iter()).await;
    counts(world, theirs).await;
    headers_of_theirs(world, theirs).await;
    companies(world, theirs).await;
    tried += ids(world, theirs, changes.into_iter()).await;
    assert!(tried > 60, "{tried}");
    world.dump(world.ours).await;
    world.transcript().split_off(before)
}

/// A world in which the issuer is trusted.
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
    /// The second company's things are not read, changed or counted, and look like things that do not exist.
    async fn another_company_is_as_if_it_did_not_exist(api: TestApi) {
        let other_api = another(&api).await;
        let mut stories = Vec::new();
        for (api, sets) in [(api, 1), (other_api, 2)] {
            let world = new_world(&api).await;
            let theirs = furnished(&world, sets).await;
            let before = (world.dump(world.theirs).await, version(&world, world.theirs).await);
            stories.push(story(&world, &theirs).await);
            assert_eq!((world.dump(world.theirs).await, version(&world, world.theirs).await), before);
        }
        parity::assert_same(("one set", &stories[0]), ("two sets", &stories[1]));
        // The versions do not show either how much the other company has changed.
        let versions = |story: &[Exchange]| -> Vec<_> {
            let told = story.iter().filter_map(|exchange| exchange.answer.header("x-iam-version"));
            told.map(|version| version.split_once('.').unwrap().1.to_owned()).collect()
        };
        assert_eq!(versions(&stories[0]), versions(&stories[1]));
    }

    /// A user who belongs to both companies has in each the rights of a member of that one alone.
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
        for operation in operations() {
            let mut answers = Vec::new();
            for user in [both, one] {
                let path = world.fill(&operation.valid_path()).await;
                let mut request = world.request(operation.method(), &path, Who::Anonymous, Some(world.ours.id)).by(user);
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
        // Administrators see the user the same: levels, permissions, and decisions.
        for name in ["GET /api/iam/users/{userId}", "GET /api/iam/users/{userId}/user-levels",
            "GET /api/iam/users/{userId}/permissions", "POST /api/iam/check", "POST /api/iam/explain"] {
            let operation = operation(name);
            let parameter = if operation.method() == "GET" { Parameter::Path("userId".to_owned()) } else { Parameter::Body("/userId".to_owned()) };
            let mut answers = Vec::new();
            for user in [both, one] {
                let id = json!(user);
                let attempt = Attempt { operation, who: Who::Admin, company: Some(world.ours.id), filled: Some((&parameter, &id)) };
                answers.push((ask(&world, name, attempt).await.expect(200), vec![user.to_string()]));
            }
            let [seen, alone] = [&answers[0], &answers[1]].map(|(answer, sent)| (answer, sent.as_slice()));
            assert_alike(&theirs, &operation, name, [seen, alone]);
        }
    }
}

/// The rows that the database reads, one by one.
mod rows {
    mod postgres {
        use std::collections::BTreeSet;
        use std::rc::Rc;
        use std::sync::Arc;

        use iam_domain::CompanyId;
        use iam_http::HttpOptions;
        use iam_storage::Storage;
        use iam_storage_postgres::PostgresStorage;

        use sea_orm::ConnectionTrait;
        use sea_orm::sqlx::PgConnection;

        use super::super::{counts, furnished, ids, is_read, new_world};
        use crate::http::operation::Who;
        use crate::http::operations::{operation, operations};
        use crate::storage::plans::postgres::{LOAD, TENANT_TABLES};
        use crate::support::api::TestApi;
        use crate::support::database::{Content, TestDatabase, run};
        use crate::support::proxy::Proxy;

        /// Has the server warn of every row that a plan comes to and that is another company's. The policy is cheaper
        /// than any condition, so that it is asked first about what an index or a table gives, before filters and
        /// other policies.
        async fn spy(connection: &mut PgConnection, company: CompanyId) {
            let spy = format!(
                "CREATE FUNCTION spy(name text, company uuid, item uuid) RETURNS boolean
                    LANGUAGE plpgsql SECURITY DEFINER COST 0.0001 AS $$ BEGIN
                    IF item IS NOT NULL THEN
                        SELECT company_id INTO company FROM public.menu_items WHERE id = item;
                    END IF;
                    IF company NOT IN ('{company}', '00000000-0000-0000-0000-000000000000',
                        'ffffffff-ffff-ffff-ffff-ffffffffffff')
                    THEN
                        RAISE WARNING 'spy: % % %', name, CASE current_setting('iam.company', true)
                            WHEN company::text THEN 'its own' WHEN 'all' THEN 'all' ELSE 'another' END, current_query();
                    END IF;
                    RETURN true;
                END $$"
            );
            run(connection, spy).await.unwrap();
            for table in TENANT_TABLES {
                let of = if table == "sub_menu_items" { "NULL, menu_item_id" } else { "company_id, NULL" };
                let policy = format!("CREATE POLICY spy ON {table} AS RESTRICTIVE USING (spy('{table}', {of}))");
                run(connection, policy).await.unwrap();
            }
        }

        /// The load puts every feature in a module; without these no user could administer anything.
        const UNGATE: &str = "DELETE FROM module2features USING features
            WHERE feature_id = features.id AND key NOT LIKE 'loaded.%' AND key NOT LIKE 'risks.%'";

        /// The statements that may reach such rows, and why.
        const NAMED: [(&str, &str); 7] = [
            ("what a non-member to a company may there is read there: nothing", "AS catalog_version"),
            ("a poll reports the companies that changed", "pg_visible_in_snapshot"),
            ("changes of the catalog look for menu items that require a feature", "WHERE required_permissions @> $1"),
            // Menu items may belong to no company, so that their key is the id alone. The row with the very id that
            // was sent is found by it, and dropped for its company.
            ("a menu item by its id", "FROM menu_items AS m WHERE id = $1 AND company_id IS NOT DISTINCT FROM $2"),
            ("a sub-item by its id", "WHERE s.id = $1 AND m.company_id IS NOT DISTINCT FROM $2"),
            ("the item of a new sub-item", "WHERE id = $2 AND company_id IS NOT DISTINCT FROM $3 RETURNING id"),
            ("the new item of a sub-item", "AND new_item.id = $2 AND new_item.company_id IS NOT DISTINCT FROM $3"),
        ];

        fn spied(proxy: &Proxy) -> BTreeSet<String> {
            proxy.warnings().into_iter().filter(|warning| warning.starts_with("spy: ")).collect()
        }

        #[actix_web::test]
        async fn no_plan_comes_to_a_row_of_another_company() {
            let database = TestDatabase::new(Content::Seeded).await;
            let mut connection = database.connect().await;
            run(&mut connection, LOAD.to_owned()).await.unwrap();
            run(&mut connection, UNGATE.to_owned()).await.unwrap();
            let proxy = Proxy::to(&database).await;
            let storage = Arc::new(PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap());
            let api = TestApi::over(
                Arc::clone(&storage) as Arc<dyn Storage>,
                Some(Rc::new(database)),
                HttpOptions::default(),
            )
            .await;
            let world = new_world(&api).await;
            let mut theirs = furnished(&world, 1).await;
            // How something is looked up depends on its kind, not on the instance.
            theirs.ids.truncate(4);
            run(&mut connection, "ANALYZE".to_owned()).await.unwrap();
            spy(&mut connection, world.ours.id).await;
            let (reads, changes): (Vec<_>, Vec<_>) = operations().partition(is_read);
            ids(&world, &theirs, reads.into_iter()).await;
            counts(&world, &theirs).await;
            ids(&world, &theirs, changes.into_iter()).await;
            // The first time something is loaded, the second time it is confirmed.
            for _ in 0..2 {
                let non_member = world.request("GET", "/api/iam/navigation", Who::Admin, Some(world.theirs.id));
                world.send("a non-member's menu", non_member).await.expect(200);
            }

            let feature =
                world.valid(operation("DELETE /api/iam/features/{id}"), Who::SuperAdmin, Some(world.ours.id)).await;
            world.send("a feature that goes", feature).await.expect(200);

            let seen = spied(&proxy);
            let is_named = |warning: &&String| NAMED.iter().any(|(_, text)| warning.contains(text));
            let unnamed: Vec<_> = seen.iter().filter(|warning| !is_named(warning)).collect();
            assert!(unnamed.is_empty(), "{unnamed:#?}");
            for (why, text) in NAMED {
                assert!(seen.iter().any(|warning| warning.contains(text)), "nothing does this any more: {why}");
            }
            // A statement that forgets its company would have been seen, although the other policies hide what it
            // finds.
            let forgetful = format!(
                "SELECT set_config('iam.company', '{}', true); SELECT count(*) FROM user_levels",
                world.ours.id
            );
            storage.connection().execute_unprepared(&forgetful).await.unwrap();
            let seen = spied(&proxy);
            assert!(seen.iter().any(|warning| warning.starts_with("spy: user_levels another")), "{seen:#?}");
        }
    }
}
