//! The budgets of callers and companies: how much work each may request in a second. Each process enforces them
//! independently.
//!
//! A budget counts work and not requests: a batch of 1,000 checks costs as much as 1,000 checks. Loads from the storage
//! have a budget of their own, since a load costs the database much more than a decision from the cache costs.
//!
//! Changes that can revoke rights have a reserve, which applies when the budget is exhausted. A company whose members
//! exhaust its budget can therefore still be administered.

mod bucket;

use std::num::NonZeroU32;
use std::time::Duration;

pub use bucket::{Buckets, Empty, Rate, Remaining};
use iam_domain::{Actor, Caller, CompanyId, Service};

/// The rates of the budgets. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetOptions {
    /// The work of each user.
    pub user: Option<Rate>,
    /// The work of each API key that has no rate of its own.
    pub api_key: Option<Rate>,
    /// The work of each company: of its members and of API keys that make requests for it.
    pub company: Option<Rate>,
    /// The loads from the storage that each user causes.
    pub user_loads: Option<Rate>,
    /// The loads from the storage that each API key causes.
    pub api_key_loads: Option<Rate>,
    /// The bytes of audit records that the changes to each company write.
    pub audit_bytes: Option<Rate>,
    /// The idempotency keys that each caller uses within their validity of 24 hours.
    pub idempotency_keys: Option<NonZeroU32>,
}

/// A budget, for messages and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Budget {
    /// The work of the caller.
    Caller,
    /// The work of the company.
    Company,
    /// The loads that the caller causes.
    Loads,
    /// The bytes of the company's audit records.
    AuditBytes,
}

impl Budget {
    /// Returns the name of the budget.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Company => "company",
            Self::Loads => "loads",
            Self::AuditBytes => "audit",
        }
    }
}

/// The refusal of an operation, because a budget is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The exhausted budget.
    pub budget: Budget,
    /// The rate of the budget.
    pub rate: Rate,
    /// The time after which the operation can be admitted.
    pub retry_after: Duration,
}

impl Exhausted {
    /// Counts the operation that this budget refuses.
    pub(crate) fn counted(self) -> Self {
        metrics::counter!("iam_rate_limited_total", "budget" => self.budget.name()).increment(1);
        self
    }
}

/// Whether an operation may use the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// The operation may not use the reserve.
    None,
    /// The operation may revoke rights, and may use the reserve if the budget is exhausted.
    Revocation,
}

/// The rate of the reserve of each caller and of each company: one operation per second, five at once.
const RESERVE: Rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN.saturating_add(4) };

/// The budgets of all callers and companies.
pub struct Budgets {
    options: BudgetOptions,
    callers: Buckets<Actor>,
    loads: Buckets<Actor>,
    companies: Buckets<CompanyId>,
    audit_bytes: Buckets<CompanyId>,
    caller_reserves: Buckets<Actor>,
    company_reserves: Buckets<(CompanyId, Actor)>,
}

impl std::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budgets").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Budgets {
    /// Creates the budgets. All of them are full.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        Self {
            options,
            callers: Buckets::new(),
            loads: Buckets::new(),
            companies: Buckets::new(),
            audit_bytes: Buckets::new(),
            caller_reserves: Buckets::new(),
            company_reserves: Buckets::new(),
        }
    }

    /// Charges an operation to the budget of the caller. Returns the state of the budget, or `None` if the caller has no
    /// limit or the operation uses the reserve.
    ///
    /// # Errors
    ///
    /// Returns [`Exhausted`] if the budget, and the reserve that the operation may use, are exhausted.
    pub fn spend(&self, caller: Caller, cost: u32, reserve: Reserve) -> Result<Option<Remaining>, Exhausted> {
        let Some(rate) = self.rate_of(caller) else { return Ok(None) };
        let actor = caller.actor();
        let outcome = self.callers.take(&actor, rate, cost).map(Some).or_else(|empty| match reserve {
            Reserve::Revocation => self.caller_reserves.take(&actor, RESERVE, 1).map(|_| None),
            Reserve::None => Err(empty),
        });
        outcome.map_err(|empty| exhausted(Budget::Caller, rate, empty).counted())
    }

    /// Charges an operation to the budget of a company. The caller must be a member of the company, or an API key.
    ///
    /// # Errors
    ///
    /// Returns [`Exhausted`] if the budget, and the reserve that the operation may use, are exhausted.
    pub fn spend_of_company(
        &self,
        company: CompanyId,
        caller: Caller,
        cost: u32,
        reserve: Reserve,
    ) -> Result<(), Exhausted> {
        // Super admins act for the platform. Their own budgets limit them.
        let Some(rate) = self.options.company.filter(|_| !caller.is_super_admin()) else { return Ok(()) };
        let outcome = self.companies.take(&company, rate, cost).or_else(|empty| match reserve {
            Reserve::Revocation => self.company_reserves.take(&(company, caller.actor()), RESERVE, 1),
            Reserve::None => Err(empty),
        });
        outcome.map(drop).map_err(|empty| exhausted(Budget::Company, rate, empty).counted())
    }

    /// Charges further work of an admitted operation, such as the size of its response, to the budget of the caller.
    pub fn charge(&self, caller: Caller, cost: u32) {
        if let Some(rate) = self.rate_of(caller).filter(|_| cost > 0) {
            self.callers.charge(&caller.actor(), rate, cost);
        }
    }

    /// Checks that the caller may cause a load. The load is charged only when it has been made ([`Self::charge_loads`]),
    /// since a request that finds its data in the cache after a poll causes none.
    ///
    /// # Errors
    ///
    /// Returns [`Exhausted`] if the caller's budget of loads is exhausted.
    pub fn may_load(&self, caller: Caller) -> Result<(), Exhausted> {
        let Some(rate) = self.rate_of_loads(caller) else { return Ok(()) };
        let outcome = self.loads.take(&caller.actor(), rate, 0);
        outcome.map(drop).map_err(|empty| exhausted(Budget::Loads, rate, empty))
    }

    /// Charges loads to the caller's budget of loads.
    pub fn charge_loads(&self, caller: Caller, loads: u32) {
        if let Some(rate) = self.rate_of_loads(caller).filter(|_| loads > 0) {
            self.loads.charge(&caller.actor(), rate, loads);
        }
    }

    /// Checks that a change to the company may write audit records. They are charged only after the commit
    /// ([`Self::charge_records`]), since their size is not known before.
    ///
    /// # Errors
    ///
    /// Returns [`Exhausted`] if the company's budget of audit records is exhausted.
    pub fn may_record(&self, company: CompanyId) -> Result<(), Exhausted> {
        let Some(rate) = self.options.audit_bytes else { return Ok(()) };
        let outcome = self.audit_bytes.take(&company, rate, 0);
        outcome.map(drop).map_err(|empty| exhausted(Budget::AuditBytes, rate, empty))
    }

    /// Returns the maximum number of idempotency keys of each caller that are valid at one time.
    #[must_use]
    pub fn idempotency_keys(&self) -> u32 {
        self.options.idempotency_keys.map_or(u32::MAX, NonZeroU32::get)
    }

    /// Charges the bytes of the audit records of a committed change to the company.
    pub fn charge_records(&self, company: CompanyId, bytes: u64) {
        if let Some(rate) = self.options.audit_bytes.filter(|_| bytes > 0) {
            self.audit_bytes.charge(&company, rate, u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Returns the rate of the caller's budget. An API key may have a rate of its own.
    fn rate_of(&self, caller: Caller) -> Option<Rate> {
        match caller {
            Caller::User { .. } => self.options.user,
            Caller::Service(Service { rate: Some(own), .. }) => Some(Rate::per_second(own.per_second())),
            Caller::Service(Service { rate: None, .. }) => self.options.api_key,
        }
    }

    const fn rate_of_loads(&self, caller: Caller) -> Option<Rate> {
        match caller {
            Caller::User { .. } => self.options.user_loads,
            Caller::Service(_) => self.options.api_key_loads,
        }
    }
}

const fn exhausted(budget: Budget, rate: Rate, Empty { retry_after }: Empty) -> Exhausted {
    Exhausted { budget, rate, retry_after }
}
