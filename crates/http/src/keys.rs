//! The command `iam-http keys`: API keys of services, in the database of the settings.

use std::error::Error;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use iam_composition::{Operator, Settings, WantedApiKey};
use iam_domain::{ApiKey, CompanyId, Name, ServiceRole, Timestamp};

/// The longest validity of a key that this command accepts: a hundred years.
const MOST_DAYS: u32 = 36_500;
const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Makes a key and prints it on the standard output, this once
    Create {
        /// What people call it
        #[arg(long, value_parser = |text: &str| Name::parse(text))]
        name: Name,
        /// check (ask what anybody may do), read (all IAM data) or administer (change it)
        #[arg(long)]
        role: ServiceRole,
        /// The one company that it is good for; every company, and the platform, if left out
        #[arg(long, value_parser = CompanyId::parse)]
        company: Option<CompanyId>,
        /// After how many days it expires; never if left out
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
        expires_in_days: Option<u32>,
    },
    /// Lists all keys, also revoked and expired ones
    List,
    /// Revokes a key, for good
    Revoke {
        /// Its id, or its prefix: the twelve characters after iam_
        key: String,
    },
}

impl Keys {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let operator = Operator::open(settings).await?;
        let now = now().ok_or("the clock of this machine is wrong")?;
        let mut out = io::stdout();
        match self {
            Self::Create { name, role, company, expires_in_days } => {
                let expires_at = match expires_in_days {
                    Some(days) => {
                        let at = now.millis() + i64::from(days) * MILLIS_PER_DAY;
                        Some(Timestamp::from_millis(at).ok_or("the time of expiry is out of range")?)
                    }
                    None => None,
                };
                let wanted = WantedApiKey { name, role, company, expires_at };
                let (key, secret) = operator.create_api_key(wanted, now).await?;
                writeln!(io::stderr(), "made {}; it is shown this once:", described(&key, now))?;
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

/// One line about a key.
fn described(key: &ApiKey, now: Timestamp) -> String {
    let company = key.company_id.map_or_else(|| "every company".to_owned(), |company| format!("company {company}"));
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good".to_owned(),
    };
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    format!("{} iam_{}… {:?} {} {company}, {state}, {used}", key.id, key.prefix, key.name.as_str(), key.role)
}

fn now() -> Option<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).ok()?)
}
