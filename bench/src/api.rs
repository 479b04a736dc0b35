//! A running server with a provisioned company, and requests to this server.

use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::load::{Answer, Connection};
use crate::process::Server;
use crate::tokens::Signer;

/// The log filter of a server in production mode, which does not log every statement.
const NO_STATEMENTS: (&str, &str) = ("IAM__LOG__FILTER", "info,actix_server=warn,actix_http=off");

/// A rate limit that the benchmarks never reach.
const UNREACHED: &str = "1000000000";
/// The company of [`Api::prepare`].
pub const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";
const SUPER_ADMIN: &str = "c0ffee00-0000-4000-8000-000000000001";
/// The company's administrator, who retains all levels when the levels of the measured user are removed.
const ADMIN: &str = "c0ffee00-0000-4000-8000-00000000000a";
/// The user whose requests are measured.
pub const USER: &str = "c0ffee00-0000-4000-8000-00000000000b";

/// Our server and the signer of its tokens.
pub struct Api {
    /// The server process.
    pub server: Server,
    /// The signer of tokens that the server accepts.
    signer: Signer,
}

/// Returns the bytes of an HTTP request for the company of [`Api::prepare`].
#[must_use]
pub fn request(method: &str, path: &str, headers: &str, body: Option<&Value>) -> Vec<u8> {
    request_in(COMPANY, method, path, headers, body)
}

/// Returns the bytes of an HTTP request for this company.
#[must_use]
pub fn request_in(company: &str, method: &str, path: &str, headers: &str, body: Option<&Value>) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Company-Id: {company}\r\n{headers}");
    match body.map(Value::to_string) {
        None => format!("{head}\r\n"),
        Some(body) => {
            format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    }
    .into_bytes()
}

impl Api {
    /// Starts a server with this many worker threads, with in-memory storage or with a database.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start. The error contains the output of the server.
    pub fn start(program: &Path, signer: Signer, workers: usize, database: Option<&str>) -> Result<Self> {
        let database = database.map(|url| ("DATABASE_URL", url));
        Self::start_with(program, signer, workers, database.as_slice())
    }

    /// Starts a server with this many worker threads and with these additional settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start. The error contains the output of the server.
    pub fn start_with(program: &Path, signer: Signer, workers: usize, more: &[(&str, &str)]) -> Result<Self> {
        let workers = workers.to_string();
        let mut environment = vec![
            ("PORT", "0"),
            ("IAM__ADMIN__PORT", "0"),
            NO_STATEMENTS,
            // The rate limits are in force, but never reached: the benchmarks include their cost.
            ("IAM__RATE_LIMIT__PER_USER", UNREACHED),
            ("IAM__RATE_LIMIT__PER_API_KEY", UNREACHED),
            ("IAM__RATE_LIMIT__PER_COMPANY", UNREACHED),
            ("IAM__RATE_LIMIT__LOADS_PER_USER", UNREACHED),
            ("IAM__RATE_LIMIT__LOADS_PER_API_KEY", UNREACHED),
            ("IAM__SERVER__WORKERS", workers.as_str()),
            signer.environment(),
        ];
        environment.extend_from_slice(more);
        let server = Server::start(program, &[], &environment)?;
        Ok(Self { server, signer })
    }

    /// Starts a server with a database, and with the default number of worker threads and the default limits.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start. The error contains the output of the server.
    pub fn start_with_defaults(program: &Path, signer: Signer, database: &str) -> Result<Self> {
        let database = ("DATABASE_URL", database);
        let environment = [("PORT", "0"), ("IAM__ADMIN__PORT", "0"), NO_STATEMENTS, database, signer.environment()];
        let server = Server::start(program, &[], &environment)?;
        Ok(Self { server, signer })
    }

    /// Returns the `Authorization` header with a token of [`USER`].
    ///
    /// # Errors
    ///
    /// Returns an error if signing fails.
    pub fn authorization(&self) -> Result<String> {
        self.authorization_of(USER)
    }

    /// Returns the `Authorization` header with a token of this user.
    ///
    /// # Errors
    ///
    /// Returns an error if signing fails.
    pub fn authorization_of(&self, user: &str) -> Result<String> {
        self.signer.authorization(user, false)
    }

    /// Returns the `Authorization` header with a token of a super admin.
    ///
    /// # Errors
    ///
    /// Returns an error if signing fails.
    pub fn super_admin(&self) -> Result<String> {
        self.signer.authorization(SUPER_ADMIN, true)
    }

    /// Sends a request as a super admin for the company of [`Self::prepare`], and returns the data of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the response is not a success.
    pub async fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.administer_in(COMPANY, method, path, body).await
    }

    /// Sends a request as a super admin for this company, and returns the data of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the response is not a success.
    pub async fn administer_in(&self, company: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        data(self.attempt(company, method, path, body).await?)
    }

    /// Sends a request as a super admin for this company on a new connection, and returns the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection breaks. A response with an error status is not an error.
    pub async fn attempt(&self, company: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = request_in(company, method, path, &self.super_admin()?, body);
        Connection::open(self.server.address).await?.send(&request).await
    }

    /// Waits until `/readyz` of the server returns 200.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection breaks.
    pub async fn ready(&self) -> Result<()> {
        loop {
            let mut connection = Connection::open(self.server.address).await?;
            if connection.send(&request("GET", "/readyz", "", None)).await?.status == 200 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Provisions the company, and assigns the levels Admin and Member to its administrator and to [`USER`]. Returns
    /// the ids of the two levels.
    ///
    /// # Errors
    ///
    /// Returns an error if a response is not a success.
    pub async fn prepare(&self) -> Result<Vec<String>> {
        self.administer("POST", &format!("/api/iam/companies/{COMPANY}/provision"), None).await?;
        let data = self.administer("GET", "/api/iam/user-levels", None).await?;
        let levels = data["userLevels"].as_array().ok_or("no levels")?.iter();
        let wanted = levels.filter(|level| level["name"] == "Admin" || level["name"] == "Member");
        let ids: Vec<_> = wanted.filter_map(|level| level["id"].as_str().map(str::to_owned)).collect();
        let body = json!({ "userLevelIds": ids });
        for user in [ADMIN, USER] {
            self.administer("PUT", &format!("/api/iam/users/{user}/user-levels"), Some(&body)).await?;
        }
        Ok(ids)
    }

    /// Returns the request bodies of checks, one for each view and one for each action of each feature in the catalog.
    ///
    /// # Errors
    ///
    /// Returns an error if a response is not a success.
    pub async fn questions(&self) -> Result<Vec<Value>> {
        let views = self.administer("GET", "/api/iam/views", None).await?;
        let features = self.administer("GET", "/api/iam/features", None).await?;
        let views = views["views"].as_array().ok_or("no views")?.iter();
        let features = features["features"].as_array().ok_or("no features")?.iter();
        let actions = ["Create", "Read", "Update", "Delete", "Export", "Approve"];
        let about_views = views.map(|view| json!({ "view": view["url"] }));
        let about_features =
            features.flat_map(|feature| actions.map(|action| json!({ "feature": feature["key"], "action": action })));
        Ok(about_views.chain(about_features).collect())
    }
}

/// Returns the member `data` of a successful response.
fn data(answer: Answer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    if !matches!(answer.status, 200 | 201) {
        return Err(format!("status {}: {text}", answer.status).into());
    }
    let mut json: Value = serde_json::from_str(&text)?;
    Ok(json["data"].take())
}
