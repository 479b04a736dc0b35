//! Loads the settings from the defaults, a TOML file and the environment. A value in the file overrides the default,
//! and a value in the environment overrides both. Each section of the settings has its own source file.

mod assignments;
mod auth;
mod cache;
mod check;
mod console;
mod database;
mod error;
mod file;
mod log;
mod names;
mod parse;
mod quotas;
mod rate_limit;
mod server;
mod tracing;

use std::collections::BTreeMap;

use config::{Config, Value};
use serde::Deserialize;

use self::names::{PLAIN_NAMES, PREFIX, is_misspelled, named};

pub use assignments::AssignmentSettings;
pub use auth::{AuthSettings, IssuerSettings};
pub use cache::CacheSettings;
pub(crate) use check::Collected;
pub use console::ConsoleSettings;
pub use database::DatabaseSettings;
pub use error::SettingsError;
pub use log::{LogFormat, LogSettings};
pub use quotas::QuotaSettings;
pub use rate_limit::RateLimitSettings;
pub use server::{AdminSettings, Documentation, List, Mode, ServerSettings};
pub use tracing::{CollectorUrl, TracingSettings};

/// The environment variable that contains the path of the TOML file.
const FILE: &str = "IAM_CONFIG";
/// The environment variable that sets the trusted issuers. Its value is a JSON array.
pub(crate) const ISSUERS: &str = "IAM__AUTH__ISSUERS";
/// The environment variable that Rust programs customarily use for log filters. Its value is the default of
/// `log.filter`.
const RUST_LOG: &str = "RUST_LOG";
/// The character that replaces invalid Unicode in an environment variable.
const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// Returns the environment variables of this process. No other code of the service reads them. Bytes that are not valid
/// Unicode become replacement characters. A variable with such a value therefore counts as set, and [`Settings::load`]
/// rejects the value.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// All settings. Their `Debug` output omits secrets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The listener and the timeouts of the API.
    pub server: ServerSettings,
    /// The admin port, which serves metrics.
    pub admin: AdminSettings,
    /// The database, if one is configured, and its connections.
    pub database: DatabaseSettings,
    /// The permissions cache and the writing of effective-permission rows.
    pub cache: CacheSettings,
    /// Authentication: the shared secret, the trusted issuers, and the checks of tokens.
    pub auth: AuthSettings,
    /// The rate limits of callers, companies and client addresses.
    pub rate_limit: RateLimitSettings,
    /// The default quotas of companies.
    pub quotas: QuotaSettings,
    /// The removal of expired assignments.
    pub assignments: AssignmentSettings,
    /// The admin console.
    pub console: ConsoleSettings,
    /// The log filter and format.
    pub log: LogSettings,
    /// Traces: the collector, and which requests are sampled.
    pub tracing: TracingSettings,
}

impl Settings {
    /// Loads the settings from the environment, and from the file whose path is in `IAM_CONFIG`, if any. The
    /// environment takes precedence. `RUST_LOG` is the default log filter. Empty variables count as not set.
    ///
    /// # Errors
    ///
    /// Returns [`SettingsError`] if the file, an environment variable or a key is invalid.
    pub fn load(environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        Self::parse(Self::read(environment)?, environment)
    }

    /// Reads all sources, and returns the values of all keys. The values are not parsed.
    fn read(environment: &BTreeMap<String, String>) -> Result<Config, SettingsError> {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let is_ours = |name: &str| {
            [FILE, RUST_LOG].contains(&name)
                || name.starts_with(PREFIX)
                || PLAIN_NAMES.iter().any(|(own, _)| *own == name)
        };
        if let Some((name, _)) = environment.iter().find(|(name, value)| is_ours(name) && value.contains(REPLACED)) {
            return Err(SettingsError::NotUnicode(name.clone()));
        }
        let named = |key: &str| named(key, environment);
        let mut builder = Config::builder();
        if let Some(filter) = variable(RUST_LOG) {
            let set = builder.set_default("log.filter", filter.as_str());
            builder = set.map_err(|error| SettingsError::invalid(named("log.filter"), error))?;
        }
        if let Some(path) = variable(FILE) {
            builder = builder.add_source(file::read(path.into())?);
        }
        for (name, value) in environment.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                if is_misspelled(name) {
                    return Err(SettingsError::Variable(name.clone()));
                }
                continue;
            };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let unknown = || SettingsError::Variable(name.clone());
            if key.split('.').count() != 2 {
                return Err(unknown());
            }
            let value = if name == ISSUERS { parse::json(&named(&key), value)? } else { Value::from(value.as_str()) };
            builder = builder.set_override(key, value).map_err(|_| unknown())?;
        }
        for (name, key) in PLAIN_NAMES {
            let value = variable(name).map(String::as_str);
            builder =
                builder.set_override_option(key, value).map_err(|error| SettingsError::invalid(named(key), error))?;
        }
        builder.build().map_err(|error| SettingsError::invalid("settings".to_owned(), error))
    }

    /// Parses the values of all keys. The environment is needed only for the names of variables in the error.
    fn parse(config: Config, environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        serde_path_to_error::deserialize(config).map_err(|error| {
            let key = named(&error.path().to_string(), environment);
            SettingsError::invalid(key, error.into_inner())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::PathBuf;
    use std::time::Duration;

    use secrecy::{ExposeSecret, SecretString};

    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(&variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// Returns the `Display` and `Debug` output of the error.
    fn error(variables: &[(&str, &str)]) -> String {
        let error = load(variables).unwrap_err();
        format!("{error}\n{error:?}")
    }

    /// A settings file that is deleted on drop.
    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("iam-settings-{}-{name}.toml", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn variable(&self) -> (&str, &str) {
            (FILE, self.0.to_str().unwrap())
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn exposed(secret: Option<&SecretString>) -> Option<&str> {
        secret.map(ExposeSecret::expose_secret)
    }

    #[test]
    fn an_absent_setting_has_its_default() {
        let settings = load(&[("HOME", "/root"), ("IAM_PORT", "tcp://10.0.0.1:80")]).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
        assert_eq!((settings.server.host.as_str(), settings.server.port), ("127.0.0.1", 3001));
        assert_eq!(settings.server.mode, Mode::Development);
        assert_eq!((settings.rate_limit.per_user, settings.rate_limit.per_company), (200, 40_000));
        assert_eq!((settings.auth.issuers.len(), settings.auth.remembered_tokens), (0, 10_000));
    }

    #[test]
    fn a_value_that_is_not_unicode_is_rejected_and_not_printed() {
        use std::os::unix::ffi::OsStrExt;

        let bytes = [b"a secret of many bytes, of which ".as_slice(), &[0xff, 0xfe, 0x80]].concat();
        let value = std::ffi::OsStr::from_bytes(&bytes).to_string_lossy();
        for name in
            ["JWT_SECRET", "DATABASE_URL", "IAM_CONFIG", "RUST_LOG", "IAM__AUTH__JWT_SECRET", "IAM__SERVER__HOST"]
        {
            let error = error(&[(name, &value)]);
            assert!(error.contains(name) && error.contains("UTF-8") && !error.contains("a secret"), "{error}");
        }
        load(&[("LESSOPEN", &value)]).unwrap();
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let file = TempFile::new("empty", "server.port = 4000");
        let names = ["PORT", "DATABASE_URL", "USE_DATABASE", "JWT_SECRET", "IAM__SERVER__PORT", "IAM__NO__SUCH", FILE];
        let mut variables = names.map(|name| (name, "")).to_vec();
        assert_eq!(load(&variables).unwrap().server.port, 3001);
        assert!(load(&variables).unwrap().database.url.is_none());
        variables.pop();
        variables.push(file.variable());
        assert_eq!(load(&variables).unwrap().server.port, 4000);
    }

    #[test]
    fn short_names_override_long_names_and_the_environment_overrides_the_file() {
        let file = TempFile::new(
            "precedence",
            r#"
                server = { port = 1, host = "of-file", mode = "production" }
                database = { url = "postgres://file", use_database = false }
                auth.jwt_secret = "of-file"
            "#,
        );
        let settings = load(&[file.variable()]).unwrap();
        assert_eq!((settings.server.port, settings.server.host.as_str()), (1, "of-file"));
        assert_eq!(settings.database.use_database.as_deref(), Some("false"));

        let equivalents = [
            ("IAM__SERVER__PORT", "2"),
            ("IAM__DATABASE__URL", "postgres://equivalent"),
            ("IAM__DATABASE__USE_DATABASE", "equivalent"),
            ("IAM__AUTH__JWT_SECRET", "of-equivalent"),
        ];
        let settings = load(&[&[file.variable()], &equivalents[..]].concat()).unwrap();
        assert_eq!((settings.server.port, settings.server.host.as_str()), (2, "of-file"));
        assert_eq!(exposed(settings.database.url.as_ref()), Some("postgres://equivalent"));
        assert_eq!(settings.database.use_database.as_deref(), Some("equivalent"));
        assert_eq!(exposed(settings.auth.jwt_secret.as_ref()), Some("of-equivalent"));

        let plain = [
            ("PORT", "3"),
            ("DATABASE_URL", "postgres://plain"),
            ("USE_DATABASE", "plain"),
            ("JWT_SECRET", "of-plain"),
        ];
        let settings = load(&[&[file.variable()], &equivalents[..], &plain[..]].concat()).unwrap();
        assert_eq!(settings.server.port, 3);
        assert_eq!(exposed(settings.database.url.as_ref()), Some("postgres://plain"));
        assert_eq!(settings.database.use_database.as_deref(), Some("plain"));
        assert_eq!(exposed(settings.auth.jwt_secret.as_ref()), Some("of-plain"));
        assert_eq!(settings.server.mode, Mode::Production);
    }

    #[test]
    fn rust_log_is_the_log_filter_if_no_setting_specifies_one() {
        let filter = |variables: &[(&str, &str)]| {
            let settings = load(variables).unwrap();
            settings.log.filter(settings.server.mode).to_owned()
        };
        let (rust_log, setting) = (("RUST_LOG", "warn"), ("IAM__LOG__FILTER", "debug"));
        let file = TempFile::new("log-filter", r#"log.filter = "trace""#);
        let json = TempFile::new("log-format", r#"log.format = "json""#);
        let production = "info,actix_server=warn";
        assert_eq!(filter(&[("IAM__SERVER__MODE", "production")]), production);
        assert_eq!(filter(&[]), format!("{production},iam_storage_postgres::statements=debug"));
        assert_eq!(filter(&[("RUST_LOG", "")]), filter(&[]));
        assert_eq!(filter(&[rust_log]), "warn");
        assert_eq!(filter(&[rust_log, json.variable()]), "warn");
        assert_eq!(filter(&[rust_log, file.variable()]), "trace");
        assert_eq!(filter(&[rust_log, setting]), "debug");
        assert_eq!(filter(&[rust_log, setting, file.variable()]), "debug");
        assert_eq!(filter(&[rust_log, ("IAM__LOG__FILTER", "")]), "warn");
    }

    #[test]
    fn the_error_for_an_unknown_setting_contains_its_name() {
        for variable in ["IAM__SERVER__PROT", "IAM__SERVER__PORT__X", "IAM__SERVER", "IAM__", "IAM__SERVER__A[0"] {
            assert!(load(&[(variable, "1")]).is_err(), "{variable}");
        }
        assert!(error(&[("IAM__SERVER__PROT", "1")]).starts_with("server.prot (IAM__SERVER__PROT): "));
        assert!(error(&[("IAM__SEVER__PORT", "1")]).starts_with("sever: "));
        assert!(error(&[("IAM__SERVER__PORT__X", "1")]).starts_with("IAM__SERVER__PORT__X: "));
        let file = TempFile::new("unknown", "[database]\nmax_conections = 3");
        assert!(error(&[file.variable()]).starts_with("database.max_conections: "));
        let file = TempFile::new("unknown-section", "[databse]\nmax_connections = 3");
        assert!(error(&[file.variable()]).starts_with("databse: "));
    }

    #[test]
    fn the_error_for_an_unusable_file_contains_its_path() {
        assert!(error(&[(FILE, "/no/such/file")]).starts_with("IAM_CONFIG: cannot read /no/such/file: "));
        let file = TempFile::new("syntax", "[auth]\njwt_secret = \"hunter2");
        let error = error(&[file.variable()]);
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let url = "postgres://iam:hunter2@localhost/iam";
        let issuers = r#"[{"issuer": "a", "jwks_url": "https://iam:hunter2@a.example"}]"#;
        let secrets = [
            ("DATABASE_URL", url),
            ("IAM__DATABASE__DIRECT_URL", url),
            ("IAM__DATABASE__REPLICA_URLS", url),
            ("JWT_SECRET", "hunter2"),
            (ISSUERS, issuers),
        ];
        let settings = load(&secrets).unwrap();
        let printed = format!("{settings:?} {settings:#?}");
        assert!(printed.contains("REDACTED") && !printed.contains("hunter2"), "{printed}");

        // A secret that is assigned to the wrong setting is not printed either.
        for name in [
            "PORT",
            "IAM__SERVER__MODE",
            "IAM__SERVER__WORKERS",
            "IAM__SERVER__DRAIN_DELAY",
            "IAM__ADMIN__ENABLED",
            "IAM__DATABASE__MAX_CONNECTIONS",
            "IAM__AUTH__REMEMBERED_TOKENS",
            "IAM__RATE_LIMIT__BURST",
            "IAM__LOG__FORMAT",
            "IAM__DATABASE",
        ] {
            let error = error(&[(name, url)]);
            assert!(!error.contains("hunter2"), "{error}");
        }
        let file = TempFile::new("secrets", "[auth]\njwt_secret = [\"hunter2\"]");
        let error = error(&[file.variable()]);
        assert!(error.starts_with("auth.jwt_secret: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn durations_have_a_unit() {
        let drain_delay =
            |text| load(&[("IAM__SERVER__DRAIN_DELAY", text)]).map(|settings| settings.server.drain_delay);
        for (text, millis) in [("0", 0), ("0s", 0), ("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(drain_delay(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["5", "s", "-1s", "1.5s", "5 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            let error = drain_delay(text).unwrap_err().to_string();
            assert!(error.starts_with("server.drain_delay (IAM__SERVER__DRAIN_DELAY): must be a duration"), "{error}");
        }
        let file = TempFile::new("durations", "database.statement_timeout = \"250ms\"");
        assert_eq!(load(&[file.variable()]).unwrap().database.statement_timeout, Duration::from_millis(250));
    }

    #[test]
    fn ports_are_from_0_to_65535() {
        let port = |text| load(&[("PORT", text)]).map(|settings| settings.server.port);
        assert_eq!((port("0").unwrap(), port("65535").unwrap()), (0, 65535));
        for text in ["65536", "-1", "http", "80.0", "true"] {
            let error = port(text).unwrap_err().to_string();
            assert_eq!(error, "server.port (PORT): must be a whole number from 0 to 65535", "{text}");
        }
    }

    #[test]
    fn numbers_words_and_lists_are_parsed_from_strings() {
        let settings = load(&[
            ("IAM__SERVER__MODE", "production"),
            ("IAM__SERVER__WORKERS", "4"),
            ("IAM__SERVER__CORS_ORIGINS", "https://a.example, https://b.example"),
            ("IAM__ADMIN__ENABLED", "false"),
            ("IAM__RATE_LIMIT__PER_USER", "50"),
            ("IAM__RATE_LIMIT__FAILURES_PER_ADDRESS", "0"),
            ("IAM__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
            ("IAM__LOG__FORMAT", "json"),
            ("IAM__AUTH__JWT_AUDIENCE", "one, two"),
            ("IAM__AUTH__MAX_TOKEN_AGE", "2h"),
            ("IAM__AUTH__REMEMBERED_TOKENS", "0"),
            ("JWT_SECRET", "1e5"),
        ])
        .unwrap();
        assert_eq!(settings.server.workers.map(NonZeroUsize::get), Some(4));
        assert_eq!(settings.server.allowed_origins(), ["https://a.example", "https://b.example"]);
        assert!(!settings.admin.enabled);
        assert_eq!((settings.rate_limit.per_user, settings.rate_limit.failures()), (50, None));
        assert_eq!(settings.server.trusted_proxies.0, ["10.0.0.0/8", "192.0.2.1"]);
        assert_eq!(settings.log.format, LogFormat::Json);
        assert_eq!(exposed(settings.auth.jwt_secret.as_ref()), Some("1e5"));
        assert_eq!(settings.auth.jwt_audience, ["one", "two"]);
        assert_eq!(settings.auth.max_token_age, Some(Duration::from_secs(2 * 60 * 60)));
        assert_eq!(settings.auth.remembered_tokens, 0);
        for (name, value) in [
            ("IAM__SERVER__WORKERS", "0"),
            ("IAM__DATABASE__MAX_CONNECTIONS", "0"),
            ("IAM__RATE_LIMIT__PER_SECOND", "-1"),
            ("IAM__AUTH__REMEMBERED_TOKENS", "-1"),
            ("IAM__SERVER__MODE", "prod"),
        ] {
            assert!(load(&[(name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn issuers_are_tables_in_the_file_and_json_in_the_environment() {
        let file = TempFile::new(
            "issuers",
            r#"
                auth.jwt_audience = ["one", "two"]
                [[auth.issuers]]
                issuer = "https://of-file.example"
                jwks_url = "https://of-file.example/jwks"
                audiences = ["us"]
                native = true
                [[auth.issuers]]
                issuer = "https://second.example"
                public_key_file = "/etc/iam/keys.pem"
            "#,
        );
        let names = |settings: &Settings| -> Vec<String> {
            settings.auth.issuers.iter().map(|issuer| issuer.issuer.clone()).collect()
        };
        let settings = load(&[file.variable()]).unwrap();
        assert_eq!(names(&settings), ["https://of-file.example", "https://second.example"]);
        assert_eq!(settings.auth.issuers[0].audiences, ["us"]);
        assert!(settings.auth.issuers[0].native && !settings.auth.issuers[1].native);
        assert_eq!(settings.auth.issuers[1].public_key_file, Some("/etc/iam/keys.pem".into()));
        assert_eq!(settings.auth.jwt_audience, ["one", "two"]);

        let json = r#"[{"issuer": "https://of-variable.example", "native": true, "algorithms": ["RS256"]}]"#;
        let settings = load(&[file.variable(), (ISSUERS, json)]).unwrap();
        assert_eq!(names(&settings), ["https://of-variable.example"]);
        assert_eq!(settings.auth.issuers[0].algorithms, ["RS256"]);
        assert!(settings.auth.issuers[0].native);
        assert!(load(&[(ISSUERS, "[]")]).unwrap().auth.issuers.is_empty());
    }

    #[test]
    fn the_error_for_an_invalid_issuer_setting_contains_its_name_but_not_its_value() {
        for (json, expected) in [
            (r#"hunter2"#, ": must be a JSON array of objects (line 1, column 1)"),
            (r#"{"issuer": "hunter2"}"#, ": must be a JSON array of objects (line 1"),
            (r#"[{"issuer": "hunter2"]"#, ": must be a JSON array of objects (line 1, column 22)"),
            (r#"["hunter2"]"#, "[0]: must be "),
            (r#"[{"issuer": {"hunter2": 1}}]"#, "[0].issuer: "),
            (r#"[{"native": "hunter2"}]"#, "[0].native: must be true or false"),
            (r#"[{}, {"jwks_rul": "hunter2"}]"#, "[1].jwks_rul: unknown field `jwks_rul`"),
        ] {
            let error = error(&[(ISSUERS, json)]).replace(" (IAM__AUTH__ISSUERS)", "");
            assert!(error.starts_with(&format!("auth.issuers{expected}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_default_origins_depend_on_the_mode() {
        let origins = |variables: &[(&str, &str)]| load(variables).unwrap().server.allowed_origins();
        assert_eq!(origins(&[]), ["*"]);
        assert_eq!(origins(&[("IAM__SERVER__MODE", "production")]), [""; 0]);
        let file = TempFile::new("origins", "server.cors_origins = []");
        assert_eq!(origins(&[file.variable()]), [""; 0]);
    }

    #[test]
    fn the_documentation_lists_every_setting_and_its_example_is_valid() {
        let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md")).unwrap();
        let (_, example) = manual.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        load(&[TempFile::new("manual", example).variable()]).unwrap();

        // The error about an unknown key lists all known keys.
        let names = |variable: &str| -> Vec<String> {
            let error = load(&[(variable, "1")]).unwrap_err().to_string();
            error.split('`').skip(3).step_by(2).map(str::to_uppercase).collect()
        };
        let sections = names("IAM__NO_SUCH__KEY");
        assert_eq!(sections.len(), 11);
        for section in sections {
            let keys = names(&format!("IAM__{section}__NO_SUCH"));
            // A section with one key reports "expected `key`", a section with several reports "expected one of `key`".
            assert!(!keys.is_empty());
            for key in keys {
                let variable = format!("IAM__{section}__{key}");
                assert!(manual.contains(&variable), "{variable}");
            }
        }
    }
}
