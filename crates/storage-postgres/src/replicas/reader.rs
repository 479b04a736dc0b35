//! The executor of reads that may be sent to a replica, and otherwise to the primary.

use std::sync::Arc;

use iam_domain::CompanyId;
use iam_storage::Result;
use sea_orm::{QueryResult, Statement};
use tokio::runtime::Handle;

use crate::catalog_cache::CatalogCache;
use crate::changes::read_matrices::ReadMatrices;
use crate::connections::deadlines::Connections;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::shares::Permit;
use crate::engine::Feed;
use crate::pool::Pool;
use crate::replicas::Replicas;
use crate::replicas::requirements::Version;
use crate::repository::{Executor, Work};

/// The pool of the primary, and the replicas to which reads are sent first.
#[derive(Debug)]
pub(crate) struct WithReplicas {
    pub(crate) primary: Arc<Pool>,
    pub(crate) replicas: Replicas,
}

impl Executor for WithReplicas {
    const ATTEMPTS: u32 = <Arc<Pool> as Executor>::ATTEMPTS;

    type Connection = Connections;

    fn connection(&self, work: Work) -> &Connections {
        self.primary.connection(work)
    }

    async fn admit(&self, work: Work) -> Result<Option<Permit>> {
        self.primary.admit(work).await
    }

    fn runtime(&self) -> &Handle {
        self.primary.runtime()
    }

    fn outdated(&self) -> &OutdatedConnections {
        self.primary.outdated()
    }

    fn catalog(&self) -> Option<&Arc<CatalogCache>> {
        self.primary.catalog()
    }

    fn read_matrices(&self) -> Option<&ReadMatrices> {
        None
    }

    fn for_company(&self, company: Option<CompanyId>, statement: Statement) -> Statement {
        self.primary.for_company(company, statement)
    }

    fn feed(&self) -> Feed {
        self.primary.feed()
    }

    async fn rows_of_replica(&self, statement: &Statement, work: Work) -> Option<Vec<QueryResult>> {
        self.replicas.rows(statement, work).await
    }

    fn learned(&self, epoch: u64, catalog: Version, company: Option<(CompanyId, Version)>) {
        self.primary.learned(epoch, catalog, company);
    }
}
