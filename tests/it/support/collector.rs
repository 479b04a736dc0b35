//! A collector of traces, which receives spans with OTLP over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use super::stub::{Received, Stub};

/// A collector that records the spans which it accepts.
pub struct Collector {
    stub: Stub,
    status: Arc<AtomicU16>,
}

/// A span, in the form in which tests compare it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    pub name: String,
    pub kind: SpanKind,
    pub trace: String,
    pub id: String,
    /// The id of the parent. Empty if there is none.
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
    pub state: String,
}

impl Collector {
    /// Starts a collector that accepts spans.
    pub fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = Arc::clone(&status);
        Self { stub: Stub::start(move |_| (answer.load(Ordering::SeqCst), String::new())), status }
    }

    /// Responds with this status from now on.
    pub fn respond_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Returns the URL of the collector, for the setting.
    pub fn url(&self) -> String {
        format!("http://{}", self.stub.address)
    }

    /// Returns the requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.stub.received()
    }

    /// Returns all spans so far. A span that the service sent twice occurs once.
    pub fn spans(&self) -> Vec<Exported> {
        let mut seen = BTreeSet::new();
        let requests = self.received();
        let resources = requests.iter().flat_map(|request| decode(request).resource_spans);
        let spans = resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        spans.map(exported).filter(|span| seen.insert(span.id.clone())).collect()
    }

    /// Returns the spans of this trace.
    pub fn spans_of(&self, trace: &str) -> Vec<Exported> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }

    /// Returns the attributes of the resource of the first request.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let request = decode(&self.received()[0]);
        attributes(request.resource_spans[0].resource.clone().unwrap().attributes)
    }
}

fn decode(request: &Received) -> ExportTraceServiceRequest {
    assert_eq!(request.line(), "POST /v1/traces");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap()
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    list.into_iter().map(|pair| (pair.key, text(pair.value.unwrap().value.unwrap()))).collect()
}

fn exported(span: Span) -> Exported {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    let status = span.status.clone().unwrap_or_default();
    // The messages of errors can contain values, so a status has none.
    assert_eq!(status.message, "", "{span:?}");
    Exported {
        kind: span.kind(),
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        is_error: status.code == 2,
        name: span.name,
        attributes: attributes(span.attributes),
        state: span.trace_state,
    }
}

/// Returns the names of the spans on the way from the first span of this process to each span with this name.
pub fn paths_to(name: &str, spans: &[Exported]) -> BTreeSet<Vec<String>> {
    spans.iter().filter(|span| span.name == name).map(|span| path_to(span, spans)).collect()
}

fn path_to(span: &Exported, spans: &[Exported]) -> Vec<String> {
    let parent = spans.iter().find(|candidate| candidate.id == span.parent);
    let mut path = parent.map(|parent| path_to(parent, spans)).unwrap_or_default();
    path.push(span.name.clone());
    path
}
