//! Whether tracing is on, and which traces are sampled.

use std::sync::OnceLock;

use opentelemetry::global::{BoxedTracer, ObjectSafeTracer};

use crate::Parent;

/// The rule that determines which requests are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of the requests that are sampled, from 0 to 1, if no trusted parent decides.
    pub ratio: f64,
    /// Whether a parent that is sampled causes its request to be sampled. Otherwise, [`Self::ratio`] applies to such
    /// requests, so that clients cannot cause all their requests to be sampled. A parent that is not sampled always
    /// prevents sampling.
    pub trusts_parents: bool,
}

impl Sampling {
    /// Decides whether a request with this parent is sampled.
    pub(crate) fn decide(self, parent: Option<&Parent>) -> bool {
        match parent {
            Some(parent) if !parent.is_sampled() => false,
            Some(_) if self.trusts_parents => true,
            _ => rand::random::<f64>() < self.ratio,
        }
    }
}

/// The tracer of this process, and the rule for its traces.
pub(crate) struct Tracing {
    pub(crate) sampling: Sampling,
    pub(crate) tracer: BoxedTracer,
}

static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Switches tracing on. `tracer` creates all spans of this process; it must sample every span that it creates. Returns
/// `false` if tracing was already on: the first tracer then remains in use.
pub fn enable(tracer: impl ObjectSafeTracer + Send + Sync + 'static, sampling: Sampling) -> bool {
    TRACING.set(Tracing { sampling, tracer: BoxedTracer::new(Box::new(tracer)) }).is_ok()
}

/// Returns `true` if tracing is on.
#[must_use]
pub fn is_enabled() -> bool {
    TRACING.get().is_some()
}

/// Returns the tracer and the rule, if tracing is on.
pub(crate) fn tracing() -> Option<&'static Tracing> {
    TRACING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_parent_can_cause_sampling() {
        let parent = |flags: &str| Parent::parse(&format!("00-{:032x}-{:016x}-{flags}", 1, 1), None);
        let (sampled, unsampled) = (parent("01"), parent("00"));
        for (ratio, trusts_parents, expected) in [
            (0.0, false, [false, false, false]),
            (0.0, true, [false, true, false]),
            (1.0, false, [true, true, false]),
            (1.0, true, [true, true, false]),
        ] {
            let sampling = Sampling { ratio, trusts_parents };
            let decided = [None, sampled.as_ref(), unsampled.as_ref()].map(|parent| sampling.decide(parent));
            assert_eq!(decided, expected, "{sampling:?}");
        }
    }

    #[test]
    fn about_the_ratio_of_the_requests_is_sampled() {
        let sampling = Sampling { ratio: 0.25, trusts_parents: false };
        let sampled = (0..10_000).filter(|_| sampling.decide(None)).count();
        assert!((2_000..3_000).contains(&sampled), "{sampled}");
    }
}
