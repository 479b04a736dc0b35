//! The command `iam token`, which prints a token for a user in development mode.

use std::error::Error;
use std::io::{self, Write};

use clap::Args;
use iam_composition::{DevelopmentToken, Settings};
use iam_domain::CompanyId;

use super::listen::reachable;

#[derive(Args)]
pub(crate) struct Token {
    /// Sets the subject of the token: a UUID or, if IAM__AUTH__JWT_ISSUER is set, any subject of this issuer.
    #[arg(long)]
    user: String,
    /// Prints to standard error a curl command for the company with this UUID.
    ///
    /// A token is valid in every company. Each request specifies the company, for example in the header X-Company-Id.
    #[arg(long, value_parser = CompanyId::parse)]
    company: Option<CompanyId>,
    /// Makes the user a super admin, who has all permissions in every company.
    #[arg(long)]
    super_admin: bool,
    /// Sets the lifetime of the token, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
}

impl Token {
    /// Prints the token to standard output. If a company is specified, also prints a curl command to standard error.
    pub(crate) fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let Self { user, company, super_admin, ttl } = self;
        let token = DevelopmentToken { user, super_admin, ttl }.sign(settings)?;
        writeln!(io::stdout(), "{token}")?;
        if let Some(company) = company {
            writeln!(io::stderr(), "{}", example(settings, company))?;
        }
        Ok(())
    }
}

/// Returns a curl command that sends a check for the company to the server with these settings. The command contains
/// the variable TOKEN instead of the token.
fn example(settings: &Settings, company: CompanyId) -> String {
    let (host, port) = (reachable(&settings.server.host), settings.server.port);
    format!(
        "# Requires this token in the variable TOKEN:\n\
        curl -s http://{host}:{port}/api/iam/check \\\n  \
        -H \"Authorization: Bearer $TOKEN\" -H 'X-Company-Id: {company}' \\\n  \
        -H 'Content-Type: application/json' -d '{{\"view\": \"/admin/user-levels\"}}'"
    )
}
