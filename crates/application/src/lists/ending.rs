//! Lists the assignments of a company that have an end, for access reviews.

use iam_domain::{Caller, CompanyId, Timestamp, UserId, UserLevelId};
use iam_storage::{EndPosition, EndingAssignment};

use crate::lists::cursor::Binding;
use crate::lists::page::{Page, PageRequest};
use crate::{Application, Failure};

/// A request for a page of the assignments of a company that have an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEndingAssignments {
    /// The company.
    pub company: CompanyId,
    /// The time before which the assignments end.
    pub before: Timestamp,
    /// The requested page.
    pub page: PageRequest,
}

/// The position of an assignment, as a cursor contains it: its end in microseconds since the Unix epoch, the user and the
/// level.
type Position = (i64, UserId, UserLevelId);

impl Application {
    /// Returns a page of the assignments that end before a time, ordered by their ends. Expired assignments are included
    /// until they are removed.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if the cursor was not issued for this request, and [`Failure::Unavailable`] if the
    /// storage cannot be read.
    pub async fn list_ending_assignments(
        &self,
        caller: Caller,
        request: &ListEndingAssignments,
    ) -> Result<Page<EndingAssignment>, Failure> {
        let ListEndingAssignments { company, before, page } = request;
        let parameters = before.micros().to_string();
        let binding = Binding { list: "assignments", caller, company: Some(*company), parameters: &parameters };
        let assignments = self.reader().ending_assignments();
        let position = |ending: &EndingAssignment| {
            let EndPosition { expires_at, user, level } = ending.position();
            (expires_at.micros(), user, level)
        };
        let read = async |after: Option<Position>, limit| {
            // A cursor is signed, so it contains the end of an assignment, which is a valid time.
            let after = after.and_then(|(micros, user, level)| {
                Some(EndPosition { expires_at: Timestamp::from_micros(micros)?, user, level })
            });
            assignments.list_ending(*company, *before, after, limit).await
        };
        self.page(&binding, page, position, read).await
    }
}
