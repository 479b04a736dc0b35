//! The state that all tasks of a run share: the addresses of the replicas, the entities, the periods of restores and
//! failovers, and the report.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iam_domain::{Timestamp, UserId};
use iam_identity::{TokenSigner, system_clock};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::common::{Result, locked};
use crate::http::{Answer, Call, Client};
use crate::lies::Falsification;
use crate::model::{Bits, Change, Register, Subject};
use crate::report::{Broken, Report};

/// The number of fixed levels per company that assignments use. It is also the number of views that matrices use.
pub(crate) const WIDTH: usize = 4;

/// The views that the fixed levels allow, one view per level.
const LEVEL_VIEWS: [&str; WIDTH] = ["/dashboard", "/home", "/companies", "/users"];

/// The views of the matrices.
const MATRIX_VIEWS: [&str; WIDTH] = ["/profile", "/subscription", "/subscription/plans", "/settings"];

/// The maximum staleness that the service guarantees: the default of `IAM__CACHE__LEASE`.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The tolerance for clock skew between processes on one machine when a lease expires.
///
/// No other tolerance is needed. The time of a request is the time at which it was sent, which is before the decision.
/// The time of a change is the time at which its response arrived, which is after the commit.
pub(crate) const MARGIN: Duration = Duration::from_millis(100);

/// The staleness bound by which responses are judged: the lease plus the margin.
pub(crate) const BOUND: Duration = Duration::from_millis(2100);

/// Timeout of a request that has no shorter timeout.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// The signing secret of all tokens.
pub(crate) const SECRET: &str = "the secret of the soak is long enough for HS256";

/// A view of the catalog.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) url: &'static str,
}

/// A company whose changes the model tracks.
#[derive(Debug)]
pub(crate) struct Company {
    pub(crate) id: String,
    /// The fixed levels that assignments use. They exist before the first dump, so that a restore never deletes them.
    pub(crate) levels: Vec<String>,
    /// The registers that readers query. Each slot has a current register, which is replaced from time to time. The
    /// list also contains some registers whose entities are deleted or revoked.
    pub(crate) registers: Mutex<Vec<Arc<Register>>>,
}

/// A change that must have exactly one record in the audit log.
#[derive(Debug)]
struct Audited {
    company: Option<String>,
    what: String,
    /// The ids of the requests that attempted the change.
    requests: Vec<String>,
    known: Instant,
}

#[derive(Debug, Default)]
struct Windows {
    restores: Vec<(Instant, Option<Instant>)>,
    failovers: Vec<(Instant, Option<Instant>)>,
}

/// The state that all tasks share.
pub(crate) struct World {
    pub(crate) report: Report,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) companies: Vec<Company>,
    pub(crate) level_views: Vec<View>,
    pub(crate) matrix_views: Vec<View>,
    pub(crate) super_token: String,
    pub(crate) lie: Option<Falsification>,
    signer: TokenSigner,
    windows: Mutex<Windows>,
    audited: Mutex<Vec<Audited>>,
}

/// Returns `true` if one of the windows, each extended by `rest`, overlaps the period from `begin` to `end`.
fn overlaps(windows: &[(Instant, Option<Instant>)], begin: Instant, end: Instant, rest: Duration) -> bool {
    windows.iter().any(|(from, to)| *from <= end && to.is_none_or(|to| to + rest >= begin))
}

/// Returns the current time in seconds since the Unix epoch.
fn now() -> Result<u64> {
    Ok(u64::try_from(system_clock().now().millis() / 1000)?)
}

/// Returns a random UUID as a string.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("the string {pointer} is missing in {value}").into())
}

impl World {
    /// Creates the shared state for these replicas, and provisions the companies.
    pub(crate) async fn new(addresses: Vec<SocketAddr>, companies: usize, lie: Option<Falsification>) -> Result<Self> {
        let signer = TokenSigner::hs256(&SecretString::from(SECRET));
        let super_token = signer.sign(UserId::from_uuid(Uuid::new_v4()), true, now()?, 86_400)?;
        let mut world = Self {
            report: Report::new(),
            addresses,
            companies: Vec::new(),
            level_views: Vec::new(),
            matrix_views: Vec::new(),
            super_token,
            lie,
            signer,
            windows: Mutex::default(),
            audited: Mutex::default(),
        };
        let mut client = Client::default();
        let views = world.must(&mut client, world.by_super_admin("GET", "/api/iam/views")).await?;
        let views = views.get("views").and_then(Value::as_array).cloned().unwrap_or_default();
        let find = |url: &'static str| -> Result<View> {
            let view = views.iter().find(|view| view.get("url").and_then(Value::as_str) == Some(url));
            Ok(View { id: text(view.ok_or("a seeded view is missing")?, "/id")?, url })
        };
        world.level_views = LEVEL_VIEWS.into_iter().map(find).collect::<Result<_>>()?;
        world.matrix_views = MATRIX_VIEWS.into_iter().map(find).collect::<Result<_>>()?;
        for _ in 0..companies {
            let company = world.make_company(&mut client).await?;
            world.companies.push(company);
        }
        Ok(world)
    }

    async fn make_company(&self, client: &mut Client) -> Result<Company> {
        let id = new_id();
        let provision = self.by_super_admin("POST", &format!("/api/iam/companies/{id}/provision"));
        self.must(client, provision.json(json!({ "adminUserId": new_id() }))).await?;
        let mut levels = Vec::new();
        for view in &self.level_views {
            let level = self.must(client, self.make_level(&id, &new_id())).await?;
            let level = text(&level, "/userLevel/id")?;
            self.must(client, self.put_matrix(&id, &level, &[view.id.as_str()])).await?;
            levels.push(level);
        }
        Ok(Company { id, levels, registers: Mutex::default() })
    }

    /// Sends a request to the first replica. Returns the `data` of the response, or an error if the status is 300 or
    /// above.
    async fn must(&self, client: &mut Client, call: Call) -> Result<Value> {
        let address = *self.addresses.first().ok_or("there are no replicas")?;
        let answer = client.send(address, &call, PATIENCE).await?;
        if answer.status < 300 { Ok(answer.data()) } else { Err(format!("{}: {}", call.line(), answer.text()).into()) }
    }

    /// Creates a request that authenticates as the super admin.
    pub(crate) fn by_super_admin(&self, method: &'static str, path: &str) -> Call {
        Call::new(method, path, &self.super_token)
    }

    /// Creates a request that creates a level.
    pub(crate) fn make_level(&self, company: &str, name: &str) -> Call {
        self.by_super_admin("POST", &format!("/api/iam/user-levels?companyId={company}")).json(json!({ "name": name }))
    }

    /// Creates a request that replaces a level's view matrix, so that the level allows exactly these views.
    pub(crate) fn put_matrix(&self, company: &str, level: &str, views: &[&str]) -> Call {
        let cells: Vec<_> = views.iter().map(|view| json!({ "viewId": view, "state": "allow" })).collect();
        let path = format!("/api/iam/user-levels/{level}/permissions/views?companyId={company}");
        self.by_super_admin("PUT", &path).json(json!({ "views": cells }))
    }

    /// Creates a request that replaces the levels of a user with these levels.
    pub(crate) fn put_levels(&self, company: &str, user: &str, levels: &[&str]) -> Call {
        let path = format!("/api/iam/users/{user}/user-levels?companyId={company}");
        self.by_super_admin("PUT", &path).json(json!({ "userLevelIds": levels }))
    }

    /// Returns a new user and the user's token, which was issued a minute ago.
    pub(crate) fn new_user(&self) -> Result<(String, String)> {
        let user = Uuid::new_v4();
        let issued = now()?.saturating_sub(60);
        Ok((user.to_string(), self.signer.sign(UserId::from_uuid(user), false, issued, 86_400)?))
    }

    /// Returns a time in the past that is later than the issue time (`iat`) of all tokens so far.
    pub(crate) fn after_all_tokens(&self) -> Result<String> {
        let millis = system_clock().now().millis() - 30_000;
        let time = serde_json::to_value(Timestamp::from_millis(millis).ok_or("the time is out of range")?)?;
        time.as_str().map(str::to_owned).ok_or_else(|| "a time must be a string".into())
    }

    /// Sends a request. Returns `None` if the outcome is unknown, because there was no response or the status was 5xx.
    /// A 5xx status other than the service's own 503 is reported as a violation.
    pub(crate) async fn send(
        &self,
        client: &mut Client,
        replica: usize,
        call: &Call,
        patience: Duration,
    ) -> Option<Answer> {
        let address = *self.addresses.get(replica)?;
        let begin = Instant::now();
        let mut answer = match client.send(address, call, patience).await {
            Ok(answer) => answer,
            Err(_) => {
                self.report.count("requests without a response");
                return None;
            }
        };
        if let Some(lie) = self.lie {
            lie.falsify_status(&mut answer);
        }
        self.report.count(format!("responses with status {}", answer.status));
        let is_unavailable = answer.status == 503;
        let names_itself = String::from_utf8_lossy(&answer.body).contains("ERR_UNAVAILABLE_001");
        if answer.status >= 500 && !(is_unavailable && (names_itself || call.line() == "GET /readyz")) {
            let took = begin.elapsed().as_secs_f64();
            self.report.violation(
                Broken::Status,
                format!("replica {replica} responded to {} after {took:.3} s: {}", call.line(), answer.text()),
            );
            return None;
        }
        (!is_unavailable).then_some(answer)
    }

    /// Reports an unexpected status as a violation. A status is not reported if a restore was in progress, or if the
    /// request concerned a retired register.
    pub(crate) fn unexpected(&self, register: &Register, replica: usize, call: &Call, answer: &Answer, begin: Instant) {
        if self.overlaps_restore(begin, Instant::now()) || !register.is_live() {
            return;
        }
        let (status, start) = (answer.text(), self.report.start);
        self.report.violation(
            Broken::Status,
            format!("replica {replica} responded to {}: {status}\n    {}", call.line(), register.tell(start)),
        );
    }

    /// Records that a change must have an audit record with one of these request ids.
    pub(crate) fn must_be_audited(&self, company: Option<&str>, what: String, requests: Vec<String>) {
        let company = company.map(str::to_owned);
        locked(&self.audited).push(Audited { company, what, requests, known: Instant::now() });
    }

    /// Checks that each expected change has exactly one audit record. Covers the changes to one company, or the
    /// platform-wide changes if `company` is `None`.
    pub(crate) fn check_audit(&self, company: Option<&str>, recorded: &dyn Fn(&str) -> usize) {
        for audited in locked(&self.audited).iter().filter(|audited| audited.company.as_deref() == company) {
            let records: usize = audited.requests.iter().map(|request| recorded(request)).sum();
            self.report.count("acknowledged changes looked up in the audit log");
            if records != 1 {
                let known = self.report.seconds(audited.known);
                self.report.violation(
                    Broken::Audit,
                    format!(
                        "expected one audit record, found {records}: {}, completed by {known:.3} s, requests {:?}",
                        audited.what, audited.requests
                    ),
                );
            }
        }
    }

    /// Returns `true` if a restore overlapped with this period.
    pub(crate) fn overlaps_restore(&self, begin: Instant, end: Instant) -> bool {
        overlaps(&locked(&self.windows).restores, begin, end, Duration::ZERO)
    }

    /// Returns `true` if a failover of the database overlapped with this period, or ended shortly before it: within the
    /// staleness bound.
    pub(crate) fn is_failing_over(&self, begin: Instant, end: Instant) -> bool {
        overlaps(&locked(&self.windows).failovers, begin, end, BOUND)
    }

    /// Records the start of a failover. [`Self::end_failover`] records its end.
    pub(crate) fn begin_failover(&self) {
        locked(&self.windows).failovers.push((Instant::now(), None));
    }

    /// Records the end of a failover, when all replicas can reach the new primary.
    pub(crate) fn end_failover(&self) {
        if let Some(window) = locked(&self.windows).failovers.last_mut() {
            window.1 = Some(Instant::now());
        }
    }

    fn all_registers(&self) -> Vec<Arc<Register>> {
        self.companies.iter().flat_map(|company| locked(&company.registers).clone()).collect()
    }

    /// Records the start of a restore from a dump that was taken in this period. Retires the registers whose state in
    /// the dump is uncertain.
    pub(crate) fn begin_restore(&self, dump: (Instant, Instant)) -> Restore {
        let begin = Instant::now();
        locked(&self.windows).restores.push((begin, None));
        let mut restored = Vec::new();
        for register in self.all_registers().into_iter().filter(|register| register.is_live()) {
            let is_in_dump = register.born.is_none_or(|born| born < dump.0);
            match register.possible_within(dump.0, dump.1).as_slice() {
                [bits] if is_in_dump && register.is_settled() => restored.push((Arc::clone(&register), *bits)),
                _ => register.retire(),
            }
        }
        Restore { begin, dump, restored }
    }

    /// Records the end of a restore: from now on the registers have their restored states, and changes since the dump
    /// need no audit records.
    pub(crate) fn end_restore(&self, restore: Restore) {
        let end = Instant::now();
        for (register, bits) in restore.restored {
            register.restored(bits, restore.begin, end);
        }
        locked(&self.audited).retain(|audited| audited.known < restore.dump.0);
        if let Some(window) = locked(&self.windows).restores.last_mut() {
            window.1 = Some(end);
        }
    }

    /// Returns the bit set of the allowed views.
    pub(crate) fn bits_of(views: &[View], is_allowed: impl Fn(usize, &View) -> bool) -> Bits {
        let set = views.iter().enumerate().filter(|(place, view)| is_allowed(*place, view));
        set.fold(0, |bits, (place, _)| bits | 1 << place)
    }

    /// Returns the first write to a new register: its initial state, already acknowledged.
    pub(crate) fn initially(bits: Bits) -> Change {
        let begin = Instant::now();
        Change { bits, replica: None, begin, known: Some(begin), version: None, request: "its making".to_owned() }
    }

    /// Creates the register of a new user's assignments. In its initial state the user holds no levels.
    pub(crate) fn new_assignment(&self, company: &Company) -> Result<Register> {
        let (user, token) = self.new_user()?;
        Ok(Register::new(Subject::Assignment { user, token }, &company.id, None, Self::initially(0)))
    }
}

/// A restore in progress.
#[derive(Debug)]
pub(crate) struct Restore {
    begin: Instant,
    dump: (Instant, Instant),
    restored: Vec<(Arc<Register>, Bits)>,
}
