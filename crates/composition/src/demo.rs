//! The demo: a company with three users, a super admin, tokens for these four users, and `curl` commands to paste.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use iam_application::{AssignUserLevels, Failure, IfMatch, ProvisionCompany, RequestContext};
use iam_domain::{Caller, CompanyId, InvalidId, NamedUser, UserId};
use iam_identity::{SigningError, TokenSigner};
use serde_json::json;

use crate::{Mode, ModeError, Settings, StorageMode, System};

/// Lifetime of the demo tokens, in seconds.
const TOKEN_LIFETIME: i64 = 24 * 60 * 60;

// The ids of the company and of its users do not change when the demo restarts. Commands that an earlier run printed
// therefore still work, provided that the secret is the same.
const COMPANY: &str = "c0ffee00-0000-4000-8000-000000000000";
const SUPER_ADMIN: &str = "c0ffee00-0000-4000-8000-000000000001";
/// The demo users, each as a pair: the name of the level that the user holds, and the id of the user.
const USERS: [(&str, &str); 3] = [
    ("Admin", "c0ffee00-0000-4000-8000-00000000000a"),
    ("Member", "c0ffee00-0000-4000-8000-00000000000b"),
    ("Visitor", "c0ffee00-0000-4000-8000-00000000000c"),
];

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
}

/// Proof that the settings allow the demo: the storage is in memory, the mode is development, and no trusted issuers
/// are configured.
#[derive(Debug)]
pub struct Demo(());

impl Demo {
    /// Checks that the settings allow the demo.
    ///
    /// # Errors
    ///
    /// [`DemoError::Mode`], [`DemoError::Database`], [`DemoError::Production`] or [`DemoError::Issuers`].
    pub fn admit(settings: &Settings) -> Result<Self, DemoError> {
        match StorageMode::try_from(&settings.database)? {
            StorageMode::Postgres(_) => Err(DemoError::Database),
            StorageMode::InMemory if settings.server.mode == Mode::Production => Err(DemoError::Production),
            StorageMode::InMemory if !settings.auth.issuers.is_empty() => Err(DemoError::Issuers),
            StorageMode::InMemory => Ok(Self(())),
        }
    }

    /// Creates the demo company, its users and their tokens, for a server that listens on `address`.
    ///
    /// # Errors
    ///
    /// [`DemoError`] if the company cannot be created or a token cannot be signed, which is not expected in practice.
    pub async fn prepare(self, system: &System, address: SocketAddr) -> Result<DemoGuide, DemoError> {
        let company = CompanyId::parse(COMPANY)?;
        let super_admin = UserId::parse(SUPER_ADMIN)?;
        let by = RequestContext::from(Caller::super_admin(super_admin));
        system.application.execute(by.clone(), ProvisionCompany { company, admin: None }).await?;
        let levels = system.application.user_levels(company).await?;

        let shared = system.secret.as_ref().ok_or(DemoError::Issuers)?;
        let signer = TokenSigner::hs256(&shared.secret);
        let now = system.clock.now().millis() / 1000;
        let person = |name, id: UserId, is_super_admin: bool| -> Result<Person, SigningError> {
            let token = signer.sign_claims(&json!({
                "iss": shared.issuer,
                "aud": shared.audiences,
                "userId": id,
                "isSuperAdmin": is_super_admin,
                "iat": now,
                "exp": now + TOKEN_LIFETIME,
            }))?;
            Ok(Person { name, id, token })
        };
        let user = async |name: &'static str, id| -> Result<Person, DemoError> {
            let user = UserId::parse(id)?;
            let levels = levels.iter().filter(|level| level.name.as_str() == name).map(|level| level.id).collect();
            let assign = AssignUserLevels {
                company,
                user: NamedUser::native(user),
                levels,
                force: false,
                if_match: IfMatch::default(),
            };
            system.application.execute(by.clone(), assign).await?;
            Ok(person(name, user, false)?)
        };
        let [(admin, admin_id), (member, member_id), (visitor, visitor_id)] = USERS;
        Ok(DemoGuide {
            base: format!("http://{}", reachable(address)),
            company,
            admin: user(admin, admin_id).await?,
            member: user(member, member_id).await?,
            visitor: user(visitor, visitor_id).await?,
            super_admin: person("Super admin", super_admin, true)?,
        })
    }
}

/// A demo user with a token.
#[derive(Debug, Clone)]
struct Person {
    name: &'static str,
    id: UserId,
    token: String,
}

/// The demo tokens, and commands to try. The [`Display`](fmt::Display) output is meant for a terminal.
#[derive(Debug, Clone)]
pub struct DemoGuide {
    base: String,
    company: CompanyId,
    admin: Person,
    member: Person,
    visitor: Person,
    super_admin: Person,
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

/// The `curl` command, with options that print the response body, and the status code on the next line.
const CURL: &str = r"curl -s -w '\n%{http_code}\n'";

impl DemoGuide {
    /// Returns a command that sends a GET request to `path` as this user in the demo company.
    fn get(&self, person: &Person, path: &str) -> String {
        let Self { base, company, .. } = self;
        let token = &person.token;
        format!("{CURL} -H 'Authorization: Bearer {token}' -H 'X-Company-Id: {company}' '{base}/api/iam{path}'")
    }

    /// Returns a command that sends a POST request with this JSON body to `path` as this user in the demo company.
    fn post(&self, person: &Person, path: &str, body: &str) -> String {
        format!("{} -H 'Content-Type: application/json' -d '{body}'", self.get(person, path))
    }
}

impl fmt::Display for DemoGuide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, company, admin, member, visitor, super_admin } = self;
        writeln!(f, "The service listens on {base}. Interactive API documentation: {base}/docs")?;
        writeln!(f, "\nDemo company: {company}\n\nTokens, valid for a day:")?;
        for Person { name, id, token } in [admin, member, visitor, super_admin] {
            writeln!(f, "\n{name} (user {id}):\n{token}")?;
        }
        writeln!(f, "\nCommands to paste:")?;
        let general = r#"{"feature":"general.read","action":"Read"}"#;
        let risks = r#"{"feature":"risks.create","action":"Create"}"#;
        let auditors = r#"{"name":"Auditors","description":"Read-only access"}"#;
        for (what, line) in [
            ("Check that the service is up", format!("{CURL} '{base}/health'")),
            ("List all permissions of the member", self.get(member, "/permissions/current")),
            ("Get the menu of the member", self.get(member, "/navigation")),
            (
                "Check whether the admin may read: allowed. The response contains the deciding level",
                self.post(admin, "/check", general),
            ),
            (
                "Check whether the admin may create risks: denied, because the company does not have the module",
                self.post(admin, "/check", risks),
            ),
            ("List the user levels of the company", self.get(admin, "/user-levels")),
            (
                "Create a user level. A second request fails because the name is already in use",
                self.post(admin, "/user-levels", auditors),
            ),
            ("The same request by the visitor is denied", self.post(visitor, "/user-levels", auditors)),
        ] {
            writeln!(f, "\n# {what}\n{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use iam_application::DecisionContext;
    use iam_domain::{Action, Reason};
    use iam_permissions_cache::{Check, Consistency, FeatureRef};

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment: BTreeMap<_, _> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::load(&environment).unwrap()
    }

    #[test]
    fn the_demo_rejects_databases_production_mode_and_other_issuers() {
        let admit =
            |variables: &[(&str, &str)]| Demo::admit(&settings(variables)).map(drop).map_err(|error| error.to_string());
        let url = ("DATABASE_URL", "postgres://localhost/iam");
        assert!(admit(&[url]).unwrap_err().contains("unset DATABASE_URL"));
        assert!(admit(&[url, ("USE_DATABASE", "false")]).is_ok());
        assert!(admit(&[("IAM__SERVER__MODE", "production")]).unwrap_err().contains("production"));
        let issuers = r#"[{"issuer": "https://issuer.example", "public_key_file": "keys.pem"}]"#;
        assert!(admit(&[("IAM__AUTH__ISSUERS", issuers)]).unwrap_err().contains("IAM__AUTH__ISSUERS"));
        assert!(admit(&[("USE_DATABASE", "true")]).unwrap_err().contains("DATABASE_URL is not set"));
    }

    #[tokio::test]
    async fn the_guide_contains_valid_tokens_and_the_actual_decisions() {
        let settings = settings(&[
            ("IAM__AUTH__JWT_ISSUER", "https://sign-in.example"),
            ("IAM__AUTH__JWT_AUDIENCE", "https://api.example"),
        ]);
        let demo = Demo::admit(&settings).unwrap();
        let system = System::start(&settings).await.unwrap();
        let guide = demo.prepare(&system, "0.0.0.0:4000".parse().unwrap()).await.unwrap();

        for (person, is_super_admin) in
            [(&guide.admin, false), (&guide.member, false), (&guide.visitor, false), (&guide.super_admin, true)]
        {
            let verified = system.verifier.verify(&person.token).await.unwrap();
            assert_eq!((verified.user_id, verified.is_super_admin), (person.id, is_super_admin));
        }

        let check = async |feature, action: &str| {
            let feature = FeatureRef::parse(feature);
            let action = Action::parse(action).unwrap();
            let check = Check::Feature { feature, action, least_scope: None };
            let caller = Caller::user(guide.admin.id);
            let context = DecisionContext { caller, company: guide.company, consistency: Consistency::Cached };
            system.application.own_access(&context).await.unwrap().check(&check)
        };
        assert!(check("general.read", "Read").await.allowed);
        assert_eq!(check("risks.create", "Create").await.reason, Reason::FeatureModuleMissing);

        let text = guide.to_string();
        assert!(text.contains("http://127.0.0.1:4000/docs"));
        let curls: Vec<_> = text.lines().filter(|line| line.starts_with("curl ")).collect();
        assert_eq!(curls.len(), 8);
        assert!(curls.iter().all(|line| line.matches('\'').count() % 2 == 0 && line.contains("127.0.0.1:4000")));
    }
}
