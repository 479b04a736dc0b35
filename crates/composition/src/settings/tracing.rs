//! The settings of traces.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::parse::{boolean, number, positive_duration, ratio};

/// The settings of traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingSettings {
    /// The URL of the collector that receives the spans with OTLP over HTTP. `None` switches traces off.
    pub endpoint: Option<CollectorUrl>,
    /// The path of a file with headers for the collector, such as an API key: one header in each line.
    pub headers_file: Option<PathBuf>,
    /// The share of the requests that are sampled, from 0 to 1. Default: 0.01.
    #[serde(deserialize_with = "ratio")]
    pub sample_ratio: f64,
    /// Whether a client can cause a request to be sampled, with a `traceparent` that is sampled. Default: `false`.
    #[serde(deserialize_with = "boolean")]
    pub trust_parent: bool,
    /// The name of the service in traces. Default: `iam`.
    pub service_name: String,
    /// Timeout for one request to the collector.
    #[serde(deserialize_with = "positive_duration")]
    pub timeout: Duration,
    /// Maximum time from the end of a span to its export.
    #[serde(deserialize_with = "positive_duration")]
    pub interval: Duration,
    /// Maximum number of ended spans that wait for their export.
    #[serde(deserialize_with = "number")]
    pub max_queued_spans: NonZeroU32,
}

impl Default for TracingSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers_file: None,
            sample_ratio: 0.01,
            trust_parent: false,
            service_name: "iam".to_owned(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            max_queued_spans: NonZeroU32::MIN.saturating_add(8191),
        }
    }
}

/// The URL of a collector. `Debug` does not show the URL, because its path may contain a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CollectorUrl(Url);

impl CollectorUrl {
    /// Parses the URL of a collector. The path `v1/traces` below it receives the spans.
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())?;
        let is_bare = url.username().is_empty() && url.password().is_none();
        (is_bare && url.query().is_none() && url.fragment().is_none()).then_some(Self(url))
    }

    /// Returns the URL that receives spans.
    pub(crate) fn traces(&self) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "traces"]);
        }
        url
    }

    /// Returns `true` if no other machine can read the requests: their connection is encrypted, or does not leave this
    /// machine.
    pub(crate) fn is_confidential(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.0.scheme() == "https" || is_local
    }
}

impl fmt::Debug for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectorUrl")
    }
}

impl<'de> Deserialize<'de> for CollectorUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let problem = "must be an http or https URL without user, password, query and fragment";
        Self::parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_sent_below_the_url_of_the_collector() {
        for (url, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://a.example/otlp", "https://a.example/otlp/v1/traces"),
            ("https://a.example/otlp/", "https://a.example/otlp/v1/traces"),
        ] {
            assert_eq!(CollectorUrl::parse(url).unwrap().traces().as_str(), expected);
        }
        for url in
            ["collector:4318", "ftp://a", "http://", "http://iam:hunter2@a", "http://a?key=hunter2", "http://a#b"]
        {
            assert_eq!(CollectorUrl::parse(url), None, "{url}");
        }
    }

    #[test]
    fn only_encrypted_and_local_connections_are_confidential() {
        for (url, expected) in [
            ("https://a.example", true),
            ("http://127.0.0.1:4318", true),
            ("http://[::1]:4318", true),
            ("http://localhost:4318", true),
            ("http://a.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(CollectorUrl::parse(url).unwrap().is_confidential(), expected, "{url}");
        }
    }
}
