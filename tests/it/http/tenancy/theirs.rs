//! The entities of the second company, and the ids and strings of these entities that responses in the first company
//! must not contain.

use std::collections::BTreeSet;

use iam_domain::ExternalId;
use serde_json::{Value, json};

use super::parameters::encoded;
use crate::http::operation::{Entity, TestCaller};
use crate::http::world::World;
use crate::support::api::{Answer, new_user};

/// The marker that all strings of the second company contain.
pub const MARK: &str = "kraken";

/// The kind of a [`Probe`] for an external user whose issuer and subject are stored.
pub const EXTERNAL_USER: &str = "external user";

/// The external issuer of some users in the second company.
pub const ISSUER: &str = "https://sign-in.example.com";

/// The public key of the external issuer. The private key does not exist, so no token of this issuer can be valid.
pub const ISSUERS_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA8FPib3yyoZN9blmCHizPSETRfp3A2FNoglWqNhDP0Rg=
-----END PUBLIC KEY-----";

/// An id of an entity of the second company, and an unknown id of the same format. Requests send the first string of
/// each list. A response may identify the same entity by one of the other strings.
#[derive(Debug, Clone)]
pub struct Probe {
    pub kind: &'static str,
    pub theirs: Vec<String>,
    pub unknown: Vec<String>,
}

/// The entities and other values of the second company.
pub struct Theirs {
    pub ids: Vec<Probe>,
    pub user_name: Probe,
    pub session: Probe,
    pub cursor: String,
    pub tags: Vec<String>,
    pub version: String,
    /// The UUIDs of the second company that no response in the first company may contain.
    secret_ids: BTreeSet<String>,
    /// The other strings of the second company that no response in the first company may contain.
    secret_texts: BTreeSet<String>,
}

impl Theirs {
    /// Asserts that the response contains none of the secrets, except values that the request sent.
    #[track_caller]
    pub fn assert_not_in(&self, about: &str, answer: &Answer, sent: &[String]) {
        let mut text = String::from_utf8(answer.body.clone()).unwrap();
        for (_, value) in answer.headers.iter() {
            text.push_str(value.to_str().unwrap());
        }
        // The header `Location` contains sent values in percent-encoded form.
        let text = text.replace("%20", " ");
        let text = sent.iter().fold(text, |text, sent| text.replace(sent.as_str(), ""));
        let mut found: Vec<_> = uuids_in(&text).filter(|id| self.secret_ids.contains(*id)).collect();
        found.extend(self.secret_texts.iter().map(String::as_str).filter(|secret| text.contains(secret)));
        assert!(found.is_empty(), "{about}: {found:?} in {text}");
    }
}

/// Returns every UUID in a text, wherever it begins.
fn uuids_in(text: &str) -> impl Iterator<Item = &str> {
    let candidates = text.match_indices('-').filter_map(|(dash, _)| text.get(dash.checked_sub(8)?..dash + 28));
    candidates.filter(|candidate| uuid::Uuid::try_parse(candidate).is_ok())
}

/// Collects every UUID in a JSON value.
fn ids_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| ids_in(value, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
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

/// Sends a request that changes the second company, as its administrator or as a super admin.
async fn change(world: &World, by: TestCaller, method: &str, path: &str, body: Value) -> Answer {
    let request = match by {
        TestCaller::SuperAdmin => world.request(method, path, by, Some(world.theirs.id)),
        _ => world.api.request(method.parse().unwrap(), path).by(world.theirs.admin).within(world.theirs.id),
    };
    let answer = world.send(path, request.json(&body)).await;
    assert!(answer.status.is_success(), "{path}: {:?}", answer.json());
    answer
}

/// Adds a set of entities to the second company. The set contains at least one entity of every kind.
async fn furnish(world: &World, set: usize) {
    let theirs = world.theirs;
    let name = |of: &str| format!("{MARK} {of} {set}");
    let api = &world.api;
    let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
    // A later request uses the same level name in the first company.
    api.new_level(theirs, &format!("wanted {set}")).await;
    let level = api.new_level(theirs, &name("level")).await;
    let path = format!("/api/iam/user-levels/{level}");
    for (matrix, cells) in [
        ("views", json!([{ "viewId": view, "state": "allow", "modifiable": false }])),
        ("features", json!([{ "featureId": feature, "action": "Read", "scope": "team", "modifiable": false }])),
    ] {
        let body = json!({ (matrix): cells });
        change(world, TestCaller::SuperAdmin, "PUT", &format!("{path}/permissions/{matrix}"), body).await;
    }
    let subjects = [format!("{MARK}@example.com-{set}")];
    let users = [new_user().to_string(), new_user().to_string(), encoded(&external(&subjects[0])[0])];
    for user in users {
        let path = format!("/api/iam/users/{user}/user-levels");
        change(world, TestCaller::Admin, "PUT", &path, json!({ "userLevelIds": [level] })).await;
    }
    // The versions of the two companies are compared later. By then, the second company must have more changes than the
    // first company.
    for change_of_level in 0..100 {
        let body = json!({ "description": format!("{MARK} {change_of_level}") });
        change(world, TestCaller::Admin, "PATCH", &path, body).await;
    }
    let item = json!({ "label": name("item"), "viewId": view, "requiredPermissions": ["general.read"] });
    let item = world.made("/api/iam/menu-items", TestCaller::SuperAdmin, Some(theirs), item).await;
    let sub = json!({ "label": name("sub item"), "menuItemId": item, "featureId": feature });
    world.made("/api/iam/sub-menu-items", TestCaller::SuperAdmin, Some(theirs), sub).await;
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
    change(world, TestCaller::SuperAdmin, "PUT", &path, json!({ "moduleIds": ids })).await;
}

/// Adds this number of sets of entities to the second company, and returns the entities of that company.
pub async fn furnished(world: &World, sets: usize) -> Theirs {
    // The test of cursors requires that the audit records of the first company are older than those of the second
    // company. The entities of the first company are therefore created before those of the second company.
    world.entity(Entity::Level).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for set in 0..sets {
        furnish(world, set).await;
    }
    let theirs = world.theirs;
    let look = async |path: &str| world.look(&format!("/api/iam/{path}"), Some(theirs.id)).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = |list: &Value, of: &str, field: &str| {
        let is_it = |thing: &&Value| thing[field] == format!("{MARK} {of} 0");
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

    // The entity tags of responses with data of the second company.
    let mut tags = Vec::new();
    for path in ["navigation", "permissions/current", "user-levels", &format!("user-levels/{level}")] {
        let request = world.api.get(&format!("/api/iam/{path}")).by(theirs.member).within(theirs.id);
        let request = if path.starts_with("user") {
            world.request("GET", &format!("/api/iam/{path}"), TestCaller::SuperAdmin, Some(theirs.id))
        } else {
            request
        };
        tags.extend(world.send(path, request).await.expect(200).header("etag").map(str::to_owned));
    }
    let path = format!("/api/iam/user-levels/{level}");
    let renamed =
        change(world, TestCaller::Admin, "PATCH", &path, json!({ "description": format!("{MARK} last") })).await;

    // The secrets are the ids in responses of the second company. Ids that also occur in the catalog or in responses of
    // the first company are not secrets.
    let (mut secrets, mut known) = (BTreeSet::new(), BTreeSet::new());
    ids_in(&json!(world.dump(theirs).await), &mut secrets);
    ids_in(&json!(world.dump(world.ours).await), &mut known);
    ids_in(&json!(world.dump_catalog().await), &mut known);
    known.insert(world.api.super_admin.to_string());
    let mut secrets: BTreeSet<_> = secrets.difference(&known).cloned().collect();
    secrets.extend(ids.iter().map(|thing| thing.theirs[0].clone()));
    secrets.insert(MARK.to_owned());
    assert!(secrets.len() > 50, "{secrets:?}");
    let (secret_ids, secret_texts): (BTreeSet<_>, BTreeSet<_>) =
        secrets.into_iter().partition(|secret| uuids_in(secret).next() == Some(secret.as_str()));
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
        secret_ids,
        secret_texts,
    }
}
