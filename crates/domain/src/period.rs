//! The period in which an assignment is in effect.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The period in which an assignment is in effect: from its start, inclusive, until its end, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Period {
    /// The start. Absent if the assignment is in effect since it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub starts_at: Option<Timestamp>,
    /// The end. Absent if the assignment has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub expires_at: Option<Timestamp>,
}

/// The state of an assignment at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AssignmentState {
    /// The assignment has not started yet.
    Pending,
    /// The assignment is in effect.
    Active,
    /// The assignment has ended.
    Expired,
}

impl Period {
    /// The period of an assignment that is in effect without limits.
    pub const UNLIMITED: Self = Self { starts_at: None, expires_at: None };

    /// Returns the state of an assignment with this period at the time `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> AssignmentState {
        if self.expires_at.is_some_and(|end| end <= now) {
            AssignmentState::Expired
        } else if self.starts_at.is_some_and(|start| start > now) {
            AssignmentState::Pending
        } else {
            AssignmentState::Active
        }
    }

    /// Returns `true` if an assignment with this period is in effect at the time `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == AssignmentState::Active
    }

    /// Returns `true` if an assignment with this period has ended at the time `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.state(now) == AssignmentState::Expired
    }

    /// Returns `true` if an assignment with this period is in effect at the time `now` and has no end.
    #[must_use]
    pub fn is_lasting(&self, now: Timestamp) -> bool {
        self.expires_at.is_none() && self.is_active(now)
    }

    /// Returns `true` if the period has neither a start nor an end.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.starts_at.is_none() && self.expires_at.is_none()
    }

    /// Returns the start and the end, as far as the period has them.
    pub fn boundaries(&self) -> impl Iterator<Item = Timestamp> {
        self.starts_at.into_iter().chain(self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_belongs_to_the_period_and_the_end_does_not() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let period = Period { starts_at: Some(at(10)), expires_at: Some(at(20)) };
        let states = [9, 10, 19, 20].map(|now| period.state(at(now)));
        assert_eq!(
            states,
            [AssignmentState::Pending, AssignmentState::Active, AssignmentState::Active, AssignmentState::Expired]
        );
        assert_eq!(Period::UNLIMITED.state(at(0)), AssignmentState::Active);
        assert!(Period::UNLIMITED.is_unlimited() && !period.is_unlimited());
    }
}
