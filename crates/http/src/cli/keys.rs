//! The command `iam keys`, which creates, lists and revokes API keys in the configured database.

use std::error::Error;
use std::io::{self, Write};

use clap::Subcommand;
use iam_composition::{ApiKeyAttributes, Operator, Settings};
use iam_domain::{ApiKey, CompanyId, InvalidRate, Name, RequestRate, ServiceRole, Timestamp};

/// Maximum lifetime of an API key, in days (about 100 years).
const MOST_DAYS: u32 = 36_500;
const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Creates an API key and prints it to standard output.
    ///
    /// The key cannot be displayed again, because the database stores only its hash.
    Create {
        /// Sets the display name of the key.
        #[arg(long, value_parser = |text: &str| Name::parse(text))]
        name: Name,
        /// Sets the role of the key: check, read or administer.
        ///
        /// A service with the role check may request decisions for any user. With the role read, it may also read all
        /// IAM data. With the role administer, it may also change IAM data, within the limits that docs/services.md
        /// describes.
        #[arg(long)]
        role: ServiceRole,
        /// Restricts the key to the company with this UUID.
        ///
        /// Without this option, the key is valid for all companies and for data that companies share, such as the
        /// catalog.
        #[arg(long, value_parser = CompanyId::parse)]
        company: Option<CompanyId>,
        /// Limits the work of the key to this number of cost units per second, from 1 to 1000000.
        ///
        /// Five times as many units may be used at once. Without this option, the limit for all API keys applies
        /// (IAM__RATE_LIMIT__PER_API_KEY).
        #[arg(long, value_parser = rate)]
        requests_per_second: Option<RequestRate>,
        /// Sets the number of days after which the key expires, from 1 to 36500.
        ///
        /// Without this option, the key does not expire.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
        expires_in_days: Option<u32>,
    },
    /// Lists all API keys, including revoked and expired keys.
    List,
    /// Revokes an API key permanently.
    Revoke {
        /// The id of the key, or its prefix (the twelve characters after iam_).
        key: String,
    },
}

impl Keys {
    /// Runs the subcommand on the configured database.
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let operator = Operator::open(settings).await?;
        let now = operator.now();
        let mut out = io::stdout();
        match self {
            Self::Create { name, role, company, requests_per_second: rate, expires_in_days } => {
                let expires_at = match expires_in_days {
                    Some(days) => {
                        let at = now.millis() + i64::from(days) * MILLIS_PER_DAY;
                        Some(Timestamp::from_millis(at).ok_or("the expiry time is out of range")?)
                    }
                    None => None,
                };
                let wanted = ApiKeyAttributes { name, role, company, rate, expires_at };
                let (key, secret) = operator.create_api_key(wanted).await?;
                writeln!(io::stderr(), "created {}; the key is displayed only once:", described(&key, now))?;
                writeln!(out, "{}", secrecy::ExposeSecret::expose_secret(&secret))?;
            }
            Self::List => {
                for key in operator.api_keys().await? {
                    writeln!(out, "{}", described(&key, now))?;
                }
            }
            Self::Revoke { key } => {
                operator.revoke_api_key(&key).await?;
                writeln!(out, "revoked")?;
            }
        }
        Ok(())
    }
}

/// Parses the value of the option `--requests-per-second`.
fn rate(text: &str) -> Result<RequestRate, InvalidRate> {
    text.parse::<u32>().map_err(|_| InvalidRate).and_then(RequestRate::new)
}

/// Returns a one-line description of a key: id, prefix, name, role, company, own rate, validity and last use.
fn described(key: &ApiKey, now: Timestamp) -> String {
    let company = key.company_id.map_or_else(|| "every company".to_owned(), |company| format!("company {company}"));
    let rate = key.requests_per_second.map_or_else(String::new, |rate| format!(", {} per second", rate.per_second()));
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("expires {at}"),
        (None, None) => "valid".to_owned(),
    };
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    format!("{} iam_{}… {:?} {} {company}{rate}, {state}, {used}", key.id, key.prefix, key.name.as_str(), key.role)
}
