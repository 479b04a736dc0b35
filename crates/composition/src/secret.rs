//! Checks the secret that signs HS256 tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iam_identity::MIN_SECRET_BYTES;
use secrecy::{ExposeSecret, SecretString};

use crate::Mode;

/// Secrets from tutorials, examples and defaults of other products, reduced to letters and digits in lower case.
const WELL_KNOWN: [&str; 35] = [
    "secret",
    "secretkey",
    "mysecret",
    "mysecretkey",
    "supersecret",
    "supersecretkey",
    "topsecret",
    "jwtsecret",
    "jwtsecretkey",
    "devsecret",
    "testsecret",
    "password",
    "changeme",
    "changethis",
    "changethissecret",
    "changemeinproduction",
    "changethisinproduction",
    "pleasechangemeinproduction",
    "replaceme",
    "yoursecret",
    "yoursecretkey",
    "yoursecretkeyhere",
    "yoursecretkeychangeinproduction",
    "yoursecretkeychangethisinproduction",
    "yourjwtsecret",
    "yourjwtsecretkey",
    "yoursupersecretkey",
    "yoursupersecretjwtkey",
    "yoursupersecretjwtkeychangeinproduction",
    "yoursupersecretjwtkeychangethisinproduction",
    "your256bitsecret",
    "astringsecretatleast256bitslong",
    "supersecretjwttokenwithatleast32characterslong",
    // The secrets in the examples and in the development overlay of this repository.
    "asecretofatleastthirtytwobytes",
    "fordevelopmentonly",
];

/// The reason why a secret is rejected. The message omits the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No secret is set.
    #[error(
        "auth.jwt_secret (JWT_SECRET) is not set; production mode requires a secret of at least {MIN_SECRET_BYTES} \
        bytes"
    )]
    Missing,
    /// The secret begins or ends with white space, or is enclosed in quotes. Most likely, a line break or the quotes of
    /// a shell were copied by mistake, and the signer of the tokens uses the secret without them.
    #[error("auth.jwt_secret (JWT_SECRET) begins or ends with {0}, probably copied by mistake; remove the {0}")]
    Surrounded(&'static str),
    /// The secret is so short that it can be guessed by brute force.
    #[error("auth.jwt_secret (JWT_SECRET) has {0} bytes; production mode requires at least {MIN_SECRET_BYTES}")]
    Short(usize),
    /// The secret is well known or repetitive.
    #[error("auth.jwt_secret (JWT_SECRET) is well known or repetitive; production mode requires a random secret")]
    WellKnown,
}

/// Returns the secret that signs HS256 tokens. In development mode, a random secret is generated if no secret is set.
///
/// # Errors
///
/// Returns [`SecretError`] if the secret is surrounded by white space or quotes. In production, also returns it if the
/// secret is missing or weak.
pub fn signing_secret(mode: Mode, configured: Option<&SecretString>) -> Result<SecretString, SecretError> {
    let configured = configured.filter(|secret| !secret.expose_secret().is_empty());
    if let Some(around) = configured.and_then(|secret| surroundings(secret.expose_secret())) {
        return Err(SecretError::Surrounded(around));
    }
    match (configured, mode) {
        (Some(secret), Mode::Production) => check(secret.expose_secret()).map(|()| secret.clone()),
        (Some(secret), Mode::Development) => Ok(secret.clone()),
        (None, Mode::Production) => Err(SecretError::Missing),
        (None, Mode::Development) => {
            tracing::warn!("JWT_SECRET is not set: using a random secret; a restart invalidates all tokens");
            Ok(random_secret())
        }
    }
}

/// Generates a random secret.
pub(crate) fn random_secret() -> SecretString {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; MIN_SECRET_BYTES]>()).into()
}

/// Returns which kind of characters (white space or quotes) surrounds the secret, probably by mistake. Returns `None`
/// if there are no such characters.
fn surroundings(secret: &str) -> Option<&'static str> {
    const QUOTES: [(char, char); 5] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];
    const BYTE_ORDER_MARK: char = '\u{feff}';
    let is_space =
        |character: char| character.is_whitespace() || character.is_control() || character == BYTE_ORDER_MARK;
    if secret.starts_with(is_space) || secret.ends_with(is_space) {
        return Some("white space");
    }
    let is_quoted = |&(open, close): &(char, char)| secret.strip_prefix(open).is_some_and(|rest| rest.ends_with(close));
    QUOTES.iter().any(is_quoted).then_some("quotes")
}

/// Checks that the secret is strong enough for production mode.
fn check(secret: &str) -> Result<(), SecretError> {
    if is_well_known(secret) || is_repetitive(secret.as_bytes()) {
        return Err(SecretError::WellKnown);
    }
    if secret.len() < MIN_SECRET_BYTES {
        return Err(SecretError::Short(secret.len()));
    }
    Ok(())
}

/// Returns `true` if the secret is well known, regardless of case and punctuation: `Change-Me!` counts as `changeme`.
fn is_well_known(secret: &str) -> bool {
    let plain: String = secret.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WELL_KNOWN.contains(&plain.as_str())
}

/// Returns `true` if the secret consists of repetitions of one sequence, such as `aaaa` or `abcabcab`.
fn is_repetitive(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|period| secret.iter().zip(secret.iter().skip(period)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn production(secret: &str) -> Result<(), SecretError> {
        signing_secret(Mode::Production, Some(&secret.into())).map(drop)
    }

    #[test]
    fn production_rejects_guessable_secrets() {
        assert_eq!(signing_secret(Mode::Production, None).unwrap_err(), SecretError::Missing);
        assert_eq!(production(""), Err(SecretError::Missing));
        assert_eq!(production("Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0s"), Err(SecretError::Short(31)));
        assert_eq!(production("Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0sA"), Ok(()));
        for known in [
            "secret",
            "changeme",
            "CHANGE_ME",
            "dev-secret",
            "your-secret-key",
            "your-256-bit-secret",
            "your-super-secret-jwt-key-change-in-production",
            "Your_Super_Secret_JWT_Key_Change_In_Production!",
            "super-secret-jwt-token-with-at-least-32-characters-long",
            "for-development-only",
            "a-string-secret-at-least-256-bits-long",
            &"x".repeat(64),
            &"dev-secret-".repeat(4),
            "0123456789abcdef0123456789abcdef01",
        ] {
            assert_eq!(production(known), Err(SecretError::WellKnown), "{known}");
        }
    }

    #[test]
    fn white_space_and_quotes_around_a_secret_are_reported_in_every_mode() {
        const GOOD: &str = "Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0sA";
        let outcome = |mode, text: String| signing_secret(mode, Some(&text.into())).map(drop);
        for mode in [Mode::Production, Mode::Development] {
            for (before, after) in
                [("", "\n"), ("", "\r\n"), (" ", " "), ("\t", ""), ("\u{feff}", ""), ("", "\u{a0}"), ("", "\0")]
            {
                let error = outcome(mode, format!("{before}{GOOD}{after}")).unwrap_err().to_string();
                assert!(error.contains("white space") && !error.contains(GOOD), "{error}");
            }
            for (before, after) in [("\"", "\""), ("'", "'"), ("`", "`"), ("\u{201c}", "\u{201d}")] {
                let error = outcome(mode, format!("{before}{GOOD}{after}")).unwrap_err().to_string();
                assert!(error.contains("quotes") && !error.contains(GOOD), "{error}");
            }
            for only in [" ", "\n", "\"\"", "''"] {
                assert!(outcome(mode, only.to_owned()).is_err(), "{only:?}");
            }
            // Quotes inside the secret or at only one of its ends are part of the secret.
            for inside in [format!("{GOOD} x"), format!("{GOOD}\"x"), format!("\"{GOOD}"), format!("{GOOD}'")] {
                assert!(outcome(mode, inside.clone()).is_ok(), "{inside}");
            }
        }
    }

    #[test]
    fn development_accepts_any_secret_and_generates_a_missing_one() {
        let secret = |configured: Option<&str>| {
            let configured = configured.map(SecretString::from);
            signing_secret(Mode::Development, configured.as_ref()).unwrap().expose_secret().to_owned()
        };
        assert_eq!(secret(Some("dev-secret")), "dev-secret");
        let generated = secret(None);
        assert_eq!(check(&generated), Ok(()));
        assert_ne!(generated, secret(Some("")));
    }

    #[test]
    fn no_message_contains_the_secret() {
        let error = production("hunter2hunter2hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
