//! Creates an empty database on the server of `TEST_DATABASE_URL`, and prints its URL, for tests that have no database
//! client.

use std::error::Error;
use std::io::{self, Write};

use sea_orm::{ConnectionTrait, Database};
use url::Url;
use uuid::Uuid;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "`tests/with-postgres.sh` passes the server")]
    let server = std::env::var("TEST_DATABASE_URL")?;
    let name = format!("iam_test_{}", Uuid::new_v4().simple());
    Database::connect(&server).await?.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
    let mut url = Url::parse(&server)?;
    url.set_path(&name);
    Ok(writeln!(io::stdout(), "{url}")?)
}
