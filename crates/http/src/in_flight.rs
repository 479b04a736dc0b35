//! Bounds the work in flight: the number of requests that wait, and the bytes of request and response bodies in memory.
//! Each caller and each company has a share, so that none can use up what all need.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use iam_domain::{Actor, Caller, CompanyId, ServiceRole};

use crate::respond::{ApiError, Code};

/// The size of a body, in bytes, up to which it does not count. Such a body occupies no more memory than the buffers of
/// its connection, and the number of connections is limited.
const FREE_BYTES: usize = 16 * 1024;
/// The denominator of the share of the bytes that one caller may hold.
const CALLER_SHARE_OF_BYTES: usize = 8;
/// The denominator of the share of the waiting requests that one user may have.
const USER_SHARE: usize = 8;
/// The denominator of the share of the waiting requests that one API key or one company may have.
const COMPANY_SHARE: usize = 2;
/// The denominator of the share of the waiting requests that is reserved for super admins, and for API keys that may
/// administer: they must be able to stop an attack.
const RESERVED_SHARE: usize = 8;

/// The bounds of the work in flight. `0` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightLimits {
    /// Maximum number of requests that wait for the storage or for another resource. Default: 1024.
    pub requests: usize,
    /// Maximum number of bytes of request and response bodies. Bodies of at most 16 KiB do not count. Default: 64 MiB.
    pub bytes: usize,
}

impl Default for InFlightLimits {
    fn default() -> Self {
        Self { requests: 1024, bytes: 64 * 1024 * 1024 }
    }
}

/// The work in flight in this process.
#[derive(Debug)]
pub(crate) struct InFlight {
    limits: InFlightLimits,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    callers: Shares<Actor>,
    companies: Shares<CompanyId>,
    bytes_of_callers: Shares<Actor>,
}

impl InFlight {
    pub(crate) fn new(limits: InFlightLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            callers: Shares::default(),
            companies: Shares::default(),
            bytes_of_callers: Shares::default(),
        })
    }

    /// Counts a request as waiting until the returned guard is dropped. `caller` is `None` before authentication, and
    /// `company` is `None` unless the caller belongs to the company.
    ///
    /// # Errors
    ///
    /// Returns the response 503 if the process has too many waiting requests, and 429 if the caller or the company has.
    pub(crate) fn enter(
        self: &Arc<Self>,
        caller: Option<Caller>,
        company: Option<CompanyId>,
    ) -> Result<Waiting, ApiError> {
        let most = self.limits.requests;
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut waiting = Waiting { in_flight: Arc::clone(self), actor: None, company: None };
        if most == 0 {
            return Ok(waiting);
        }
        let is_reserved = caller.is_some_and(may_use_reserve);
        let share = if is_reserved { most } else { most - most / RESERVED_SHARE };
        if before >= share {
            return Err(shed("too many requests in flight"));
        }
        if let Some(caller) = caller {
            let share = if matches!(caller, Caller::Service(_)) { COMPANY_SHARE } else { USER_SHARE };
            self.callers
                .add(caller.actor(), 1, (most / share).max(1))
                .map_err(|Full| too_much("requests", "caller"))?;
            waiting.actor = Some(caller.actor());
        }
        if let Some(company) = company.filter(|_| !is_reserved) {
            let share = (most / COMPANY_SHARE).max(1);
            self.companies.add(company, 1, share).map_err(|Full| too_much("requests", "company"))?;
            waiting.company = Some(company);
        }
        Ok(waiting)
    }

    /// Returns the holder of the bytes of a caller's bodies.
    pub(crate) const fn holder(self: &Arc<Self>, caller: Caller) -> Holder<'_> {
        Holder { in_flight: self, caller }
    }

    /// Checks that the process has room for further bodies.
    ///
    /// # Errors
    ///
    /// Returns the response 503 if the bodies in flight have reached the limit.
    pub(crate) fn has_room(&self) -> Result<(), ApiError> {
        let limit = self.limits.bytes;
        if limit > 0 && self.bytes.load(Ordering::Relaxed) >= limit {
            return Err(shed("too many bytes in flight"));
        }
        Ok(())
    }
}

/// Returns `true` if the caller may use the reserved share.
fn may_use_reserve(caller: Caller) -> bool {
    match caller {
        Caller::User { is_super_admin, .. } => is_super_admin,
        Caller::Service(service) => service.role == ServiceRole::Administer && service.company.is_none(),
    }
}

/// Returns the response to a request that the process is too busy to handle.
fn shed(why: &'static str) -> ApiError {
    metrics::counter!("iam_http_shed_total").increment(1);
    ApiError::unavailable(why)
}

/// Returns the response to a caller who has too much work in flight.
fn too_much(what: &str, of: &str) -> ApiError {
    let error = ApiError::new(Code::RateLimited, format!("Too many {what} of this {of} are in progress"));
    ApiError { retry_after: Some(1), ..error }
}

/// A guard that counts a request as waiting until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    in_flight: Arc<InFlight>,
    actor: Option<Actor>,
    company: Option<CompanyId>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.in_flight.requests.fetch_sub(1, Ordering::Relaxed);
        if let Some(actor) = self.actor {
            self.in_flight.callers.remove(actor, 1);
        }
        if let Some(company) = self.company {
            self.in_flight.companies.remove(company, 1);
        }
    }
}

/// A caller whose bodies are in flight.
pub(crate) struct Holder<'a> {
    in_flight: &'a Arc<InFlight>,
    caller: Caller,
}

impl Holder<'_> {
    /// Returns a reservation of no bytes, to which the bytes of a body are added as they arrive.
    pub(crate) fn reserve_nothing(&self) -> Reservation {
        let actor = self.caller.actor();
        Reservation { in_flight: Arc::clone(self.in_flight), actor, size: 0, counted: 0 }
    }

    /// Reserves the bytes of a response that is already in memory. Such a reservation may exceed the limits; further
    /// requests are then refused until it is dropped. Returns `None` if the response is too small to count.
    pub(crate) fn hold(&self, size: usize) -> Option<Reservation> {
        if size <= FREE_BYTES {
            return None;
        }
        let mut reservation = self.reserve_nothing();
        reservation.count(size, usize::MAX).ok();
        Some(reservation)
    }

    /// Checks that the caller may hold further bodies.
    ///
    /// # Errors
    ///
    /// Returns the response 429 if the caller's bodies in flight have reached the caller's share.
    pub(crate) fn has_room(&self) -> Result<(), ApiError> {
        let share = self.in_flight.limits.bytes / CALLER_SHARE_OF_BYTES;
        if share > 0 && self.in_flight.bytes_of_callers.of(self.caller.actor()) >= share {
            return Err(too_much("bytes", "caller"));
        }
        Ok(())
    }
}

/// The bytes of a body that count as in flight until the reservation is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    in_flight: Arc<InFlight>,
    actor: Actor,
    size: usize,
    counted: usize,
}

impl Reservation {
    /// Adds bytes of a request body.
    ///
    /// # Errors
    ///
    /// Returns the response 503 if the bodies in flight would exceed the limit, and 429 if the bodies of the caller would
    /// exceed the caller's share.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.size += bytes;
        let limit = self.in_flight.limits.bytes;
        if self.size <= FREE_BYTES || limit == 0 {
            return Ok(());
        }
        let uncounted = self.size - self.counted;
        if self.in_flight.bytes.load(Ordering::Relaxed).saturating_add(uncounted) > limit {
            return Err(shed("too many bytes in flight"));
        }
        self.count(uncounted, (limit / CALLER_SHARE_OF_BYTES).max(1)).map_err(|Full| too_much("bytes", "caller"))
    }

    fn count(&mut self, bytes: usize, share: usize) -> Result<(), Full> {
        self.in_flight.bytes_of_callers.add(self.actor, bytes, share)?;
        self.in_flight.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counted += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.in_flight.bytes.fetch_sub(self.counted, Ordering::Relaxed);
            self.in_flight.bytes_of_callers.remove(self.actor, self.counted);
        }
    }
}

/// The error for a share that is used up.
struct Full;

/// How much each key uses of a resource. Keys that use nothing are not stored.
#[derive(Debug)]
struct Shares<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Copy> Shares<K> {
    fn of(&self, key: K) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default()
    }

    fn add(&self, key: K, amount: usize, share: usize) -> Result<(), Full> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = used.get(&key).copied().unwrap_or_default().saturating_add(amount);
        if of_key > share {
            return Err(Full);
        }
        used.insert(key, of_key);
        Ok(())
    }

    fn remove(&self, key: K, amount: usize) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_key) = used.get_mut(&key) {
            *of_key = of_key.saturating_sub(amount);
            if *of_key == 0 {
                used.remove(&key);
            }
        }
    }
}
