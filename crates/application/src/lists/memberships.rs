//! Lists the companies of a user.

use iam_domain::{Caller, UserId};
use iam_storage::Membership;

use crate::lists::cursor::Binding;
use crate::lists::page::{Page, PageRequest};
use crate::{Application, Failure};

impl Application {
    /// Returns a page of the companies in which a user holds levels, ordered by id.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if the cursor was not issued for this request, and [`Failure::Unavailable`] if the
    /// storage cannot be read.
    pub async fn memberships(
        &self,
        caller: Caller,
        user: UserId,
        page: &PageRequest,
    ) -> Result<Page<Membership>, Failure> {
        let parameters = user.to_string();
        let binding = Binding { list: "memberships", caller, company: None, parameters: &parameters };
        let assignments = self.reader().assignments();
        let read = async |after, limit| assignments.get_memberships(user, after, limit).await;
        self.page(&binding, page, |of: &Membership| of.company, read).await
    }
}
