//! The parser of database URLs, for the server and for the migrations. It runs before the driver's own parser, because the
//! driver's parser logs unknown parameters with their values. Such a value may be a password.
//!
//! ```
//! use secrecy::SecretString;
//!
//! let options = iam_database_url::parse(&SecretString::from("postgres://iam:p%2Fw@db.example/iam?sslmode=require"))?;
//! assert_eq!(options.get_host(), "db.example");
//!
//! let mistyped = iam_database_url::parse(&SecretString::from("postgres://iam@db.example/iam?sslmod=require"));
//! assert_eq!(mistyped.unwrap_err().to_string(), "contains the unknown parameter sslmod");
//! # Ok::<(), iam_database_url::UrlError>(())
//! ```

use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// The URL parameters that the driver supports.
const READ: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];
/// Parameters of other drivers that this parser ignores, each with the values that can be ignored safely. An empty list
/// means any value.
const IGNORED: [(&str, &[&str]); 7] = [
    // Ignored, because settings of the service replace these parameters.
    ("application_name", &[]),
    ("connect_timeout", &[]),
    ("pgbouncer", &[]),
    // The adapter rejects read-only sessions regardless of this parameter.
    ("target_session_attrs", &["any", "read-write", "primary", "prefer-standby"]),
    // The driver authenticates by SCRAM without channel binding, regardless of this parameter.
    ("channel_binding", &["disable", "prefer", "require"]),
    ("gssencmode", &["disable", "prefer"]),
    ("schema", &["public"]),
];
/// Maximum length, in bytes, of the parameter name in an error message.
const LONGEST_NAME: usize = 40;

/// The reason why a database URL cannot be used. Its message never contains a value from the URL, because any value may
/// be a password or a part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The string is not a URL.
    #[error(
        "is not a valid PostgreSQL URL (postgres://user:password@host:port/database, special characters \
        percent-encoded): {0}"
    )]
    Syntax(url::ParseError),
    /// The scheme is neither `postgres` nor `postgresql`.
    #[error("is not a PostgreSQL URL: it must begin with postgres:// or postgresql://")]
    Scheme,
    /// The URL contains a `#`. A URL parser treats the part after the `#` as a fragment, and fragments are not used.
    #[error("contains a #, which must be percent-encoded as %23")]
    Fragment,
    /// The part after the host contains a `/` or an `@`. It is usually a part of a password with an unescaped `/`, and the
    /// address of the database, which is printed, would contain it.
    #[error(
        "contains a / or an @ after the host; in a user name, a password or the name of the database, / must be \
        percent-encoded as %2F, and @ as %40"
    )]
    Path,
    /// The URL has an unknown parameter.
    #[error("contains the unknown parameter {0}")]
    Unknown(String),
    /// The URL has an unknown parameter. The message does not contain the parameter's name, because the name may be a
    /// part of a password.
    #[error("contains an unknown parameter; a ? in a user name or password must be percent-encoded as %3F")]
    Unnamed,
    /// A parameter has an unsupported value.
    #[error("has an unsupported value for the parameter {0}")]
    Value(String),
    /// The driver rejects the URL.
    #[error("cannot be used: the user name, the password, the database name or a parameter cannot be decoded")]
    Driver,
}

/// Parses the connection options of a database URL.
///
/// # Errors
///
/// Returns [`UrlError`] if the URL is malformed, or has a parameter that is unknown or has an unusable value.
pub fn parse(url: &SecretString) -> Result<PgConnectOptions, UrlError> {
    let text = url.expose_secret();
    let mut url = Url::parse(text)
        .or_else(|error| match error {
            // The URL has a user but no host. The parameter `host` may specify the host; otherwise the host is
            // localhost.
            url::ParseError::EmptyHost => Url::parse(&text.replacen("@/", "@localhost/", 1)),
            error => Err(error),
        })
        .map_err(UrlError::Syntax)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(UrlError::Scheme);
    }
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    if url.path().trim_start_matches('/').contains(['/', '@']) {
        return Err(UrlError::Path);
    }
    let mut kept = Vec::new();
    for (name, value) in url.query_pairs() {
        if READ.contains(&name.as_ref()) || name.starts_with("options[") && name.ends_with(']') {
            if !is_usable(&name, &value) {
                return Err(UrlError::Value(name.into_owned()));
            }
            kept.push((name.into_owned(), value.into_owned()));
        } else if let Some((_, values)) = IGNORED.iter().find(|(needless, _)| *needless == name) {
            if !values.is_empty() && !values.contains(&value.as_ref()) {
                return Err(UrlError::Value(name.into_owned()));
            }
            tracing::debug!(parameter = %name, "ignoring a parameter of the database URL");
        } else if is_name(&name) && !url.query().is_some_and(|query| query.contains('@')) {
            return Err(UrlError::Unknown(name.into_owned()));
        } else {
            return Err(UrlError::Unnamed);
        }
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(&kept);
    }
    let options = PgConnectOptions::from_str(url.as_str()).map_err(|_| UrlError::Driver)?;
    // The driver would treat the brackets of an IPv6 address (`[::1]`) as part of the host name, and fail to resolve
    // it.
    let elsewhere = kept.iter().any(|(name, _)| matches!(name.as_str(), "host" | "hostaddr"));
    Ok(match url.host() {
        Some(Host::Ipv6(address)) if !elsewhere => options.host(&address.to_string()),
        _ => options,
    })
}

/// Returns `true` if the driver accepts `value` for the parameter `name`, which is one of [`READ`].
fn is_usable(name: &str, value: &str) -> bool {
    match name {
        "sslmode" | "ssl-mode" => {
            matches!(value, "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full")
        }
        "port" => value.parse::<u16>().is_ok(),
        "hostaddr" => value.parse::<std::net::IpAddr>().is_ok(),
        // 0 is accepted, but then the driver never closes a prepared statement.
        "statement-cache-capacity" => value.parse::<usize>().is_ok(),
        _ => true,
    }
}

/// Returns `true` if a string looks like the name of a parameter and not like a part of a password.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<PgConnectOptions, UrlError> {
        parse(&SecretString::from(url))
    }

    #[test]
    fn an_ipv6_address_has_no_brackets() {
        for (url, host) in [
            ("postgres://iam@[::1]:5433/iam", "::1"),
            ("postgres://iam@[2001:DB8::7]/iam?sslmode=require", "2001:db8::7"),
            ("postgres://iam@x/iam?host=::1", "::1"),
            ("postgres://iam@[::1]/iam?host=db.example", "db.example"),
            ("postgres://iam@[::1]/iam?hostaddr=127.0.0.1", "127.0.0.1"),
            ("postgres://iam@127.0.0.1/iam", "127.0.0.1"),
            ("postgresql://iam@db.example/iam", "db.example"),
        ] {
            assert_eq!(parsed(url).unwrap().get_host(), host, "{url}");
        }
        assert_eq!(parsed("postgres://iam@[::1]:5433/iam").unwrap().get_port(), 5433);
    }

    #[test]
    fn an_unescaped_password_is_not_used_as_the_name_of_the_database() {
        for url in [
            "postgres://iam:/secret@127.0.0.1/iam",
            "postgres://iam:54321/secret@127.0.0.1/iam",
            "postgres://iam@127.0.0.1/iam/secret",
            "postgres://iam:12/secret@127.0.0.1",
        ] {
            assert_eq!(parsed(url).unwrap_err(), UrlError::Path, "{url}");
        }
        assert_eq!(parsed("postgres://iam:12345?secret@127.0.0.1/iam").unwrap_err(), UrlError::Unnamed);
    }

    #[test]
    fn a_host_that_is_a_path_is_a_socket_directory() {
        for url in [
            "postgres://iam@%2Frun%2Fpostgresql:5433/iam",
            "postgres://iam@/iam?host=/run/postgresql&port=5433",
            "postgres:///iam?host=/run/postgresql&port=5433&user=iam",
        ] {
            let options = parsed(url).unwrap();
            assert_eq!(options.get_socket().and_then(|path| path.to_str()), Some("/run/postgresql"), "{url}");
            assert_eq!((options.get_port(), options.get_database()), (5433, Some("iam")), "{url}");
        }
    }

    #[test]
    fn escapes_are_decoded_once() {
        let options = parsed("postgres://o%20dd%40role:p%25%34%31@h/a%2Fb").unwrap();
        assert_eq!((options.get_username(), options.get_database()), ("o dd@role", Some("a/b")));
    }

    #[test]
    fn parameters_of_other_drivers_are_ignored() {
        for query in [
            "channel_binding=require",
            "target_session_attrs=read-write",
            "connect_timeout=10",
            "application_name=x",
            "schema=public",
            "pgbouncer=true",
            "gssencmode=prefer",
            "sslmode=prefer&connect_timeout=10&options=-c%20search_path%3Dpublic",
            "options[search_path]=public",
            "statement-cache-capacity=100",
        ] {
            assert!(parsed(&format!("postgres://iam@h/iam?{query}")).is_ok(), "{query}");
        }
    }

    #[test]
    fn the_error_for_an_unusable_parameter_contains_its_name_but_not_its_value() {
        let unknown = |name: &str| UrlError::Unknown(name.to_owned());
        let value = |name: &str| UrlError::Value(name.to_owned());
        for (url, error) in [
            ("postgres://iam@h/iam?ssl=hunter2", unknown("ssl")),
            ("postgres://iam@h/iam?sslmod=hunter2&sslmode=require", unknown("sslmod")),
            ("postgres://iam@h/iam?sslmode=hunter2", value("sslmode")),
            ("postgres://iam@h/iam?port=hunter2", value("port")),
            ("postgres://iam@h/iam?hostaddr=hunter2", value("hostaddr")),
            ("postgres://iam@h/iam?statement-cache-capacity=hunter2", value("statement-cache-capacity")),
            ("postgres://iam@h/iam?schema=hunter2", value("schema")),
            ("postgres://iam@h/iam?target_session_attrs=standby", value("target_session_attrs")),
            ("postgres://iam@h/iam#hunter2", UrlError::Fragment),
            ("postgres://iam:p?hunter2@h/iam", UrlError::Syntax(url::ParseError::InvalidPort)),
            ("postgres://iam?hunter2@h/iam", UrlError::Unnamed),
            ("postgres://iam?hunter&hunter2@h/iam", UrlError::Unnamed),
            ("postgres://iam:5432?hunter=hunter2@h/iam", UrlError::Unnamed),
            ("postgres://iam:hunter2@h:x/iam", UrlError::Syntax(url::ParseError::InvalidPort)),
            ("mysql://iam:hunter2@h/iam", UrlError::Scheme),
            ("jdbc:postgresql://h/iam?password=hunter2", UrlError::Scheme),
            ("host=h password=hunter2", UrlError::Syntax(url::ParseError::RelativeUrlWithoutBase)),
            ("\"postgres://iam:hunter2@h/iam\"", UrlError::Syntax(url::ParseError::RelativeUrlWithoutBase)),
            ("postgres://iam:%FFhunter2@h/iam", UrlError::Driver),
        ] {
            let refused = parsed(url).unwrap_err();
            assert_eq!(refused, error, "{url}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{url}");
        }
    }
}
