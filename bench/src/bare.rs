//! A bare Actix server, which measures the cost of the framework alone, with the same requests and responses of the
//! same size.

use std::net::TcpListener;

use actix_web::http::header::ContentType;
use actix_web::web::{self, Bytes, Data, Json};
use actix_web::{App, HttpResponse, HttpServer};
use clap::Args;
use serde::Deserialize;

use crate::Result;

/// The command-line options of the bare server.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Number of worker threads.
    #[arg(long)]
    pub workers: usize,
    /// Size of the response to `POST /api/iam/check`, in bytes.
    #[arg(long)]
    pub check: usize,
    /// Size of the response to `POST /api/iam/checks`, in bytes.
    #[arg(long)]
    pub checks: usize,
    /// Size of the response to `GET /api/iam/permissions/current`, in bytes.
    #[arg(long)]
    pub current: usize,
    /// Size of the response to `GET /api/iam/navigation`, in bytes.
    #[arg(long)]
    pub navigation: usize,
}

/// The prepared responses, and the size of the response to `POST /api/iam/checks` in bytes.
struct Answers {
    check: Bytes,
    current: Bytes,
    navigation: Bytes,
    checks: usize,
}

/// The fields of a check, which the bare server parses as our server does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the cost of parsing them is measured")]
struct CheckBody {
    view: Option<String>,
    feature: Option<String>,
    action: Option<String>,
    scope: Option<String>,
    user_id: Option<String>,
}

#[derive(Deserialize)]
struct ChecksBody {
    checks: Vec<CheckBody>,
}

/// Returns a JSON object of exactly this many bytes.
fn body(bytes: usize) -> Bytes {
    const EMPTY: &str = r#"{"data":""}"#;
    format!(r#"{{"data":"{}"}}"#, "x".repeat(bytes.saturating_sub(EMPTY.len()))).into()
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(body)
}

async fn check(answers: Data<Answers>, _: Json<CheckBody>) -> HttpResponse {
    json(answers.check.clone())
}

async fn checks(answers: Data<Answers>, asked: Json<ChecksBody>) -> HttpResponse {
    let mut text = Vec::with_capacity(answers.checks);
    let item = vec![b'x'; (answers.checks / asked.checks.len().max(1)).saturating_sub(1)];
    for _ in &asked.checks {
        text.extend_from_slice(&item);
        text.push(b',');
    }
    text.resize(answers.checks, b' ');
    json(text.into())
}

async fn current(answers: Data<Answers>) -> HttpResponse {
    json(answers.current.clone())
}

async fn navigation(answers: Data<Answers>) -> HttpResponse {
    json(answers.navigation.clone())
}

/// Serves requests on an unused port until the process exits. Prints the address.
///
/// # Errors
///
/// Returns an error if the server cannot listen.
pub async fn serve(options: Options) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answers = Data::new(Answers {
        check: body(options.check),
        current: body(options.current),
        navigation: body(options.navigation),
        checks: options.checks,
    });
    let app = move || {
        App::new()
            .app_data(answers.clone())
            .route("/api/iam/check", web::post().to(check))
            .route("/api/iam/checks", web::post().to(checks))
            .route("/api/iam/permissions/current", web::get().to(current))
            .route("/api/iam/navigation", web::get().to(navigation))
    };
    let server = HttpServer::new(app).workers(options.workers).listen(listener)?.run();
    println!("listening on http://{address}");
    Ok(server.await?)
}
