//! Read operations on the members of a company, and on the key that signs cursors.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::{CompanyId, Period, Timestamp, UserId, UserLevelId, UserProfile, folded};
use iam_storage::{
    Assigned, CursorKey, CursorKeys, Direction, HeldLevel, LevelRules, Member, MemberFilter, MemberPosition,
    MemberSearch, Members, ProfileText, Result, Selected, Stamped, Stamps,
};

use crate::limit::to_usize;
use crate::repository::{Repository, StateSource};
use crate::state::{CompanyData, LevelData, State};

/// Returns a level as it is held for a period, at the time `now`.
pub(crate) fn held_level(level: &LevelData, period: Period, now: Timestamp) -> HeldLevel {
    HeldLevel { id: level.level.id, name: level.level.name.clone(), period, state: period.state(now) }
}

fn member(state: &State, company: &CompanyData, user: UserId, now: Timestamp) -> Member {
    let held = |(level, period): (&LevelData, Period)| held_level(level, period, now);
    let mut levels: Vec<_> = company.assigned_to(user).map(held).collect();
    levels.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let profile = company.profiles.get(&user);
    Member {
        user,
        external_id: state.external_ids.get(&user).cloned(),
        display_name: profile.and_then(|profile| profile.display_name.clone()),
        email: profile.and_then(|profile| profile.email.clone()),
        profile_source: profile.map(|profile| profile.source),
        levels,
    }
}

/// Returns the users whom a filter selects, in ascending order of id.
fn users<'a>(company: &'a CompanyData, filter: &'a MemberFilter) -> impl Iterator<Item = UserId> + 'a {
    let holds = |held: &Assigned| filter.level.is_none_or(|level| held.contains_key(&level));
    let is_found = |user: &UserId| filter.search.as_ref().is_none_or(|search| finds(search, company, *user));
    company.held.iter().filter(move |(user, held)| holds(held) && is_found(user)).map(|(user, _)| *user)
}

/// Returns `true` if a search finds the user.
fn finds(search: &MemberSearch, company: &CompanyData, user: UserId) -> bool {
    let contains = |text: &ProfileText, UserProfile { display_name, email, .. }: &UserProfile| {
        let is_in = |own: &str| folded(own).contains(&text.folded);
        let is_in_email = email.as_ref().is_some_and(|email| is_in(email.as_str()));
        display_name.as_ref().is_some_and(|name| is_in(name.as_str())) || (text.in_emails && is_in_email)
    };
    let profile = || company.profiles.get(&user);
    let is_in_profile = || search.text.as_ref().zip(profile()).is_some_and(|(text, profile)| contains(text, profile));
    search.users.is_some_and(|range| (range.first..=range.last).contains(&user)) || is_in_profile()
}

/// Returns `true` if the assignment of at least one of the levels to the user is in effect.
fn holds(company: &CompanyData, user: UserId, levels: &[UserLevelId], now: Timestamp) -> bool {
    company.active_levels_of(user, now).any(|level| levels.contains(&level.level.id))
}

#[async_trait]
impl<S: StateSource> Members for Repository<S> {
    async fn list(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        direction: Direction,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<Member>> {
        let (state, now) = (self.0.state(), self.0.now());
        let company = state.company(company);
        let mut found: Vec<_> = users(company, filter).collect();
        if direction == Direction::Descending {
            found.reverse();
        }
        let is_beyond = |user: &UserId| match (direction, after) {
            (_, None) => true,
            (Direction::Ascending, Some(after)) => *user > after,
            (Direction::Descending, Some(after)) => *user < after,
        };
        let page = found.into_iter().filter(is_beyond).take(to_usize(limit));
        Ok(page.map(|user| member(&state, company, user, now)).collect())
    }

    async fn list_by_name(
        &self,
        company: CompanyId,
        filter: &MemberFilter,
        after: Option<&MemberPosition>,
        limit: u64,
    ) -> Result<Vec<Member>> {
        let (state, now) = (self.0.state(), self.0.now());
        let company = state.company(company);
        // Positions with a name are before positions without one.
        let position = |user: UserId| {
            let name = company.profiles.get(&user).and_then(|profile| profile.display_name.as_ref());
            let name = name.map(|name| folded(name.as_str()));
            (name.is_none(), name, user)
        };
        let after = after.map(|MemberPosition { name, user }| (name.is_none(), name.clone(), *user));
        let positions: BTreeSet<_> = users(company, filter).map(position).collect();
        let rest = positions.into_iter().filter(|position| after.as_ref().is_none_or(|after| position > after));
        Ok(rest.take(to_usize(limit)).map(|(_, _, user)| member(&state, company, user, now)).collect())
    }

    async fn count(&self, company: CompanyId, filter: &MemberFilter, limit: u64) -> Result<u64> {
        let state = self.0.state();
        let count = users(state.company(company), filter).take(to_usize(limit)).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn count_by_level(&self, company: CompanyId) -> Result<BTreeMap<UserLevelId, u64>> {
        let state = self.0.state();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let levels = state.company(company).levels.iter().map(|(id, level)| (*id, count(level.holders.len())));
        Ok(levels.filter(|(_, holders)| *holders > 0).collect())
    }

    async fn select(
        &self,
        company: CompanyId,
        rules: LevelRules<'_>,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Stamped<Selected>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let limit = to_usize(limit);
        let (mut held, mut bound) = (BTreeSet::new(), None);
        for level in rules.allowing {
            let holders = company.active_holders(*level, now);
            let next: Vec<_> = holders.filter(|user| Some(*user) > after).take(limit).collect();
            if let Some(last) = next.last().filter(|_| next.len() == limit) {
                bound = bound.map_or(Some(*last), |bound: UserId| Some(bound.min(*last)));
            }
            held.extend(next);
        }
        let is_denied = |user: UserId| holds(company, user, rules.denying, now);
        let examined = held.into_iter().filter(|user| bound.is_none_or(|bound| *user <= bound));
        let allowed: Vec<_> = examined.filter(|user| !is_denied(*user)).take(limit).collect();
        let mut members: Vec<_> = allowed.into_iter().map(|user| member(&state, company, user, now)).collect();
        for member in &mut members {
            member.levels.retain(|held| held.period.is_active(now));
        }
        let examined = if members.len() >= limit { members.last().map(|last| last.user) } else { bound };
        let (stamps, next_boundary) = (Stamps::default(), company.next_boundary(now));
        Ok(Stamped { versions, stamps, next_boundary, value: Selected { members, examined } })
    }

    async fn count_selected(&self, company: CompanyId, rules: LevelRules<'_>, limit: u64) -> Result<Stamped<u64>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let is_selected =
            |user: &UserId| holds(company, *user, rules.allowing, now) && !holds(company, *user, rules.denying, now);
        let count = company.held.keys().filter(|user| is_selected(user)).take(to_usize(limit)).count();
        let value = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Stamped { versions, stamps: Stamps::default(), next_boundary: company.next_boundary(now), value })
    }
}

#[async_trait]
impl<S: StateSource> CursorKeys for Repository<S> {
    async fn cursor_key(&self) -> Result<CursorKey> {
        Ok(self.0.cursor_key())
    }
}
