//! A running server with a prepared company, and requests to the server.

use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::load::{Answer, Connection};
use crate::process::Server;
use crate::tokens::Signer;

const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";
const SUPER_ADMIN: &str = "c0ffee00-0000-4000-8000-000000000001";
/// The company's administrator, who keeps all rights when the measured user loses some.
const ADMIN: &str = "c0ffee00-0000-4000-8000-00000000000a";
/// The user whose requests are measured.
pub const USER: &str = "c0ffee00-0000-4000-8000-00000000000b";

/// Our server and the signer of its tokens.
pub struct Api {
    /// The server process.
    pub server: Server,
    /// Signs tokens that the server accepts.
    signer: Signer,
}

/// Returns the bytes of a request in the company that [`Api::prepare`] prepares.
#[must_use]
pub fn request(method: &str, path: &str, headers: &str, body: Option<&Value>) -> Vec<u8> {
    request_in(COMPANY, method, path, headers, body)
}

/// Returns the bytes of a request in this company.
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
    /// Starts a server with this many workers, in memory or on a database.
    ///
    /// # Errors
    ///
    /// When it does not start. The error contains its output.
    pub fn start(program: &Path, signer: Signer, workers: usize, database: Option<&str>) -> Result<Self> {
        let workers = workers.to_string();
        let mut environment = vec![
            ("PORT", "0"),
            ("IAM__ADMIN__PORT", "0"),
            ("IAM__SERVER__WORKERS", workers.as_str()),
            signer.environment(),
        ];
        environment.extend(database.map(|url| ("DATABASE_URL", url)));
        let server = Server::start(program, &[], &environment)?;
        Ok(Self { server, signer })
    }

    /// Returns the `Authorization` header of the user.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn authorization(&self) -> Result<String> {
        self.signer.authorization(USER, false)
    }

    /// Returns the `Authorization` header of a super admin.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn super_admin(&self) -> Result<String> {
        self.signer.authorization(SUPER_ADMIN, true)
    }

    /// Sends a super admin's request in the company that [`Self::prepare`] prepares.
    ///
    /// # Errors
    ///
    /// When the response is not a success.
    pub async fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.administer_in(COMPANY, method, path, body).await
    }

    /// Sends a super admin's request in this company.
    ///
    /// # Errors
    ///
    /// When the response is not a success.
    pub async fn administer_in(&self, company: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        data(self.attempt(company, method, path, body).await?)
    }

    /// Sends a super admin's request in this company, on a new connection.
    ///
    /// # Errors
    ///
    /// When the connection breaks. A response with an error status is not an error.
    pub async fn attempt(&self, company: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = request_in(company, method, path, &self.super_admin()?, body);
        Connection::open(self.server.address).await?.send(&request).await
    }

    /// Waits until the server is ready for requests.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn ready(&self) -> Result<()> {
        loop {
            let mut connection = Connection::open(self.server.address).await?;
            if connection.send(&request("GET", "/readyz", "", None)).await?.status == 200 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Provisions the company and assigns two of its levels to its administrator and the user. Returns the ids of the
    /// levels.
    ///
    /// # Errors
    ///
    /// When a response is not a success.
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

    /// Returns every possible check of the catalog, by URL and key.
    ///
    /// # Errors
    ///
    /// When a response is not a success.
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

/// Returns the data of a successful response.
fn data(answer: Answer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    if !matches!(answer.status, 200 | 201) {
        return Err(format!("status {}: {text}", answer.status).into());
    }
    let mut json: Value = serde_json::from_str(&text)?;
    Ok(json["data"].take())
}
