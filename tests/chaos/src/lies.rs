//! Deliberate falsifications by the test harness. Each must be detected, which shows that the checks work.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::Answer;
use crate::report::Broken;

/// A kind of falsification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lie {
    /// Revocations are reported as acknowledged and are never sent.
    UnsentRevocation,
    /// Grants are reported as acknowledged and are never sent.
    UnsentGrant,
    /// For changes of several bits only a part is sent.
    HalfChange,
    /// All assignments are deleted directly in the database.
    LostChange,
    /// A change is attributed to a request that was never sent.
    InventedRecord,
    /// Some responses are reported as 500.
    ServerError,
    /// Faults are reported as ended while they are still active.
    EndlessFault,
}

static ANSWERS: AtomicUsize = AtomicUsize::new(0);

impl Lie {
    /// All kinds.
    pub(crate) const ALL: [Self; 7] = [
        Self::UnsentRevocation,
        Self::UnsentGrant,
        Self::HalfChange,
        Self::LostChange,
        Self::InventedRecord,
        Self::ServerError,
        Self::EndlessFault,
    ];

    /// Returns the kind of violation that must be reported.
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

    /// Falsifies some responses.
    pub(crate) fn about_answer(self, answer: &mut Answer) {
        if self == Self::ServerError && ANSWERS.fetch_add(1, Ordering::SeqCst) % 100 == 99 {
            answer.status = 500;
        }
    }
}
