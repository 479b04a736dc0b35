//! Measures the requests of an administration screen, in companies of different sizes: the time and the statements of
//! each request.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::{Api, COMPANY, request};
use crate::load::Connection;
use crate::measure::median;
use crate::postgres::Database;
use crate::process::peak_memory;
use crate::report::{Row, Target};
use crate::statements::Statements;
use crate::tokens::Signer;
use crate::{Result, progress};

const SECTION: &str = "Administration of a company with 200 levels";
/// The numbers of users in the measured companies.
const SIZES: [usize; 3] = [1, 100, 100_000];
const LEVELS: usize = 200;
/// The number of all companies. Each of the others has the levels of a new company, with one holder each.
const COMPANIES: usize = 10_000;
/// The maximum number of distinct sets of two levels that users hold.
const SETS: usize = 2_000;
const WARM_UP: usize = 2;
const TURNS: usize = 11;
/// The target of the first page of `GET /who-can` in the largest company, in milliseconds.
const WHO_CAN_AT_MOST: f64 = 20.0;
/// The target of a preview in the largest company, in milliseconds.
const PREVIEW_AT_MOST: f64 = 300.0;

/// Measures each request in companies of all sizes.
///
/// # Errors
///
/// Returns an error if a server does not start, or if a response is not a success.
pub async fn admin(database_url: &str, program: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for users in SIZES {
        progress(format_args!("administration of a company with {users} users"));
        rows.extend(Database::with(database_url, async |database| measure(database, program, users).await).await?);
    }
    Ok(rows)
}

/// A measured request.
struct Measured {
    name: &'static str,
    request: Vec<u8>,
    /// The maximum time in the largest company.
    at_most: Option<f64>,
}

async fn measure(database: &Database, program: &Path, users: usize) -> Result<Vec<Row>> {
    let statements = Statements::start(&database.url).await?;
    let api = Api::start(program, Signer::hs256(), 2, Some(&statements.url))?;
    let levels = api.prepare().await?;
    let member = levels.last().ok_or("no levels")?;
    database.execute(&fill(member, users, LEVELS)).await?;
    let authorization = api.super_admin()?;
    let mut connection = Connection::open(api.server.address).await?;
    let mut rows = Vec::new();
    for Measured { name, request, at_most } in requests(&api, &authorization, member).await? {
        let (mut times, mut executed, mut bytes) = (Vec::new(), usize::MAX, 0);
        for turn in 0..WARM_UP + TURNS {
            let (before, start) = (statements.executed(), Instant::now());
            let answer = connection.send(&request).await?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            if answer.status != 200 {
                return Err(format!("{name}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
            }
            if turn >= WARM_UP {
                times.push(milliseconds);
                // Polls execute statements too, but not during every turn.
                executed = executed.min(statements.executed() - before);
                bytes = answer.body.len();
            }
        }
        let row = Row::new(SECTION, format!("{name}, {users} users"), "ms", median(times));
        let row = row.note(format!("statements: {executed}; response: {} kB", bytes.div_ceil(1_000)));
        let at_most = at_most.filter(|_| Some(&users) == SIZES.last());
        rows.push(at_most.map_or_else(|| row.clone(), |most| row.clone().target(Target::AtMost(most))));
    }
    let peak = peak_memory(api.server.id())? as f64 / (1024.0 * 1024.0);
    rows.push(Row::new(SECTION, format!("peak memory of the server, {users} users"), "MiB", peak));
    Ok(rows)
}

/// Returns the requests of the administration screen.
async fn requests(api: &Api, authorization: &str, level: &str) -> Result<Vec<Measured>> {
    let views = api.administer("GET", "/api/iam/views", None).await?;
    let mut views = views["views"].as_array().ok_or("no views")?.iter();
    let dashboard = views.find(|view| view["url"] == "/dashboard").ok_or("no view /dashboard")?;
    let preview = json!({
        "method": "PATCH",
        "path": format!("/api/iam/user-levels/{level}/permissions/views"),
        "body": { "set": [{ "viewId": dashboard["id"], "state": "deny" }] },
    });
    let of = |method: &str, path: &str, body: Option<&Value>| request(method, path, authorization, body);
    let who_can = "/api/iam/who-can?view=%2Fdashboard";
    let get = |name, path: &str| Measured { name, request: of("GET", path, None), at_most: None };
    Ok(vec![
        Measured { at_most: Some(WHO_CAN_AT_MOST), ..get("first page of who-can", who_can) },
        get("first page of who-can with the total", &format!("{who_can}&total=true")),
        get("matrix of all levels", "/api/iam/matrix"),
        Measured {
            name: "preview of one cell",
            request: of("POST", "/api/iam/previews", Some(&preview)),
            at_most: Some(PREVIEW_AT_MOST),
        },
        get("first page of the users", "/api/iam/users"),
        get("first page of the companies", "/api/iam/companies"),
    ])
}

/// Returns the SQL that copies the level `member` until there are this many levels, and assigns two levels to each of the
/// users.
pub(crate) fn fill(member: &str, users: usize, levels: usize) -> String {
    let copy = |table: &str| {
        format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(
                cell, jsonb_build_object('id', gen_random_uuid(), 'user_level_id', level.id)
            )).* FROM {table} AS cell, user_levels AS level
            WHERE cell.user_level_id = '{member}' AND level.company_id = '{COMPANY}' AND level.name LIKE 'Level %';"
        )
    };
    format!(
        "INSERT INTO company_states SELECT (jsonb_populate_record(
                state, jsonb_build_object('company_id', md5('company ' || n)::uuid)
            )).* FROM company_states AS state, generate_series(2, {COMPANIES}) AS n WHERE company_id = '{COMPANY}';
        INSERT INTO user_levels SELECT (jsonb_populate_record(
                level, jsonb_build_object('id', gen_random_uuid(), 'company_id', md5('company ' || n)::uuid)
            )).* FROM user_levels AS level, generate_series(2, {COMPANIES}) AS n WHERE company_id = '{COMPANY}';
        INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT md5('holder ' || id)::uuid, id, company_id FROM user_levels WHERE company_id <> '{COMPANY}';
        INSERT INTO user_levels SELECT (jsonb_populate_record(
                level, jsonb_build_object('id', gen_random_uuid(), 'name', 'Level ' || n)
            )).* FROM user_levels AS level, generate_series(
                (SELECT count(*) FROM user_levels WHERE company_id = '{COMPANY}') + 1, {levels}
            ) AS n WHERE level.id = '{member}';
        {views}
        {features}
        INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT md5('user ' || n)::uuid, level.id, '{COMPANY}' FROM generate_series(1, {users}) AS n, (
                SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM user_levels WHERE company_id = '{COMPANY}'
            ) AS level
            WHERE place IN (n % {SETS} % {levels}, (n % {SETS} / {levels} + n % {SETS} * 7 + 1) % {levels});
        UPDATE company_states SET version = version + 1 WHERE company_id = '{COMPANY}';
        ANALYZE;",
        views = copy("user_level_view_permissions"),
        features = copy("user_level_feature_permissions"),
    )
}
