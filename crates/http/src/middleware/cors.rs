//! Allows web pages of configured origins to call the API from a browser (CORS).

use std::collections::HashSet;
use std::fmt;

use actix_cors::Cors;
use actix_web::http::header::HeaderValue;
use url::{Host, Url};

/// The origins whose web pages may call the API. Each origin is stored in the form that browsers send: scheme and host
/// in lower case, no default port, no path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    exact: HashSet<String>,
    subdomains: Vec<Subdomains>,
}

/// A wildcard origin such as `https://*.example.com`. It matches subdomains at any depth, but not the domain itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subdomains {
    /// The scheme with its separator, such as `https://`.
    scheme: String,
    /// The suffix of the origin, such as `.example.com`, including a non-default port.
    rest: String,
}

impl Subdomains {
    fn include(&self, origin: &str) -> bool {
        let labels = origin.strip_prefix(&self.scheme).and_then(|rest| rest.strip_suffix(&self.rest));
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        labels.is_some_and(|labels| labels.split('.').all(is_label))
    }
}

/// The error for an entry that is not a valid origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginError {
    /// The 1-based position of the entry in the list. Empty entries are not counted.
    place: usize,
    /// The entry, as shown in the message. The part before an `@` may contain a password, so it is replaced by `…`.
    shown: String,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("cannot be allowed, because browsers send it for every page with an opaque origin")]
    Null,
    #[error("must have a scheme, as in https://app.example.com")]
    Scheme,
    #[error("must be scheme://host or scheme://host:port, as in https://app.example.com")]
    Form,
    #[error("must not contain credentials")]
    Credentials,
    #[error("must not have a path, a query or a fragment: an origin is scheme://host:port")]
    Path,
    #[error("the host has an empty label: it begins with a dot or has two dots in a row")]
    Host,
    #[error("port 0 cannot be part of an origin")]
    Port,
    #[error("a wildcard can only be the whole first label of a domain name, as in https://*.example.com")]
    Wildcard,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, shown, problem } = self;
        write!(f, "entry {place}, {shown:?}: {problem}")
    }
}

impl std::error::Error for OriginError {}

impl AllowedOrigins {
    /// Returns a list that allows every origin.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Parses a list of allowed origins. The entry `*` allows every origin, an entry such as `https://*.example.com`
    /// allows all subdomains of a domain, and any other entry allows exactly one origin. Letter case, a default port
    /// and a trailing slash are normalized. Empty entries are ignored.
    ///
    /// # Errors
    ///
    /// Returns [`OriginError`] for the first entry that is not a valid origin.
    pub fn parse(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, OriginError> {
        let mut allowed = Self::default();
        let entries = entries.into_iter();
        let mut place = 0;
        for entry in entries {
            let entry = entry.as_ref().trim();
            if entry.is_empty() {
                continue;
            }
            place += 1;
            allowed.add(entry).map_err(|problem| {
                // The part before `@` may contain a password.
                let shown = entry.rsplit_once('@').map_or_else(|| entry.to_owned(), |(_, rest)| format!("…@{rest}"));
                OriginError { place, shown, problem }
            })?;
        }
        Ok(allowed)
    }

    fn add(&mut self, entry: &str) -> Result<(), Problem> {
        match entry {
            "*" => {
                self.any = true;
                return Ok(());
            }
            "null" => return Err(Problem::Null),
            _ => {}
        }
        let (scheme, rest) = entry.split_once("://").ok_or(Problem::Scheme)?;
        if rest.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(Problem::Form);
        }
        if rest.contains('@') {
            return Err(Problem::Credentials);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '\\', '?', '#']) {
            return Err(Problem::Path);
        }
        let domain = authority.strip_prefix("*.");
        if scheme.contains('*') || domain.unwrap_or(authority).contains('*') {
            return Err(Problem::Wildcard);
        }
        let url = Url::parse(&format!("{scheme}://{}", domain.unwrap_or(authority))).map_err(|_| Problem::Form)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Problem::Form)?.to_ascii_lowercase();
        // A trailing dot marks a host name as fully qualified; it does not add an empty label.
        let name = host.strip_suffix('.').unwrap_or(&host);
        if name.split('.').any(str::is_empty) {
            return Err(Problem::Host);
        }
        if url.port() == Some(0) {
            return Err(Problem::Port);
        }
        let scheme = format!("{}://", url.scheme());
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        if domain.is_none() {
            self.exact.insert(format!("{scheme}{host}{port}"));
            return Ok(());
        }
        // A wildcard below a top-level domain would allow hosts of different owners. IP addresses have no subdomains.
        let is_address = !matches!(url.host(), Some(Host::Domain(_)));
        if is_address || !(name.contains('.') || name == "localhost") {
            return Err(Problem::Wildcard);
        }
        let subdomains = Subdomains { scheme, rest: format!(".{host}{port}") };
        if !self.subdomains.contains(&subdomains) {
            self.subdomains.push(subdomains);
        }
        Ok(())
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| {
            self.exact.contains(origin) || self.subdomains.iter().any(|subdomains| subdomains.include(origin))
        })
    }
}

/// Creates the CORS middleware. Requests from allowed origins may contain any header. Credentialed requests are not
/// allowed, because the API does not use cookies.
pub(super) fn cors(origins: &AllowedOrigins) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allow_any_header()
        .expose_headers([
            "age",
            "allow",
            "etag",
            "retry-after",
            "warning",
            "www-authenticate",
            "x-iam-version",
            "x-request-id",
        ])
        .max_age(3600);
    if origins.any {
        return cors.allow_any_origin();
    }
    let origins = origins.clone();
    cors.allowed_origin_fn(move |origin, _| origins.allow(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entries: &str, origin: &str) -> bool {
        let allowed = AllowedOrigins::parse(entries.split(',')).unwrap();
        allowed.any || allowed.allow(&HeaderValue::from_str(origin).unwrap())
    }

    #[test]
    fn equivalent_notations_of_an_origin_are_accepted() {
        for (entries, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("HTTPS://App.Example.COM", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80/", "http://app.example.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://ABCDEF", "chrome-extension://abcdef"),
            ("https://a.example,", "https://a.example"),
            (", ,https://a.example,,https://a.example,", "https://a.example"),
            (" https://a.example , https://b.example ", "https://b.example"),
            ("https://a.example,*", "https://z.example"),
            ("https://app.example.com.", "https://app.example.com."),
        ] {
            assert!(allows(entries, origin), "{entries:?} {origin}");
        }
    }

    #[test]
    fn no_other_origin_is_allowed() {
        for (entries, origin) in [
            ("https://app.example.com", "http://app.example.com"),
            ("https://app.example.com", "https://app.example.com:8443"),
            ("https://app.example.com:8443", "https://app.example.com"),
            ("http://app.example.com:443", "https://app.example.com"),
            ("https://app.example.com", "https://evil-app.example.com"),
            ("https://app.example.com", "https://app.example.com.evil.example"),
            ("https://app.example.com", "null"),
            ("", "https://app.example.com"),
        ] {
            assert!(!allows(entries, origin), "{entries:?} {origin}");
        }
    }

    #[test]
    fn a_wildcard_matches_every_subdomain() {
        for (entries, origin, is_in) in [
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("HTTPS://*.Example.com:443/", "https://a-1.example.com", true),
            ("https://*.example.com:8443", "https://a.example.com:8443", true),
            ("http://*.localhost:5173", "http://tenant.localhost:5173", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "https://a..example.com", false),
            ("https://*.example.com", "https://aexample.com", false),
            ("https://*.example.com", "https://evil.example/.example.com", false),
            ("https://*.example.com", "https://evil.example#.example.com", false),
            ("https://*.example.com", "https://evil.example:1.example.com", false),
            ("https://*.example.com", "https://evil@a.example.com", false),
            ("https://*.example.com", "https://a.example.com.evil.example", false),
            ("https://*.example.com", "http://a.example.com", false),
            ("https://*.example.com", "https://a.example.com:8443", false),
            ("https://*.example.com:8443", "https://a.example.com", false),
        ] {
            assert_eq!(allows(entries, origin), is_in, "{entries} {origin}");
        }
    }

    #[test]
    fn the_error_for_an_invalid_origin_contains_the_reason() {
        for (entries, expected) in [
            ("null", Problem::Null),
            ("none", Problem::Scheme),
            ("app.example.com", Problem::Scheme),
            ("//app.example.com", Problem::Scheme),
            ("https:app.example.com", Problem::Scheme),
            ("https://", Problem::Form),
            ("https://a b", Problem::Form),
            ("https://a.example https://b.example", Problem::Form),
            ("https://a.example;https://b.example", Problem::Path),
            ("https://a.example:port", Problem::Form),
            ("https://a.example:99999", Problem::Form),
            ("://a.example", Problem::Form),
            ("http://localhost:5173/admin", Problem::Path),
            ("https://a.example//", Problem::Path),
            ("https://a.example?x", Problem::Path),
            ("https://a.example/#x", Problem::Path),
            ("https://user:hunter2@a.example", Problem::Credentials),
            ("https://hunter2@a.example/path", Problem::Credentials),
            ("*.example.com", Problem::Scheme),
            ("*://a.example", Problem::Wildcard),
            ("https://*", Problem::Wildcard),
            ("https://*.com", Problem::Wildcard),
            ("https://*.com.", Problem::Wildcard),
            ("https://*.*.example.com", Problem::Wildcard),
            ("https://a.*.example.com", Problem::Wildcard),
            ("https://*a.example.com", Problem::Wildcard),
            ("https://a.example.com:*", Problem::Wildcard),
            ("https://*.127.0.0.1", Problem::Wildcard),
            ("https://*.[::1]", Problem::Wildcard),
            ("https://.example.com", Problem::Host),
            ("https://.", Problem::Host),
            ("https://app..example.com", Problem::Host),
            ("https://example.com..", Problem::Host),
            ("https://*..example.com", Problem::Host),
            ("https://*.example..com", Problem::Host),
            ("app://.localhost", Problem::Host),
            ("https://app.example.com:0", Problem::Port),
            ("http://localhost:0/", Problem::Port),
            ("http://[::1]:00", Problem::Port),
            ("https://*.example.com:0", Problem::Port),
        ] {
            let error = AllowedOrigins::parse(["https://ok.example", "", entries]).unwrap_err();
            assert_eq!((error.place, error.problem), (2, expected), "{entries}");
            let told = error.to_string();
            assert!(told.starts_with("entry 2, \"") && !told.contains("hunter2"), "{told}");
            assert!(entries.contains('@') || told.contains(entries), "{told}");
        }
    }
}
