//! Compares our server with a bare Actix server, with the same connections and requests, and with responses of the same
//! size.
//!
//! The measured server has one worker, which uses one core; the load generator uses the other core.

use std::path::Path;

use serde_json::{Value, json};

use crate::api::{Api, request};
use crate::load::{Answer, Connection, Load, Round};
use crate::measure::median;
use crate::process::Server;
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Result, collector, progress};

const REQUESTS: &str = "HTTP, 32 connections, one worker";
const TOKENS: &str = "Tokens";
const TRACES: &str = "Traces, POST /check";
const WORKERS: usize = 1;
const ROUNDS: usize = 7;
/// Number of items in a `POST /api/iam/checks`.
const ITEMS: usize = 128;
/// Minimum share of the time for which a saturated server is busy. A server that is busy for a smaller share waits for
/// the load generator.
const SATURATED: f64 = 0.93;

/// A kind of request that is measured.
struct Kind {
    name: &'static str,
    requests: Vec<Vec<u8>>,
    status: u16,
    least: Option<f64>,
    /// The reason why this kind of request cannot be measured, if there is one.
    fault: Option<String>,
    /// The average size of a response, in bytes.
    bytes: usize,
    /// Number of decisions per response.
    decisions: usize,
}

/// The results of all rounds of one server.
#[derive(Default)]
struct Rounds(Vec<Round>);

impl Rounds {
    fn per_second(&self) -> f64 {
        median(self.0.iter().map(|round| round.per_second).collect())
    }

    fn server_micros(&self) -> f64 {
        median(self.0.iter().map(|round| round.server_micros).collect())
    }

    fn client_micros(&self) -> f64 {
        median(self.0.iter().map(|round| round.client_micros).collect())
    }

    fn busy(&self) -> f64 {
        median(self.0.iter().map(|round| round.server_busy).collect())
    }

    /// Returns the ratio of this server's rate to the other server's rate: the median over the rounds.
    fn rate_beside(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(own, other)| own.per_second / other.per_second).collect())
    }
}

async fn interleave(loads: &[Load<'_>]) -> Result<Vec<Rounds>> {
    let mut rounds: Vec<Rounds> = loads.iter().map(|_| Rounds::default()).collect();
    let mut order: Vec<_> = (0..loads.len()).collect();
    for _ in 0..ROUNDS {
        for place in &order {
            rounds[*place].0.push(loads[*place].round().await?);
        }
        order.reverse();
    }
    Ok(rounds)
}

async fn kinds(api: &Api) -> Result<Vec<Kind>> {
    let authorization = api.authorization()?;
    let questions = api.questions().await?;
    let post = |path: &str, body: &Value| request("POST", path, &authorization, Some(body));
    let get = |path: &str| vec![request("GET", path, &authorization, None)];
    let items: Vec<_> = questions.iter().cycle().take(ITEMS).collect();
    let mut kinds = Vec::new();
    for (name, requests, least, decisions) in [
        ("POST /check", questions.iter().map(|one| post("/api/iam/check", one)).collect(), 0.6, 1),
        ("POST /checks, 128 items", vec![post("/api/iam/checks", &json!({ "checks": items }))], 0.45, ITEMS),
        ("GET /permissions/current, 200", get("/api/iam/permissions/current"), 0.6, 0),
        ("GET /navigation, 200", get("/api/iam/navigation"), 0.6, 0),
    ] {
        kinds.push(Kind::new(api, name, requests, Some(least), decisions).await?);
    }
    // Conditional requests for unchanged data, for which the bare server has no equivalent.
    for (name, path) in [
        ("GET /permissions/current, 304", "/api/iam/permissions/current"),
        ("GET /navigation, 304", "/api/iam/navigation"),
    ] {
        let answer = send(api, &request("GET", path, &authorization, None)).await?;
        let etag = answer.header("etag").unwrap_or_default();
        let headers = format!("{authorization}If-None-Match: {etag}\r\n");
        let requests = vec![request("GET", path, &headers, None)];
        kinds.push(Kind { status: 304, ..Kind::new(api, name, requests, None, 0).await? });
    }
    Ok(kinds)
}

async fn send(api: &Api, request: &[u8]) -> Result<Answer> {
    Connection::open(api.server.address).await?.send(request).await
}

impl Kind {
    async fn new(
        api: &Api,
        name: &'static str,
        requests: Vec<Vec<u8>>,
        least: Option<f64>,
        decisions: usize,
    ) -> Result<Self> {
        let (mut bytes, mut fault) = (0, None);
        for request in &requests {
            let answer = send(api, request).await?;
            bytes += answer.body.len();
            if !matches!(answer.status, 200 | 304) {
                fault = Some(format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body)));
            }
        }
        let bytes = bytes / requests.len().max(1);
        Ok(Self { name, requests, status: 200, least, fault, bytes, decisions })
    }

    fn load(&self, server: &Server) -> Load<'_> {
        Load { address: server.address, process: server.id(), requests: &self.requests, status: self.status }
    }

    /// Measures this kind of request on our server, and also on the bare server if it has an equivalent.
    async fn measure(&self, ours: &Server, bare: &Server) -> Result<Row> {
        if let Some(fault) = &self.fault {
            return Ok(Row::failed(REQUESTS, self.name, fault));
        }
        progress(format_args!("{}", self.name));
        let mut loads = vec![self.load(ours)];
        if self.status == 200 {
            loads.push(self.load(bare));
        }
        let rounds = interleave(&loads).await?;
        let own = &rounds[0];
        let mut row = Row::new(REQUESTS, self.name, "1/s", own.per_second());
        let mut note = format!("an answer costs {:.1} µs", own.server_micros());
        if let Some(other) = rounds.get(1) {
            row = row.beside("bare Actix", other.per_second(), own.rate_beside(other));
            let (own, other) = (own.server_micros(), other.server_micros());
            note += &format!(", bare {other:.1}: {:.2}", other / own);
        }
        if self.decisions > 1 {
            note += &format!(", {:.2} million decisions/s", own.per_second() * self.decisions as f64 / 1e6);
        }
        for (who, rounds) in ["ours", "bare"].iter().zip(&rounds) {
            if rounds.busy() < SATURATED {
                let (share, client) = (rounds.busy() * 100.0, rounds.client_micros());
                note += &format!(", {who} busy only {share:.0} % (asking costs {client:.1} µs)");
            }
        }
        if let Some(least) = self.least {
            row = row.target(Target::AtLeast(least));
        }
        Ok(row.note(note))
    }
}

/// Measures every kind of request on our server and on the bare server.
///
/// # Errors
///
/// Returns an error if a server cannot be started or fails.
pub async fn requests(program: &Path) -> Result<Vec<Row>> {
    let api = Api::start(program, Signer::hs256(), WORKERS, None)?;
    api.prepare().await?;
    let kinds = kinds(&api).await?;
    let [check, checks, current, navigation, ..] = kinds.as_slice() else { return Err("too few kinds".into()) };
    let bare = bare(check.bytes, checks.bytes, current.bytes, navigation.bytes)?;
    let mut rows = Vec::new();
    for kind in &kinds {
        rows.push(kind.measure(&api.server, &bare).await?);
    }
    Ok(rows)
}

fn bare(check: usize, checks: usize, current: usize, navigation: usize) -> Result<Server> {
    let arguments = [
        ("--workers", WORKERS),
        ("--check", check),
        ("--checks", checks),
        ("--current", current),
        ("--navigation", navigation),
    ];
    let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]);
    let arguments: Vec<_> = std::iter::once("bare".to_owned()).chain(arguments).collect();
    Server::start(&std::env::current_exe()?, &arguments, &[])
}

/// Measures `POST /check` with tokens of each signature algorithm, on one server per algorithm.
///
/// # Errors
///
/// Returns an error if a server fails. If a server does not start, its row of the report contains the error.
pub async fn tokens(program: &Path) -> Result<Vec<Row>> {
    let (reference, reference_kind) = with_tokens(program, Signer::hs256()).await?;
    let mut rows = Vec::new();
    for signer in [Signer::rs256()?, Signer::eddsa()?] {
        let name = format!("POST /check, {}", signer.name());
        progress(format_args!("{name}"));
        let (api, kind) = match with_tokens(program, signer).await {
            Ok(started) => started,
            Err(error) => {
                rows.push(Row::failed(TOKENS, name, error));
                continue;
            }
        };
        let rounds = interleave(&[kind.load(&api.server), reference_kind.load(&reference.server)]).await?;
        let row = Row::new(TOKENS, name, "1/s", rounds[0].per_second());
        let row = row.beside("HS256", rounds[1].per_second(), rounds[0].rate_beside(&rounds[1]));
        rows.push(row.target(Target::AtLeast(0.9)));
    }
    Ok(rows)
}

async fn with_tokens(program: &Path, signer: Signer) -> Result<(Api, Kind)> {
    checking(Api::start(program, signer, WORKERS, None)?).await
}

/// Prepares a server, and returns it with the checks that are sent to it.
async fn checking(api: Api) -> Result<(Api, Kind)> {
    api.prepare().await?;
    let authorization = api.authorization()?;
    let questions = api.questions().await?;
    let requests = questions.iter().map(|one| request("POST", "/api/iam/check", &authorization, Some(one)));
    let kind = Kind::new(&api, "POST /check", requests.collect(), None, 1).await?;
    match &kind.fault {
        Some(fault) => Err(fault.clone().into()),
        None => Ok((api, kind)),
    }
}

/// Measures `POST /check` with traces of a share of the requests and with access lines, compared with a server that writes
/// neither.
///
/// # Errors
///
/// Returns an error if a server cannot be started or fails.
pub async fn traces(program: &Path) -> Result<Vec<Row>> {
    let url = format!("http://{}", collector::start()?);
    let start = |more: &[(&str, &str)]| Api::start_with(program, Signer::hs256(), WORKERS, more);
    let (reference, reference_kind) = checking(start(&[])?).await?;
    let mut rows = Vec::new();
    for (name, more, least) in [
        ("off, another process", &[][..], Some(0.97)),
        (
            "1 % of the requests",
            &[("IAM__TRACING__ENDPOINT", url.as_str()), ("IAM__TRACING__SAMPLE_RATIO", "0.01")],
            Some(0.95),
        ),
        (
            "100 % of the requests",
            &[("IAM__TRACING__ENDPOINT", url.as_str()), ("IAM__TRACING__SAMPLE_RATIO", "1")],
            None,
        ),
        ("off, with access lines", &[("IAM__LOG__REQUESTS", "true"), ("IAM__LOG__FORMAT", "json")], None),
    ] {
        progress(format_args!("traces: {name}"));
        let (api, kind) = checking(start(more)?).await?;
        let rounds = interleave(&[kind.load(&api.server), reference_kind.load(&reference.server)]).await?;
        let row = Row::new(TRACES, name, "1/s", rounds[0].per_second());
        let row = row.beside("off", rounds[1].per_second(), rounds[0].rate_beside(&rounds[1]));
        let (own, other) = (rounds[0].server_micros(), rounds[1].server_micros());
        let row = row.note(format!("an answer costs {own:.1} µs, off {other:.1}: {:.2}", other / own));
        rows.push(least.into_iter().fold(row, |row, least| row.target(Target::AtLeast(least))));
    }
    Ok(rows)
}
