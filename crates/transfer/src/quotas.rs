//! The quotas of a company, compared with the content that is to be imported.

use std::collections::BTreeSet;

use iam_domain::{Quota, QuotaLimits};
use iam_storage::CompanyContent;

/// Returns a text that names a quota that the content exceeds.
pub(crate) fn excess(content: &CompanyContent, defaults: &QuotaLimits) -> Option<String> {
    let limits = defaults.overridden(&content.quotas);
    Quota::ALL.iter().find_map(|quota| {
        let (limit, used) = (limits.limit(*quota)?, used(content, *quota) as u64);
        (used > limit).then(|| format!("it exceeds the quota {} ({used} of {limit})", quota.key()))
    })
}

/// Returns the use of a quota. API keys are not part of the content.
fn used(content: &CompanyContent, quota: Quota) -> usize {
    let CompanyContent { levels, holders, menu, .. } = content;
    match quota {
        Quota::Levels => levels.len(),
        Quota::LevelSets => {
            let sets = holders.values().filter(|held| held.len() > 1);
            sets.map(|held| held.keys().copied().collect::<Vec<_>>()).collect::<BTreeSet<_>>().len()
        }
        Quota::MenuItems => menu.items.len() + menu.sub_items.len(),
        Quota::PermissionCells => levels.iter().map(|level| level.views.len() + level.features.len()).sum(),
        Quota::ApiKeys => 0,
        Quota::TextBytes => {
            let level_texts =
                levels.iter().map(|copied| copied.level.name.as_str().len() + copied.level.description.as_str().len());
            let items = menu.items.iter().map(|item| item.label.as_str().len());
            level_texts.chain(items).chain(menu.sub_items.iter().map(|item| item.label.as_str().len())).sum()
        }
        Quota::LevelsPerUser => holders.values().map(|held| held.len()).max().unwrap_or_default(),
    }
}
