//! The tracing span of a request, and a subscriber that creates the span lazily. Requests that log nothing then need no
//! span.
//!
//! Creating a span and formatting its fields takes one to four microseconds, a large part of the time that a cached
//! `POST /check` takes. Therefore, [`RequestSpans`] delays the creation of the span until the request writes its first
//! log line or calls [`Span::current`]. Spawned tasks inherit the span through this call.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use iam_application::Remaining;
use iam_domain::{Caller, CompanyId};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Empty, display};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, EnteredSpan, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Span, Subscriber};
use tracing_core::span::Current;

use super::request_id::RequestId;
use super::request_trace::RequestTrace;
use crate::in_flight::{Held, InFlight, Standing};
use crate::respond::ApiError;

thread_local! {
    /// The request that this thread is handling, if the request's span has not been entered yet.
    static DEFERRED: Cell<Option<RequestSpan>> = const { Cell::new(None) };
    /// The entered span of the request that this thread is handling.
    static ENTERED: Cell<Option<EnteredSpan>> = const { Cell::new(None) };
}

/// The tracing span of a request, created lazily. Its fields are the request id and the route, and also the company and
/// the actor as soon as they are determined. If the trace of the request is known, its id is a field, too.
#[derive(Clone)]
pub(crate) struct RequestSpan(Rc<Inner>);

struct Inner {
    id: RequestId,
    route: Rc<str>,
    trace: RequestTrace,
    company: Cell<Option<CompanyId>>,
    actor: Cell<Option<Caller>>,
    span: OnceCell<Span>,
    /// The state of the caller's budget after the request was charged to it.
    budget: Cell<Option<Remaining>>,
    standing: Cell<Option<Standing>>,
    /// Counts the request as waiting.
    waiting: RefCell<Option<Held>>,
    is_reading_body: Cell<bool>,
}

impl RequestSpan {
    /// Creates the span of a request. The underlying `tracing` span is created lazily if [`RequestSpans`] is the active
    /// subscriber, and immediately otherwise.
    pub(super) fn new(id: RequestId, route: Rc<str>, trace: RequestTrace) -> Self {
        trace.record_request_id(&id.0);
        let (company, actor) = (Cell::new(None), Cell::new(None));
        let span = Self(Rc::new(Inner {
            id,
            route,
            trace,
            company,
            actor,
            span: OnceCell::new(),
            budget: Cell::new(None),
            standing: Cell::new(None),
            waiting: RefCell::new(None),
            is_reading_body: Cell::new(false),
        }));
        // If a thread has set a scoped subscriber, the nested call returns no subscriber. `RequestSpans` then cannot
        // create a span while it handles a log line. In this case, and if another subscriber is active, the span is
        // created now.
        let can_defer = dispatcher::get_default(|_| dispatcher::get_default(Dispatch::is::<RequestSpans>));
        if !can_defer {
            span.get();
        }
        span
    }

    /// Returns the id of the request.
    pub(crate) fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// Returns the pattern of the route, or `none`.
    pub(super) fn route(&self) -> &str {
        &self.0.route
    }

    /// Returns the trace of the request.
    pub(super) fn trace(&self) -> &RequestTrace {
        &self.0.trace
    }

    /// Records the company of the request in the span.
    pub(crate) fn record_company(&self, company: CompanyId) {
        self.0.company.set(Some(company));
        self.0.trace.record_company(company);
        if let Some(span) = self.0.span.get() {
            span.record("company", display(company));
        }
    }

    /// Records the authenticated caller in the span, as the actor.
    pub(crate) fn record_actor(&self, caller: Caller) {
        self.0.actor.set(Some(caller));
        self.0.trace.record_actor(caller);
        if let Some(span) = self.0.span.get() {
            span.record("actor", display(caller.actor()));
        }
    }

    /// Returns the authenticated caller, if the request has been authenticated.
    pub(crate) fn actor(&self) -> Option<Caller> {
        self.0.actor.get()
    }

    /// Records the state of the caller's budget, for the headers of the response.
    pub(crate) fn record_budget(&self, remaining: Option<Remaining>) {
        self.0.budget.set(remaining);
    }

    /// Returns the recorded state of the caller's budget.
    pub(super) fn budget(&self) -> Option<Remaining> {
        self.0.budget.get()
    }

    /// Records the standing of the caller.
    pub(crate) fn record_standing(&self, standing: Standing) {
        self.0.standing.set(Some(standing));
    }

    /// Returns the standing of the caller, as far as it is known.
    pub(crate) fn standing(&self) -> Standing {
        let known = self.0.standing.get();
        known.unwrap_or_else(|| self.0.actor.get().map_or(Standing::Anonymous, |caller| Standing::of(caller, None)))
    }

    /// Counts the request as waiting until it ends.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Held::grow_to`].
    pub(crate) fn enter(&self, in_flight: &InFlight) -> Result<(), ApiError> {
        let mut waiting = self.0.waiting.borrow_mut();
        // The request must not count twice.
        waiting.take();
        let mut held = in_flight.requests.hold_nothing(self.standing());
        held.grow_to(1)?;
        *waiting = Some(held);
        Ok(())
    }

    /// Stops counting the request as waiting.
    pub(super) fn leave(&self) {
        self.0.waiting.borrow_mut().take();
    }

    /// Returns `true` if the request counts as waiting, or need not count because it waits for its own body.
    pub(super) fn is_counted(&self) -> bool {
        self.0.is_reading_body.get() || self.0.waiting.borrow().is_some()
    }

    /// Stops counting the request as waiting while its body is read, until the returned guard is dropped. The number of
    /// connections and the pace of bodies limit such requests.
    pub(crate) fn reading_body(&self) -> ReadingBody<'_> {
        self.leave();
        self.0.is_reading_body.set(true);
        ReadingBody(&self.0.is_reading_body)
    }

    /// Runs `work` inside the span.
    pub(super) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let (_scope, _trace) = (Scope, self.0.trace.attach());
        match self.0.span.get() {
            Some(span) => ENTERED.set(Some(span.clone().entered())),
            None => DEFERRED.set(Some(self.clone())),
        }
        work()
    }

    /// Returns the span, and creates it if necessary. The span has the level ERROR. Therefore, every log filter that
    /// accepts a log line of the request also accepts the span.
    fn get(&self) -> &Span {
        let Inner { id, route, trace, company, actor, span, .. } = self.0.as_ref();
        span.get_or_init(|| {
            let span = tracing::error_span!(
                "request",
                request_id = &*id.0,
                route = &**route,
                trace_id = Empty,
                company = Empty,
                actor = Empty
            );
            if let Some(trace) = trace.id() {
                span.record("trace_id", display(trace));
            }
            if let Some(company) = company.get() {
                span.record("company", display(company));
            }
            if let Some(caller) = actor.get() {
                span.record("actor", display(caller.actor()));
            }
            span
        })
    }
}

/// A guard that exists while the body of a request is read.
pub(crate) struct ReadingBody<'a>(&'a Cell<bool>);

impl Drop for ReadingBody<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A guard that exits the span of a request when it is dropped.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        DEFERRED.take();
        ENTERED.take();
    }
}

/// A subscriber that creates the span of a request lazily, when the first log line of the request needs it. It forwards
/// all calls to another subscriber.
///
/// Install it as the global subscriber of the process. With any other global subscriber, the API creates a span for
/// every request.
pub struct RequestSpans {
    subscriber: Box<dyn Subscriber + Send + Sync>,
}

impl RequestSpans {
    /// Creates a subscriber that forwards all calls to `subscriber`.
    #[must_use]
    pub fn new(subscriber: Box<dyn Subscriber + Send + Sync>) -> Self {
        Self { subscriber }
    }

    /// Creates and enters the span of the request that this thread is handling. Does nothing if the span has already
    /// been entered.
    fn enter_deferred() {
        // While the thread exits, its thread-local storage may already be destroyed.
        if let Ok(Some(request)) = DEFERRED.try_with(Cell::take) {
            ENTERED.set(Some(request.get().clone().entered()));
        }
    }
}

impl fmt::Debug for RequestSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSpans").finish_non_exhaustive()
    }
}

impl Subscriber for RequestSpans {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.subscriber.as_ref().on_register_dispatch(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.subscriber.register_callsite(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.subscriber.max_level_hint()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.subscriber.enabled(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        Self::enter_deferred();
        self.subscriber.new_span(attributes)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.subscriber.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.subscriber.record_follows_from(span, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.subscriber.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        Self::enter_deferred();
        self.subscriber.event(event);
    }

    fn enter(&self, span: &Id) {
        self.subscriber.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.subscriber.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.subscriber.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.subscriber.try_close(span)
    }

    fn current_span(&self) -> Current {
        Self::enter_deferred();
        self.subscriber.current_span()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, LazyLock, Mutex};

    use iam_domain::UserId;

    use super::*;

    /// The log lines of all tests in this process.
    static LINES: LazyLock<Lines> = LazyLock::new(|| {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        let logs = Box::new(logs.with_writer(move || writer.clone()).finish());
        tracing::subscriber::set_global_default(RequestSpans::new(logs)).unwrap();
        lines
    });

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

    impl Lines {
        /// Returns the log lines that contain this text.
        fn with(&self, text: &str) -> Vec<String> {
            let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            lines.lines().filter(|line| line.contains(text)).map(|line| line.trim().to_owned()).collect()
        }
    }

    fn request(id: &str) -> RequestSpan {
        LazyLock::force(&LINES);
        RequestSpan::new(RequestId(id.into()), "/check".into(), RequestTrace::default())
    }

    fn authorize(request: &RequestSpan) {
        request.record_actor(Caller::user(UserId::from_uuid(uuid::Uuid::from_u128(2))));
        request.record_company(CompanyId::from_uuid(uuid::Uuid::from_u128(1)));
    }

    const ACTOR: &str = "actor=user:00000000-0000-0000-0000-000000000002";
    const COMPANY: &str = "company=00000000-0000-0000-0000-000000000001";

    #[test]
    fn a_request_that_logs_nothing_creates_no_span() {
        let request = request("silent");
        request.in_scope(|| {
            authorize(&request);
            tracing::debug!("is below the level");
        });
        assert!(request.0.span.get().is_none());
    }

    #[test]
    fn each_log_line_of_a_request_has_the_fields_recorded_so_far() {
        let request = request("lines");
        request.in_scope(|| {
            tracing::info!("line 1");
            tracing::info!("line 2");
            authorize(&request);
        });
        request.in_scope(|| tracing::info!("line 3"));
        tracing::info!("lines outside");
        let start = "INFO request{request_id=\"lines\" route=\"/check\"";
        let expected = [
            format!("{start}}}: line 1"),
            format!("{start}}}: line 2"),
            format!("{start} {ACTOR} {COMPANY}}}: line 3"),
            "INFO lines outside".to_owned(),
        ];
        assert_eq!(LINES.with("line"), expected);
    }

    #[test]
    fn tasks_that_a_request_spawns_have_its_span() {
        let request = request("spawning");
        let span = request.in_scope(|| {
            authorize(&request);
            Span::current()
        });
        span.in_scope(|| tracing::info!("in a task"));
        let start = "INFO request{request_id=\"spawning\" route=\"/check\"";
        assert_eq!(LINES.with("in a task"), [format!("{start} {COMPANY} {ACTOR}}}: in a task")]);
    }

    #[test]
    fn interleaved_requests_on_a_thread_have_separate_spans() {
        let (first, second) = (request("turn-1"), request("turn-2"));
        for _ in 0..2 {
            first.in_scope(|| tracing::info!("of first"));
            second.in_scope(|| tracing::info!("of second"));
        }
        for (id, end) in [("turn-1", "of first"), ("turn-2", "of second")] {
            let line = format!("INFO request{{request_id=\"{id}\" route=\"/check\"}}: {end}");
            assert_eq!(LINES.with(id), [line.clone(), line]);
        }
    }
}
