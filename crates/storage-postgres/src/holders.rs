//! The SQL that reads the assignments of a company, grouped by level and period, and the conversion of its result.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iam_domain::{Period, UserId, UserLevelId};
use iam_storage::{Result, StorageError};
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::periods::{PERIOD, period};
use crate::statement::column;

/// The number that stands for no start or no end. No time has this number.
const NONE: i64 = i64::MIN;

/// Returns the SQL of the column `holders`: one `bytea` for each level and period, which consists of the level, the start,
/// the end, and the users who hold the level in this period. `from` is the content of a `FROM` clause that selects rows
/// of `user_user_levels`.
///
/// A company can have 100,000 members. JSON, and groups by sets of levels, would cost several times as much. So would
/// a read in the order of the groups, which visits the pages of the table in random order; `OFFSET 0` excludes such a
/// plan.
pub(crate) fn holders(from: &str) -> String {
    format!(
        ", ARRAY(
            SELECT uuid_send(level) || int8send(coalesce(starts, {NONE})) || int8send(coalesce(ends, {NONE})) || users
            FROM (
                SELECT user_level_id, {PERIOD}, string_agg(uuid_send(user_id), ''::bytea)
                FROM (SELECT user_id, user_level_id, starts_at, expires_at FROM {from} OFFSET 0) AS assigned
                GROUP BY user_level_id, starts_at, expires_at
            ) AS held (level, starts, ends, users)
        ) AS holders"
    )
}

/// Returns the holders in the column `holders`. `combine` makes the result for a user from the assignments of the user,
/// ordered by level. Users with the same levels and periods share one result.
pub(crate) fn holders_in<T>(
    row: &QueryResult,
    combine: impl Fn(&mut dyn Iterator<Item = (UserLevelId, Period)>) -> T,
) -> Result<BTreeMap<UserId, Arc<T>>> {
    let texts: Vec<Vec<u8>> = column(row, "holders")?;
    let mut groups = texts.iter().map(|text| group(text)).collect::<Result<Vec<_>>>()?;
    groups.sort_unstable_by_key(|(held, _)| *held);
    let users = groups.iter().enumerate().flat_map(|(number, (_, users))| {
        users.iter().map(move |user| (UserId::from_uuid(Uuid::from_bytes(*user)), number))
    });
    let mut assignments: Vec<(UserId, usize)> = users.collect();
    assignments.sort_unstable();
    let mut results: HashMap<Vec<usize>, Arc<T>> = HashMap::new();
    let mut key = Vec::new();
    let of_user = |assignments: &[(UserId, usize)]| {
        let (user, _) = assignments.first()?;
        key.clear();
        key.extend(assignments.iter().map(|(_, number)| *number));
        if let Some(result) = results.get(&key) {
            return Some((*user, Arc::clone(result)));
        }
        let mut held = key.iter().filter_map(|number| groups.get(*number)).map(|(held, _)| *held);
        let result = Arc::new(combine(&mut held));
        results.insert(key.clone(), Arc::clone(&result));
        Some((*user, result))
    };
    Ok(assignments.chunk_by(|(user, _), (next, _)| user == next).filter_map(of_user).collect())
}

/// A level and a period, and the users who hold the level in this period.
type Group<'a> = ((UserLevelId, Period), &'a [[u8; 16]]);

fn group(text: &[u8]) -> Result<Group<'_>> {
    let parts = || {
        let (level, rest) = text.split_first_chunk::<16>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (users, rest) = rest.as_chunks::<16>();
        rest.is_empty().then_some((level, start, end, users))
    };
    let (level, start, end, users) = parts().ok_or_else(|| StorageError::corrupt("holders have a wrong length"))?;
    let time = |bytes: &[u8; 8]| Some(i64::from_be_bytes(*bytes)).filter(|time| *time != NONE);
    Ok(((UserLevelId::from_uuid(Uuid::from_bytes(*level)), period(time(start), time(end))?), users))
}
