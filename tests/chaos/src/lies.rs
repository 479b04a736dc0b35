//! Deliberate lies of the harness. Each must be found, which shows that the checks work.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::Answer;
use crate::report::Broken;

/// The subject of a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lie {
    /// Revocations are reported as acknowledged and are never sent.
    UnsentRevocation,
    /// Grants are reported as acknowledged and are never sent.
    UnsentGrant,
    /// Of changes to several levels only a part is sent.
    HalfChange,
    /// An assignment is removed in the database, behind the service.
    LostChange,
    /// A change is attributed to a request that was never sent.
    InventedRecord,
    /// Some answers are reported as 500.
    ServerError,
    /// Faults are reported as over while they go on.
    EndlessFault,
}

static ANSWERS: AtomicUsize = AtomicUsize::new(0);

impl Lie {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::UnsentRevocation,
        Self::UnsentGrant,
        Self::HalfChange,
        Self::LostChange,
        Self::InventedRecord,
        Self::ServerError,
        Self::EndlessFault,
    ];

    /// The kind of violation that must be reported.
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

    /// Changes some answers.
    pub(crate) fn about_answer(self, answer: &mut Answer) {
        if self == Self::ServerError && ANSWERS.fetch_add(1, Ordering::SeqCst) % 100 == 99 {
            answer.status = 500;
        }
    }
}
