//! Deliberate falsifications of the observations (fault injection into the test itself). They verify that the checks
//! detect violations.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::Answer;
use crate::report::Broken;

/// A deliberate inconsistency between the recorded observations and the actual behaviour of the service. The checks
/// must detect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Falsification {
    /// Revocations are recorded as acknowledged but never sent.
    UnsentRevocation,
    /// Grants are recorded as acknowledged but never sent.
    UnsentGrant,
    /// A change that sets several bits is sent without one of these bits.
    HalfChange,
    /// All assignments are deleted directly in the database.
    LostChange,
    /// Changes are attributed to request ids that were never sent, so the audit log has no records of them.
    InventedRecord,
    /// Every hundredth response is recorded with the status 500.
    ServerError,
    /// A fault is treated as ended although it is still active.
    EndlessFault,
}

static ANSWERS: AtomicUsize = AtomicUsize::new(0);

impl Falsification {
    /// All falsifications.
    pub(crate) const ALL: [Self; 7] = [
        Self::UnsentRevocation,
        Self::UnsentGrant,
        Self::HalfChange,
        Self::LostChange,
        Self::InventedRecord,
        Self::ServerError,
        Self::EndlessFault,
    ];

    /// Returns the kind of violation that the checks must report because of this falsification.
    pub(crate) fn must_break(self) -> Broken {
        match self {
            Self::UnsentRevocation => Broken::AllowTooLate,
            Self::UnsentGrant => Broken::SeenTooLate,
            Self::HalfChange => Broken::HalfChange,
            Self::LostChange => Broken::LostChange,
            Self::InventedRecord => Broken::Audit,
            Self::ServerError => Broken::Status,
            Self::EndlessFault => Broken::Recovery,
        }
    }

    /// Replaces the status of every hundredth response with 500 if this is [`Falsification::ServerError`].
    pub(crate) fn falsify_status(self, answer: &mut Answer) {
        if self == Self::ServerError && ANSWERS.fetch_add(1, Ordering::SeqCst) % 100 == 99 {
            answer.status = 500;
        }
    }
}
