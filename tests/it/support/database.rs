//! A database for each test, cloned from a template database that is migrated only once.
//!
//! The environment variable `TEST_DATABASE_URL` specifies the server. `tests/with-postgres.sh` sets this variable.
//! Without it, the tests that need a database fail instead of being skipped.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::engines::{SWITCH, every_database_has_other_forms, in_other_forms};

/// Key of the advisory lock that a test binary holds while it creates a template, so that parallel test binaries do not
/// create the same template twice.
const TEMPLATE_LOCK: i64 = 0x1a4d_7e57;

/// Timeout values of the storage adapter in tests that do not test timeouts.
const PATIENCE: Duration = Duration::from_secs(60);

/// The role that owns the schema of the test databases. As in production, the role is not a superuser. Views run with
/// the privileges of their owner. Row-level security therefore applies to queries through views too.
pub const OWNER: &str = "iam_test_owner";
/// The role that the adapter's sessions assume. The role owns no tables, so row-level security applies to it.
pub const APPLICATION: &str = "iam_test_application";

/// The initial content of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// No tables.
    Nothing,
    /// The schema, with an empty catalog.
    Schema,
    /// The schema and the seeded catalog.
    Seeded,
}

/// A database that only one test uses. Dropping this value drops the database.
pub struct TestDatabase {
    name: String,
    url: String,
}

fn server_url() -> String {
    #[expect(clippy::disallowed_methods, reason = "the environment specifies the test server")]
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is not set: run `make test`, or `tests/with-postgres.sh cargo test`")
}

/// Returns the URL of the database with this name on the test server.
fn url_of(name: &str) -> String {
    let server = server_url();
    let (base, query) = server.split_once('?').map_or((server.as_str(), None), |(base, query)| (base, Some(query)));
    let (host, _) = base.rsplit_once('/').expect("the URL of the test server must contain a database");
    query.map_or_else(|| format!("{host}/{name}"), |query| format!("{host}/{name}?{query}"))
}

/// Returns the name of the template database for this content. The name contains a hash of the migration and seed
/// sources, so a template from older sources is never reused.
fn template_name(content: Content) -> String {
    // The hash covers all files of the directory, so it covers every migration. The linter is in a directory of its own.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ must be a directory of the workspace");
    let folder = std::fs::read_dir(root.join("migration/src")).unwrap();
    let mut sources: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    sources.push(root.join("crates/domain/src/seed.rs"));
    sources.sort_unstable();
    let mut digest = Sha256::new();
    for source in sources {
        digest.update(std::fs::read(source).unwrap());
    }
    let forms = if every_database_has_other_forms() { "other_" } else { "" };
    let mut name = format!("iam_template_{content:?}_{forms}").to_lowercase();
    for byte in &digest.finalize()[..6] {
        write!(name, "{byte:02x}").unwrap();
    }
    name
}

/// Returns the URL with a run-time parameter that every session sets at its start.
fn with_setting(name: &str, value: &str, url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[{name}]={value}")
}

/// Executes SQL text that a test builds at run time.
pub async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sea_orm::sqlx::Error> {
    connection.execute(AssertSqlSafe(sql)).await.map(drop)
}

async fn make_template(content: Content) -> String {
    let name = template_name(content);
    let mut server = PgConnection::connect(&server_url()).await.expect("the test server must be reachable");
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
        if every_database_has_other_forms() {
            database.execute_unprepared(SWITCH).await.unwrap();
        }
        database.close().await.unwrap();
        run(&mut server, format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false")).await.unwrap();
    }
    // Closing the session releases the advisory lock.
    server.close().await.unwrap();
    name
}

impl TestDatabase {
    /// Creates a database.
    pub async fn new(content: Content) -> Self {
        static SCHEMA: OnceCell<String> = OnceCell::const_new();
        static SEEDED: OnceCell<String> = OnceCell::const_new();
        let template = match content {
            Content::Nothing => "template0",
            Content::Schema => SCHEMA.get_or_init(|| make_template(content)).await,
            Content::Seeded => SEEDED.get_or_init(|| make_template(content)).await,
        };
        let name = format!("iam_test_{}", uuid::Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&server_url()).await.expect("the test server must be reachable");
        // Copying files is the fastest strategy. Before PostgreSQL 15 this is the only strategy, and the `STRATEGY`
        // option does not exist.
        let version: i32 = server.server_version_num().and_then(|version| i32::try_from(version).ok()).unwrap_or(0);
        let strategy = if version >= 150_000 { "STRATEGY = file_copy" } else { "" };
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" {strategy}");
        run(&mut server, create).await.unwrap();
        server.close().await.unwrap();
        let url = url_of(&name);
        Self { name, url }
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the database with the session parameter `role`, so that sessions assume this role.
    pub fn url_as(&self, role: &str) -> String {
        with_setting("role", role, &self.url)
    }

    /// Returns adapter options for this database. The pool is small, and the timeouts are long because test machines
    /// can be slow. Connections assume the role [`APPLICATION`].
    pub fn options(&self) -> PostgresOptions {
        Self::options_for(&self.url)
    }

    /// Returns the same adapter options as [`Self::options`] for another database URL, for example the URL of a proxy.
    pub fn options_for(url: &str) -> PostgresOptions {
        let options = PostgresOptions {
            max_connections: 5,
            acquire_timeout: PATIENCE,
            statement_timeout: PATIENCE,
            // This timeout is shorter than the statement timeout. A session that waits too long for a lock therefore
            // fails with a lock timeout error.
            lock_timeout: PATIENCE / 2,
            change_timeout: PATIENCE,
            silence_timeout: PATIENCE,
            ..PostgresOptions::new(with_setting("role", APPLICATION, url))
        };
        if every_database_has_other_forms() { in_other_forms(options) } else { options }
    }

    /// Switches the installation to the forms of the global lock and of the feed for other engines, as an operator does.
    pub async fn switch_to_other_forms(&self) {
        run(&mut self.connect().await, SWITCH.to_owned()).await.unwrap();
    }

    /// Connects the storage adapter to the database.
    pub fn storage(&self) -> PostgresStorage {
        PostgresStorage::connect(&self.options()).expect("the URL of a test database must be valid")
    }

    /// Opens a connection that assumes the role [`APPLICATION`], to which row-level security applies.
    pub async fn connect_as_application(&self) -> PgConnection {
        PgConnection::connect(&with_setting("role", APPLICATION, &self.url))
            .await
            .expect("the test database must be reachable")
    }

    /// Opens a connection as the test user, which can access the rows of all companies.
    pub async fn connect(&self) -> PgConnection {
        // Views run with the privileges of their owner, to whom row-level security applies. A session that queries
        // views must therefore set `iam.company`.
        PgConnection::connect(&with_setting("iam.company", "all", &self.url))
            .await
            .expect("the test database must be reachable")
    }

    /// Opens a SeaORM connection pool, which the migrations require.
    pub async fn sea_orm(&self) -> sea_orm::DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(2).sqlx_logging(false);
        Database::connect(options).await.expect("the test database must be reachable")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // The test's runtime is shutting down, so another thread drops the database. If the server cannot be reached,
        // the database remains.
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
