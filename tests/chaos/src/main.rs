//! The soak test. It runs replicas of the service on a PostgreSQL primary with a standby, injects random faults, and
//! compares every response with a model of the acknowledged changes.
//!
//! `make chaos` runs the test. The exit status is 0 if every guarantee of docs/consistency.md was met, and 2 if the
//! test could not run. If a guarantee was violated, the test prints a report and exits with 1.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command writes to the terminal")]

mod audit;
mod clients;
mod common;
mod faults;
mod http;
mod lies;
mod look;
mod model;
mod ports;
mod postgres;
mod probe;
mod processes;
mod proxy;
mod report;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::audit::check_audit;
use crate::clients::{Reader, Writer, check_final_states};
use crate::common::Result;
use crate::faults::{Cluster, Faults};
use crate::lies::Falsification;
use crate::postgres::{Programs, Server};
use crate::processes::Replica;
use crate::proxy::Proxy;
use crate::world::{BOUND, LEASE, MARGIN, SECRET, World};

const REPLICAS: usize = 3;
const COMPANIES: usize = 4;
const WRITERS_OF_COMPANY: usize = 2;
const READERS: usize = 8;

/// Runs the service under faults and checks every response.
#[derive(Parser)]
#[command(name = "iam-chaos")]
struct Cli {
    /// Duration of the fault injection, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,

    /// Seed of the pseudo-random faults. Default: a random seed.
    #[arg(long)]
    seed: Option<u64>,

    /// Directory of the binaries `iam-http` and `migration`. Default: the directory of this program.
    #[arg(long)]
    binaries: Option<PathBuf>,

    /// Directory of PostgreSQL's server programs. Default: the directory that `pg_config --bindir` prints.
    #[arg(long, env = "IAM_PG_BINDIR")]
    postgres: Option<PathBuf>,

    /// Feeds the model this kind of false observation. The run succeeds if the checks detect it.
    #[arg(long)]
    lie: Option<Falsification>,

    /// Feeds the model each kind of false observation in turn. The run succeeds if the checks detect all of them.
    #[arg(long, conflicts_with = "lie")]
    prove: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async {
        tokio::select! {
            result = run(&cli) => result,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("iam-chaos could not run: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: &Cli) -> Result<bool> {
    let seed = cli.seed.unwrap_or_else(rand::random);
    println!("iam-chaos: seed {seed}, {} s of faults; to repeat: make chaos SEED={seed}", cli.seconds);
    let folder = std::env::temp_dir().join(format!("iam-chaos-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder)?;
    let mut is_fine = true;
    if cli.prove {
        for lie in Falsification::ALL {
            is_fine &= round(cli, seed, folder.join(format!("{lie:?}")), Some(lie)).await?;
        }
    } else {
        is_fine = round(cli, seed, folder.clone(), cli.lie).await?;
    }
    if is_fine {
        std::fs::remove_dir_all(&folder)?;
    } else {
        println!("logs of the replicas and of PostgreSQL, timeline and violations: {}", folder.display());
    }
    Ok(is_fine)
}

/// Starts a cluster, runs the clients and the faults, and performs the final checks. Returns `true` if no guarantee was
/// violated. With a falsification, returns `true` if the checks detected it.
async fn round(cli: &Cli, seed: u64, folder: PathBuf, lie: Option<Falsification>) -> Result<bool> {
    let mut cluster = set_up(cli, folder.clone()).await?;
    let addresses = cluster.replicas.iter().map(|replica| replica.address).collect();
    let world = Arc::new(World::new(addresses, COMPANIES, lie).await?);
    let going = watch::Sender::new(true);
    let mut clients = JoinSet::new();
    for company in 0..COMPANIES {
        for part in 0..WRITERS_OF_COMPANY {
            let seed = seed.wrapping_add(1 + (company * WRITERS_OF_COMPANY + part) as u64);
            let writer = Writer::new(Arc::clone(&world), company, part, WRITERS_OF_COMPANY, seed);
            clients.spawn(writer.run(going.subscribe()));
        }
    }
    for reader in 0..READERS {
        let reader = Reader::new(Arc::clone(&world), seed.wrapping_add(1000 + reader as u64));
        clients.spawn(reader.run(going.subscribe()));
    }
    let begin = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let mut faults = Faults::new(Arc::clone(&world), &mut cluster, seed)?;
    match lie {
        None => faults.run(begin + Duration::from_secs(cli.seconds)).await?,
        Some(lie) => faults.run_for(lie).await?,
    }
    going.send_replace(false);
    clients.join_all().await;
    sleep(BOUND).await;
    if lie == Some(Falsification::LostChange) {
        cluster.primary.sql_here("DELETE FROM user_user_levels").await?;
    }
    check_final_states(&world).await;
    check_audit(&world).await?;

    world.report.save(&folder)?;
    let broken = world.report.broken();
    if let Some(lie) = lie {
        let is_found = broken.contains(&lie.must_break());
        println!("{} {lie:?}; reported kinds of violations: {broken:?}", if is_found { "detected" } else { "MISSED" });
        return Ok(is_found);
    }
    println!(
        "seed {seed}, {:.0} s, bound {} ms = lease {} ms + margin {} ms",
        begin.elapsed().as_secs_f64(),
        BOUND.as_millis(),
        LEASE.as_millis(),
        MARGIN.as_millis()
    );
    print!("{}{}", world.report.summary(), world.report.violations());
    println!("{}", if broken.is_empty() { "every guarantee was met" } else { "GUARANTEES WERE VIOLATED" });
    Ok(broken.is_empty())
}

async fn set_up(cli: &Cli, folder: PathBuf) -> Result<Cluster> {
    let own = std::env::current_exe()?;
    let binaries = cli
        .binaries
        .clone()
        .or_else(|| own.parent().map(PathBuf::from))
        .ok_or("the directory of the binaries is unknown")?;
    let programs = Programs::find(cli.postgres.clone()).await?;
    programs.chown_directory(&folder)?;
    let primary = Server::init(&programs, folder.join("postgres-1")).await?;
    primary.sql("CREATE ROLE iam_owner LOGIN").await?;
    primary.sql("CREATE ROLE iam LOGIN").await?;
    primary.sql("CREATE DATABASE iam OWNER iam_owner").await?;
    let rights = "ALTER DEFAULT PRIVILEGES FOR ROLE iam_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO iam";
    primary.sql_here(rights).await?;
    let migration = binaries.join("migration");
    for command in ["up", "seed"] {
        let url = Server::url("iam_owner", primary.port);
        let output = Command::new(&migration).arg(command).env_clear().env("DATABASE_URL", url).output().await?;
        if !output.status.success() {
            return Err(format!("migration {command}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    let standby = primary.standby(folder.join("postgres-2")).await?;
    let (mut proxies, mut replicas) = (Vec::new(), Vec::new());
    for number in 0..REPLICAS {
        let proxy = Proxy::start(primary.port).await?;
        let url = Server::url("iam", proxy.port);
        let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", SECRET)];
        let log = folder.join(format!("replica-{number}.log"));
        replicas.push(Replica::start(binaries.join("iam-http"), &settings, log).await?);
        proxies.push(proxy);
    }
    Ok(Cluster { folder, migration, primary, standby, servers: 2, proxies, replicas })
}
