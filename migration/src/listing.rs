//! The text that `seed --additive-defaults` prints for each company, and the totals across all companies.

use std::fmt;

use crate::additive_defaults::{GainedAction, Gains, Plan};

/// The text for one company. It lists at most `max_users` of the users who gain permissions.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) max_users: usize,
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "company {}", self.plan.company)?;
        for level in &self.plan.levels {
            write!(f, "\n  level {:?} ({}): deny rules to remove: {}", level.name.as_str(), level.id, level.denies)?;
        }
        for level in &self.plan.edited {
            write!(f, "\n  level {:?} ({}): left unchanged, because {}", level.name.as_str(), level.id, level.edit)?;
        }
        let mut left = self.max_users;
        for group in self.plan.gaining.iter() {
            if left == 0 {
                break;
            }
            let names: Vec<_> = group.levels.iter().map(|name| format!("{:?}", name.as_str())).collect();
            write!(f, "\n  users with the levels {} gain:", names.join(", "))?;
            write_gains(f, &group.gains)?;
            for (user, external) in group.users.iter().take(left) {
                write!(f, "\n    user {user}")?;
                if let Some(external) = external {
                    write!(f, " ({external})")?;
                }
            }
            left = left.saturating_sub(group.users.len());
        }
        let gaining = users_who_gain(self.plan);
        if gaining > self.max_users {
            let more = gaining - self.max_users;
            write!(f, "\n  more users who gain permissions: {more} (--max-users {gaining} lists all)")?;
        }
        if self.plan.not_gaining > 0 {
            write!(
                f,
                "\n  users who hold a level with deny rules to remove, but gain nothing: {}",
                self.plan.not_gaining
            )?;
        }
        Ok(())
    }
}

/// Writes one line for each view, and one line for each feature with its actions. `gains.actions` is sorted by feature.
fn write_gains(f: &mut fmt::Formatter<'_>, gains: &Gains) -> fmt::Result {
    for url in &gains.views {
        write!(f, "\n    view {url}")?;
    }
    for actions in gains.actions.chunk_by(|a, b| a.feature == b.feature) {
        let feature = actions.first().map_or("", |first| &first.feature);
        let actions: Vec<_> =
            actions.iter().map(|GainedAction { action, scope, .. }| format!("{action} ({scope})")).collect();
        write!(f, "\n    feature {feature}: {}", actions.join(", "))?;
    }
    Ok(())
}

fn users_who_gain(plan: &Plan) -> usize {
    plan.gaining.iter().map(|group| group.users.len()).sum()
}

/// The totals across all companies.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    companies: usize,
    levels: usize,
    denies: usize,
    gaining: usize,
    edited: usize,
}

impl Totals {
    /// Adds the counts of one company's plan.
    pub(crate) fn add(&mut self, plan: &Plan) {
        self.companies += usize::from(!plan.levels.is_empty());
        self.levels += plan.levels.len();
        self.denies += plan.levels.iter().map(|level| level.denies).sum::<usize>();
        self.gaining += users_who_gain(plan);
        self.edited += plan.edited.len();
    }

    /// Returns `true` if no level has deny rules to remove.
    pub(crate) const fn is_empty(&self) -> bool {
        self.levels == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "total: companies {}, levels {}, deny rules {}, users who gain permissions {}, edited levels {}",
            self.companies, self.levels, self.denies, self.gaining, self.edited
        )
    }
}
