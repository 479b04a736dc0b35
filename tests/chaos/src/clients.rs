//! The clients of the soak test: writers change registers through random replicas, and readers query the registers
//! continuously.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::common::locked;
use crate::http::{Answer, Call, Client};
use crate::lies::Falsification;
use crate::look::{ALL, Look, Way, look};
use crate::model::{Bits, Change, Freshness, Register, Seen, Subject, Verdict};
use crate::report::Broken;
use crate::world::{BOUND, Company, PATIENCE, View, WIDTH, World, new_id};

/// The kind of entity that a register tracks. Each company has one register per slot of [`SLOTS`], and the slot
/// determines the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Assignment,
    Matrix,
    Level,
    Key,
    Token,
}

const SLOTS: [Kind; 12] = [
    Kind::Assignment,
    Kind::Assignment,
    Kind::Assignment,
    Kind::Assignment,
    Kind::Assignment,
    Kind::Matrix,
    Kind::Assignment,
    Kind::Matrix,
    Kind::Level,
    Kind::Key,
    Kind::Token,
    Kind::Token,
];

/// Maximum number of changes per register. A register that reaches this number is replaced with a new register, which
/// bounds the memory of the model.
const MOST_CHANGES: usize = 60;

/// The probability that a writer deletes or revokes the entity of a selected register. It applies to levels, API keys
/// and tokens, for which this is the only possible change.
const FINAL_CHANGES: f64 = 0.2;

/// Maximum number of deleted or revoked registers per company that readers still query.
const MOST_GONE: usize = 4;

/// Maximum number of attempts to determine the outcome of a change that received no response.
const MAX_OUTCOME_ATTEMPTS: usize = 40;

/// Pause before each attempt of a writer to determine the outcome of a change, or to retry the change.
const PAUSE: Duration = Duration::from_millis(250);

/// Timeout of a writer's request.
const WRITERS_PATIENCE: Duration = Duration::from_secs(4);

/// Timeout of most readers' requests. It is short, so that a reader soon continues with another replica if a replica
/// does not respond.
const READERS_PATIENCE: Duration = Duration::from_millis(1500);

/// Base pause of a client between two requests. Each pause is this duration, multiplied by a random factor.
const CLIENT_PAUSE: Duration = Duration::from_millis(12);

/// The receiver of the stop signal. Its value is `true` while the run continues, and `false` when the clients must
/// stop.
pub(crate) type Going = watch::Receiver<bool>;

fn is_going(going: &Going) -> bool {
    *going.borrow()
}

/// A client that changes registers of one company, one register at a time. The writers of a company share its
/// registers.
pub(crate) struct Writer {
    world: Arc<World>,
    company: usize,
    /// The writer's share of the slots, as `(part, count)`: the writer changes the slots whose number modulo `count`
    /// equals `part`.
    own: (usize, usize),
    client: Client,
    random: StdRng,
}

impl Writer {
    /// Creates a writer for a share of a company's registers: the slots whose number modulo `count` is `part`.
    pub(crate) fn new(world: Arc<World>, company: usize, part: usize, count: usize, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { world, company, own: (part, count), client: Client::default(), random }
    }

    /// Sends changes until the run ends.
    pub(crate) async fn run(mut self, going: Going) {
        let slots: Vec<_> = SLOTS.iter().enumerate().filter(|(slot, _)| slot % self.own.1 == self.own.0).collect();
        let mut registers: Vec<Option<Arc<Register>>> = vec![None; slots.len()];
        while is_going(&going) {
            let place = self.random.random_range(0..slots.len());
            let (Some(register), Some((_, kind))) = (registers.get_mut(place), slots.get(place)) else { continue };
            match register {
                Some(register) if Self::is_usable(register) => {
                    if !register.subject.is_final() || self.random.random_bool(FINAL_CHANGES) {
                        self.change(&Arc::clone(register)).await;
                    }
                }
                _ => {
                    let begin = Instant::now();
                    if let Some(made) = self.make(**kind).await {
                        let made = self.publish(register.take(), made);
                        // A restore during the creation may have deleted the new entity. The restore did not retire the
                        // register of this entity, because the register was not yet published.
                        if self.world.overlaps_restore(begin, Instant::now()) {
                            made.retire();
                        }
                        *register = Some(made);
                    }
                }
            }
            sleep(CLIENT_PAUSE.mul_f32(self.random.random_range(0.2..3.0))).await;
        }
    }

    fn is_usable(register: &Register) -> bool {
        let is_over = register.subject.is_final() && register.current() == 0 && register.is_settled();
        register.is_live() && !is_over && register.changes() < MOST_CHANGES
    }

    fn company(&self) -> Option<&Company> {
        self.world.companies.get(self.company)
    }

    fn replica(&mut self) -> usize {
        self.random.random_range(0..self.world.addresses.len())
    }

    /// Publishes the register `made` to the readers, in place of the register `before`. If the entity of `before` is
    /// deleted or revoked, the readers keep `before` too.
    fn publish(&self, before: Option<Arc<Register>>, made: Register) -> Arc<Register> {
        let made = Arc::new(made);
        if let Some(company) = self.company() {
            let mut registers = locked(&company.registers);
            // Readers continue to query a deleted or revoked entity for some time, to verify that it does not reappear.
            let is_over = |register: &Register| register.subject.is_final() && register.current() == 0;
            let is_replaced = |register: &Arc<Register>| {
                before.as_ref().is_some_and(|before| Arc::ptr_eq(before, register)) && !is_over(register)
            };
            registers.retain(|register| register.is_live() && !is_replaced(register));
            if registers.iter().filter(|register| is_over(register)).count() > MOST_GONE
                && let Some(oldest) = registers.iter().position(|register| is_over(register))
            {
                registers.remove(oldest);
            }
            registers.push(Arc::clone(&made));
        }
        made
    }

    /// Sends a request that creates an entity. Returns the response, or `None` if the outcome is unknown or the request
    /// failed.
    async fn made(&mut self, what: &str, company: Option<&str>, call: Call) -> Option<Answer> {
        let (replica, request, begin) = (self.replica(), new_id(), Instant::now());
        let call = call.header("x-request-id", request.clone());
        let answer = self.world.send(&mut self.client, replica, &call, WRITERS_PATIENCE).await?;
        if self.world.overlaps_restore(begin, Instant::now()) {
            return None;
        }
        if answer.status >= 300 {
            let account = format!("replica {replica} responded to {}: {}", call.line(), answer.text());
            self.world.report.violation(Broken::Status, account);
            return None;
        }
        self.world.report.count(format!("acknowledged: {what}"));
        self.world.must_be_audited(company, format!("{what}: {}", call.line()), vec![request]);
        Some(answer)
    }

    async fn make(&mut self, kind: Kind) -> Option<Register> {
        let world = Arc::clone(&self.world);
        let company = world.companies.get(self.company)?;
        let id_of =
            |answer: &Answer, pointer: &str| answer.data().pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let register = match kind {
            Kind::Assignment => return world.new_assignment(company).ok(),
            Kind::Level | Kind::Matrix => {
                let call = world.make_level(&company.id, &new_id());
                let answer = self.made("creation of a level", Some(&company.id), call).await?;
                let id = id_of(&answer, "/userLevel/id")?;
                if kind == Kind::Level {
                    Register::new(Subject::Level { id }, &company.id, Some(Instant::now()), World::initially(0))
                        .and_now(1)
                } else {
                    let (user, token) = world.new_user().ok()?;
                    let call = world.put_levels(&company.id, &user, &[&id]);
                    self.made("replacement of a user's levels", Some(&company.id), call).await?;
                    Register::new(
                        Subject::Matrix { level: id, token },
                        &company.id,
                        Some(Instant::now()),
                        World::initially(0),
                    )
                }
            }
            Kind::Key => {
                let path = format!("/api/iam/api-keys?companyId={}", company.id);
                let body = json!({ "name": new_id(), "role": "check" });
                let answer =
                    self.made("creation of an API key", None, world.by_super_admin("POST", &path).json(body)).await?;
                let (id, secret) = (id_of(&answer, "/apiKey/id")?, id_of(&answer, "/key")?);
                Register::new(Subject::Key { id, secret }, &company.id, Some(Instant::now()), World::initially(0))
                    .and_now(1)
            }
            Kind::Token => {
                let (user, token) = world.new_user().ok()?;
                let not_before = world.after_all_tokens().ok()?;
                let subject = Subject::Token { user, token, not_before };
                Register::new(subject, &company.id, None, World::initially(1))
            }
        };
        Some(register)
    }

    /// Changes a register. If the response is lost, determines whether the change was committed.
    async fn change(&mut self, register: &Arc<Register>) {
        let world = Arc::clone(&self.world);
        let Some(company) = world.companies.get(self.company) else { return };
        let before = register.current();
        let bits = if register.subject.is_final() { 0 } else { (before + self.random.random_range(1..=ALL)) & ALL };
        let (what, audited, call) = self.call_for(register, company, bits);
        let is_revocation = bits & !before == 0;
        let (begin, request) = (Instant::now(), new_id());
        let call = call.header("x-request-id", request.clone());
        let place =
            register.begin(Change { bits, replica: None, begin, known: None, version: None, request: request.clone() });
        let mut requests = vec![request.clone()];
        let mut replica = self.replica();
        let is_unsent = match world.lie {
            Some(Falsification::UnsentRevocation) => is_revocation,
            Some(Falsification::UnsentGrant) => !is_revocation,
            _ => false,
        };
        if is_unsent {
            register.known(place, Some(replica), None, Instant::now());
            return;
        }
        let mut answer = world.send(&mut self.client, replica, &call, WRITERS_PATIENCE).await;
        let mut looks = 0;
        if answer.is_none() {
            world.report.count("changes with an unknown outcome");
        }
        while answer.is_none() {
            if world.overlaps_restore(begin, Instant::now()) || looks == MAX_OUTCOME_ATTEMPTS {
                register.retire();
                return;
            }
            sleep(PAUSE).await;
            looks += 1;
            replica = self.replica();
            if register.subject.is_final() {
                let again = new_id();
                requests.push(again.clone());
                let call = self.call_for(register, company, bits).2.header("x-request-id", again);
                answer = world.send(&mut self.client, replica, &call, WRITERS_PATIENCE).await;
                continue;
            }
            let header = Some(("cache-control", "no-cache".to_owned()));
            let Some(seen) =
                look(&world, &mut self.client, replica, register, Way::Checks, header, READERS_PATIENCE).await
            else {
                continue;
            };
            if world.is_failing_over(seen.begin, seen.end) {
                continue;
            }
            // A change that is not visible yet may still commit, for example when a frozen replica resumes.
            if seen.bits != bits || world.overlaps_restore(begin, Instant::now()) {
                register.retire();
            } else {
                register.known(place, None, None, Instant::now());
                world.report.count("changes with an unknown outcome whose commit was observed later");
                world.must_be_audited(audited.as_deref(), format!("{what}: {}", call.line()), requests);
            }
            return;
        }
        let Some(answer) = answer else { return };
        if world.overlaps_restore(begin, Instant::now()) {
            register.retire();
            return;
        }
        let is_gone_already =
            answer.status == 404 && requests.len() > 1 && matches!(register.subject, Subject::Level { .. });
        if answer.status >= 300 && !is_gone_already {
            world.unexpected(register, replica, &call, &answer, begin);
            register.retire();
            return;
        }
        let by = (!is_gone_already).then_some(replica);
        register.known(place, by, answer.header("x-iam-version").map(str::to_owned), Instant::now());
        world.report.count(format!("acknowledged: {what}"));
        if world.lie == Some(Falsification::InventedRecord) {
            requests = vec![new_id()];
        }
        world.must_be_audited(audited.as_deref(), format!("{what}: {}", call.line()), requests);
    }

    /// Returns a description of the change, the company whose audit log records it, and the request.
    fn call_for(&self, register: &Register, company: &Company, bits: Bits) -> (&'static str, Option<String>, Call) {
        let world = &self.world;
        let sent = match world.lie {
            Some(Falsification::HalfChange) if bits.count_ones() > 1 => bits & (bits - 1),
            _ => bits,
        };
        let here = Some(company.id.clone());
        match &register.subject {
            Subject::Assignment { user, .. } => {
                let held = company.levels.iter().enumerate().filter(|(place, _)| sent & 1 << place != 0);
                let held: Vec<_> = held.map(|(_, level)| level.as_str()).collect();
                ("replacement of a user's levels", here, world.put_levels(&company.id, user, &held))
            }
            Subject::Matrix { level, .. } => {
                let views = world.matrix_views.iter().enumerate().filter(|(place, _)| sent & 1 << place != 0);
                let views: Vec<_> = views.map(|(_, view): (_, &View)| view.id.as_str()).collect();
                ("replacement of a matrix", here, world.put_matrix(&company.id, level, &views))
            }
            Subject::Level { id } => {
                let path = format!("/api/iam/user-levels/{id}?companyId={}", company.id);
                ("deletion of a level", here, world.by_super_admin("DELETE", &path))
            }
            Subject::Key { id, .. } => {
                ("revocation of an API key", None, world.by_super_admin("DELETE", &format!("/api/iam/api-keys/{id}")))
            }
            Subject::Token { user, not_before, .. } => {
                let call = world.by_super_admin("PUT", &format!("/api/iam/users/{user}/not-before"));
                ("cut-off of a user", None, call.json(json!({ "notBefore": not_before })))
            }
        }
    }
}

/// A client that queries registers and compares the responses with the acknowledged changes.
pub(crate) struct Reader {
    world: Arc<World>,
    client: Client,
    random: StdRng,
}

impl Reader {
    /// Creates a reader of all companies.
    pub(crate) fn new(world: Arc<World>, seed: u64) -> Self {
        Self { world, client: Client::default(), random: StdRng::seed_from_u64(seed) }
    }

    /// Sends queries until the run ends.
    pub(crate) async fn run(mut self, going: Going) {
        while is_going(&going) {
            self.ask().await;
            sleep(CLIENT_PAUSE.mul_f32(self.random.random_range(0.2..2.0))).await;
        }
    }

    async fn ask(&mut self) {
        let world = Arc::clone(&self.world);
        let company = self.random.random_range(0..world.companies.len());
        let Some(company) = world.companies.get(company) else { return };
        let register = {
            let registers = locked(&company.registers);
            if registers.is_empty() {
                return;
            }
            registers.get(self.random.random_range(0..registers.len())).cloned()
        };
        let Some(register) = register.filter(|register| register.is_live()) else { return };
        let way = match self.random.random_range(0..10) {
            0..5 => Way::Checks,
            5..7 => Way::Permissions,
            7..9 => Way::Check(self.random.random_range(0..WIDTH)),
            _ => Way::Stored,
        };
        let is_credential = register.subject.is_credential();
        let is_stored = (way == Way::Stored && !is_credential) || matches!(register.subject, Subject::Level { .. });
        let version = register.last_version();
        let (freshness, header) = match (self.random.random_range(0..10), version) {
            _ if is_stored => (Freshness::Now, None),
            (0..2, _) if !register.subject.is_credential() => {
                (Freshness::Now, Some(("cache-control", "no-cache".to_owned())))
            }
            (2..4, Some((place, version))) if !is_credential => {
                (Freshness::NotBefore(place), Some(("x-iam-min-version", version)))
            }
            _ => (Freshness::Lease, None),
        };
        let replica = self.random.random_range(0..world.addresses.len());
        let patience = if self.random.random_bool(0.1) { PATIENCE } else { READERS_PATIENCE };
        if let Some(seen) = look(&world, &mut self.client, replica, &register, way, header, patience).await {
            judge(&world, &register, replica, freshness, &seen, None);
        }
    }
}

/// Compares a response with the acknowledged changes. If `instead` is set, a violation is reported as this kind and not
/// as the detected kind.
fn judge(
    world: &World,
    register: &Register,
    replica: usize,
    freshness: Freshness,
    look: &Look,
    instead: Option<Broken>,
) {
    if world.overlaps_restore(look.begin, look.end) {
        world.report.count("responses during a restore, which were not judged");
        return;
    }
    let is_relaxed = world.is_failing_over(look.begin, look.end);
    let Look { bits, mask, begin, end, .. } = *look;
    let seen = Seen { bits, mask, replica, freshness, begin, end, is_relaxed };
    let verdict = register.judge(&seen, BOUND);
    if !register.is_live() {
        return;
    }
    world.report.count("responses judged");
    let (broken, age) = match verdict {
        Verdict::Possible(age) => {
            world.report.longest("longest staleness of a response since a newer state was acknowledged", age);
            return;
        }
        Verdict::AllowTooLate(age) => (Broken::AllowTooLate, age),
        Verdict::Outdated(age) => (Broken::SeenTooLate, age),
        Verdict::ImpossibleState => (Broken::HalfChange, Duration::ZERO),
    };
    world.report.longest("longest staleness that violated the guarantee", age);
    let at = |instant| world.report.seconds(instant);
    world.report.violation(
        instead.unwrap_or(broken),
        format!(
            "replica {replica} showed {bits:06b} of {mask:06b}, requested with {freshness:?} at {:.3} s, received at {:.3} s, outdated for {:.3} s\n    {}\n    {}",
            at(begin),
            at(end),
            age.as_secs_f64(),
            look.text,
            register.tell(world.report.start),
        ),
    );
}

/// Checks at the end of the run that each replica returns the last acknowledged state of every register.
pub(crate) async fn check_final_states(world: &World) {
    let mut client = Client::default();
    for company in &world.companies {
        let registers = locked(&company.registers).clone();
        for register in registers.into_iter().filter(|register| register.is_live() && register.is_settled()) {
            for replica in 0..world.addresses.len() {
                for way in [Way::Checks, Way::Stored] {
                    if let Some(seen) = look(world, &mut client, replica, &register, way, None, PATIENCE).await {
                        world.report.count("final states compared");
                        judge(world, &register, replica, Freshness::Now, &seen, Some(Broken::LostChange));
                    } else {
                        world.report.violation(
                            Broken::Recovery,
                            format!("replica {replica} did not respond after the end of all faults"),
                        );
                    }
                }
            }
        }
    }
}
