//! The JSON format of log lines: one flat object per line, which contains the fields of the event and of its spans.

use std::error::Error;
use std::fmt;

use iam_application::causes;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The keys at the beginning of each line. If a field has one of these names, the suffix `_` is appended to its name.
const HEAD: [&str; 4] = ["timestamp", "level", "target", "message"];

/// The formatter of JSON log lines. The keys of [`HEAD`] come first. If the event and a span have a field of the same
/// name, the line contains the value of the span.
pub(crate) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut fields = fields.0;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            // The subscriber stores the fields of a span as a JSON object.
            let of_span = extensions.get::<FormattedFields<N>>();
            let of_span = of_span.and_then(|fields| serde_json::from_str::<Map<String, Value>>(&fields.fields).ok());
            fields.extend(of_span.unwrap_or_default());
        }
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let message = fields.remove("message").unwrap_or_default();
        let metadata = event.metadata();
        let head = [timestamp.into(), metadata.level().as_str().into(), metadata.target().into(), message];
        for (position, (name, value)) in HEAD.iter().zip(head).enumerate() {
            write!(writer, "{}\"{name}\":{value}", if position == 0 { '{' } else { ',' })?;
        }
        for (name, value) in &fields {
            let suffix = if HEAD.contains(&name.as_str()) { "_" } else { "" };
            write!(writer, ",{}:{value}", Value::from(format!("{name}{suffix}")))?;
        }
        writeln!(writer, "}}")
    }
}

/// The fields of an event, as JSON values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.insert(field, causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt().json().event_format(JsonLines).with_writer(move || writer.clone());
        tracing::subscriber::with_default(logs.finish(), || {
            let span = tracing::info_span!("request", route = "/check", company = tracing::field::Empty);
            span.record("company", tracing::field::display(7));
            let _entered = span.entered();
            let inner = SharedError(io::Error::other("refused"));
            let error = &inner as &dyn Error;
            tracing::warn!(company = "other", target = "x", duration_ms = 1.5, status = 503, error, "a \"message\"");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let (_, line) = text.trim_end().split_once("\",").unwrap();
        let expected = r#""level":"WARN","target":"iam_composition::json_lines::tests","message":"a \"message\"","#;
        let fields = r#""company":"7","duration_ms":1.5,"error":"unavailable: refused","route":"/check","status":503,"target_":"x"}"#;
        assert_eq!(line, format!("{expected}{fields}"));
        assert!(text.starts_with("{\"timestamp\":\"") && text.lines().count() == 1, "{text}");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("unavailable")]
    struct SharedError(#[source] io::Error);
}
