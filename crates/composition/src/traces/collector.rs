//! The collector to which spans are sent, and the headers that authenticate this process to it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use iam_identity::http_client;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Response, StatusCode, Url};

use crate::TracingSettings;

/// The reason why traces cannot be switched on. The message contains no header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The file with the headers cannot be read.
    #[error("{KEY}: cannot read {}: {source}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// A line of the file is not a header.
    #[error("{KEY}: line {0} of the file must have the form `name: value`")]
    Header(usize),
    /// There is no collector to which the headers could be sent.
    #[error("{KEY}: requires tracing.endpoint (IAM__TRACING__ENDPOINT)")]
    NoEndpoint,
    /// The headers would be sent over a connection that others can read.
    #[error("{KEY}: requires a tracing.endpoint (IAM__TRACING__ENDPOINT) with https, or http on this machine")]
    NotConfidential,
    /// The HTTP client cannot be created.
    #[error("the HTTP client for traces cannot be created: {0}")]
    Client(Box<dyn Error + Send + Sync>),
}

/// The name of the setting of the headers.
const KEY: &str = "tracing.headers_file (IAM__TRACING__HEADERS_FILE)";

/// Reads the headers for the collector from their file. Empty lines and lines that begin with `#` are ignored.
pub(crate) fn headers(settings: &TracingSettings) -> Result<HeaderMap, TracesError> {
    let Some(path) = &settings.headers_file else { return Ok(HeaderMap::new()) };
    let text = std::fs::read_to_string(path).map_err(|source| TracesError::File { path: path.clone(), source })?;
    match &settings.endpoint {
        None => return Err(TracesError::NoEndpoint),
        Some(endpoint) if !endpoint.is_confidential() => return Err(TracesError::NotConfidential),
        Some(_) => {}
    }
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if !line.is_empty() && !line.starts_with('#') {
            let (name, value) = header(line).ok_or(TracesError::Header(number))?;
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// Parses a header. Its value is marked as sensitive.
fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// The reason why a collector did not accept a batch of spans. The message does not contain the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the collector did not respond")]
    NoResponse(#[source] reqwest::Error),
    #[error("the collector responded with status {0}")]
    Status(StatusCode),
}

impl SendError {
    /// Returns `true` if the collector may accept the same batch later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// A collector.
pub(super) struct Collector {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

impl Collector {
    /// Creates the client of the collector at this URL. A request takes at most `timeout`.
    pub(super) fn new(url: Url, mut headers: HeaderMap, timeout: Duration) -> Result<Self, TracesError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("iam/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { client: http_client(timeout).map_err(TracesError::Client)?, url, headers })
    }

    /// Returns the host and the port of the collector, for the log.
    pub(super) fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Sends an encoded batch. Returns the number of spans that the collector rejected although it accepted the batch.
    pub(super) async fn send(&self, batch: Vec<u8>) -> Result<u64, SendError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(batch);
        let response = request.send().await.map_err(|error| SendError::NoResponse(error.without_url()))?;
        if response.status().is_success() {
            Ok(rejected_spans(&body_of(response).await))
        } else {
            Err(SendError::Status(response.status()))
        }
    }
}

/// Maximum length of a response that is read, in bytes.
const LONGEST_RESPONSE: usize = 16 * 1024;

/// Reads the body of a response up to the maximum length. If the rest is long or missing, the body is incomplete.
async fn body_of(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_RESPONSE {
            break;
        }
    }
    body
}

/// Returns the number of rejected spans that the body of a response states. An incomplete or malformed body states none,
/// because the collector has accepted the batch.
fn rejected_spans(body: &[u8]) -> u64 {
    let parsed = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    parsed.partial_success.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_sensitive_value() {
        let (name, value) = header("X-Api-Key:  hunter2: 1 ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-api-key", "hunter2: 1"));
        assert!(!format!("{value:?}").contains("hunter2"));
        for line in ["hunter2", ": hunter2", "a b: hunter2", "x-api-key: hunter\u{7}"] {
            assert!(header(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_response_states_how_many_spans_were_rejected() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

        let partial = |rejected_spans| {
            let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: "full".to_owned() });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        };
        assert_eq!((rejected_spans(&partial(3)), rejected_spans(&partial(-3))), (3, 0));
        assert_eq!((rejected_spans(&[]), rejected_spans(b"{}"), rejected_spans(&partial(3)[..5])), (0, 0, 0));
    }

    #[test]
    fn the_error_for_a_line_contains_its_number_and_not_its_value() {
        let path = std::env::temp_dir().join(format!("iam-trace-headers-{}", std::process::id()));
        std::fs::write(&path, "# a comment\n\nx-api-key: a\nhunter2\n").unwrap();
        let settings = TracingSettings { headers_file: Some(path.clone()), ..TracingSettings::default() };
        let no_endpoint = headers(&settings).unwrap_err();
        let endpoint = serde_json::from_str(r#""http://127.0.0.1:4318""#).unwrap();
        let error = headers(&TracingSettings { endpoint: Some(endpoint), ..settings }).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let text = format!("{error} {error:?}");
        assert!(matches!(no_endpoint, TracesError::NoEndpoint), "{no_endpoint}");
        assert!(text.contains("line 4 ") && text.contains("IAM__TRACING__HEADERS_FILE"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
