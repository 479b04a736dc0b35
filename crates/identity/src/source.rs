//! Reads the keys of an issuer from a file or a URL.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iam_traces::{KeyValue, OpenSpan, SpanKind, TRACE_PARENT, TRACE_STATE, TraceHeaders, child_or_root, traced};
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;

use crate::jwks::Jwks;
use crate::{KeyError, KeySet};

/// Maximum size of a key document in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// The divisor for the connect timeout: the timeout of the whole fetch is divided by this number.
const CONNECT_SHARE: u32 = 2;

/// The source of an issuer's keys. Files and URLs are read periodically.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KeySource {
    /// Keys in memory that never change.
    Keys(KeySet),
    /// A PEM file with one or more `BEGIN PUBLIC KEY` blocks.
    PemFile(PathBuf),
    /// A file with a JSON Web Key Set.
    JwksFile(PathBuf),
    /// A URL whose response is a JSON Web Key Set.
    JwksUrl(JwksUrl),
}

/// The URL of a key set: `https`, or `http` for a loopback address. `Debug` does not show the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(Url);

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwksUrl")
    }
}

/// The error for a string that is not a URL from which key sets may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an https URL without user and password; http only for localhost")]
pub struct JwksUrlError;

impl JwksUrl {
    /// Parses the URL. The connection must be secure, because an attacker who can modify the response can forge tokens.
    ///
    /// # Errors
    ///
    /// Returns [`JwksUrlError`] if the URL is malformed, insecure, or contains credentials.
    pub fn parse(text: &str) -> Result<Self, JwksUrlError> {
        let url = Url::parse(text).map_err(|_| JwksUrlError)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if is_safe && !host.is_empty() && !has_credentials { Ok(Self(url)) } else { Err(JwksUrlError) }
    }
}

/// The error for a key source that cannot be read or used. The message contains neither the content nor the URL of the
/// source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file does not exist, or the process lacks the permission to read it.
    #[error("cannot read {}: {source}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause of the failure.
        source: std::io::Error,
    },
    /// The content of the file is not a set of usable keys.
    #[error("{}: {source}", .path.display())]
    FileContent {
        /// The path of the file.
        path: PathBuf,
        /// The cause of the failure.
        source: KeyError,
    },
    /// The server cannot be reached, or it closed the connection before the end of the response.
    #[error("the JWKS server cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The server did not respond within the timeout.
    #[error("the JWKS server did not respond in time")]
    Slow,
    /// The status of the response is not 200. Redirects are not followed.
    #[error("the JWKS server responded with status {0}")]
    Status(u16),
    /// The response is not a key set.
    #[error("the JWKS server's response cannot be used: {0}")]
    Content(KeyError),
    /// The document is longer than [`MAX_DOCUMENT_BYTES`].
    #[error("the key document has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
}

impl SourceError {
    /// The labels that [`kind`](Self::kind) returns.
    pub(crate) const KINDS: [&str; 6] = ["unreadable", "unreachable", "slow", "status", "unusable", "too_large"];

    /// Returns the label that identifies the failure in metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "unreadable",
            Self::Unreachable(_) => "unreachable",
            Self::Slow => "slow",
            Self::Status(_) => "status",
            Self::FileContent { .. } | Self::Content(_) => "unusable",
            Self::TooLarge => "too_large",
        }
    }
}

/// The reader of a key source.
#[derive(Debug)]
pub(crate) enum SourceReader {
    PemFile(PathBuf),
    JwksFile(PathBuf),
    Url(JwksUrl, Client),
}

impl SourceReader {
    pub(crate) async fn read(&self) -> Result<Jwks, SourceError> {
        let of_file = |path: &PathBuf, parsed: Result<Jwks, KeyError>| {
            parsed.map_err(|source| SourceError::FileContent { path: path.clone(), source })
        };
        match self {
            Self::PemFile(path) => {
                let keys = KeySet::from_pem(&String::from_utf8_lossy(&read_file(path).await?));
                of_file(path, keys.map(|keys| Jwks { keys, ignored: Vec::new() }))
            }
            Self::JwksFile(path) => of_file(path, Jwks::parse(&read_file(path).await?)),
            Self::Url(url, client) => Jwks::parse(&fetch(client, url).await?).map_err(SourceError::Content),
        }
    }
}

async fn read_file(path: &PathBuf) -> Result<Vec<u8>, SourceError> {
    let failed = |source| SourceError::File { path: path.clone(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    file.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut content).await.map_err(failed)?;
    if content.len() > MAX_DOCUMENT_BYTES { Err(SourceError::TooLarge) } else { Ok(content) }
}

/// Creates the HTTP client for key sets, which also suits other small requests to the servers of an operator. A whole
/// request, from connecting to the last byte, takes at most `timeout`.
///
/// # Errors
///
/// Returns an error if the TLS library cannot be set up.
pub fn http_client(timeout: Duration) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The root certificates of the operating system are trusted too, for issuers with a private certificate authority.
    // Errors are ignored, because the operating system may have no root certificates.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("iam-identity/", env!("CARGO_PKG_VERSION")))
        // Proxies that the environment configures (`HTTPS_PROXY`) are ignored.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(timeout / CONNECT_SHARE)
        .timeout(timeout)
        // Idle connections are not kept alive, because the next fetch is minutes away.
        .pool_max_idle_per_host(0);
    Ok(client.build()?)
}

/// Fetches the content of the URL, within a span whose context the request contains. The URL is no attribute of the
/// span, because it may contain a secret.
async fn fetch(client: &Client, url: &JwksUrl) -> Result<Vec<u8>, SourceError> {
    let attributes = || {
        let mut attributes = vec![KeyValue::new("http.request.method", "GET")];
        attributes.extend(url.0.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
        attributes.extend(url.0.port_or_known_default().map(|port| KeyValue::new("server.port", i64::from(port))));
        attributes
    };
    let span = child_or_root("fetch keys", SpanKind::Client, attributes);
    let mut request = client.get(url.0.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
    if let Some(TraceHeaders { parent, state }) = span.as_ref().map(OpenSpan::headers) {
        request = request.header(TRACE_PARENT, parent);
        request = state.into_iter().fold(request, |request, state| request.header(TRACE_STATE, state));
    }
    traced(span, receive(request), |outcome| outcome.as_ref().err().map(|error| error.kind().into())).await
}

/// Sends the request, and returns the body of its response.
async fn receive(request: RequestBuilder) -> Result<Vec<u8>, SourceError> {
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => SourceError::Slow,
        // The URL is removed from the error, because it may contain a secret.
        false => SourceError::Unreachable(error.without_url()),
    };
    let mut response = request.send().await.map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(SourceError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(SourceError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
