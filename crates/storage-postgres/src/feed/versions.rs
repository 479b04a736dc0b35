//! The poll for engines without `pg_snapshot`, transaction ids and functions that identify the server: it compares the
//! version and the stamp of every company with those that this process knows.
//!
//! **A poll misses no commit.** The statement reads the rows of all companies in one snapshot. Every change sets a new
//! random stamp, so a row whose change has become visible since the previous poll differs from the known row. Neither
//! the time of the change nor the id of its transaction matters: a change that begins before a poll and commits after it
//! differs at the next poll, however long its commit takes.
//!
//! The rows are divided by the last byte of their id into 256 buckets. The statement returns the digest of each bucket,
//! and only the rows of the buckets whose digest differs from the known digest. A digest contains the sum of the stamps,
//! so two different states of a bucket have the same digest with a probability of 2^-64.

use std::collections::HashMap;

use iam_domain::{CompanyId, Timestamp};
use iam_storage::{Changes, Position, Result, StateId};
use sea_orm::{QueryResult, Statement};
use uuid::Uuid;

use crate::connections::control::ControlPool;
use crate::engine::Feed;
use crate::entities::company_states::{CATALOG, CREDENTIALS, is_company};
use crate::error::from_db;
use crate::feed::epoch::{current_epoch, epoch};
use crate::feed::poll::{delay, state};
use crate::row_security::for_company;
use crate::statement::{column, incomplete, json_column, statement};

/// SQL expression for the bucket of a row.
const BUCKET: &str = "right(company_id::text, 2)";

/// A row that a poll returns: its id, version and stamp, and the time of its change in microseconds since the Unix epoch.
type Row = (Uuid, i64, i64, i64);

/// The states that this process knows from its polls.
#[derive(Debug)]
pub(crate) struct KnownStates {
    /// Identifies this object in positions.
    id: Uuid,
    /// The number of polls.
    polls: u64,
    /// The digests of the buckets, as the JSON that the latest poll returned.
    digests: String,
    rows: HashMap<Uuid, Known>,
    /// The number of the latest poll that missed a known row. Rows are never deleted, so the data was replaced.
    replaced_at: u64,
}

/// The known state of a row.
#[derive(Debug, Clone, Copy)]
struct Known {
    state: StateId,
    /// The time of the change, in microseconds since the Unix epoch.
    changed_at: i64,
    /// The number of the poll that first returned this state.
    poll: u64,
}

impl Default for KnownStates {
    fn default() -> Self {
        let id = Uuid::new_v4();
        Self { id, polls: 0, digests: "{}".to_owned(), rows: HashMap::new(), replaced_at: 0 }
    }
}

impl KnownStates {
    /// Polls the database. Returns the result row, with the columns of [`sql`]. The known states are unchanged until
    /// [`Self::apply`].
    pub(crate) async fn read(&self, control: &ControlPool) -> Result<QueryResult> {
        let rows = control.query_repeatable(sql(&self.digests)).await.map_err(from_db)?;
        rows.into_iter().next().ok_or_else(incomplete)
    }

    /// Applies the result row of a poll to the known states, and returns the changes after the position `since`.
    pub(crate) fn apply(&mut self, row: &QueryResult, since: Option<&Position>) -> Result<Changes> {
        let now: Timestamp = Timestamp::new(column(row, "now")?);
        let (changed, buckets): (Vec<Row>, Vec<String>) = (json_column(row, "changed")?, json_column(row, "buckets")?);
        let mut changes = Changes {
            epoch: epoch(row)?,
            identity: 0,
            position: Position::new(String::new()),
            is_continuous: false,
            catalog: state(row, "catalog")?,
            credentials: state(row, "credentials")?,
            companies: Vec::new(),
            delays: Vec::new(),
            now,
            needs_acknowledgement: column(row, "needs_acknowledgement")?,
        };
        self.digests = column(row, "digests")?;
        self.remember(&changed, &buckets);
        changes.position = Position::new(format!("{}/{}", self.id, self.polls));
        if let Some(poll) = since.and_then(|since| self.poll_of(since)) {
            changes.is_continuous = poll >= self.replaced_at;
            let after = self.rows.iter().filter(|(_, known)| known.poll > poll);
            for (id, known) in after {
                changes.delays.push(delay(now, known.changed_at));
                if is_company(*id) {
                    changes.companies.push((CompanyId::from_uuid(*id), known.state));
                }
            }
        }
        Ok(changes)
    }

    /// Records the rows that a poll returned: all rows of the changed `buckets`.
    fn remember(&mut self, returned: &[Row], buckets: &[String]) {
        self.polls += 1;
        let poll = self.polls;
        let mut found: HashMap<Uuid, Known> = HashMap::with_capacity(returned.len());
        for (id, version, stamp, changed_at) in returned {
            let state = StateId { version: *version, stamp: *stamp };
            let before = self.rows.get(id).filter(|known| known.state == state);
            found.insert(*id, before.copied().unwrap_or(Known { state, changed_at: *changed_at, poll }));
        }
        let is_returned = |id: &Uuid| buckets.contains(&bucket(*id));
        let before = self.rows.len();
        self.rows.retain(|id, _| found.contains_key(id) || !is_returned(id));
        if self.rows.len() < before {
            self.replaced_at = poll;
        }
        self.rows.extend(found);
    }

    /// Returns the number of the poll that returned this position. `None` if another process, or an earlier one, did.
    fn poll_of(&self, position: &Position) -> Option<u64> {
        let (id, poll) = position.as_str().split_once('/')?;
        let poll = poll.parse().ok()?;
        (id == self.id.to_string() && poll <= self.polls).then_some(poll)
    }
}

/// Returns the bucket of a row, as [`BUCKET`] does.
fn bucket(id: Uuid) -> String {
    let [.., last] = id.into_bytes();
    format!("{last:02x}")
}

/// Returns the SQL statement for a poll. `known` are the digests that the previous poll returned.
fn sql(known: &str) -> Statement {
    let sql = format!(
        "WITH digests AS MATERIALIZED (
            SELECT {BUCKET} AS bucket, concat_ws('/', count(*), sum(version), sum(stamp)) AS digest
            FROM company_states GROUP BY 1
        ),
        changed AS MATERIALIZED (
            SELECT bucket FROM digests WHERE digest IS DISTINCT FROM $1::text::jsonb ->> bucket
            UNION SELECT gone FROM jsonb_object_keys($1::text::jsonb) AS gone
                WHERE gone NOT IN (SELECT bucket FROM digests)
        )
        SELECT {epoch} AS epoch, pg_is_in_recovery() AS in_recovery,
            current_setting('transaction_read_only') = 'on' AS read_only,
            coalesce(current_setting('synchronous_standby_names', true), '') <> '' AS needs_acknowledgement,
            (SELECT feed FROM iam_engine) AS feed,
            (SELECT floor(extract(epoch FROM last_backup_at))::bigint FROM iam_installation) AS last_backup,
            statement_timestamp() AS now, catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
            credentials.version AS credentials_version, credentials.stamp AS credentials_stamp,
            (SELECT json_object_agg(bucket, digest) FROM digests)::text AS digests,
            (SELECT coalesce(json_agg(bucket), '[]') FROM changed)::text AS buckets,
            (SELECT coalesce(json_agg(json_build_array(company_id, version, stamp,
                    (extract(epoch FROM updated_at) * 1000000)::bigint)), '[]')
                FROM company_states WHERE {BUCKET} IN (SELECT bucket FROM changed))::text AS changed
        FROM company_states AS catalog, company_states AS credentials
        WHERE catalog.company_id = {CATALOG} AND credentials.company_id = {CREDENTIALS}",
        epoch = current_epoch(Feed::Poll),
    );
    for_company(None, statement(sql, [known.into()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u8) -> Uuid {
        Uuid::from_u128(0xa000_0000_0000_7000_8000_0000_0000_0000 + u128::from(last))
    }

    fn changed_after(known: &KnownStates, poll: u64) -> Vec<Uuid> {
        let mut ids: Vec<_> = known.rows.iter().filter(|(_, known)| known.poll > poll).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn only_the_changed_rows_of_a_changed_bucket_are_reported() {
        let mut known = KnownStates::default();
        let other = Uuid::from_u128(id(7).as_u128() + (1 << 64));
        known.remember(&[(id(7), 1, 10, 0), (other, 1, 11, 0)], &["07".to_owned()]);
        known.remember(&[(id(7), 2, 12, 0), (other, 1, 11, 0)], &["07".to_owned()]);
        assert_eq!(changed_after(&known, 1), [id(7)]);
        assert_eq!(changed_after(&known, 0).len(), 2, "a poll from an earlier position must report both");
        known.remember(&[(id(7), 2, 13, 0), (other, 1, 11, 0)], &["07".to_owned()]);
        assert_eq!(changed_after(&known, 2), [id(7)], "another stamp is another state");
    }

    #[test]
    fn a_missing_row_ends_the_continuity() {
        let mut known = KnownStates::default();
        known.remember(&[(id(7), 1, 10, 0), (id(8), 1, 11, 0)], &["07".to_owned(), "08".to_owned()]);
        known.remember(&[], &[]);
        assert_eq!(known.replaced_at, 0, "rows of unchanged buckets are not returned");
        known.remember(&[], &["08".to_owned()]);
        assert_eq!((known.replaced_at, known.rows.len()), (3, 1));
    }

    #[test]
    fn a_position_of_another_process_is_unknown() {
        let (mut one, other) = (KnownStates::default(), KnownStates::default());
        one.remember(&[], &[]);
        assert_eq!(one.poll_of(&Position::new(format!("{}/1", one.id))), Some(1));
        assert_eq!(one.poll_of(&Position::new(format!("{}/2", one.id))), None);
        assert_eq!(one.poll_of(&Position::new(format!("{}/0", other.id))), None);
    }
}
