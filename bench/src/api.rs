//! A running server with a prepared company, and the requests to it.

use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::load::{Answer, Connection};
use crate::process::Server;
use crate::tokens::Signer;

const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";
const SUPER_ADMIN: &str = "c0ffee00-0000-4000-8000-000000000001";
/// The company's administrator, who keeps all rights when some are taken from the user.
const ADMIN: &str = "c0ffee00-0000-4000-8000-00000000000a";
/// The user whose requests are measured.
pub const USER: &str = "c0ffee00-0000-4000-8000-00000000000b";

/// Our server.
pub struct Api {
    /// Its process.
    pub server: Server,
    /// Signs tokens that the server accepts.
    signer: Signer,
}

/// The bytes of a request about the company that [`Api::prepare`] prepares.
#[must_use]
pub fn request(method: &str, path: &str, headers: &str, body: Option<&Value>) -> Vec<u8> {
    request_in(COMPANY, method, path, headers, body)
}

/// The bytes of a request about this company.
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
    /// When it does not start; the error has its output.
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

    /// The `Authorization` header of the user.
    ///
    /// # Errors
    ///
    /// When the cryptography fails.
    pub fn authorization(&self) -> Result<String> {
        self.signer.authorization(USER, false)
    }

    /// The `Authorization` header of a super admin.
    ///
    /// # Errors
    ///
    /// When the cryptography fails.
    pub fn super_admin(&self) -> Result<String> {
        self.signer.authorization(SUPER_ADMIN, true)
    }

    /// Sends a super admin's request about the company that [`Self::prepare`] prepares.
    ///
    /// # Errors
    ///
    /// When the answer is not a success.
    pub async fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.administer_in(COMPANY, method, path, body).await
    }

    /// Sends a super admin's request about this company.
    ///
    /// # Errors
    ///
    /// When the answer is not a success.
    pub async fn administer_in(&self, company: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        data(self.attempt(company, method, path, body).await?)
    }

    /// Sends a super admin's request about this company, on a new connection.
    ///
    /// # Errors
    ///
    /// When the connection breaks. Any status is an answer.
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

    /// Provisions the company and gives its administrator and the user two of its levels; returns their ids.
    ///
    /// # Errors
    ///
    /// When an answer is not a success.
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

    /// Every possible question about the catalog, by url and key.
    ///
    /// # Errors
    ///
    /// When an answer is not a success.
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

/// The data of a successful answer.
fn data(answer: Answer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    if !matches!(answer.status, 200 | 201) {
        return Err(format!("status {}: {text}", answer.status).into());
    }
    let mut json: Value = serde_json::from_str(&text)?;
    Ok(json["data"].take())
}
