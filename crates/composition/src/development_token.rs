//! Development tokens, which are signed with the configured shared secret. The command `iam token` prints one, and
//! the demo prints two.

use iam_domain::{ExternalSubject, Timestamp, UserId};
use iam_identity::{SharedSecret, SigningError, TokenSigner, system_clock};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::issuers::{self, AuthError};
use crate::{Mode, Settings};

/// The reason why a development token is not signed. The message contains no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevelopmentTokenError {
    /// The settings select production mode, in which only an identity provider issues tokens.
    #[error(
        "tokens are signed only in development mode, and IAM__SERVER__MODE is production: in production the identity \
        provider issues the tokens"
    )]
    Production,
    /// No shared secret is set. The server then generates a random secret, which no other process can read.
    #[error(
        "JWT_SECRET is not set: the server generates a random secret, which this command cannot read. Set JWT_SECRET \
        to the same value for the server and for this command"
    )]
    NoSecret,
    /// No shared secret is set, and the server accepts only tokens of the configured issuers.
    #[error("JWT_SECRET is not set: the server accepts only tokens of the issuers in IAM__AUTH__ISSUERS")]
    OnlyIssuers,
    /// The user is not a UUID, and without a configured issuer the server accepts only UUIDs.
    #[error("--user must be a UUID: the server accepts other names only if IAM__AUTH__JWT_ISSUER is set")]
    NotUuid,
    /// The user is a UUID of version 8. UUIDs of this version are reserved for API keys and for users of other issuers.
    #[error("--user must not be a UUID of version 8: these UUIDs are reserved for API keys and users of other issuers")]
    Reserved,
    /// The user is not a valid subject.
    #[error("--user {0}")]
    Subject(String),
    /// The server would reject the token before it expires, because the token would be too old.
    #[error("--ttl must be at most {limit} seconds: the server rejects older tokens ({setting})")]
    TooLong {
        /// The maximum age, in seconds.
        limit: u64,
        /// The setting that limits the age.
        setting: &'static str,
    },
    /// The authentication settings cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The token cannot be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The contents of a development token.
#[derive(Debug, Clone)]
pub struct DevelopmentToken {
    /// The user: a UUID, or the name of a user of the issuer `IAM__AUTH__JWT_ISSUER`.
    pub user: String,
    /// Whether the token grants super admin.
    pub super_admin: bool,
    /// The lifetime of the token, in seconds.
    pub ttl: u32,
}

impl DevelopmentToken {
    /// Signs the token with the shared secret of these settings. A server with the same settings accepts the token.
    ///
    /// # Errors
    ///
    /// Returns [`DevelopmentTokenError`] in production mode, if no shared secret is set, or if the server would reject
    /// the token.
    pub fn sign(&self, settings: &Settings) -> Result<String, DevelopmentTokenError> {
        let auth = &settings.auth;
        if settings.server.mode == Mode::Production {
            return Err(DevelopmentTokenError::Production);
        }
        let is_set = |secret: &SecretString| !secret.expose_secret().is_empty();
        if !auth.jwt_secret.as_ref().is_some_and(is_set) {
            let only_issuers = !auth.issuers.is_empty();
            return Err(if only_issuers {
                DevelopmentTokenError::OnlyIssuers
            } else {
                DevelopmentTokenError::NoSecret
            });
        }
        let Some(shared) = issuers::shared_secret(settings.server.mode, auth)? else {
            return Err(DevelopmentTokenError::OnlyIssuers);
        };
        self.check_user(&shared)?;
        self.check_lifetime(settings)?;
        Ok(signed(&shared, &self.user, self.super_admin, system_clock().now(), self.ttl)?)
    }

    /// Checks that the server accepts the user as the subject of a token.
    fn check_user(&self, shared: &SharedSecret) -> Result<(), DevelopmentTokenError> {
        match UserId::parse(&self.user) {
            Ok(id) if id.is_service_generated() => Err(DevelopmentTokenError::Reserved),
            Ok(_) => Ok(()),
            Err(_) if shared.issuer.is_none() => Err(DevelopmentTokenError::NotUuid),
            Err(_) => ExternalSubject::parse(&self.user)
                .map(drop)
                .map_err(|error| DevelopmentTokenError::Subject(error.to_string())),
        }
    }

    /// Checks that the token expires before it exceeds the maximum token age.
    fn check_lifetime(&self, settings: &Settings) -> Result<(), DevelopmentTokenError> {
        let options = issuers::options(settings.server.mode, &settings.auth);
        for (setting, limit) in [
            ("IAM__AUTH__MAX_TOKEN_AGE", options.max_token_age),
            ("IAM__AUTH__MAX_SUPER_ADMIN_TOKEN_AGE", options.max_super_admin_token_age.filter(|_| self.super_admin)),
        ] {
            if let Some(limit) = limit.map(|limit| limit.as_secs()).filter(|limit| u64::from(self.ttl) > *limit) {
                return Err(DevelopmentTokenError::TooLong { limit, setting });
            }
        }
        Ok(())
    }
}

/// Signs a token for this user that is valid for `seconds` from `now`. The token has exactly the claims that the server
/// reads.
pub(crate) fn signed(
    shared: &SharedSecret,
    user: &str,
    is_super_admin: bool,
    now: Timestamp,
    seconds: u32,
) -> Result<String, SigningError> {
    let issued_at = now.millis() / 1000;
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    if let Some(issuer) = &shared.issuer {
        claim("iss", json!(issuer.as_str()));
    }
    if !shared.audiences.is_empty() {
        claim("aud", json!(shared.audiences));
    }
    claim("userId", json!(user));
    if is_super_admin {
        claim("isSuperAdmin", json!(true));
    }
    claim("iat", json!(issued_at));
    claim("exp", json!(issued_at + i64::from(seconds)));
    TokenSigner::hs256(&shared.secret).sign_claims(&claims)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const USER: &str = "c0ffee00-0000-4000-8000-00000000000a";
    const SECRET: (&str, &str) = ("JWT_SECRET", "dev-secret");

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment: BTreeMap<_, _> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::load(&environment).unwrap()
    }

    fn token(user: &str, super_admin: bool, ttl: u32) -> DevelopmentToken {
        DevelopmentToken { user: user.to_owned(), super_admin, ttl }
    }

    #[tokio::test]
    async fn the_server_of_the_same_settings_accepts_the_token() {
        let issuer = ("IAM__AUTH__JWT_ISSUER", "https://sign-in.example");
        let audience = ("IAM__AUTH__JWT_AUDIENCE", "one, two");
        let mode = ("IAM__SERVER__MODE", "development");
        for (variables, user) in
            [(&[SECRET, mode][..], USER), (&[SECRET, issuer, audience], "ada"), (&[SECRET, issuer], USER)]
        {
            for super_admin in [false, true] {
                let settings = settings(variables);
                let signed = token(user, super_admin, 60).sign(&settings).unwrap();
                let (verifier, _) = issuers::verifier(&settings).await.unwrap();
                let verified = verifier.verify(&signed).await.unwrap();
                assert_eq!(verified.is_super_admin, super_admin);
                match verified.external_id {
                    Some(external) => assert_eq!(external.subject.as_str(), user),
                    None => assert_eq!(verified.user_id.to_string(), user),
                }
            }
        }
    }

    #[test]
    fn a_token_that_the_server_would_reject_is_not_signed() {
        let issuers = r#"[{"issuer": "https://a.example", "jwks_url": "https://a.example/jwks"}]"#;
        let issuers = ("IAM__AUTH__ISSUERS", issuers);
        let production = ("IAM__SERVER__MODE", "production");
        let strong = ("JWT_SECRET", "Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0sA");
        let (age, super_age) = (("IAM__AUTH__MAX_TOKEN_AGE", "2m"), ("IAM__AUTH__MAX_SUPER_ADMIN_TOKEN_AGE", "1m"));
        let of_version_8 = "c0ffee00-0000-8000-8000-00000000000a";
        for (variables, wanted, expected) in [
            (&[production, strong][..], token(USER, false, 60), "tokens are signed only in development mode"),
            (&[], token(USER, false, 60), "Set JWT_SECRET to the same value for the server and for this command"),
            (&[("JWT_SECRET", "")], token(USER, false, 60), "JWT_SECRET is not set"),
            (&[issuers], token(USER, false, 60), "the server accepts only tokens of the issuers"),
            (
                &[("JWT_SECRET", " x")],
                token(USER, false, 60),
                "auth.jwt_secret (JWT_SECRET) begins or ends with white space",
            ),
            (&[SECRET], token("ada", false, 60), "--user must be a UUID"),
            (&[SECRET], token(of_version_8, false, 60), "--user must not be a UUID of version 8"),
            (&[SECRET, age], token(USER, false, 121), "--ttl must be at most 120"),
            (&[SECRET, age, super_age], token(USER, true, 61), "(IAM__AUTH__MAX_SUPER_ADMIN_TOKEN_AGE)"),
        ] {
            let error = wanted.sign(&settings(variables)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(token(USER, false, 120).sign(&settings(&[SECRET, age, super_age])).is_ok());
    }
}
