//! The text format of fields in log lines. It is the default format of `tracing_subscriber`, except that an error is
//! one string, which includes the chain of its causes, and that no value can forge a line or another field.

use std::error::Error;
use std::fmt::{self, Write};

use iam_application::causes;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// The formatter of the fields in text log lines. It escapes the control characters of all values, and quotes values
/// that could be read as several fields.
pub(crate) struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct Visitor<'writer>(DefaultVisitor<'writer>);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.0.record_debug(field, &Escaped(value));
        } else {
            self.0.record_debug(field, &Quoted(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() != MESSAGE && text.contains(|character: char| is_separator(character) || must_escape(character))
        {
            self.0.record_debug(field, &Quoted(&text));
        } else {
            self.0.record_debug(field, &Escaped(&text));
        }
    }
}

/// The name of the field that contains the message of an event. The message has no quotes.
const MESSAGE: &str = "message";

/// Returns `true` if the character separates fields, or the name of a field from its value.
fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '=' | '{' | '}')
}

/// Returns `true` if the character can end a line, control a terminal, or change the direction of text.
fn must_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text whose control characters are escaped.
struct Escaped<'a>(&'a str);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if must_escape(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// A text in quotes, whose quotes, backslashes and control characters are escaped.
struct Quoted<'a>(&'a str);

impl fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&format!("{:?}", self.0)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the log that `work` writes, without times and levels.
    fn logged(work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt().without_time().with_target(false).with_level(false).with_ansi(false);
        let logs = logs.fmt_fields(TextFields).with_writer(move || writer.clone());
        tracing::subscriber::with_default(logs.finish(), work);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_value_can_forge_a_line() {
        let forged = "x\r\n2026-11-26T00:00:00Z  INFO iam: forged\u{1b}[2J\u{7f}\u{9b}\u{2028}\u{202e}\t";
        let inner = io::Error::other(forged);
        let error = &inner as &dyn Error;
        let text = logged(|| {
            let _span = tracing::error_span!("request", request_id = forged, route = %forged, key = ?forged).entered();
            tracing::info!(display = %forged, debug = ?forged, text = forged, error, "a message: {forged}");
            tracing::info!(message = forged);
        });
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(text.lines().all(|line| !line.contains(must_escape)), "{text:?}");
        assert!(
            text.contains(r"x\r\n2026-11-26T00:00:00Z  INFO iam: forged\u{1b}[2J\u{7f}\u{9b}\u{2028}\u{202e}\t"),
            "{text}"
        );
    }

    #[test]
    fn no_value_can_forge_a_field() {
        let text =
            logged(|| tracing::info!(display = %"x actor=user:1", text = "x\" actor=\"1", plain = %"user:1", "m"));
        assert_eq!(text.trim(), r#"m display="x actor=user:1" text="x\" actor=\"1" plain=user:1"#);
    }
}
