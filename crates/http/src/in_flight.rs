//! Bounds the work in flight: the number of requests that wait, and the bytes of request and response bodies in memory.
//!
//! Each of these two resources is a pool. A caller and a company have a share of each pool. Callers who are not known
//! to belong to the company of their request have a common share, so that they cannot use up what members need, however
//! many they are. A part of each pool is reserved for super admins, who must be able to stop an attack.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iam_domain::{Actor, Caller, CompanyId};

use crate::respond::{ApiError, Code};

/// The size of a body, in bytes, up to which it does not count. Such a body occupies no more memory than the buffers of
/// its connection, and the number of connections is limited.
pub(crate) const FREE_BYTES: usize = 16 * 1024;

/// The names of the shares that a request can exceed, in messages and in metrics.
const CALLER: &str = "caller";
const COMPANY: &str = "company";

/// The bounds of the work in flight. `0` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightLimits {
    /// Maximum number of requests that wait for the storage or for another resource. Requests that wait for their own
    /// body do not count. Default: 1024.
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
    /// The requests that wait.
    pub(crate) requests: Arc<Pool>,
    /// The bytes of bodies.
    pub(crate) bytes: Arc<Pool>,
}

impl InFlight {
    pub(crate) fn new(InFlightLimits { requests, bytes }: InFlightLimits) -> Self {
        Self { requests: Pool::new("requests", requests), bytes: Pool::new("bytes", bytes) }
    }
}

/// The relation of a caller to the service, which determines the shares that the caller's work uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The caller is not authenticated yet.
    Anonymous,
    /// The caller is not known to belong to the company of the request.
    Outside(Caller),
    /// The caller belongs to this company: as a member, or as a service whose key is valid for the company.
    Member(Caller, CompanyId),
    /// The caller is a super admin, or a service that may administer all companies.
    Platform(Caller),
}

impl Standing {
    /// Returns the standing of a caller who is not known to be a member of a company.
    pub(crate) fn of(caller: Caller, company: Option<CompanyId>) -> Self {
        match (caller, company) {
            (Caller::User { is_super_admin: true, .. }, _) => Self::Platform(caller),
            (Caller::Service(service), _) if service.has_platform_key() => Self::Platform(caller),
            (Caller::Service(service), Some(company)) if service.is_valid_for(company) => Self::Member(caller, company),
            _ => Self::Outside(caller),
        }
    }

    /// Returns the standing of a caller who has been authorized, by a requirement that only members of the company meet.
    pub(crate) fn of_authorized(caller: Caller, company: Option<CompanyId>) -> Self {
        match (Self::of(caller, company), company) {
            (Self::Outside(_), Some(company)) => Self::Member(caller, company),
            (standing, _) => standing,
        }
    }

    /// Returns the groups whose shares the work uses, each with the denominator of its share.
    fn shares(self) -> impl Iterator<Item = (Group, usize)> {
        let of = |caller: Caller| Group::Caller(caller.actor());
        let shares = match self {
            Self::Anonymous => [Some((Group::Anonymous, 8)), None],
            Self::Outside(caller) => {
                [Some((Group::OutsideOf(caller.actor()), SHARE_OUTSIDE)), Some((Group::Outside, 4))]
            }
            Self::Member(caller, company) => {
                [Some((of(caller), share_of_caller(caller))), Some((Group::Company(company), 4))]
            }
            Self::Platform(caller) => [Some((of(caller), share_of_caller(caller))), None],
        };
        shares.into_iter().flatten()
    }
}

/// The denominator of the share of a caller outside the companies to which the caller is known to belong.
const SHARE_OUTSIDE: usize = 32;

/// Returns the denominator of the share of a caller. An API key usually serves many users.
const fn share_of_caller(caller: Caller) -> usize {
    match caller {
        Caller::Service(_) => 4,
        Caller::User { .. } => 8,
    }
}

/// A group of work that has a share of each pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    Anonymous,
    Outside,
    /// The work of a caller outside the companies to which the caller is known to belong.
    OutsideOf(Actor),
    Caller(Actor),
    Company(CompanyId),
}

/// A resource that requests share.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The name of the resource, for messages and metrics.
    name: &'static str,
    /// The size of the pool. `0` means no limit.
    limit: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    /// What each group uses. Groups that use nothing are not stored.
    by_group: HashMap<Group, usize>,
}

impl Used {
    fn add(&mut self, standing: Standing, amount: usize) {
        self.total = self.total.saturating_add(amount);
        for (group, _) in standing.shares() {
            let of_group = self.by_group.entry(group).or_default();
            *of_group = of_group.saturating_add(amount);
        }
    }
}

impl Pool {
    fn new(name: &'static str, limit: usize) -> Arc<Self> {
        Arc::new(Self { name, limit, used: Mutex::default() })
    }

    /// Returns a guard that holds nothing yet.
    pub(crate) fn hold_nothing(self: &Arc<Self>, standing: Standing) -> Held {
        Held { pool: Arc::clone(self), standing, amount: 0 }
    }

    /// Returns the size of the share with this denominator.
    fn share(&self, denominator: usize) -> usize {
        (self.limit / denominator).max(1)
    }

    /// Returns how much of the pool may be in use before work of this standing is refused. An eighth is reserved.
    fn most(&self, standing: Standing) -> usize {
        match standing {
            Standing::Platform(_) => self.limit,
            Standing::Anonymous | Standing::Outside(_) | Standing::Member(..) => self.limit - self.limit / 8,
        }
    }

    /// Checks that the caller may begin a request whose response may use the pool. The company of the request need not
    /// be known yet, so the caller's use inside and outside companies counts.
    ///
    /// # Errors
    ///
    /// Returns the response 429 if a share of the caller is used up, and 503 if the pool is used up and the caller uses
    /// a part of it. Callers who use nothing are not refused, since others have used up the pool.
    pub(crate) fn admit(&self, caller: Caller) -> Result<(), ApiError> {
        let (used, actor) = (self.used(), caller.actor());
        let shares = [(Group::Caller(actor), share_of_caller(caller)), (Group::OutsideOf(actor), SHARE_OUTSIDE)];
        let held = shares.map(|(group, share)| (used.by_group.get(&group).copied().unwrap_or_default(), share));
        let uses_nothing = held.iter().all(|(amount, _)| *amount == 0);
        if self.limit == 0 || uses_nothing {
            return Ok(());
        }
        if held.iter().any(|(amount, denominator)| *amount >= self.share(*denominator)) {
            return Err(self.too_much(CALLER));
        }
        if used.total >= self.limit && !matches!(Standing::of(caller, None), Standing::Platform(_)) {
            return Err(self.used_up());
        }
        Ok(())
    }

    /// Checks that a response, which has been made, may be sent. A response that exceeds a share or the pool is admitted
    /// if the share or the pool is not used up yet.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Held::grow_to`].
    pub(crate) fn admit_response(&self, standing: Standing) -> Result<(), ApiError> {
        if self.limit == 0 {
            return Ok(());
        }
        let used = self.used();
        if used.total >= self.most(standing) {
            return Err(self.used_up());
        }
        let is_used_up = |(group, denominator): &(Group, usize)| {
            used.by_group.get(group).is_some_and(|own| *own >= self.share(*denominator))
        };
        standing.shares().find(is_used_up).map_or(Ok(()), |(group, _)| Err(self.exceeded(group)))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the response to a request for which the pool has no room.
    fn used_up(&self) -> ApiError {
        metrics::counter!("iam_http_shed_total").increment(1);
        ApiError::unavailable(format!("too many {} in flight", self.name))
    }

    /// Returns the response to a request that exceeds the share of a group.
    fn exceeded(&self, group: Group) -> ApiError {
        match group {
            Group::Caller(_) | Group::OutsideOf(_) => self.too_much(CALLER),
            Group::Company(_) => self.too_much(COMPANY),
            Group::Anonymous | Group::Outside => self.used_up(),
        }
    }

    /// Returns the response to a request that would exceed the share of the caller or of the company.
    fn too_much(&self, of: &'static str) -> ApiError {
        metrics::counter!("iam_http_share_exceeded_total", "pool" => self.name, "of" => of).increment(1);
        let error = ApiError::new(Code::RateLimited, format!("Too many {} of this {of} are in progress", self.name));
        ApiError { retry_after: Some(1), ..error }
    }
}

/// A part of a pool that is used until the guard is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pool: Arc<Pool>,
    standing: Standing,
    amount: usize,
}

impl Held {
    /// Uses this much of the pool.
    ///
    /// # Errors
    ///
    /// Returns the response 429 if the share of the caller or of the company would be exceeded, and 503 if the pool or a
    /// common share would be.
    pub(crate) fn grow_to(&mut self, total: usize) -> Result<(), ApiError> {
        let amount = total.saturating_sub(self.amount);
        let mut used = self.pool.used();
        if self.pool.limit > 0 {
            if used.total.saturating_add(amount) > self.pool.most(self.standing) {
                return Err(self.pool.used_up());
            }
            for (group, denominator) in self.standing.shares() {
                let of_group = used.by_group.get(&group).copied().unwrap_or_default();
                if of_group.saturating_add(amount) > self.pool.share(denominator) {
                    return Err(self.pool.exceeded(group));
                }
            }
        }
        used.add(self.standing, amount);
        drop(used);
        self.amount += amount;
        Ok(())
    }

    /// Uses more of the pool, even if this exceeds a limit: the resource is already in use.
    pub(crate) fn add_used(&mut self, amount: usize) {
        self.pool.used().add(self.standing, amount);
        self.amount += amount;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut used = self.pool.used();
        used.total = used.total.saturating_sub(self.amount);
        for (group, _) in self.standing.shares() {
            if let Some(of_group) = used.by_group.get_mut(&group) {
                *of_group = of_group.saturating_sub(self.amount);
                if *of_group == 0 {
                    used.by_group.remove(&group);
                }
            }
        }
    }
}
