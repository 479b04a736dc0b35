//! Reads from read replicas: a read is sent to a replica, and its result is used only if the same statement proves that the
//! replica has all versions that this process knows.

pub(crate) mod condition;
pub(crate) mod marker;
pub(crate) mod reader;
mod replica;
pub(crate) mod requirements;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use iam_database_url::UrlError;
use sea_orm::{QueryResult, Statement};

use crate::connections::hooks::PoolHooks;
use crate::connections::shares::Class;
use crate::metric_list::{REPLICA_READS, REPLICAS_IN_USE};
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::replicas::replica::{Outcome, Replica};
use crate::replicas::requirements::Requirements;
use crate::repository::{Repository, Work};
use crate::snapshot::Snapshot;

/// The read replicas of a storage.
#[derive(Debug)]
pub(crate) struct Replicas {
    replicas: Vec<Arc<Replica>>,
    requirements: Arc<Requirements>,
    /// The number of reads so far. The replicas take turns.
    turns: AtomicUsize,
}

impl Replicas {
    /// Creates the pools of the replicas, which open their first connections when they are checked. Returns `None` if the
    /// options contain no replica.
    pub(crate) fn new(options: &PostgresOptions) -> Result<Option<Self>, UrlError> {
        if options.replica_urls.is_empty() {
            return Ok(None);
        }
        let requirements = Arc::new(Requirements::new(options.replica_max_age));
        let replicas: Vec<_> =
            options.replica_urls.iter().map(|url| Replica::new(options, url)).collect::<Result<_, _>>()?;
        for replica in &replicas {
            replica.check_until_usable(&requirements);
        }
        Ok(Some(Self { replicas, requirements, turns: AtomicUsize::new(0) }))
    }

    /// Returns the requirements that a replica must meet.
    pub(crate) const fn requirements(&self) -> &Arc<Requirements> {
        &self.requirements
    }

    /// Executes a read on a replica. Returns `None` if the read must be sent to the primary: it may not be sent to a
    /// replica, no replica can be used, or the replica lacks a version.
    pub(crate) async fn rows(&self, statement: &Statement, work: Work) -> Option<Vec<QueryResult>> {
        let company = match work {
            Work::InPool(Class::Reads | Class::Loads | Class::Audit, Some(company)) | Work::WholeCompany(company) => {
                Some(company)
            }
            Work::Catalog => None,
            // A read that concerns several companies has no version. Writes outside units of work have other classes.
            Work::InPool(..) | Work::OutsidePool => return None,
        };
        let outcome = match self.next() {
            Some(replica) => replica.read(statement, work, company, &self.requirements).await,
            None => Outcome::NoneInUse,
        };
        let (result, rows) = match outcome {
            Outcome::Rows(rows) => ("replica", Some(rows)),
            Outcome::Outdated => ("outdated", None),
            Outcome::Failed => ("failed", None),
            Outcome::NoneInUse => ("none_in_use", None),
            Outcome::Unproven => ("unproven", None),
        };
        metrics::counter!(REPLICA_READS, "result" => result).increment(1);
        rows
    }

    /// Opens a snapshot on a replica that has every commit that the primary had before. Returns `None` if no replica provides
    /// one within 5 s.
    pub(crate) async fn snapshot(
        &self,
        primary: &Repository<Arc<Pool>>,
        options: &PostgresOptions,
        main: &PoolHooks,
    ) -> Option<Repository<Snapshot>> {
        snapshot::open(&self.replicas, primary, options, main).await
    }

    /// Returns the replica whose turn it is among those in use.
    fn next(&self) -> Option<&Arc<Replica>> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let count = self.replicas.len();
        (0..count).filter_map(|step| self.replicas.get((turn.wrapping_add(step)) % count)).find(|it| it.is_in_use())
    }

    /// Closes the pools.
    pub(crate) async fn close(&self) {
        for replica in &self.replicas {
            replica.close().await;
        }
    }

    /// Publishes the number of replicas in use.
    pub(crate) fn publish(&self) {
        metrics::gauge!(REPLICAS_IN_USE).set(self.replicas.iter().filter(|replica| replica.is_in_use()).count() as f64);
    }
}
