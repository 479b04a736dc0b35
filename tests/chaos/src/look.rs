//! Requests that read the state of a register from a replica.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::{Answer, Call, Client};
use crate::model::{Bits, Register, Subject};
use crate::world::{View, WIDTH, World};

/// The mask with all bits of an assignment or a matrix.
pub(crate) const ALL: Bits = (1 << WIDTH) - 1;

/// The endpoint through which the state of a register is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A batch check with one check per bit.
    Checks,
    /// The list of all permissions of the user.
    Permissions,
    /// A single check of the bit with this index.
    Check(usize),
    /// The stored data, read by a super admin.
    Stored,
}

/// The state of a register as a response shows it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) bits: Bits,
    pub(crate) mask: Bits,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// The request and the response as text, for reports.
    pub(crate) text: String,
}

fn question(world: &World, register: &Register, way: Way) -> Call {
    let company = &register.company;
    let stored = |path: String| world.by_super_admin("GET", &format!("{path}?companyId={company}"));
    let by_user = |token: &str, views: &[View]| match way {
        Way::Permissions => Call::new("GET", format!("/api/iam/permissions/current?companyId={company}"), token),
        Way::Check(place) => {
            let view = views.get(place).map(|view| view.url);
            Call::new("POST", format!("/api/iam/check?companyId={company}"), token).json(json!({ "view": view }))
        }
        Way::Checks | Way::Stored => {
            let checks: Vec<_> = views.iter().map(|view| json!({ "view": view.url })).collect();
            Call::new("POST", format!("/api/iam/checks?companyId={company}"), token).json(json!({ "checks": checks }))
        }
    };
    match (&register.subject, way) {
        (Subject::Assignment { user, .. }, Way::Stored) => stored(format!("/api/iam/users/{user}/user-levels")),
        (Subject::Assignment { token, .. }, _) => by_user(token, &world.level_views),
        (Subject::Matrix { level, .. }, Way::Stored) => {
            stored(format!("/api/iam/user-levels/{level}/permissions/views"))
        }
        (Subject::Matrix { token, .. }, _) => by_user(token, &world.matrix_views),
        (Subject::Level { id }, _) => stored(format!("/api/iam/user-levels/{id}")),
        (Subject::Key { secret: token, .. } | Subject::Token { token, .. }, _) => {
            // A check with an API key must specify a user, and any id is suitable. A check with a user's token may
            // specify this user.
            let path = format!("/api/iam/check?companyId={company}");
            let user = match &register.subject {
                Subject::Token { user, .. } => user,
                _ => company,
            };
            Call::new("POST", path, token).json(json!({ "view": "/dashboard", "userId": user }))
        }
    }
}

/// Returns the bits that a response shows, and the mask of the queried bits. Returns `None` if the response does not
/// show the state of the register.
fn read(world: &World, register: &Register, way: Way, answer: &Answer) -> Option<(Bits, Bits)> {
    let gone = match register.subject {
        Subject::Level { .. } => Some(404),
        Subject::Key { .. } | Subject::Token { .. } => Some(401),
        Subject::Assignment { .. } | Subject::Matrix { .. } => None,
    };
    if let Some(gone) = gone {
        return match answer.status {
            200 => Some((1, 1)),
            status if status == gone => Some((0, 1)),
            _ => None,
        };
    }
    if answer.status != 200 {
        return None;
    }
    let data = answer.data();
    let list = |name: &str| data.get(name).and_then(Value::as_array).cloned();
    let allowed = |value: &Value| value.get("allowed").and_then(Value::as_bool);
    let is_matrix = matches!(register.subject, Subject::Matrix { .. });
    let views = if is_matrix { &world.matrix_views } else { &world.level_views };
    match way {
        Way::Check(place) => Some((Bits::from(allowed(&data)?) << place, 1 << place)),
        Way::Checks => {
            let results = list("results")?;
            let bits = World::bits_of(views, |place, _| results.get(place).and_then(allowed) == Some(true));
            (results.len() == WIDTH && results.iter().all(|result| result.get("error").is_none()))
                .then_some((bits, ALL))
        }
        Way::Permissions => {
            let granted = data.get("views")?;
            let is_granted = |view: &View| granted.get(&view.id).and_then(Value::as_bool) == Some(true);
            Some((World::bits_of(views, |_, view| is_granted(view)), ALL))
        }
        Way::Stored if is_matrix => {
            let cells = list("permissions")?;
            let text = |cell: &Value, name: &str| cell.get(name).and_then(Value::as_str).map(str::to_owned);
            let is_granted = |view: &View| {
                let mut cells = cells.iter();
                cells.any(|cell| {
                    text(cell, "viewId").as_ref() == Some(&view.id) && text(cell, "state").as_deref() == Some("allow")
                })
            };
            Some((World::bits_of(views, |_, view| is_granted(view)), ALL))
        }
        Way::Stored => {
            let held = list("userLevels")?;
            let company = world.companies.iter().find(|company| company.id == register.company)?;
            let holds = |level: &String| held.iter().any(|held| held.get("id").and_then(Value::as_str) == Some(level));
            let bits = company.levels.iter().enumerate().filter(|(_, level)| holds(level));
            Some((bits.fold(0, |bits, (place, _)| bits | 1 << place), ALL))
        }
    }
}

/// Reads the state of a register from a replica. Returns `None` if the replica sends no response or one that does not
/// show the state.
pub(crate) async fn look(
    world: &World,
    client: &mut Client,
    replica: usize,
    register: &Register,
    way: Way,
    header: Option<(&'static str, String)>,
    patience: Duration,
) -> Option<Look> {
    let mut call = question(world, register, way);
    if let Some((name, value)) = header.clone() {
        call = call.header(name, value);
    }
    let begin = Instant::now();
    let answer = world.send(client, replica, &call, patience).await?;
    let end = Instant::now();
    let Some((bits, mask)) = read(world, register, way, &answer) else {
        world.unexpected(register, replica, &call, &answer, begin);
        return None;
    };
    let asked = header.map_or(String::new(), |(name, value)| format!(" with {name}: {value}"));
    let version = answer.header("x-iam-version").unwrap_or("-");
    let text = format!("{}{asked} -> {}, X-IAM-Version {version}", call.line(), answer.text());
    Some(Look { bits, mask, begin, end, text })
}
