//! The cache of menus. It contains the menus of individual companies, and the common menu, which all companies share.

use std::sync::Arc;

use iam_domain::{CompanyId, Menu};
use iam_storage::{Result, Stamped, StateId};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::loading::coalescer::Coalescer;
use crate::loading::context::Context;
use crate::loading::error::Loaded;

/// Maximum number of cached menus.
const MAX_MENUS: usize = 2048;

type StampedMenu = Stamped<Arc<Menu>>;

/// The cached menus. The key consists of the epoch, the owner (`None` for the common menu), and the version and stamp
/// of the owner's data. For a company's menu, this is the version of the company. For the common menu, it is the
/// version of the catalog. The menu at a given version is immutable, so cached menus need no invalidation.
pub(crate) struct Menus {
    context: Context,
    loads: Coalescer<Option<CompanyId>, Loaded<StampedMenu>>,
    kept: Cache<(u64, Option<CompanyId>, StateId), Arc<Menu>>,
}

impl Menus {
    /// Creates the cache of menus. The semaphore `gate` limits the number of concurrent loads.
    pub(crate) fn new(context: &Context, gate: Arc<Semaphore>) -> Self {
        let loading = context.clone();
        let tickets = Arc::clone(&context.cache.tickets);
        let loads = Coalescer::new(tickets, gate, context.runtime.clone(), move |owner, _| {
            let context = loading.clone();
            Box::pin(async move {
                let Stamped { versions, stamps, next_boundary, value } =
                    context.timed(context.storage.reader().snapshots().load_menu(owner)).await?;
                Ok(Stamped { versions, stamps, next_boundary, value: Arc::new(value) })
            })
        });
        Self { context: context.clone(), loads, kept: Cache::new(MAX_MENUS) }
    }

    /// Returns the menu of an owner at exactly this version and stamp. `None` if the database now has another version.
    pub(crate) async fn menu(&self, owner: Option<CompanyId>, epoch: u64, state: StateId) -> Result<Option<Arc<Menu>>> {
        if let Some(menu) = self.kept.get(&(epoch, owner, state)) {
            return Ok(Some(menu));
        }
        let loaded = self.context.in_time("load menu", self.loads.get(owner, self.context.cache.tickets.now())).await?;
        let read = if owner.is_some() { loaded.company_state() } else { loaded.catalog_state() };
        self.kept.insert((loaded.versions.epoch, owner, read), Arc::clone(&loaded.value));
        Ok(((loaded.versions.epoch, read) == (epoch, state)).then_some(loaded.value))
    }
}
