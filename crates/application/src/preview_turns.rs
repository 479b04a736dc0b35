//! The order in which previews are computed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use iam_domain::CompanyId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Lets one preview be computed at a time. At most one preview of each company waits beside those of other companies, so
/// that a company with many previews does not delay the previews of others by more than one.
#[derive(Debug)]
pub(crate) struct PreviewTurns {
    one: Arc<Semaphore>,
    companies: Mutex<HashMap<CompanyId, Weak<Semaphore>>>,
}

/// The right to compute a preview (RAII guard).
#[derive(Debug)]
pub(crate) struct PreviewTurn {
    _one: OwnedSemaphorePermit,
    _of_company: OwnedSemaphorePermit,
}

impl Default for PreviewTurns {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), companies: Mutex::default() }
    }
}

impl PreviewTurns {
    /// Waits for the turn of a preview of this company. Cancelling this call gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if a semaphore is closed, which never happens.
    pub(crate) async fn enter(&self, company: CompanyId) -> Result<PreviewTurn, AcquireError> {
        let of_company = self.of_company(company).acquire_owned().await?;
        let one = Arc::clone(&self.one).acquire_owned().await?;
        Ok(PreviewTurn { _one: one, _of_company: of_company })
    }

    /// Returns the semaphore of a company. It exists for as long as a preview of the company waits or is computed.
    fn of_company(&self, company: CompanyId) -> Arc<Semaphore> {
        let mut companies = self.companies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = companies.get(&company).and_then(Weak::upgrade) {
            return found;
        }
        companies.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(1));
        companies.insert(company, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<PreviewTurn, AcquireError>> + 'a>>;

    /// Polls a future once. Returns the turn if the future is ready.
    fn poll(entering: &mut Entering<'_>) -> Option<PreviewTurn> {
        match entering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_company_with_many_previews_delays_others_by_at_most_one() {
        let turns = PreviewTurns::default();
        let [busy, other] = [1, 2].map(|id| CompanyId::from_uuid(uuid::Uuid::from_u128(id)));
        let enter = |company| -> Entering<'_> { Box::pin(turns.enter(company)) };
        let running = poll(&mut enter(busy)).unwrap();
        let mut waiting = [enter(busy), enter(busy)];
        assert!(waiting.iter_mut().all(|entering| poll(entering).is_none()));
        let mut neighbour = enter(other);
        assert!(poll(&mut neighbour).is_none(), "previews are computed one at a time");
        drop(running);
        assert!(waiting.iter_mut().all(|entering| poll(entering).is_none()));
        drop(poll(&mut neighbour).unwrap());
        let [first, second] = &mut waiting;
        let turn = poll(first).unwrap();
        assert!(poll(second).is_none());
        drop(turn);
        drop(poll(second).unwrap());
        drop((waiting, neighbour));
        drop(poll(&mut enter(other)).unwrap());
        assert_eq!(turns.companies.lock().unwrap().len(), 1, "companies without previews are forgotten");
    }
}
