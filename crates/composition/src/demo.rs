//! The demo: a company with three users, tokens for the company's administrator and for a super admin, and `curl`
//! commands to paste.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use iam_application::{
    AssignUserLevels, Failure, IfMatch, ProvisionCompany, RequestContext, RequestedLevels, SetUserProfile,
    UpdateCompany,
};
use iam_domain::{Caller, CompanyId, InvalidId, Name, NamedUser, TextError, UserId};
use iam_identity::SigningError;

use crate::development_token::signed;
use crate::secret::random_secret;
use crate::{Mode, ModeError, Settings, StorageMode, System};

/// Lifetime of the demo tokens, in seconds.
const TOKEN_LIFETIME: u32 = 24 * 60 * 60;
/// The log filter of the demo, unless the settings specify one.
const LOG_FILTER: &str = "warn";

// The ids of the company and of its users do not change when the demo restarts. Therefore, commands from an earlier run
// still work if the secret has not changed.
const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";
const SUPER_ADMIN: &str = "c0ffee00-0000-4000-8000-000000000001";
const ADMIN: &str = "c0ffee00-0000-4000-8000-00000000000a";
/// The name of the demo company.
const COMPANY_NAME: &str = "Demo Ltd";
/// The demo users, each with the name of the level that the user holds, the id, and the display name.
const USERS: [(&str, &str, &str); 3] = [
    ("Admin", ADMIN, "Ada Admin"),
    ("Member", "c0ffee00-0000-4000-8000-00000000000b", "Max Member"),
    ("Visitor", "c0ffee00-0000-4000-8000-00000000000c", "Vera Visitor"),
];

/// A person of the demo, who can sign in to the console without a token.
#[derive(Debug, Clone)]
pub struct DemoPerson {
    /// The user id of the person.
    pub user: UserId,
    /// The name of the person.
    pub name: &'static str,
    /// What the person may do.
    pub description: &'static str,
    /// Whether the person is a super admin.
    pub is_super_admin: bool,
}

/// The reason why the demo cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The settings do not select a storage backend.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A database is configured, but the demo must keep its data in memory.
    #[error("the demo keeps its data in memory: unset DATABASE_URL, or set USE_DATABASE=false")]
    Database,
    /// The service runs in production mode, in which tokens must not be printed.
    #[error("the demo prints tokens, so it does not run in production mode")]
    Production,
    /// Trusted issuers are configured, but the demo can sign tokens only with the shared secret.
    #[error("the demo signs its tokens itself: unset IAM__AUTH__ISSUERS")]
    Issuers,
    /// The demo company could not be created.
    #[error("the demo company could not be created: {0}")]
    Company(#[from] Failure),
    /// The tokens could not be signed.
    #[error(transparent)]
    Token(#[from] SigningError),
    /// One of the fixed ids in the demo data is invalid.
    #[error("invalid id in the demo data: it {0}")]
    Id(#[from] InvalidId),
    /// One of the fixed names in the demo data is invalid.
    #[error("invalid name in the demo data: it {0}")]
    Name(#[from] TextError),
}

/// Proof that the settings allow the demo: the storage is in memory, the mode is development, and no trusted issuers
/// are configured.
#[derive(Debug)]
pub struct Demo(());

impl Demo {
    /// Checks that the settings allow the demo, and sets the defaults of the demo: a random secret that signs the
    /// tokens, and a log of warnings and errors only.
    ///
    /// # Errors
    ///
    /// Returns [`DemoError::Mode`], [`DemoError::Database`], [`DemoError::Production`] or [`DemoError::Issuers`] if the
    /// settings do not allow the demo.
    pub fn admit(settings: &mut Settings) -> Result<Self, DemoError> {
        if settings.server.mode == Mode::Production {
            return Err(DemoError::Production);
        }
        match StorageMode::try_from(&*settings)? {
            StorageMode::Postgres(_) => Err(DemoError::Database),
            StorageMode::InMemory if !settings.auth.issuers.is_empty() => Err(DemoError::Issuers),
            StorageMode::InMemory => {
                settings.log.filter.get_or_insert_with(|| LOG_FILTER.to_owned());
                settings.auth.jwt_secret.get_or_insert_with(random_secret);
                Ok(Self(()))
            }
        }
    }

    /// Returns the people of the demo.
    ///
    /// # Errors
    ///
    /// Returns [`DemoError::Id`] if the id of a person is invalid, which is not expected in practice.
    pub fn people(&self) -> Result<Vec<DemoPerson>, DemoError> {
        let person = |id, name, description, is_super_admin| {
            Ok::<_, InvalidId>(DemoPerson { user: UserId::parse(id)?, name, description, is_super_admin })
        };
        let [(_, admin, _), (_, member, _), (_, visitor, _)] = USERS;
        Ok(vec![
            person(admin, "Admin", "administers the demo company", false)?,
            person(member, "Member", "uses the demo company", false)?,
            person(visitor, "Visitor", "has the fewest permissions in the demo company", false)?,
            person(SUPER_ADMIN, "Super admin", "administers the platform and all companies", true)?,
        ])
    }

    /// Creates the demo company, its users and their tokens, for a server that listens on `address`.
    ///
    /// # Errors
    ///
    /// Returns [`DemoError`] if the company cannot be created or a token cannot be signed, which is not expected in
    /// practice.
    pub async fn prepare(self, system: &System, address: SocketAddr) -> Result<DemoGuide, DemoError> {
        let company = CompanyId::parse(COMPANY)?;
        let super_admin = UserId::parse(SUPER_ADMIN)?;
        let by = RequestContext::from(Caller::super_admin(super_admin));
        system.application.execute(by.clone(), ProvisionCompany { company, admin: None }).await?;
        let name = Some(Name::parse(COMPANY_NAME)?);
        let named = UpdateCompany { company, name, status: None, if_match: IfMatch::default() };
        system.application.execute(by.clone(), named).await?;
        let levels = system.application.user_levels(company).await?;

        let shared = system.secret.as_ref().ok_or(DemoError::Issuers)?;
        let token = |user: UserId, is_super_admin| {
            signed(shared, &user.to_string(), is_super_admin, system.clock.now(), TOKEN_LIFETIME)
        };
        for (name, id, display_name) in USERS {
            let user = UserId::parse(id)?;
            let levels = levels.iter().filter(|level| level.name.as_str() == name).map(|level| level.id);
            let assign = AssignUserLevels {
                company,
                user: NamedUser::native(user),
                levels: RequestedLevels::All(levels.collect()),
                force: false,
                if_match: IfMatch::default(),
            };
            system.application.execute(by.clone(), assign).await?;
            let profile = SetUserProfile {
                company,
                user: NamedUser::native(user),
                display_name: Some(Name::parse(display_name)?),
                email: None,
                if_match: IfMatch::default(),
            };
            system.application.execute(by.clone(), profile).await?;
        }
        Ok(DemoGuide {
            base: format!("http://{}", reachable(address)),
            company,
            token: token(UserId::parse(ADMIN)?, false)?,
            super_admin_token: token(super_admin, true)?,
        })
    }
}

/// The demo tokens, and commands to try. The [`Display`](fmt::Display) output is meant for a terminal, and fits on one
/// screen.
#[derive(Debug, Clone)]
pub struct DemoGuide {
    base: String,
    company: CompanyId,
    /// The token of the company's administrator.
    token: String,
    super_admin_token: String,
}

/// Returns the address at which a client on this machine reaches the server. If the server listens on all addresses,
/// this is the loopback address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

impl fmt::Display for DemoGuide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, company, token, super_admin_token } = self;
        // The commands contain shell variables instead of the values, so that each command fits on one or two lines.
        let headers = r#"-H "Authorization: Bearer $TOKEN" -H "X-Company-Id: $COMPANY""#;
        let get = |path: &str| format!(r"curl -sw '\n' $API{path} {headers}");
        let post =
            |path: &str, body: &str| format!("{} \\\n  -H 'Content-Type: application/json' -d '{body}'", get(path));
        let create_risks = r#"{"feature":"risks.create","action":"Create"}"#;
        writeln!(f, "The IAM demo is listening on {base} with its data in memory.")?;
        writeln!(f, "API documentation: {base}/docs")?;
        writeln!(f, "Admin console (sign in with one click): {base}/console\n")?;
        writeln!(f, "Paste these lines into another shell. The tokens are valid for a day.")?;
        writeln!(f, "export API={base}/api/iam")?;
        writeln!(f, "export COMPANY={company}")?;
        writeln!(f, "export TOKEN={token}")?;
        writeln!(f, "export SUPER_ADMIN_TOKEN={super_admin_token}\n")?;
        for (what, command) in [
            (
                "May the company's admin (TOKEN) open this page? Allowed, by the level Admin.",
                post("/check", r#"{"view":"/admin/user-levels"}"#),
            ),
            ("May the admin create risks? Denied: the company does not have the module.", post("/check", create_risks)),
            ("Why not, and what would allow it?", post("/explain", create_risks)),
            ("List the user levels of the company.", get("/user-levels")),
        ] {
            writeln!(f, "# {what}\n{command}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use iam_application::DecisionContext;
    use iam_domain::{Action, Reason};
    use iam_permissions_cache::{Check, Consistency, FeatureRef, ViewRef};
    use secrecy::ExposeSecret;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment: BTreeMap<_, _> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::load(&environment).unwrap()
    }

    #[test]
    fn the_demo_rejects_databases_production_mode_and_other_issuers() {
        let admit = |variables: &[(&str, &str)]| {
            Demo::admit(&mut settings(variables)).map(drop).map_err(|error| error.to_string())
        };
        let url = ("DATABASE_URL", "postgres://localhost/iam");
        assert!(admit(&[url]).unwrap_err().contains("unset DATABASE_URL"));
        assert!(admit(&[url, ("USE_DATABASE", "false")]).is_ok());
        assert!(admit(&[("IAM__SERVER__MODE", "production")]).unwrap_err().contains("production"));
        let issuers = r#"[{"issuer": "https://issuer.example", "public_key_file": "keys.pem"}]"#;
        assert!(admit(&[("IAM__AUTH__ISSUERS", issuers)]).unwrap_err().contains("IAM__AUTH__ISSUERS"));
        assert!(admit(&[("USE_DATABASE", "true")]).unwrap_err().contains("database.url (DATABASE_URL) is not set"));
    }

    #[test]
    fn the_demo_logs_only_warnings_and_has_a_secret_unless_the_settings_differ() {
        let admitted = |variables: &[(&str, &str)]| {
            let mut settings = settings(variables);
            Demo::admit(&mut settings).unwrap();
            settings
        };
        let defaults = admitted(&[]);
        assert_eq!(defaults.log.filter(Mode::Development), "warn");
        assert!(defaults.auth.jwt_secret.unwrap().expose_secret().len() >= 32);
        assert_eq!(admitted(&[("IAM__LOG__FILTER", "debug")]).log.filter(Mode::Development), "debug");
        assert_eq!(admitted(&[("RUST_LOG", "info")]).log.filter(Mode::Development), "info");
        assert_eq!(admitted(&[("JWT_SECRET", "mine")]).auth.jwt_secret.unwrap().expose_secret(), "mine");
    }

    #[tokio::test]
    async fn the_guide_contains_valid_tokens_and_the_actual_decisions() {
        let mut settings = settings(&[
            ("IAM__AUTH__JWT_ISSUER", "https://sign-in.example"),
            ("IAM__AUTH__JWT_AUDIENCE", "https://api.example"),
        ]);
        let demo = Demo::admit(&mut settings).unwrap();
        let system = System::start(&settings).await.unwrap();
        let guide = demo.prepare(&system, "0.0.0.0:4000".parse().unwrap()).await.unwrap();

        for (token, id, is_super_admin) in [(&guide.token, ADMIN, false), (&guide.super_admin_token, SUPER_ADMIN, true)]
        {
            let verified = system.verifier.verify(token).await.unwrap();
            assert_eq!((verified.user_id.to_string().as_str(), verified.is_super_admin), (id, is_super_admin));
        }

        let check = async |check: Check| {
            let caller = Caller::user(UserId::parse(ADMIN).unwrap());
            let context = DecisionContext { caller, company: guide.company, consistency: Consistency::Cached };
            system.application.own_access(&context).await.unwrap().check(&check)
        };
        let create_risks = Check::Feature {
            feature: FeatureRef::parse("risks.create"),
            action: Action::parse("Create").unwrap(),
            least_scope: None,
        };
        assert!(check(Check::View(ViewRef::parse("/admin/user-levels"))).await.allowed);
        assert_eq!(check(create_risks).await.reason, Reason::FeatureModuleMissing);

        let text = guide.to_string();
        assert!(text.contains("http://127.0.0.1:4000/docs"));
        assert!(text.lines().count() <= 24, "{text}");
        let is_token = |line: &str| line.contains("TOKEN=");
        assert!(text.lines().all(|line| line.len() <= 100 || is_token(line)), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("curl ")).count(), 4);
    }
}
