//! The effective-permission rows: the effective permissions that are stored for active users, and deleted after they
//! expire.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CompanyId, UserId, Versions};
use iam_storage::{NewEffectiveFeaturePermission, NewEffectiveViewPermission, Result, StorageError};

use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::loading::context::Source;
use crate::maintenance::{FillOptions, log_failure};
use crate::metric_list::{SWEPT_FEATURES, SWEPT_KEYS, SWEPT_ROWS, SWEPT_SESSIONS, SWEPT_VIEWS};
use crate::{Access, Permissions, Subject};

/// The users whose effective-permission rows were written, with the versions and the time of the last write.
#[derive(Debug, Default)]
pub struct Filled(HashMap<Key, (Versions, Moment)>);

impl Permissions {
    /// Writes the effective-permission rows of active users whose rows are missing, outdated or about to expire.
    /// Returns the number of users whose rows were written. Rows that were computed before a concurrent change are not
    /// written. A failure for one company is logged, and the next call retries the company.
    pub async fn fill(&self, filled: &mut Filled, options: &FillOptions) -> usize {
        let now = Moment::now();
        let lasts = options.valid_for * 2 / 3;
        let active = self.context.cache.active();
        filled.0.retain(|_, (_, at)| now.since(*at) < lasts);

        let mut companies: BTreeMap<CompanyId, Vec<(UserId, Arc<CompiledSet>)>> = BTreeMap::new();
        let (mut count, mut outdated) = (0, 0_u32);
        for (key, set) in active {
            if filled.0.get(&key).is_some_and(|(versions, _)| *versions == set.versions) {
                self.context.cache.entries.rest(&key);
                continue;
            }
            outdated = outdated.saturating_add(1);
            let users = companies.entry(key.0).or_default();
            if count < options.max_users && users.len() < options.max_users_of_company {
                users.push((key.1, set));
                count += 1;
            }
        }
        let mut written = 0;
        for (company, users) in companies {
            // A company may have changed between the loads of two users, so rows of different versions are written
            // separately.
            let mut states: BTreeMap<(i64, i64, i64), Vec<_>> = BTreeMap::new();
            for (user, set) in users {
                let Versions { catalog, company, boundary, .. } = set.versions;
                states.entry((catalog, company, boundary)).or_default().push((user, set));
            }
            for users in states.into_values() {
                match self.write_rows(company, &users, options.valid_for).await {
                    Ok(()) => {
                        written += users.len();
                        for (user, set) in users {
                            filled.0.insert((company, user), (set.versions, now));
                            self.context.cache.entries.rest(&(company, user));
                        }
                    }
                    // The cached sets may be outdated by a change that no poll has reported yet, so the users are
                    // loaded again.
                    Err(StorageError::Stale) => {
                        let users = users.iter().map(|(user, _)| *user).collect();
                        if let Err(error) = self.loads.users_together(company, users, Source::Primary).await {
                            log_failure(company, &error);
                        }
                    }
                    // A failure for one company must not affect the other companies.
                    Err(error) => log_failure(company, &error),
                }
            }
        }
        metrics::counter!("iam_effective_users_filled_total").increment(written as u64);
        let waiting = outdated.saturating_sub(u32::try_from(written).unwrap_or(u32::MAX));
        metrics::gauge!("iam_effective_users_waiting").set(f64::from(waiting));
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
        self.context
            .storage
            .effective_view_permissions()
            .upsert_many(company, first.versions, valid_for, &views)
            .await?;
        self.context
            .storage
            .effective_feature_permissions()
            .upsert_many(company, first.versions, valid_for, &features)
            .await?;
        Ok(())
    }

    /// Deletes expired rows: at most `max_rows` effective-permission rows of views, as many of features, as many
    /// records of requests with idempotency keys, and as many sessions of the console. Returns the number of deleted rows.
    ///
    /// # Errors
    ///
    /// Returns storage errors.
    pub async fn sweep(&self, max_rows: u64) -> Result<u64> {
        let views = self.context.storage.effective_view_permissions().delete_expired(max_rows).await?;
        metrics::counter!(SWEPT_ROWS, "table" => SWEPT_VIEWS).increment(views);
        let features = self.context.storage.effective_feature_permissions().delete_expired(max_rows).await?;
        metrics::counter!(SWEPT_ROWS, "table" => SWEPT_FEATURES).increment(features);
        let keys = self.context.storage.idempotency_keys().delete_expired(max_rows).await?;
        metrics::counter!(SWEPT_ROWS, "table" => SWEPT_KEYS).increment(keys);
        let sessions = self.context.storage.sessions().delete_expired(max_rows).await?;
        metrics::counter!(SWEPT_ROWS, "table" => SWEPT_SESSIONS).increment(sessions);
        Ok(views + features + keys + sessions)
    }
}
