//! Measures in-process decisions on one thread: our engine compared with the yardstick, Cedar and Casbin, for random
//! users and cells.

use std::cell::Cell as Count;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iam_permissions_cache::Check;
use iam_storage_memory::MemoryStorage;

use crate::clock::system_clock;
use crate::data::{Ask, Asks, Cell, Data};
use crate::measure::{Contender, interleave};
use crate::ours::{self, Ours};
use crate::peers::casbin::Casbin;
use crate::peers::cedar::{Cedar, Style};
use crate::report::{Row, Target};
use crate::yardstick::Yardstick;
use crate::{Result, progress};

const DECISIONS: &str = "Decision in the process";
const USERS: &str = "Number of users";

/// Number of random checks for our engine and the yardstick.
const CHECKS: usize = 1 << 17;
/// Number of random checks for Cedar and Casbin, which take hundreds or thousands of times as long.
const PEER_CHECKS: usize = 1 << 12;
/// Number of decisions that are compared with the reference before the measurement.
const COMPARED: usize = 1 << 11;

/// The targets for each number of companies: the minimum ratios to the yardstick without and with an expiry check.
const TARGETS: [(usize, [f64; 2]); 3] = [(1, [0.8, 1.2]), (100, [0.65, 1.0]), (1_000, [0.5, 0.55])];

/// The generated data and our permissions cache, with all entries loaded.
struct Loaded {
    data: Data,
    asks: Asks,
    questions: Vec<Check>,
    ours: Ours,
    /// Number of cache misses during the measurement. It must remain 0, because only cache hits are measured.
    missed: Count<usize>,
}

impl Loaded {
    async fn new(companies: usize, users: usize) -> Result<Self> {
        progress(format_args!("filling {companies} companies of {users} users"));
        let data = Data::generate(companies, users)?;
        let asks = data.asks(CHECKS);
        let questions: Vec<_> = data.cells.iter().map(ours::question).collect();
        let storage = Arc::new(MemoryStorage::seeded(system_clock()).await?);
        data.fill(storage.as_ref()).await?;
        let ours = Ours::over(storage).await;
        for company in &data.companies {
            for user in &company.users {
                ours.load(company.id, user.id, &questions[0]).await?;
            }
        }
        let loaded = Self { data, asks, questions, ours, missed: Count::new(0) };
        loaded.compare("ours", |question| {
            let ask = &loaded.asks.by_id[question];
            loaded.decide(ask)
        })?;
        Ok(loaded)
    }

    #[inline]
    fn decide(&self, ask: &Ask) -> Option<bool> {
        let decided = self.ours.try_decide(ask.company, ask.user, &self.questions[usize::from(ask.cell)]);
        if decided.is_none() {
            self.missed.set(self.missed.get() + 1);
        }
        decided
    }

    fn expect_hits(&self) -> Result<()> {
        match self.missed.get() {
            0 => Ok(()),
            missed => Err(format!("{missed} checks missed the cache").into()),
        }
    }

    /// Returns an error if a decision differs from the reference.
    fn compare(&self, who: &str, decide: impl Fn(usize) -> Option<bool>) -> Result<()> {
        for (question, place) in self.asks.by_place.iter().enumerate().take(COMPARED) {
            let company = &self.data.companies[place.company];
            let snapshot = company.snapshot(&self.data.catalog, company.users[place.user].levels);
            let expected = match &self.data.cells[place.cell] {
                Cell::View(view) => snapshot.view(*view).allowed,
                Cell::Action((feature, action)) => snapshot.feature(*feature, action).allowed,
            };
            if decide(question) != Some(expected) {
                return Err(format!("{who}: wrong decision for {place:?}, expected {expected}").into());
            }
        }
        Ok(())
    }

    fn contender(&self) -> Contender<'_> {
        Contender::new(CHECKS, |from, to| {
            let asks = &self.asks.by_id[from..to];
            asks.iter().filter(|ask| self.decide(ask) == Some(true)).count()
        })
    }
}

/// Returns the contender that decides the peer's prepared checks.
fn peer<'a>(decide: impl Fn(usize) -> bool + 'a) -> Contender<'a> {
    Contender::new(PEER_CHECKS, move |from, to| (from..to).filter(|question| decide(*question)).count())
}

/// Measures random decisions in 1, 100 and 1,000 companies of 100 users.
///
/// # Errors
///
/// Returns an error if a contender cannot be created, or its decisions differ from the reference.
pub async fn decisions() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (companies, least) in TARGETS {
        let loaded = Loaded::new(companies, 100).await?;
        rows.extend(beside_yardstick(&loaded, companies, least)?);
        rows.extend(beside_cedar(&loaded, companies)?);
        if companies == 1 {
            rows.extend(beside_casbin(&loaded).await?);
        }
        loaded.expect_hits()?;
    }
    Ok(rows)
}

fn name(companies: usize) -> String {
    let s = if companies == 1 { "y" } else { "ies" };
    format!("{companies} compan{s} × 100 users")
}

fn beside_yardstick(loaded: &Loaded, companies: usize, least: [f64; 2]) -> Result<Vec<Row>> {
    let [least, least_with_clock] = least;
    let until = Instant::now() + Duration::from_secs(3_600);
    let yardstick = Yardstick::new(&loaded.data)?;
    let cells = &loaded.data.cells;
    loaded.compare("the yardstick", |question| {
        let ask = &loaded.asks.by_id[question];
        Some(yardstick.decide(ask, &cells[usize::from(ask.cell)]))
    })?;
    let mut own = loaded.contender();
    let mut other = Contender::new(CHECKS, |from, to| {
        let asks = &loaded.asks.by_id[from..to];
        asks.iter().filter(|ask| yardstick.decide(ask, &cells[usize::from(ask.cell)])).count()
    });
    // The yardstick with an additional expiry check, which each decision of our engine includes.
    let mut expiring = Contender::new(CHECKS, |from, to| {
        let asks = loaded.asks.by_id[from..to].iter();
        let decide = |ask: &&Ask| yardstick.decide(ask, &cells[usize::from(ask.cell)]) & (Instant::now() < until);
        asks.filter(decide).count()
    });
    let mut clock = Contender::new(CHECKS, |from, to| (from..to).filter(|_| Instant::now() < until).count());
    interleave(&mut [&mut own, &mut other, &mut expiring, &mut clock]);
    let row = |called: &str, other: &Contender<'_>| {
        let row = Row::new(DECISIONS, name(companies), "ns", own.nanoseconds());
        row.beside(called, other.nanoseconds(), own.faster_than(other))
    };
    Ok(vec![
        row("HashMap + bit set", &other).target(Target::AtLeast(least)),
        row("HashMap + bit set + clock", &expiring).target(Target::AtLeast(least_with_clock)),
        row("the clock alone", &clock),
    ])
}

fn beside_cedar(loaded: &Loaded, companies: usize) -> Result<Vec<Row>> {
    progress(format_args!("building Cedar"));
    let mut rows = Vec::new();
    for (style, called) in [(Style::Policies, "Cedar, policies a level"), (Style::Attributes, "Cedar, levels as data")]
    {
        let cedar = Cedar::new(&loaded.data, style, &loaded.asks.by_place[..PEER_CHECKS])?;
        loaded.compare(called, |question| Some(cedar.decide(question)))?;
        let mut own = loaded.contender();
        let mut other = peer(|question| cedar.decide(question));
        interleave(&mut [&mut own, &mut other]);
        let row = Row::new(DECISIONS, name(companies), "ns", own.nanoseconds());
        rows.push(row.beside(called, other.nanoseconds(), own.faster_than(&other)).target(Target::AtLeast(40.0)));
    }
    Ok(rows)
}

async fn beside_casbin(loaded: &Loaded) -> Result<Vec<Row>> {
    progress(format_args!("building Casbin"));
    let places = &loaded.asks.by_place[..PEER_CHECKS];
    let plain = Casbin::plain(&loaded.data, places).await?;
    let cached = Casbin::cached(&loaded.data, places).await?;
    loaded.compare("Casbin", |question| Some(plain.decide(question)))?;
    loaded.compare("Casbin, cached", |question| Some(cached.decide(question)))?;
    let mut own = loaded.contender();
    let mut plain = peer(|question| plain.decide(question));
    let mut cached = peer(|question| cached.decide(question));
    interleave(&mut [&mut own, &mut plain, &mut cached]);
    let row = |called: &str, other: &Contender<'_>| {
        let row = Row::new(DECISIONS, name(1), "ns", own.nanoseconds());
        row.beside(called, other.nanoseconds(), own.faster_than(other))
    };
    Ok(vec![row("Casbin", &plain), row("Casbin, answers cached", &cached)])
}

/// Measures one company of 10,000 users, compared with a hundred companies of 100 users and with one company of 100
/// users.
///
/// # Errors
///
/// Returns an error if the data cannot be created, or our decisions differ from the reference.
pub async fn users() -> Result<Vec<Row>> {
    let loaded = [Loaded::new(1, 10_000).await?, Loaded::new(100, 100).await?, Loaded::new(1, 100).await?];
    let [mut many, mut spread, mut few] = loaded.each_ref().map(Loaded::contender);
    interleave(&mut [&mut many, &mut spread, &mut few]);
    for loaded in &loaded {
        loaded.expect_hits()?;
    }
    let row = || Row::new(USERS, "1 company × 10,000 users", "ns", many.nanoseconds());
    Ok(vec![
        row()
            .beside("ours, 100 × 100", spread.nanoseconds(), many.faster_than(&spread))
            .target(Target::AtLeast(0.9))
            .note("as many users in all"),
        row().beside("ours, 1 × 100", few.nanoseconds(), many.faster_than(&few)).note("processor caches included"),
    ])
}
