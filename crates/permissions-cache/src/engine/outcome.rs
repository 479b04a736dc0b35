//! The outcome of a decision, and its encoding in one byte.

use iam_domain::{Reason, Scope};

/// The outcome of a decision. It requires no heap allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// `true` if access is allowed.
    pub allowed: bool,
    /// The scope of the action. `own` if the action is denied, `None` for a view.
    pub scope: Option<Scope>,
    /// The reason for the outcome.
    pub reason: Reason,
}

impl Outcome {
    pub(crate) const fn of_view(allowed: bool, reason: Reason) -> Self {
        Self { allowed, scope: None, reason }
    }

    pub(crate) const fn denied_action(reason: Reason) -> Self {
        Self { allowed: false, scope: Some(Scope::Own), reason }
    }

    /// Applies a required scope: denies the action if its scope is narrower than `least`.
    pub(crate) fn reaching(self, least: Scope) -> Self {
        match self.scope {
            Some(scope) if self.allowed && scope < least => {
                Self { allowed: false, reason: Reason::ScopeTooNarrow, ..self }
            }
            _ => self,
        }
    }
}

/// A decision in one byte: the four lowest bits are the reason, the next two bits are the scope, the next bit is set if
/// access is allowed, and the highest bit is set if a ceiling limits the scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u8);

/// The reasons that a compiled decision can have. The index of a reason in this array is the number that encodes the
/// reason in a [`Code`].
const REASONS: [Reason; 10] = [
    Reason::NoExplicitAllow,
    Reason::ExplicitDeny,
    Reason::ExplicitAllow,
    Reason::PublicView,
    Reason::ViewModuleMissing,
    Reason::FeatureModuleMissing,
    Reason::FeatureDisabled,
    Reason::NoUserLevels,
    Reason::CompanyCeiling,
    Reason::CompanySuspended,
];

impl Code {
    const ALLOWED: u8 = 64;
    const LIMITED: u8 = 128;
    pub(crate) const NO_EXPLICIT_ALLOW: Self = Self(0);
    pub(crate) const EXPLICIT_DENY: Self = Self(1);
    pub(crate) const EXPLICIT_ALLOW: Self = Self(2);
    pub(crate) const PUBLIC_VIEW: Self = Self(3 | Self::ALLOWED);
    pub(crate) const VIEW_MODULE_MISSING: Self = Self(4);
    pub(crate) const FEATURE_MODULE_MISSING: Self = Self(5);
    pub(crate) const FEATURE_DISABLED: Self = Self(6);
    pub(crate) const NO_USER_LEVELS: Self = Self(7);
    pub(crate) const COMPANY_CEILING: Self = Self(8);
    pub(crate) const COMPANY_SUSPENDED: Self = Self(9);

    pub(crate) const fn allow(scope: Scope) -> Self {
        Self(Self::EXPLICIT_ALLOW.0 | (scope as u8) << 4 | Self::ALLOWED)
    }

    /// Returns the code with the mark that a ceiling limits the scope.
    pub(crate) const fn limited(self) -> Self {
        Self(self.0 | Self::LIMITED)
    }

    pub(crate) const fn is_limited(self) -> bool {
        self.0 & Self::LIMITED != 0
    }

    pub(crate) const fn is_allowed(self) -> bool {
        self.0 & Self::ALLOWED != 0
    }

    pub(crate) const fn scope(self) -> Scope {
        scope(self.0 >> 4)
    }

    pub(crate) fn reason(self) -> Reason {
        REASONS.get(usize::from(self.0 & 15)).copied().unwrap_or(Reason::NoExplicitAllow)
    }
}

/// Decodes the scope in the two lowest bits of `bits`.
pub(crate) const fn scope(bits: u8) -> Scope {
    match bits & 3 {
        0 => Scope::Own,
        1 => Scope::Team,
        2 => Scope::Company,
        _ => Scope::Any,
    }
}
