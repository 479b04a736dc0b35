//! Injects faults one after the other, in a pseudo-random order that the seed determines, and measures how fast the
//! service recovers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::common::Result;
use crate::lies::Falsification;
use crate::postgres::{Server, Stop};
use crate::probe::{Probe, RECOVERY, probe_one};
use crate::processes::Replica;
use crate::proxy::{Mode, Proxy};
use crate::report::Broken;
use crate::world::World;

/// Timeout for the recovery of a replica, after which the replica is restarted.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// Time after which black-holed (half-open) connections are closed.
const STRANDED: Duration = Duration::from_secs(25);

/// How the old primary is fenced off when the standby is promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    /// The old primary is stopped.
    Stopped,
    /// The old primary continues to run in read-only mode, and connections to it stay open.
    ReadOnly,
    /// The old primary continues to run, but its commits wait for a synchronous standby that no longer exists.
    /// Connections to it stay open.
    Isolated,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Closes connections to the database.
    Drop,
    /// Refuses connections to the database.
    Refuse,
    /// Delays all traffic between replicas and the database.
    Delay,
    /// Truncates some messages in the middle and closes their connections.
    Halve,
    /// Withholds all traffic for some time and delivers it afterwards.
    BlackHole,
    /// Forwards queries to the database, but withholds the responses until the fault ends.
    HoldAnswers,
    /// Black-holes the open connections, so that they become half-open. New connections work.
    Strand,
    /// Freezes a replica with SIGSTOP and resumes it later with SIGCONT.
    Freeze,
    /// Kills a replica with SIGKILL and starts it again.
    Kill,
    /// Restarts the database.
    Restart(Stop),
    /// Promotes the standby.
    Promote(Fence),
    /// Runs the commands `migration up` and `migration seed`.
    Migrate,
    /// Changes the schema as the expand migration of a release does: adds columns and indexes, and widens columns.
    Expand,
    /// Takes a dump of the database, which a later restore uses.
    Dump,
    /// Restores the last dump, either in place or into a newly created database.
    Restore { in_place: bool },
}

/// The faults of one cycle. All of them are injected in random order before the next cycle begins.
const DECK: [Fault; 20] = [
    Fault::Drop,
    Fault::Refuse,
    Fault::Delay,
    Fault::Halve,
    Fault::BlackHole,
    Fault::BlackHole,
    Fault::HoldAnswers,
    Fault::Strand,
    Fault::Freeze,
    Fault::Freeze,
    Fault::Kill,
    Fault::Restart(Stop::Fast),
    Fault::Restart(Stop::Immediate),
    Fault::Promote(Fence::Stopped),
    Fault::Promote(Fence::ReadOnly),
    Fault::Promote(Fence::Isolated),
    Fault::Migrate,
    Fault::Expand,
    Fault::Restore { in_place: true },
    Fault::Restore { in_place: false },
];

/// A dump file, and the period in which the dump was taken.
#[derive(Debug, Clone)]
struct Dump {
    file: PathBuf,
    within: (Instant, Instant),
}

/// The running processes of the soak test: replicas, proxies, primary and standby.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) migration: PathBuf,
    pub(crate) primary: Server,
    pub(crate) standby: Server,
    pub(crate) servers: usize,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) replicas: Vec<Replica>,
}

/// The fault injector of a cluster.
pub(crate) struct Faults<'a> {
    world: Arc<World>,
    cluster: &'a mut Cluster,
    random: StdRng,
    dump: Option<Dump>,
    dumps: usize,
    expansions: usize,
    /// The probes, one per replica: each verifies that its replica completes decisions and changes.
    probes: Vec<Probe>,
}

impl<'a> Faults<'a> {
    /// Creates the fault injector. The seed determines the order of the faults.
    pub(crate) fn new(world: Arc<World>, cluster: &'a mut Cluster, seed: u64) -> Result<Self> {
        let probes = (0..world.addresses.len()).map(|replica| {
            let (user, token) = world.new_user()?;
            Ok(Probe { replica, user, token })
        });
        let probes = probes.collect::<Result<_>>()?;
        let random = StdRng::seed_from_u64(seed);
        Ok(Self { world, cluster, random, dump: None, dumps: 0, expansions: 0, probes })
    }

    /// Injects one fault after the other until the time `until`.
    pub(crate) async fn run(&mut self, until: Instant) -> Result<()> {
        self.bring(Fault::Dump).await?;
        let mut deck = Vec::new();
        while Instant::now() < until {
            if deck.is_empty() {
                deck = DECK.to_vec();
                deck.shuffle(&mut self.random);
            }
            if let Some(fault) = deck.pop() {
                self.bring(fault).await?;
                if self.random.random_bool(0.25) {
                    self.bring(Fault::Dump).await?;
                }
            }
            self.wait(200, 1200).await;
        }
        Ok(())
    }

    /// Injects a fault only if the checks cannot detect this falsification without it. Then waits for five seconds.
    pub(crate) async fn run_for(&mut self, lie: Falsification) -> Result<()> {
        if lie == Falsification::EndlessFault {
            self.bring(Fault::Refuse).await?;
        }
        sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    async fn wait(&mut self, least: u64, most: u64) -> Duration {
        let time = Duration::from_millis(self.random.random_range(least..most));
        sleep(time).await;
        time
    }

    /// Selects the replicas that a fault affects: one random replica, or all replicas.
    fn victims(&mut self) -> Vec<usize> {
        let count = self.cluster.replicas.len();
        if self.random.random_bool(0.4) { (0..count).collect() } else { vec![self.random.random_range(0..count)] }
    }

    async fn bring(&mut self, fault: Fault) -> Result<()> {
        let name = format!("{fault:?}");
        self.world.report.count(format!("event: {name}"));
        let world = Arc::clone(&self.world);
        world.report.event(format!("{name} begins"));
        let all: Vec<usize> = (0..self.cluster.replicas.len()).collect();
        match fault {
            Fault::Drop => {
                let victims = self.victims();
                for _ in 0..self.random.random_range(1..4) {
                    self.each_proxy(&victims, Proxy::cut);
                    self.wait(1, 300).await;
                }
            }
            Fault::Refuse => {
                let victims = self.victims();
                self.each_proxy(&victims, |proxy| {
                    proxy.set(Mode::Refuse);
                    proxy.cut();
                });
                self.hold(&victims, 200, 4000).await;
                if world.lie == Some(Falsification::EndlessFault) {
                    self.recover(&name, &all).await?;
                }
                self.each_proxy(&victims, |proxy| proxy.set(Mode::Pass));
            }
            Fault::Delay => {
                let victims = self.victims();
                let time = Duration::from_millis(self.random.random_range(5..150));
                self.each_proxy(&victims, |proxy| proxy.set(Mode::Delay(time)));
                self.hold(&victims, 1000, 5000).await;
                self.each_proxy(&victims, |proxy| proxy.set(Mode::Pass));
            }
            Fault::Halve | Fault::BlackHole | Fault::HoldAnswers => {
                let victims = self.victims();
                let mode = match fault {
                    Fault::Halve => Mode::Halve,
                    Fault::HoldAnswers => Mode::HoldAnswers,
                    _ => Mode::BlackHole,
                };
                self.each_proxy(&victims, |proxy| proxy.set(mode));
                self.hold(&victims, 500, 8000).await;
                self.each_proxy(&victims, |proxy| proxy.set(Mode::Pass));
            }
            Fault::Strand => {
                let victims = self.victims();
                self.each_proxy(&victims, |proxy| proxy.strand(STRANDED));
            }
            Fault::Freeze => {
                let victim = self.random.random_range(0..self.cluster.replicas.len());
                if let Some(replica) = self.cluster.replicas.get(victim) {
                    replica.freeze().await?;
                }
                self.hold(&[victim], 500, 9000).await;
                if let Some(replica) = self.cluster.replicas.get(victim) {
                    replica.thaw().await?;
                }
            }
            Fault::Kill => {
                let victim = self.random.random_range(0..self.cluster.replicas.len());
                if let Some(replica) = self.cluster.replicas.get_mut(victim) {
                    replica.kill().await?;
                }
                self.wait(0, 1000).await;
                if let Some(replica) = self.cluster.replicas.get_mut(victim) {
                    replica.start_again()?;
                }
            }
            Fault::Restart(how) => {
                self.cluster.primary.stop(how).await?;
                self.wait(0, 2000).await;
                self.cluster.primary.start_again().await?;
                self.cluster.primary.wait_for_standby("sync_state = 'sync'").await?;
            }
            Fault::Promote(fence) => return self.promote(fence, &name).await,
            Fault::Migrate => self.migrate().await?,
            Fault::Expand => self.expand().await?,
            Fault::Dump => self.take_dump().await?,
            Fault::Restore { in_place } => self.restore(in_place).await?,
        }
        world.report.event(format!("{name} ends"));
        self.recover(&name, &all).await?;
        if matches!(fault, Fault::Restore { .. }) {
            // Takes a new dump, because the old dump does not contain the entities that are created from now on.
            self.take_dump().await?;
        }
        Ok(())
    }

    fn each_proxy(&self, victims: &[usize], act: impl Fn(&Proxy)) {
        self.world.report.event(format!("    for replicas {victims:?}"));
        for proxy in victims.iter().filter_map(|victim| self.cluster.proxies.get(*victim)) {
            act(proxy);
        }
    }

    /// Waits for a random time while a fault is active. If this time is long enough, checks that the unaffected
    /// replicas still complete changes. Such changes need locks that an affected replica may hold, so these locks must
    /// have been released.
    async fn hold(&mut self, victims: &[usize], least: u64, most: u64) {
        let end = Instant::now() + Duration::from_millis(self.random.random_range(least..most));
        let others: Vec<usize> =
            (0..self.cluster.replicas.len()).filter(|replica| !victims.contains(replica)).collect();
        let left = end.saturating_duration_since(Instant::now());
        if left > RECOVERY && !others.is_empty() {
            sleep(left - RECOVERY).await;
            let took = self.probe(&others, RECOVERY).await;
            self.judge_recovery(
                "the start of a fault of another replica, which is still active",
                &took,
                "longest time until unaffected replicas completed a decision and the changes",
            );
        }
        tokio::time::sleep_until(end).await;
    }

    /// Waits until each of these replicas completes a decision and the changes of its probe. Restarts a replica that
    /// does not recover in time.
    async fn recover(&mut self, name: &str, replicas: &[usize]) -> Result<()> {
        let took = self.probe(replicas, GIVEN_UP).await;
        self.judge_recovery(name, &took, "longest recovery after the end of a fault");
        for (replica, time) in took {
            if time.is_none() {
                self.world.report.event(format!("replica {replica} has not recovered and is restarted"));
                if let Some(replica) = self.cluster.replicas.get_mut(replica) {
                    replica.kill().await?;
                    replica.start_again()?;
                }
                self.probe(&[replica], GIVEN_UP).await;
            }
        }
        Ok(())
    }

    fn judge_recovery(&self, name: &str, took: &[(usize, Option<Duration>)], what: &'static str) {
        for (replica, time) in took {
            match time {
                Some(time) if *time <= RECOVERY => self.world.report.longest(what, *time),
                Some(time) => {
                    self.world.report.longest(what, *time);
                    self.world.report.violation(
                        Broken::Recovery,
                        format!("replica {replica} recovered {:.2} s after the end of {name}", time.as_secs_f64()),
                    );
                }
                None => self.world.report.violation(
                    Broken::Recovery,
                    format!("replica {replica} did not complete a decision and a change in time after {name}"),
                ),
            }
        }
    }

    /// Measures for each of these replicas the time until it completes a decision and the changes of its probe. Returns
    /// `None` for a replica that does not complete them within `patience`.
    async fn probe(&self, replicas: &[usize], patience: Duration) -> Vec<(usize, Option<Duration>)> {
        let mut asking = JoinSet::new();
        for probe in self.probes.iter().filter(|probe| replicas.contains(&probe.replica)).cloned() {
            let world = Arc::clone(&self.world);
            asking.spawn(async move { (probe.replica, probe_one(&world, &probe, patience).await) });
        }
        asking.join_all().await
    }

    async fn promote(&mut self, fence: Fence, name: &str) -> Result<()> {
        let world = Arc::clone(&self.world);
        world.begin_failover();
        match fence {
            Fence::Stopped => self.cluster.primary.stop(Stop::Immediate).await?,
            Fence::ReadOnly => {
                self.cluster.primary.sql("ALTER SYSTEM SET default_transaction_read_only = on").await?;
                self.cluster.primary.sql("SELECT pg_reload_conf()").await?;
                // Transactions that have already begun can still commit. During the pause, the standby replicates them.
                sleep(Duration::from_millis(100)).await;
            }
            Fence::Isolated => {}
        }
        self.cluster.standby.promote().await?;
        world.report.event("    the standby is promoted");
        std::mem::swap(&mut self.cluster.primary, &mut self.cluster.standby);
        let port = self.cluster.primary.port;
        let all: Vec<usize> = (0..self.cluster.replicas.len()).collect();
        self.each_proxy(&all, |proxy| proxy.set_target(port));
        if fence == Fence::Stopped {
            self.each_proxy(&all, Proxy::cut);
        }
        world.end_failover();
        world.report.event(format!("{name} ends: new connections lead to the new primary"));
        self.recover(name, &all).await?;
        if fence != Fence::Stopped {
            self.wait(0, 5000).await;
            self.cluster.standby.stop(Stop::Immediate).await?;
            world.report.event("    the old primary is stopped");
            self.recover("the end of the old primary", &all).await?;
        }
        self.cluster.servers += 1;
        let folder = self.cluster.folder.join(format!("postgres-{}", self.cluster.servers));
        self.cluster.standby = self.cluster.primary.standby(folder).await?;
        world.report.event("    a new standby streams");
        Ok(())
    }

    async fn migrate(&mut self) -> Result<()> {
        let url = Server::url("iam_owner", self.cluster.primary.port);
        for command in ["up", "seed"] {
            let begin = Instant::now();
            let output = Command::new(&self.cluster.migration)
                .arg(command)
                .env_clear()
                .env("DATABASE_URL", &url)
                .kill_on_drop(true)
                .output()
                .await?;
            self.world.report.longest("longest run of the `migration` command", begin.elapsed());
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                self.world.report.violation(Broken::Recovery, format!("migration {command} failed under load: {said}"));
            }
        }
        Ok(())
    }

    /// Adds a column and an index to each of two random tables, and widens the column. Each step runs in its own
    /// transaction.
    async fn expand(&mut self) -> Result<()> {
        const TABLES: [&str; 6] =
            ["user_levels", "user_user_levels", "user_level_view_permissions", "views", "company_states", "api_keys"];
        for _ in 0..2 {
            let table = TABLES.get(self.random.random_range(0..TABLES.len())).copied().unwrap_or("views");
            self.expansions += 1;
            let number = self.expansions;
            for sql in [
                format!("ALTER TABLE {table} ADD COLUMN soak_{number} varchar(20) DEFAULT 'new'"),
                format!("CREATE INDEX soak_{number} ON {table} (soak_{number})"),
                format!("ALTER TABLE {table} ALTER COLUMN soak_{number} TYPE varchar(40)"),
            ] {
                self.world.report.event(format!("    {sql}"));
                // As in a migration, the lock timeout is short and the statement is retried.
                let sql = format!("SET lock_timeout = '1s'; SET ROLE iam_owner; {sql}");
                let mut result = self.cluster.primary.sql_here(&sql).await;
                for _ in 0..10 {
                    if result.is_ok() {
                        break;
                    }
                    sleep(Duration::from_millis(100)).await;
                    result = self.cluster.primary.sql_here(&sql).await;
                }
                result?;
            }
        }
        Ok(())
    }

    async fn take_dump(&mut self) -> Result<()> {
        self.dumps += 1;
        let file = self.cluster.folder.join(format!("{}.dump", self.dumps));
        self.cluster.primary.chown_file(&file)?;
        let begin = Instant::now();
        self.cluster.primary.dump(&file).await?;
        self.dump = Some(Dump { file, within: (begin, Instant::now()) });
        Ok(())
    }

    async fn restore(&mut self, in_place: bool) -> Result<()> {
        let Some(dump) = self.dump.clone() else { return Ok(()) };
        let restore = self.world.begin_restore(dump.within);
        let mut result = self.cluster.primary.restore(&dump.file, in_place).await;
        for _ in 0..5 {
            if result.is_ok() {
                break;
            }
            // PostgreSQL resolved a deadlock with a transaction of the service by aborting the restore, which was
            // rolled back completely.
            self.world.report.event("    the restore failed and is retried");
            result = self.cluster.primary.restore(&dump.file, in_place).await;
        }
        result?;
        self.world.end_restore(restore);
        Ok(())
    }
}
