//! Configures the trusted issuers from the settings.

use std::time::Duration;

use iam_domain::Issuer;
use iam_identity::{
    Algorithm, JwksUrl, KeySource, SharedSecret, TokenVerifier, TrustError, TrustedIssuer, VerifierOptions,
};
use secrecy::{ExposeSecret, SecretString};

use crate::secret::{SecretError, signing_secret};
use crate::settings::ISSUERS;
use crate::{AuthSettings, IssuerSettings, Mode, Settings, SettingsError};

/// Default maximum token ages in production: for all tokens, and for tokens that grant super admin.
const PRODUCTION_AGES: [Duration; 2] = [Duration::from_secs(24 * 60 * 60), Duration::from_secs(60 * 60)];

/// The reason why the authentication settings are rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The configuration is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The shared secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The token verifier cannot be created, and the error does not concern a single entry of the list of issuers.
    #[error("auth.issuers ({ISSUERS}): {0}")]
    Trust(TrustError),
}

/// Returns the token verifier, and the shared secret that signs HS256 tokens, if there is one.
pub(crate) async fn verifier(settings: &Settings) -> Result<(TokenVerifier, Option<SharedSecret>), AuthError> {
    let auth = &settings.auth;
    let issuers = (0..).zip(&auth.issuers).map(|(index, issuer)| trusted(index, issuer)).collect::<Result<_, _>>()?;
    for (index, issuer) in auth.issuers.iter().enumerate().filter(|(_, issuer)| issuer.audiences.is_empty()) {
        check_audiences(index, issuer, settings.server.mode)?;
        tracing::warn!(issuer = issuer.issuer, "no audiences configured: accepting tokens for any audience");
    }
    if let Some(problem) = client_problems(settings).next() {
        return Err(problem.into());
    }
    let secret = shared_secret(settings.server.mode, auth)?;
    let verifier = TokenVerifier::start(secret.clone(), issuers, &options(settings.server.mode, auth)).await;
    let verifier = verifier.map_err(|error| rejected(&auth.issuers, error))?;
    log_issuers(secret.as_ref(), &auth.issuers);
    Ok((verifier, secret))
}

/// Checks that an issuer that grants super admin in production has audiences. Without configured audiences, this
/// service accepts tokens that the identity provider issued for other services. The bearer of such a token could become
/// a super admin of this service.
fn check_audiences(index: usize, issuer: &IssuerSettings, mode: Mode) -> Result<(), SettingsError> {
    if mode == Mode::Production && issuer.super_admins && issuer.audiences.is_empty() {
        return Err(invalid(key(index, "audiences"), "is required in production if super_admins is true"));
    }
    Ok(())
}

/// Returns the problems with the console as a client of the identity providers.
fn client_problems(settings: &Settings) -> impl Iterator<Item = SettingsError> {
    let lacks_url = settings.console.enabled && settings.console.public_url.is_none();
    settings.auth.issuers.iter().enumerate().filter_map(move |(index, issuer)| {
        match (&issuer.client_id, &issuer.client_secret) {
            (None, Some(_)) => Some(invalid(key(index, "client_secret"), "requires client_id")),
            (Some(_), _) if lacks_url => {
                let problem = "requires console.public_url (IAM__CONSOLE__PUBLIC_URL)";
                Some(invalid(key(index, "client_id"), problem))
            }
            _ => None,
        }
    })
}

/// Returns all problems with the authentication settings. The conflicts between issuers are checked only if each issuer
/// is valid on its own.
pub(crate) async fn problems(settings: &Settings) -> Vec<AuthError> {
    let (mode, auth) = (settings.server.mode, &settings.auth);
    let mut problems = Vec::<AuthError>::new();
    for (index, issuer) in auth.issuers.iter().enumerate() {
        problems.extend(trusted(index, issuer).err().map(Into::into));
        problems.extend(check_audiences(index, issuer, mode).err().map(Into::into));
    }
    problems.extend(client_problems(settings).map(Into::into));
    problems.extend(shared_secret(mode, auth).err());
    if problems.is_empty() {
        problems.extend(verifier(settings).await.err());
    }
    problems
}

/// Returns the error for issuers that conflict with each other, or whose keys cannot be used.
fn rejected(issuers: &[IssuerSettings], error: TrustError) -> AuthError {
    let (issuer, problem) = match &error {
        TrustError::Twice(issuer) | TrustError::TwoNatives { second: issuer, .. } => (issuer, error.to_string()),
        TrustError::Keys { issuer, source } => (issuer, source.to_string()),
        _ => return AuthError::Trust(error),
    };
    // If two entries have the same name, the error refers to the second one.
    let Some(index) = issuers.iter().rposition(|settings| settings.issuer == issuer.as_str()) else {
        return AuthError::Trust(error);
    };
    let name = match &error {
        TrustError::Twice(_) => "issuer",
        TrustError::TwoNatives { .. } => "native",
        _ => issuers.get(index).map_or("", key_source),
    };
    invalid(key(index, name), problem).into()
}

/// Logs one line per trusted issuer.
fn log_issuers(secret: Option<&SharedSecret>, issuers: &[IssuerSettings]) {
    if let Some(secret) = secret {
        let issuer = secret.issuer.as_ref().map_or("any", Issuer::as_str);
        let audiences = listed(&secret.audiences, "any");
        tracing::info!(issuer, key_source = "jwt_secret", algorithms = "HS256", audiences, "trusted issuer");
    }
    for settings in issuers {
        let algorithms = listed(&settings.algorithms, "any supported by its keys");
        let audiences = listed(&settings.audiences, "any");
        let key_source = key_source(settings);
        tracing::info!(issuer = settings.issuer, key_source, algorithms, audiences, "trusted issuer");
    }
}

/// Returns the items, separated by commas. Returns `unrestricted` for an empty list, which means no restriction.
fn listed(items: &[String], unrestricted: &str) -> String {
    if items.is_empty() { unrestricted.to_owned() } else { items.join(", ") }
}

/// Returns the name of the setting that selects the source of the issuer's keys. The log contains this name instead of
/// the value, which may contain a secret.
const fn key_source(settings: &IssuerSettings) -> &'static str {
    match settings {
        IssuerSettings { jwks_url: Some(_), .. } => "jwks_url",
        IssuerSettings { jwks_file: Some(_), .. } => "jwks_file",
        _ => "public_key_file",
    }
}

/// Returns the shared secret. Returns `None` if issuers are configured and no shared secret is set.
pub(crate) fn shared_secret(mode: Mode, auth: &AuthSettings) -> Result<Option<SharedSecret>, AuthError> {
    let is_set = |secret: &SecretString| !secret.expose_secret().is_empty();
    if !auth.issuers.is_empty() && !auth.jwt_secret.as_ref().is_some_and(is_set) {
        return Ok(None);
    }
    let issuer = auth.jwt_issuer.as_ref().filter(|name| !name.is_empty());
    Ok(Some(SharedSecret {
        secret: signing_secret(mode, auth.jwt_secret.as_ref())?,
        issuer: issuer.map(|name| named("auth.jwt_issuer (IAM__AUTH__JWT_ISSUER)", name)).transpose()?,
        audiences: auth.jwt_audience.clone(),
    }))
}

/// Returns the options of the token verifier.
pub(crate) fn options(mode: Mode, auth: &AuthSettings) -> VerifierOptions {
    let max_age = |set: Option<Duration>, in_production: Duration| match (set, mode) {
        (Some(age), _) => Some(age).filter(|age| !age.is_zero()),
        (None, Mode::Production) => Some(in_production),
        (None, Mode::Development) => None,
    };
    let [of_all, of_super_admins] = PRODUCTION_AGES;
    VerifierOptions {
        remembered_tokens: auth.remembered_tokens,
        clock_skew: auth.clock_skew,
        max_token_age: max_age(auth.max_token_age, of_all),
        max_super_admin_token_age: max_age(auth.max_super_admin_token_age, of_super_admins),
        jwks_refresh: auth.jwks_refresh,
        ..VerifierOptions::default()
    }
}

/// Returns the error for an invalid setting.
fn invalid(key: impl Into<String>, problem: impl ToString) -> SettingsError {
    SettingsError::Invalid { key: key.into(), problem: problem.to_string() }
}

/// Parses the name of an issuer. Error messages name the setting `key`, which contains the name.
fn named(key: &str, name: &str) -> Result<Issuer, SettingsError> {
    Issuer::parse(name).map_err(|error| invalid(key, error))
}

/// Returns the key of an issuer's setting for error messages, followed by the environment variable that can set it.
/// `index` is the position of the issuer in the list.
fn key(index: usize, name: &str) -> String {
    format!("auth.issuers[{index}].{name} ({ISSUERS})")
}

/// Creates the trusted issuer that these settings describe. `index` is the position of the issuer in the list, for
/// error messages.
fn trusted(index: usize, settings: &IssuerSettings) -> Result<TrustedIssuer, SettingsError> {
    let key = |name: &str| key(index, name);
    let keys = match (&settings.jwks_url, &settings.jwks_file, &settings.public_key_file) {
        (Some(url), None, None) => {
            KeySource::JwksUrl(JwksUrl::parse(url.expose_secret()).map_err(|error| invalid(key("jwks_url"), error))?)
        }
        (None, Some(path), None) => KeySource::JwksFile(path.clone()),
        (None, None, Some(path)) => KeySource::PemFile(path.clone()),
        _ => {
            let problem = "requires exactly one of jwks_url, jwks_file and public_key_file";
            return Err(invalid(format!("auth.issuers[{index}] ({ISSUERS})"), problem));
        }
    };
    let algorithm = |name: &String| {
        let of_public_keys = Algorithm::parse(name).filter(|algorithm| *algorithm != Algorithm::Hs256);
        of_public_keys.ok_or_else(|| invalid(key("algorithms"), "must be RS256, ES256, EdDSA or Ed25519"))
    };
    let mut issuer = TrustedIssuer::new(named(&key("issuer"), &settings.issuer)?, keys);
    issuer.algorithms = settings.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?;
    issuer.audiences.clone_from(&settings.audiences);
    issuer.is_native = settings.native;
    issuer.may_grant_super_admin = settings.super_admins;
    issuer.provides_profiles = settings.profiles_from_claims;
    for (name, claim) in [
        (&settings.audience_claim, &mut issuer.audience_claim),
        (&settings.user_claim, &mut issuer.user_claim),
        (&settings.super_admin_claim, &mut issuer.super_admin_claim),
    ] {
        if let Some(name) = name {
            claim.clone_from(name);
        }
    }
    Ok(issuer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment: BTreeMap<_, _> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::load(&environment).unwrap()
    }

    async fn problem(variables: &[(&str, &str)]) -> String {
        verifier(&settings(variables)).await.map(drop).unwrap_err().to_string()
    }

    const PRODUCTION: (&str, &str) = ("IAM__SERVER__MODE", "production");
    const SECRET: (&str, &str) = ("JWT_SECRET", "Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0sA");
    const ISSUER: (&str, &str) = (
        "IAM__AUTH__ISSUERS",
        r#"[{"issuer": "https://issuer.example", "jwks_url": "https://issuer.example/jwks", "native": true}]"#,
    );

    #[tokio::test]
    async fn a_secret_is_required_and_generated_only_without_issuers() {
        let secret = async |variables: &[(&str, &str)]| verifier(&settings(variables)).await.unwrap().1.is_some();
        assert!(secret(&[]).await);
        assert!(secret(&[PRODUCTION, SECRET]).await);
        assert!(!secret(&[ISSUER]).await);
        assert!(!secret(&[PRODUCTION, ISSUER]).await);
        assert!(problem(&[PRODUCTION]).await.starts_with("auth.jwt_secret (JWT_SECRET) is not set"));
        let weak = ("JWT_SECRET", "secret");
        let not_native =
            ("IAM__AUTH__ISSUERS", r#"[{"issuer": "https://a.example", "jwks_url": "https://a.example"}]"#);
        assert!(secret(&[PRODUCTION, SECRET, not_native]).await);
        assert!(problem(&[PRODUCTION, weak, not_native]).await.contains("JWT_SECRET"));
    }

    #[test]
    fn the_log_contains_the_source_of_keys_and_missing_restrictions() {
        let issuers = r#"[{"jwks_url": "https://a.example"}, {"jwks_file": "a"}, {"public_key_file": "a"}]"#;
        let settings = settings(&[("IAM__AUTH__ISSUERS", issuers)]);
        let sources: Vec<_> = settings.auth.issuers.iter().map(key_source).collect();
        assert_eq!(sources, ["jwks_url", "jwks_file", "public_key_file"]);
        assert_eq!(listed(&[], "any"), "any");
        assert_eq!(listed(&["one".to_owned(), "two".to_owned()], "any"), "one, two");
    }

    #[tokio::test]
    async fn the_secret_and_an_issuer_cannot_both_be_native() {
        let problem = problem(&[SECRET, ISSUER]).await;
        let begin = "auth.issuers[0].native (IAM__AUTH__ISSUERS): the shared secret and issuer https://issuer.example";
        assert!(problem.starts_with(begin), "{problem}");
    }

    #[tokio::test]
    async fn the_error_for_an_unusable_issuer_contains_its_index() {
        let good = r#"{"issuer": "https://issuer.example", "jwks_url": "https://issuer.example/jwks"}"#;
        for (second, expected) in [
            (r#"{"jwks_url": "https://a.example"}"#, "auth.issuers[1].issuer: is required"),
            (
                r#"{"issuer": "a|b", "jwks_url": "https://a.example"}"#,
                "auth.issuers[1].issuer: contains a disallowed character",
            ),
            (r#"{"issuer": "a"}"#, "auth.issuers[1]: requires exactly one of"),
            (
                r#"{"issuer": "a", "jwks_file": "a", "public_key_file": "b"}"#,
                "auth.issuers[1]: requires exactly one of",
            ),
            (
                r#"{"issuer": "a", "jwks_url": "http://a.example/hunter2"}"#,
                "auth.issuers[1].jwks_url: must be an https",
            ),
            (
                r#"{"issuer": "a", "jwks_url": "https://a.example", "algorithms": ["HS256"]}"#,
                "auth.issuers[1].algorithms",
            ),
            (
                r#"{"issuer": "a", "jwks_file": "/no/such/file"}"#,
                "auth.issuers[1].jwks_file: cannot read /no/such/file: ",
            ),
            (good, "auth.issuers[1].issuer: issuer https://issuer.example is configured twice"),
        ] {
            let problem = problem(&[("IAM__AUTH__ISSUERS", &format!("[{good}, {second}]"))]).await;
            let plain = problem.replace(" (IAM__AUTH__ISSUERS)", "");
            assert!(plain.starts_with(expected) && !problem.contains("hunter2"), "{problem}");
            assert_ne!(plain, problem);
        }
        let problem_with = async |name: &str, value: &str| problem(&[(name, value)]).await;
        assert!(
            problem_with("IAM__AUTH__JWT_ISSUER", "a|b").await.starts_with("auth.jwt_issuer (IAM__AUTH__JWT_ISSUER): ")
        );
    }

    #[test]
    fn tokens_have_a_default_maximum_age_in_production() {
        let ages = |variables: &[(&str, &str)]| {
            let settings = settings(variables);
            let options = options(settings.server.mode, &settings.auth);
            [options.max_token_age, options.max_super_admin_token_age].map(|age| age.map(|age| age.as_secs()))
        };
        let both = |age| [("IAM__AUTH__MAX_TOKEN_AGE", age), ("IAM__AUTH__MAX_SUPER_ADMIN_TOKEN_AGE", age)];
        assert_eq!(ages(&[]), [None, None]);
        assert_eq!(ages(&both("2h")), [Some(7_200), Some(7_200)]);
        assert_eq!(ages(&[PRODUCTION]), [Some(86_400), Some(3_600)]);
        assert_eq!(ages(&[&[PRODUCTION][..], &both("10m")].concat()), [Some(600), Some(600)]);
        assert_eq!(ages(&[&[PRODUCTION][..], &both("0")].concat()), [None, None]);
    }

    #[test]
    fn the_default_clock_skew_is_half_a_minute() {
        let skew = |variables: &[(&str, &str)]| options(Mode::Production, &settings(variables).auth).clock_skew;
        assert_eq!(skew(&[]), Duration::from_secs(30));
        assert_eq!(skew(&[("IAM__AUTH__CLOCK_SKEW", "0")]), Duration::ZERO);
    }

    #[tokio::test]
    async fn settings_that_weaken_authentication_are_rejected() {
        let issuer = r#"[{"issuer": "https://issuer.example", "jwks_url": "https://issuer.example/jwks",
            "super_admins": true}]"#;
        let issuer = ("IAM__AUTH__ISSUERS", issuer);
        let audiences =
            "auth.issuers[0].audiences (IAM__AUTH__ISSUERS): is required in production if super_admins is true";
        assert_eq!(problem(&[PRODUCTION, issuer]).await, audiences);
        assert!(verifier(&settings(&[issuer])).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_needs_an_id_and_the_address_of_the_console() {
        let issuer = |client: &str| {
            let issuer = r#""issuer": "https://issuer.example", "jwks_url": "https://issuer.example/jwks""#;
            format!("[{{{issuer}, {client}}}]")
        };
        let (with_id, without_id) =
            (issuer(r#""client_id": "a", "client_secret": "b""#), issuer(r#""client_secret": "b""#));
        fn issuers(value: &str) -> (&str, &str) {
            ("IAM__AUTH__ISSUERS", value)
        }
        let (url, disabled) = (("IAM__CONSOLE__PUBLIC_URL", "https://iam.example"), ("IAM__CONSOLE__ENABLED", "false"));
        assert_eq!(
            problem(&[issuers(&with_id)]).await,
            "auth.issuers[0].client_id (IAM__AUTH__ISSUERS): requires console.public_url (IAM__CONSOLE__PUBLIC_URL)"
        );
        let no_id = "auth.issuers[0].client_secret (IAM__AUTH__ISSUERS): requires client_id";
        assert_eq!(problem(&[issuers(&without_id), url]).await, no_id);
        for accepted in [[issuers(&with_id), url], [issuers(&with_id), disabled]] {
            assert!(verifier(&settings(&accepted)).await.is_ok());
        }
    }

    #[test]
    fn every_setting_of_an_issuer_is_applied() {
        let all = r#"[{"issuer": "https://issuer.example", "jwks_url": "https://issuer.example/jwks",
            "algorithms": ["RS256", "EdDSA"], "audiences": ["a", "b"], "audience_claim": "client_id",
            "user_claim": "user", "super_admin_claim": "root", "native": true, "super_admins": true,
            "profiles_from_claims": true}]"#;
        let settings = settings(&[("IAM__AUTH__ISSUERS", all)]);
        let issuer = trusted(0, &settings.auth.issuers[0]).unwrap();
        assert_eq!(issuer.issuer.as_str(), "https://issuer.example");
        assert!(matches!(issuer.keys, KeySource::JwksUrl(_)));
        assert_eq!(issuer.algorithms, [Algorithm::Rs256, Algorithm::EdDsa]);
        assert_eq!(issuer.audiences, ["a", "b"]);
        assert_eq!([issuer.audience_claim, issuer.user_claim, issuer.super_admin_claim], ["client_id", "user", "root"]);
        assert!(issuer.is_native && issuer.may_grant_super_admin && issuer.provides_profiles);

        let least = IssuerSettings { issuer: "a".to_owned(), jwks_file: Some("b".into()), ..IssuerSettings::default() };
        let issuer = trusted(0, &least).unwrap();
        assert_eq!(
            [issuer.audience_claim, issuer.user_claim, issuer.super_admin_claim],
            ["aud", "sub", "isSuperAdmin"]
        );
        assert!(issuer.algorithms.is_empty() && issuer.audiences.is_empty());
        assert!(!issuer.is_native && !issuer.may_grant_super_admin);
    }

    #[tokio::test]
    async fn the_examples_of_the_documentation_are_valid() {
        let manual = include_str!("../../../docs/authentication.md");
        let examples: Vec<&str> =
            manual.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        for vendor in ["auth0", "amazonaws", "clerk", "realms", "jwks_file", "public_key_file"] {
            assert!(examples.iter().any(|example| example.contains(vendor)), "{vendor}");
        }
        for (number, example) in examples.iter().enumerate() {
            let path = std::env::temp_dir().join(format!("iam-manual-{}-{number}.toml", std::process::id()));
            std::fs::write(&path, example).unwrap();
            let loaded = Settings::load(&BTreeMap::from([("IAM_CONFIG".to_owned(), path.display().to_string())]));
            std::fs::remove_file(&path).unwrap();
            let settings = loaded.unwrap();
            assert!(!settings.auth.issuers.is_empty(), "{example}");
            for issuer in &settings.auth.issuers {
                trusted(0, issuer).unwrap();
            }
        }
    }
}
