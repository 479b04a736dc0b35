//! The trace context that a request carries in its headers (W3C Trace Context).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Maximum length of the state that is accepted and passed on, in bytes. Longer states are dropped.
const LONGEST_STATE: usize = 512;

/// The span of another process that is the parent of a span of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent(SpanContext);

impl Parent {
    /// Parses the values of the headers `traceparent` and `tracestate`. Returns `None` if the first is malformed. A
    /// malformed or long state counts as absent.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = split(parent, 2)?;
        let (trace, rest) = split(rest, 32)?;
        let (span, rest) = split(rest, 16)?;
        // Later versions may append fields to the flags, which version 00 does not permit.
        let (flags, rest) = rest.split_at_checked(2)?;
        let is_complete = rest.is_empty() || (version != "00" && rest.starts_with('-'));
        if version == "ff" || !is_complete || ![version, trace, span, flags].into_iter().all(is_hexadecimal) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        let state = state.filter(|state| state.len() <= LONGEST_STATE).and_then(|state| state.parse().ok());
        let context = SpanContext::new(trace, span, flags, true, state.unwrap_or(TraceState::NONE));
        Some(Self(context)).filter(|parent| parent.0.is_valid())
    }

    /// Returns the id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id()
    }

    /// Returns `true` if the other process records its span.
    pub(crate) fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// Returns the context of the other span.
    pub(crate) fn context(&self) -> SpanContext {
        self.0.clone()
    }
}

/// Splits a field of this length from the text, and the hyphen after it.
fn split(text: &str, length: usize) -> Option<(&str, &str)> {
    let (field, rest) = text.split_at_checked(length)?;
    Some((field, rest.strip_prefix('-')?))
}

/// Returns `true` if the text consists of hexadecimal digits. Upper-case digits are malformed.
fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_well_formed_parent_is_accepted() {
        for (header, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-03"), true),
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what the future will be like"), true),
        ] {
            let parent = Parent::parse(&header, None).unwrap();
            assert_eq!((parent.trace_id().to_string().as_str(), parent.is_sampled()), (TRACE, is_sampled), "{header}");
        }
    }

    #[test]
    fn a_malformed_parent_is_ignored() {
        let zero = "0".repeat(32);
        for header in [
            String::new(),
            "-".to_owned(),
            "é".repeat(30),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(Parent::parse(&header, None), None, "{header}");
        }
    }

    #[test]
    fn a_malformed_or_long_state_is_ignored() {
        let state = |state: &str| {
            let parent = Parent::parse(&format!("00-{TRACE}-{SPAN}-01"), Some(state)).unwrap();
            parent.context().trace_state().header()
        };
        assert_eq!(state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        let members = |count: usize| (0..count).map(|n| format!("k{n}={:030}", n)).collect::<Vec<_>>().join(",");
        assert_eq!(state(&members(14)), members(14));
        for ignored in ["", "rojo", "ROJO=1", &members(15)] {
            assert_eq!(state(ignored), "", "{ignored}");
        }
    }
}
