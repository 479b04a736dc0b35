//! A database for each test, cloned from a template that is migrated once.
//!
//! The server is given by `TEST_DATABASE_URL`, which `tests/with-postgres.sh` sets. Nothing is skipped without it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{ConnectOptions, Database};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Held while a template is made, so that parallel test binaries do not make it twice.
const TEMPLATE_LOCK: i64 = 0x1a4d_7e57;

/// How long the adapter waits for whatever it waits for, where a test is about something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Owns the schema of the tests' databases. As in production it is no superuser, so that views do not see more than it.
pub const OWNER: &str = "iam_test_owner";
/// What the adapter connects as: it owns nothing, and row-level security is in force for it.
pub const APPLICATION: &str = "iam_test_application";

/// What a database begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing: no tables.
    Nothing,
    /// The schema, with an empty catalog.
    Schema,
    /// The schema and the seeded catalog.
    Seeded,
}

/// A database of its own; dropped with this value.
pub struct TestDatabase {
    name: String,
    url: String,
}

fn server_url() -> String {
    #[expect(clippy::disallowed_methods, reason = "the environment names the server of the test harness")]
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is not set: run `make test`, or `tests/with-postgres.sh cargo test`")
}

/// The url of another database of the same server.
fn url_of(name: &str) -> String {
    let server = server_url();
    let (base, query) = server.split_once('?').map_or((server.as_str(), None), |(base, query)| (base, Some(query)));
    let (host, _) = base.rsplit_once('/').expect("a url with a database");
    query.map_or_else(|| format!("{host}/{name}"), |query| format!("{host}/{name}?{query}"))
}

/// A template is named after what is in it, so that an old one is never used.
fn template_name(content: Content) -> String {
    // Whole folders of sources, so that no migration can be forgotten here.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace");
    let folder = std::fs::read_dir(root.join("migration/src")).unwrap();
    let mut sources: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    sources.push(root.join("crates/domain/src/seed.rs"));
    sources.sort_unstable();
    let mut digest = Sha256::new();
    for source in sources {
        digest.update(std::fs::read(source).unwrap());
    }
    let mut name = format!("iam_template_{content:?}_").to_lowercase();
    for byte in &digest.finalize()[..6] {
        write!(name, "{byte:02x}").unwrap();
    }
    name
}

/// A url whose connections begin with a setting.
fn with_setting(name: &str, value: &str, url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[{name}]={value}")
}

/// Runs SQL that the tests put together.
pub async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sea_orm::sqlx::Error> {
    connection.execute(AssertSqlSafe(sql)).await.map(drop)
}

async fn make_template(content: Content) -> String {
    let name = template_name(content);
    let mut server = PgConnection::connect(&server_url()).await.expect("the test server can be reached");
    run(&mut server, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await.unwrap();
    let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{name}' AND NOT datallowconn");
    if server.fetch_optional(AssertSqlSafe(exists)).await.unwrap().is_none() {
        run(&mut server, format!("DROP DATABASE IF EXISTS \"{name}\"")).await.unwrap();
        for role in [OWNER, APPLICATION] {
            let exists = format!("SELECT 1 FROM pg_roles WHERE rolname = '{role}'");
            if server.fetch_optional(AssertSqlSafe(exists)).await.unwrap().is_none() {
                run(&mut server, format!("CREATE ROLE {role}")).await.unwrap();
            }
        }
        run(&mut server, format!("CREATE DATABASE \"{name}\" OWNER {OWNER}")).await.unwrap();
        let url = with_setting("role", OWNER, &url_of(&name));
        let mut owner = PgConnection::connect(&url).await.unwrap();
        let grant = "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO";
        run(&mut owner, format!("{grant} {APPLICATION}")).await.unwrap();
        owner.close().await.unwrap();
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let database = Database::connect(options).await.unwrap();
        migration::up(&database).await.unwrap();
        if content == Content::Seeded {
            migration::seed(&database).await.unwrap();
        }
        database.close().await.unwrap();
        run(&mut server, format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false")).await.unwrap();
    }
    // Ending the session gives the advisory lock back.
    server.close().await.unwrap();
    name
}

impl TestDatabase {
    /// A new database.
    pub async fn new(content: Content) -> Self {
        static SCHEMA: OnceCell<String> = OnceCell::const_new();
        static SEEDED: OnceCell<String> = OnceCell::const_new();
        let template = match content {
            Content::Nothing => "template0",
            Content::Schema => SCHEMA.get_or_init(|| make_template(content)).await,
            Content::Seeded => SEEDED.get_or_init(|| make_template(content)).await,
        };
        let name = format!("iam_test_{}", uuid::Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&server_url()).await.expect("the test server can be reached");
        // Copying files is the fastest way; before 15 it is the only one, and has no name.
        let version: i32 = server.server_version_num().and_then(|version| i32::try_from(version).ok()).unwrap_or(0);
        let strategy = if version >= 150_000 { "STRATEGY = file_copy" } else { "" };
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" {strategy}");
        run(&mut server, create).await.unwrap();
        server.close().await.unwrap();
        let url = url_of(&name);
        Self { name, url }
    }

    /// Its url.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its url, for connections that act as a role.
    pub fn url_as(&self, role: &str) -> String {
        with_setting("role", role, &self.url)
    }

    /// The adapter's options for it: few connections, patient waits, since test machines are slow. Connections act as
    /// [`APPLICATION`].
    pub fn options(&self) -> PostgresOptions {
        Self::options_for(&self.url)
    }

    /// The same for a url that leads to it by a detour.
    pub fn options_for(url: &str) -> PostgresOptions {
        PostgresOptions {
            max_connections: 5,
            acquire_timeout: PATIENCE,
            statement_timeout: PATIENCE,
            // Shorter, so that a session that waits for a lock gets the lock's error, and not that of the statement
            // timeout.
            lock_timeout: PATIENCE / 2,
            change_timeout: PATIENCE,
            silence_timeout: PATIENCE,
            ..PostgresOptions::new(with_setting("role", APPLICATION, url))
        }
    }

    /// The adapter on it.
    pub fn storage(&self) -> PostgresStorage {
        PostgresStorage::connect(&self.options()).expect("the url of a test database can be read")
    }

    /// A connection that acts as [`APPLICATION`], for which row-level security is in force.
    pub async fn connect_as_application(&self) -> PgConnection {
        PgConnection::connect(&with_setting("role", APPLICATION, &self.url))
            .await
            .expect("a test database can be reached")
    }

    /// A connection for the test itself, which may do everything.
    pub async fn connect(&self) -> PgConnection {
        // Views are read with the rights of their owner, whom row-level security binds.
        PgConnection::connect(&with_setting("iam.company", "all", &self.url))
            .await
            .expect("a test database can be reached")
    }

    /// SeaORM's connection, as migrations want it.
    pub async fn sea_orm(&self) -> sea_orm::DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(2).sqlx_logging(false);
        Database::connect(options).await.expect("a test database can be reached")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // A test's runtime ends here, so another thread drops it. A server that a test stopped keeps it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut server) = PgConnection::connect(&server_url()).await {
                    let _ = run(&mut server, drop).await;
                    let _ = server.close().await;
                }
            });
        });
        let _ = thread.join();
    }
}
