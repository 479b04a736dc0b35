//! The budget of audit records per company: a bound on the bytes that a company may write to its audit log per hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use iam_domain::CompanyId;

/// Default number of bytes of audit records that a company may write per hour: 256 MiB.
pub const DEFAULT_AUDIT_BYTES_PER_HOUR: u64 = 256 * 1024 * 1024;

/// Number of companies above which companies with a full budget are removed from the table.
const MAX_TRACKED_COMPANIES: usize = 10_000;

/// The budgets of all companies, in the memory of this process. Each company has a token bucket: it holds the bytes of
/// one hour and refills continuously. A change is charged after its commit, because the size of its records is not
/// known before. So a bucket can be overdrawn; the company then waits until the debt is refilled.
#[derive(Debug)]
pub struct AuditBudget {
    /// The bytes per hour, which are also the capacity of a bucket. 0 means unlimited.
    bytes_per_hour: u64,
    /// The companies that have used a part of their budget.
    used: Mutex<HashMap<CompanyId, Used>>,
}

/// The used part of a budget.
#[derive(Debug, Clone, Copy)]
struct Used {
    bytes: f64,
    at: Instant,
}

impl Default for AuditBudget {
    fn default() -> Self {
        Self::per_hour(DEFAULT_AUDIT_BYTES_PER_HOUR)
    }
}

impl AuditBudget {
    /// Creates budgets of this number of bytes per company and hour. 0 means unlimited.
    #[must_use]
    pub fn per_hour(bytes: u64) -> Self {
        Self { bytes_per_hour: bytes, used: Mutex::default() }
    }

    /// Returns the time until the company has budget again, or `None` if it has budget now.
    pub(crate) fn wait(&self, company: CompanyId, now: Instant) -> Option<Duration> {
        if self.bytes_per_hour == 0 {
            return None;
        }
        let table = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = self.used_at(*table.get(&company)?, now) - self.capacity();
        (excess >= 0.0).then(|| Duration::from_secs_f64((excess / self.bytes_per_second()).clamp(1.0, 86_400.0)))
    }

    /// Charges the bytes of the audit records of a committed change to the company.
    pub(crate) fn charge(&self, company: CompanyId, bytes: u64, now: Instant) {
        if self.bytes_per_hour == 0 {
            return;
        }
        let mut table = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_TRACKED_COMPANIES {
            table.retain(|_, used| self.used_at(*used, now) > 0.0);
        }
        let before = table.get(&company).map_or(0.0, |used| self.used_at(*used, now));
        table.insert(company, Used { bytes: before + approximate(bytes), at: now });
    }

    /// Returns the bytes of a used part that are not refilled at the time `now`.
    fn used_at(&self, used: Used, now: Instant) -> f64 {
        let refilled = now.saturating_duration_since(used.at).as_secs_f64() * self.bytes_per_second();
        (used.bytes - refilled).max(0.0)
    }

    fn capacity(&self) -> f64 {
        approximate(self.bytes_per_hour)
    }

    fn bytes_per_second(&self) -> f64 {
        self.capacity() / 3600.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a budget need not be exact to the byte")]
const fn approximate(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn company(number: u128) -> CompanyId {
        CompanyId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_company_waits_until_its_debt_is_refilled() {
        let (budget, start) = (AuditBudget::per_hour(3600), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        budget.charge(company(1), 3000, start);
        assert_eq!(budget.wait(company(1), start), None);
        budget.charge(company(1), 1000, start);
        assert_eq!(budget.wait(company(1), start), Some(Duration::from_secs(400)));
        assert_eq!(budget.wait(company(1), after(399)), Some(Duration::from_secs(1)));
        assert_eq!(budget.wait(company(1), after(401)), None);
        assert_eq!(budget.wait(company(2), start), None);
    }

    #[test]
    fn a_budget_refills_to_its_capacity_and_not_above() {
        let (budget, start) = (AuditBudget::per_hour(3600), Instant::now());
        budget.charge(company(1), 10, start);
        let later = start + Duration::from_secs(100_000);
        budget.charge(company(1), 3599, later);
        assert_eq!(budget.wait(company(1), later), None);
        budget.charge(company(1), 1, later);
        assert!(budget.wait(company(1), later).is_some());
    }

    #[test]
    fn a_budget_of_zero_is_unlimited() {
        let (budget, now) = (AuditBudget::per_hour(0), Instant::now());
        budget.charge(company(1), u64::MAX, now);
        assert_eq!(budget.wait(company(1), now), None);
    }

    #[test]
    fn companies_with_a_full_budget_are_removed() {
        let (budget, start) = (AuditBudget::per_hour(3600), Instant::now());
        for number in 0..MAX_TRACKED_COMPANIES as u128 {
            budget.charge(company(number), 1, start);
        }
        budget.charge(company(u128::MAX), 1, start + Duration::from_secs(60));
        assert_eq!(budget.used.lock().unwrap().len(), 1);
    }
}
