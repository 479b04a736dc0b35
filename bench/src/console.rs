//! Measures the pages of the admin console with many companies and a large matrix: the time until the whole response, its
//! size in transfer, and its statements.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::admin::fill;
use crate::api::{Api, COMPANY};
use crate::load::{Answer, Connection};
use crate::measure::median;
use crate::postgres::Database;
use crate::report::{Row, Target};
use crate::statements::Statements;
use crate::tokens::Signer;
use crate::{Result, progress};

const SECTION: &str = "Pages of the console, 10,000 companies, 50 levels";
/// The number of levels in the matrix.
const LEVELS: usize = 50;
/// The number of users of the company.
const USERS: usize = 10_000;
/// The number of features besides those of the seed. Together they have 399 actions.
const FEATURES: usize = 38;
const WARM_UP: usize = 2;
const TURNS: usize = 11;
/// The target of each page, in milliseconds.
const AT_MOST: f64 = 50.0;

/// The pages, with the rest of their path. `{company}` and `{user}` stand for ids.
const PAGES: [(&str, &str); 13] = [
    ("companies", "companies"),
    ("search of companies", "companies?q=c0ffee00"),
    ("overview of a company", "companies/{company}"),
    ("levels", "companies/{company}/levels"),
    ("matrix of features", "companies/{company}/matrix?tab=features"),
    ("matrix of views", "companies/{company}/matrix?tab=views"),
    ("users", "companies/{company}/users"),
    ("a user", "companies/{company}/users/{user}"),
    ("why", "companies/{company}/why?user={user}&view=/dashboard"),
    ("who can", "companies/{company}/who-can?view=/dashboard"),
    ("view as", "companies/{company}/view-as?user={user}"),
    ("audit", "companies/{company}/audit"),
    ("catalog of features", "catalog/features"),
];

/// A signed-in browser on one connection.
struct Browser {
    connection: Connection,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    async fn send(&mut self, method: &str, path: &str, form: Option<&str>) -> Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = format!("{method} /console/{path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n");
        if !cookies.is_empty() {
            request += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        match form {
            None => request += "\r\n",
            Some(form) => {
                request += &format!(
                    "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                     Content-Length: {}\r\n\r\n{form}",
                    form.len()
                );
            }
        }
        let answer = self.connection.send(request.as_bytes()).await?;
        self.keep_cookies(&answer)?;
        Ok(answer)
    }

    fn keep_cookies(&mut self, answer: &Answer) -> Result<()> {
        for line in answer.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")) {
            let pair = line.split_once(':').and_then(|(_, value)| value.trim().split(';').next());
            let (name, value) = pair.and_then(|pair| pair.split_once('=')).ok_or("a cookie has no value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }

    /// Signs in with a token.
    async fn sign_in(api: &Api) -> Result<Self> {
        let connection = Connection::open(api.server.address).await?;
        let mut browser = Self { connection, cookies: BTreeMap::new() };
        let header = api.super_admin()?;
        let token = header.trim().rsplit(' ').next().ok_or("no token")?.to_owned();
        let page = browser.uncompressed("sign-in").await?;
        let (_, rest) = page.split_once(r#"name="csrf" value=""#).ok_or("the sign-in page has no form")?;
        let csrf = rest.split('"').next().ok_or("the form has no token")?;
        let answer = browser.send("POST", "sign-in/token", Some(&format!("csrf={csrf}&token={token}"))).await?;
        if answer.status == 303 { Ok(browser) } else { Err(format!("the sign-in answered {}", answer.status).into()) }
    }

    /// Returns a page as text.
    async fn uncompressed(&mut self, path: &str) -> Result<String> {
        let request = format!("GET /console/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = self.connection.send(request.as_bytes()).await?;
        self.keep_cookies(&answer)?;
        Ok(String::from_utf8(answer.body)?)
    }
}

/// Measures each page.
///
/// # Errors
///
/// Returns an error if the server does not start, or if a response is not a success.
pub async fn console(database_url: &str, program: &Path) -> Result<Vec<Row>> {
    Database::with(database_url, async |database| measure(database, program).await).await
}

async fn measure(database: &Database, program: &Path) -> Result<Vec<Row>> {
    let statements = Statements::start(&database.url).await?;
    let api = Api::start(program, Signer::hs256(), 2, Some(&statements.url))?;
    let levels = api.prepare().await?;
    let member = levels.last().ok_or("no levels")?;
    for number in 0..FEATURES {
        let feature = json!({ "name": format!("Feature {number}"), "key": format!("bench.feature_{number}") });
        api.administer("POST", "/api/iam/features", Some(&feature)).await?;
    }
    progress(format_args!("filling the database"));
    database.execute(&fill(member, USERS, LEVELS)).await?;
    let mut browser = Browser::sign_in(&api).await?;
    let user = user_of(&api).await?;
    let mut rows = Vec::new();
    for (name, path) in PAGES {
        let path = path.replace("{company}", COMPANY).replace("{user}", &user);
        let (mut times, mut executed, mut bytes) = (Vec::new(), usize::MAX, 0);
        for turn in 0..WARM_UP + TURNS {
            let (before, start) = (statements.executed(), Instant::now());
            let answer = browser.send("GET", &path, None).await?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            if answer.status != 200 {
                return Err(format!("{name}: {}", answer.head).into());
            }
            if turn >= WARM_UP {
                times.push(milliseconds);
                // Polls execute statements too, but not during every turn.
                executed = executed.min(statements.executed() - before);
                bytes = answer.body.len();
            }
        }
        let note = format!("statements: {executed}; in transfer: {:.1} kB", bytes as f64 / 1e3);
        rows.push(Row::new(SECTION, name, "ms", median(times)).target(Target::AtMost(AT_MOST)).note(note));
    }
    Ok(rows)
}

/// Returns the id of a user of the company.
async fn user_of(api: &Api) -> Result<String> {
    let found = api.administer("GET", "/api/iam/users?limit=1", None).await?;
    Ok(found["users"][0]["id"].as_str().ok_or("no users")?.to_owned())
}
