//! Measures the response times of two tenants while a third tenant floods the server, with the default limits.

pub mod attack;
mod flood;
mod processors;
mod victim;

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection};
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use self::attack::{Attack, Outcome, Plan};
use self::flood::Flood;
use self::processors::Processors;
use self::victim::{Phase, Victim};
use crate::api::{Api, request_in};
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::postgres::Database;
use crate::process::{ProcessorTime, peak_memory};
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Result, progress};

const FAIRNESS: &str = "Two tenants beside the flood of another";
/// Number of turns of each flood. A turn is one calm and one flooded phase.
const TURNS: usize = 3;
/// Length of a phase.
const PHASE: Duration = Duration::from_secs(3);
/// Time between the start or the end of a flood and the next phase.
const SETTLE: Duration = Duration::from_millis(700);
/// Number of the users that flood. The flood also uses an API key.
const ATTACKERS: usize = 32;
/// Number of audit records of the flooding tenant.
const RECORDS: usize = 200_000;
/// Number of callers of a victim that check.
const CHECKING: usize = 8;
/// Number of callers of a victim that make changes.
const CHANGING: usize = 4;
const MIB: f64 = 1024.0 * 1024.0;

/// A company with the levels of the seed.
struct Tenant {
    company: String,
    /// The ids of the levels Admin, Member and Visitor.
    levels: Vec<String>,
}

/// The measured server and its tenants.
struct Scene<'a> {
    api: &'a Api,
    processors: &'a Processors,
    victim: Victim,
    attacker: Tenant,
    /// The `Authorization` header of an API key of the flooding tenant.
    key: String,
    times_of_cut_offs: Vec<f64>,
    /// The statuses of requests of the victims, and of cut-offs, that are not successes.
    failures: Vec<u16>,
}

impl Tenant {
    async fn create(api: &Api) -> Result<Self> {
        let company = Uuid::new_v4().to_string();
        api.administer_in(&company, "POST", &format!("/api/iam/companies/{company}/provision"), None).await?;
        let data = api.administer_in(&company, "GET", "/api/iam/user-levels", None).await?;
        let levels = data["userLevels"].as_array().ok_or("no levels")?.iter();
        let levels = levels.filter_map(|level| level["id"].as_str().map(str::to_owned)).collect();
        Ok(Self { company, levels })
    }

    /// Creates users that hold all levels of the company. Returns the id and the `Authorization` header of each user.
    async fn users(&self, api: &Api, number: usize) -> Result<Vec<(String, String)>> {
        let mut users = Vec::new();
        let body = json!({ "userLevelIds": self.levels });
        for _ in 0..number {
            let user = Uuid::new_v4().to_string();
            let path = format!("/api/iam/users/{user}/user-levels");
            api.administer_in(&self.company, "PUT", &path, Some(&body)).await?;
            let authorization = api.authorization_of(&user)?;
            users.push((user, authorization));
        }
        Ok(users)
    }
}

impl<'a> Scene<'a> {
    async fn set(api: &'a Api, processors: &'a Processors, database: &Database) -> Result<Self> {
        let (checking, changing, attacker) =
            (Tenant::create(api).await?, Tenant::create(api).await?, Tenant::create(api).await?);
        let of = |users: Vec<(String, String)>| users.into_iter().map(|(_, authorization)| authorization);
        let check = of(checking.users(api, CHECKING).await?).collect();
        let levels = changing.levels.iter().cycle().cloned();
        let change = of(changing.users(api, CHANGING).await?).zip(levels).collect();
        let victim = Victim {
            server: api.server.address,
            checking: (checking.company, check),
            changing: (changing.company, change),
        };
        let body = json!({ "name": "Flood", "role": "check", "companyId": attacker.company });
        let data = api.administer_in(&attacker.company, "POST", "/api/iam/api-keys", Some(&body)).await?;
        let key = format!("Authorization: Bearer {}\r\n", data["key"].as_str().ok_or("no key")?);
        let records = format!(
            "INSERT INTO iam_audit_logs
                (id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes, metadata, \"timestamp\")
            SELECT gen_random_uuid(), '{company}', gen_random_uuid(), 'user', 'user_level.updated', 'user-level',
                gen_random_uuid(), '{{\"a\":1}}', '{{}}', now() - i * interval '1 s'
            FROM generate_series(1, {RECORDS}) i; ANALYZE",
            company = attacker.company
        );
        let mut connection = PgConnection::connect(&database.url).await?;
        sqlx::raw_sql(AssertSqlSafe(records)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { api, processors, victim, attacker, key, times_of_cut_offs: Vec::new(), failures: Vec::new() })
    }

    async fn calm(&mut self) -> Result<Phase> {
        let phase = self.victim.phase(PHASE).await?;
        self.failures.extend(&phase.failures);
        Ok(phase)
    }

    /// Measures a phase with a flood. At the end of the phase, a super admin cuts one of the flooding users off.
    async fn flooded(&mut self, attack: Attack) -> Result<(Phase, Outcome, ProcessorTime)> {
        // New users, whose budgets are full: the flood is heaviest in its first seconds.
        let users = self.attacker.users(self.api, ATTACKERS).await?;
        let plan = Plan {
            attack,
            server: self.api.server.address,
            company: self.attacker.company.clone(),
            level: self.attacker.levels.last().cloned().unwrap_or_default(),
            callers: users.iter().map(|(_, authorization)| authorization.clone()).collect(),
            key: self.key.clone(),
            processors: self.processors.other.clone(),
        };
        let flood = Flood::start(&plan)?;
        sleep(SETTLE).await;
        let before = ProcessorTime::of_process(self.api.server.id())?;
        let phase = self.victim.phase(PHASE).await?;
        let spent = ProcessorTime::of_process(self.api.server.id())?.since(before);
        self.failures.extend(&phase.failures);
        if let Some((user, authorization)) = users.first() {
            self.cut_off(user, authorization).await?;
        }
        let outcome = flood.stop().await?;
        sleep(SETTLE).await;
        Ok((phase, outcome, spent))
    }

    /// Cuts a user off with one request, and checks that the next request of the user is rejected.
    async fn cut_off(&mut self, user: &str, authorization: &str) -> Result<()> {
        let sent = Instant::now();
        let path = format!("/api/iam/users/{user}/not-before");
        let answer = self.api.attempt(&self.attacker.company, "PUT", &path, Some(&json!({}))).await?;
        self.times_of_cut_offs.push(sent.elapsed().as_secs_f64());
        let check = request_in(&self.attacker.company, "GET", "/api/iam/navigation", authorization, None);
        let rejected = Connection::open(self.api.server.address).await?.send(&check).await?;
        self.failures.extend(Some(answer.status).filter(|status| *status != 200));
        self.failures.extend(Some(rejected.status).filter(|status| *status != 401));
        Ok(())
    }

    /// Measures one kind of flood, and returns its rows.
    async fn rows(&mut self, attack: Attack) -> Result<Vec<Row>> {
        progress(format_args!("{}", attack.name()));
        let (mut calms, mut floods, mut ratios) = ([vec![], vec![]], [vec![], vec![]], [vec![], vec![]]);
        let (mut last, mut cores) = (Outcome::default(), Vec::new());
        for turn in 0..TURNS {
            let (calm, (flooded, outcome, spent)) = if turn % 2 == 0 {
                let calm = self.calm().await?;
                (calm, self.flooded(attack).await?)
            } else {
                let flooded = self.flooded(attack).await?;
                (self.calm().await?, flooded)
            };
            for (at, (calm, flooded)) in calm.p99().into_iter().zip(flooded.p99()).enumerate() {
                calms[at].push(calm);
                floods[at].push(flooded);
                ratios[at].push(flooded / calm);
            }
            cores.push(spent.ran.as_secs_f64() / PHASE.as_secs_f64());
            last = outcome;
        }
        let statuses: Vec<_> = last.statuses.iter().map(|(status, number)| format!("{number} × {status}")).collect();
        let note = format!(
            "the server uses {:.2} cores; the last flood: {}, {:.1} s of processor time",
            median(cores),
            statuses.join(", "),
            last.processor_seconds
        );
        let kinds = [("kept decisions", 2.0, note.as_str()), ("changes", 3.0, "")];
        let rows = kinds.into_iter().zip(calms).zip(floods).zip(ratios);
        let rows = rows.map(|((((what, most, note), calm), flooded), ratio)| {
            Row::new(FAIRNESS, format!("{what} beside {}, p99", attack.name()), "ms", median(flooded))
                .beside("calm", median(calm), median(ratio))
                .target(Target::AtMost(most))
                .note(note)
        });
        Ok(rows.collect())
    }
}

/// Measures the fairness that SECURITY.md promises: how much slower the requests of two tenants become while another
/// tenant floods the server, and whether a flooding user can be cut off.
///
/// # Errors
///
/// Returns an error if a server cannot be started, or a connection of a victim breaks.
pub async fn fairness(server: &str, program: &Path) -> Result<Vec<Row>> {
    Database::with(server, async |database| {
        let processors = Processors::divide(&database.url).await?;
        let api = Api::start_with_defaults(program, Signer::hs256(), &database.url)?;
        api.ready().await?;
        let mut scene = Scene::set(&api, &processors, database).await?;
        let mut rows = Vec::new();
        for attack in Attack::ALL {
            rows.extend(scene.rows(attack).await?);
        }
        let is_unavailable = |status: &&u16| **status == 503;
        let unavailable = scene.failures.iter().filter(is_unavailable).count();
        let row = |name: &str, unit, value, most| Row::new(FAIRNESS, name, unit, value).target(Target::AtMost(most));
        rows.push(row("responses 503 to the two tenants", "", unavailable as f64, 0.0));
        let others = scene.failures.len() - unavailable;
        rows.push(row("other responses that are not as expected", "", others as f64, 0.0));
        let memory = peak_memory(api.server.id())? as f64 / MIB;
        rows.push(row("largest resident memory of the server", "MiB", memory, 512.0));
        let times = scene.times_of_cut_offs;
        let note = format!("the longest of {}; median {:.3}", times.len(), median(times.clone()));
        rows.push(row("cut a flooding user off at the first try", "s", quantile(times, 1.0), 1.0).note(note));
        Ok(rows)
    })
    .await
}
