//! The simulation of changes: units of work on copies of companies.

use async_trait::async_trait;

use crate::stamped::Stamped;
use crate::{ChangeContext, CompanyCopy, Result, Target, UnitOfWork};

/// Begins units of work on copies of companies. They apply the rules of a storage, and nothing that they do is stored.
#[async_trait]
pub trait Simulator: Send + Sync + 'static {
    /// Begins a unit of work for `target` on the copy of a company. It takes place at the time at which the copy was read,
    /// and waits for no lock. Its reads return
    /// the data of the copy. Other companies, credentials, profiles, audit records and external ids of users are absent.
    ///
    /// # Errors
    ///
    /// Returns `Conflict` if the target is a company that was erased.
    async fn begin(
        &self,
        copy: &Stamped<CompanyCopy>,
        target: Target,
        context: ChangeContext,
    ) -> Result<Box<dyn UnitOfWork>>;
}
