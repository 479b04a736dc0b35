//! The stored rows of effective permissions: written for active users, read when a process starts, deleted after they
//! expire. All of it happens in the background.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CompanyId, UserId, Versions};
use iam_storage::{NewEffectiveFeaturePermission, NewEffectiveViewPermission, Result, StorageError};
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::{Access, Permissions, Subject};

/// How much is written in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOptions {
    /// How long rows are valid.
    pub valid_for: Duration,
    /// How often rows are written.
    pub every: Duration,
    /// The most users whose rows are written at a time.
    pub max_users: usize,
    /// The most users of one company among them.
    pub max_users_of_company: usize,
    /// The most expired rows that are deleted at a time.
    pub max_swept: u64,
    /// The most users that are loaded when the process starts.
    pub max_warmed: u64,
}

impl Default for FillOptions {
    /// Rows valid for 15 minutes; every 2 seconds those of 40 users, at most 10 of a company, about 150 rows each;
    /// 5,000 deleted at a time; 10,000 users loaded at the start.
    fn default() -> Self {
        Self {
            valid_for: Duration::from_secs(15 * 60),
            every: Duration::from_secs(2),
            max_users: 40,
            max_users_of_company: 10,
            max_swept: 5000,
            max_warmed: 10_000,
        }
    }
}

/// How many users of a company are loaded in one statement.
const TOGETHER: usize = 500;
/// How many attempts are made to load them at the start, until they are kept.
const WARM_ATTEMPTS: usize = 2;

/// The users whose rows were written, of which state, and when.
#[derive(Debug, Default)]
pub struct Filled(HashMap<Key, (Versions, Moment)>);

impl Permissions {
    /// Loads the users who were active before this process started, the latest first; returns how many of them are
    /// kept. Those that are not, because a change was reported meanwhile that the load may have missed, are loaded once
    /// more.
    ///
    /// # Errors
    ///
    /// Errors of the storage.
    pub async fn warm(&self, max_users: u64) -> Result<usize> {
        let active = self.storage.effective_view_permissions().find_active(max_users).await?;
        let mut companies: BTreeMap<CompanyId, Vec<UserId>> = BTreeMap::new();
        for (company, user) in &active {
            companies.entry(*company).or_default().push(*user);
        }
        let mut loaded = 0;
        for (company, users) in companies {
            for users in users.chunks(TOGETHER) {
                let mut missing = users.to_vec();
                for _ in 0..WARM_ATTEMPTS {
                    if let Err(error) = self.load_together(company, missing.clone()).await {
                        failed(company, &error);
                    }
                    missing.retain(|user| !self.cache.keeps(&(company, *user)));
                    if missing.is_empty() {
                        break;
                    }
                }
                loaded += users.len() - missing.len();
            }
        }
        Ok(loaded)
    }

    /// Writes the rows of users who were asked about lately and whose rows are missing, outdated or about to expire;
    /// returns of how many users. A concurrent change wins: rows computed before it are not written. A failure of one
    /// company is logged and retried.
    pub async fn fill(&self, filled: &mut Filled, options: &FillOptions) -> usize {
        let now = Moment::now();
        let lasts = options.valid_for * 2 / 3;
        let active = self.cache.active();
        filled.0.retain(|_, (_, at)| now.since(*at) < lasts);

        let mut companies: BTreeMap<CompanyId, Vec<(UserId, Arc<CompiledSet>)>> = BTreeMap::new();
        let mut count = 0;
        for (key, set) in active {
            if filled.0.get(&key).is_some_and(|(versions, _)| *versions == set.versions) {
                self.cache.entries.rest(&key);
                continue;
            }
            let users = companies.entry(key.0).or_default();
            if count < options.max_users && users.len() < options.max_users_of_company {
                users.push((key.1, set));
                count += 1;
            }
        }
        let mut written = 0;
        for (company, users) in companies {
            // A company may have changed between two of its users, so each state is written separately.
            let mut states: BTreeMap<(i64, i64), Vec<_>> = BTreeMap::new();
            for (user, set) in users {
                states.entry((set.versions.catalog, set.versions.company)).or_default().push((user, set));
            }
            for users in states.into_values() {
                match self.write_rows(company, &users, options.valid_for).await {
                    Ok(()) => {
                        written += users.len();
                        for (user, set) in users {
                            filled.0.insert((company, user), (set.versions, now));
                            self.cache.entries.rest(&(company, user));
                        }
                    }
                    // What is kept may be outdated by a change that no poll reports.
                    Err(StorageError::Stale) => {
                        let users = users.iter().map(|(user, _)| *user).collect();
                        if let Err(error) = self.load_together(company, users).await {
                            failed(company, &error);
                        }
                    }
                    // A failure of one company must not affect the others.
                    Err(error) => failed(company, &error),
                }
            }
        }
        metrics::counter!("iam_effective_users_filled_total").increment(written as u64);
        written
    }

    async fn write_rows(
        &self,
        company: CompanyId,
        users: &[(UserId, Arc<CompiledSet>)],
        valid_for: Duration,
    ) -> Result<()> {
        let Some((_, first)) = users.first() else { return Ok(()) };
        let (mut views, mut features) = (Vec::new(), Vec::new());
        for (user_id, set) in users {
            let access = Access::new(Arc::clone(set), Subject::User(*user_id), None);
            let effective = access.effective();
            views.extend(effective.views.into_iter().map(|(view_id, has_access)| NewEffectiveViewPermission {
                user_id: *user_id,
                view_id,
                has_access,
            }));
            for (feature_id, actions) in effective.features {
                features.extend(actions.into_iter().map(|(action, permission)| NewEffectiveFeaturePermission {
                    user_id: *user_id,
                    feature_id,
                    action,
                    allowed: permission.allowed,
                    scope: permission.scope,
                }));
            }
        }
        self.storage.effective_view_permissions().upsert_many(company, first.versions, valid_for, &views).await?;
        self.storage.effective_feature_permissions().upsert_many(company, first.versions, valid_for, &features).await?;
        Ok(())
    }

    /// Deletes a bounded number of expired rows; returns how many.
    ///
    /// # Errors
    ///
    /// Errors of the storage.
    pub async fn sweep(&self, max_rows: u64) -> Result<u64> {
        let views = self.storage.effective_view_permissions().delete_expired(max_rows).await?;
        let features = self.storage.effective_feature_permissions().delete_expired(max_rows).await?;
        Ok(views + features)
    }

    /// Stores when API keys were used since the last call. Uses that cannot be written are lost, which is acceptable:
    /// only the time of the last use is stored, and a later use updates it.
    pub async fn note_uses(&self) {
        let uses = self.cache.credentials.take_uses();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.storage.api_key_uses().record(&uses).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "uses of API keys could not be noted");
        }
    }

    /// Warms up; then writes rows, deletes expired ones and stores the uses of API keys, forever. Run it in a task of
    /// its own once the storage is ready.
    pub async fn maintain(&self, options: FillOptions) {
        match self.warm(options.max_warmed).await {
            Ok(users) => tracing::info!(users, "those who were active before are loaded"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "active users could not be loaded ahead")
            }
        }
        let mut filled = Filled::default();
        let mut ticks = interval(options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.stats().publish();
            self.fill(&mut filled, &options).await;
            self.note_uses().await;
            if let Err(error) = self.sweep(options.max_swept).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "expired rows could not be dropped");
            }
        }
    }
}

fn failed(company: CompanyId, error: &StorageError) {
    tracing::warn!(%company, error = error as &dyn std::error::Error, "effective permissions could not be kept");
}
