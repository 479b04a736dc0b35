//! The audit log as a CSV file.

use actix_web::HttpResponse;
use actix_web::web::Query;
use iam_application::NamedRecord;
use iam_domain::{EntityType, UserId};
use serde_json::Value;

use super::difference::{Difference, differences};
use super::filter::Filter;
use super::log::{Log, People};
use super::record::{entity_name, is_marked, metadata};
use crate::authorized::{Authorized, ReadAudit, SignedIn};
use crate::csv::{record, response};
use crate::error::PageError;

/// Number of records that are read at once.
const PART: u64 = 200;
/// Maximum number of records in a file. A file contains all records or does not exist.
const MOST_RECORDS: usize = 10_000;
/// Maximum size of a file in bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The names of the columns.
const COLUMNS: [&str; 13] = [
    "time",
    "actor kind",
    "actor id",
    "actor",
    "console",
    "super admin",
    "action",
    "entity type",
    "entity id",
    "entity",
    "changes",
    "request id",
    "record id",
];

/// `GET /console/companies/{company}/audit.csv`
pub(crate) async fn of_company(page: Authorized<ReadAudit>, filter: Query<Filter>) -> Result<HttpResponse, PageError> {
    file(&Log::of_company(&page).await?, &filter, &page.signed_in).await
}

/// `GET /console/audit.csv`
pub(crate) async fn of_platform(person: SignedIn, filter: Query<Filter>) -> Result<HttpResponse, PageError> {
    file(&Log::of_platform(&person).await?, &filter, &person).await
}

async fn file(log: &Log<'_>, filter: &Filter, person: &SignedIn) -> Result<HttpResponse, PageError> {
    let (filter, mut cursor) = filter.parse(|text| person.user_named(text)).map_err(|problems| {
        let (field, problem) = problems.into_iter().next().unwrap_or_default();
        PageError::Invalid(format!("The field {field} is not valid. {}", problem.trim_end_matches('.')))
    })?;
    let (mut file, mut records) = (record(COLUMNS.map(str::to_owned)), 0);
    loop {
        let part = log.part(&filter, cursor, PART).await?;
        records += part.records.len();
        part.records.iter().for_each(|named| file.push_str(&row(named, &part.people)));
        cursor = part.next;
        if records > MOST_RECORDS || (records == MOST_RECORDS && cursor.is_some()) || file.len() > MOST_BYTES {
            let message = format!(
                "The file would contain more than {MOST_RECORDS} records or {} MiB. Choose a shorter time, or read the \
                 records with GET /api/iam/audit-logs",
                MOST_BYTES / 1024 / 1024
            );
            return Err(PageError::Invalid(message));
        }
        if cursor.is_none() {
            return Ok(response("audit.csv", file));
        }
        log.charge()?;
    }
}

fn row(NamedRecord { record: of, names }: &NamedRecord, people: &People) -> String {
    let is = |mark| if is_marked(of, mark) { "yes" } else { "no" }.to_owned();
    let actor = match of.actor.user_id() {
        Some(user) => people.user_text(user),
        None => of.actor.id().and_then(|id| names.get(&id).cloned()).unwrap_or_default(),
    };
    let entity = match of.entity_type {
        EntityType::Assignment | EntityType::User => people.user_text(UserId::from_uuid(of.entity_id)),
        _ => entity_name(of, names).unwrap_or_default(),
    };
    let changes: Vec<_> = differences(of, names).iter().map(Difference::text).collect();
    record([
        of.timestamp.to_string(),
        of.actor.kind().to_string(),
        of.actor.id().map(|id| id.to_string()).unwrap_or_default(),
        actor,
        is("console"),
        is("superAdmin"),
        of.action.clone(),
        of.entity_type.to_string(),
        of.entity_id.to_string(),
        entity,
        changes.join("; "),
        metadata(of, "requestId").and_then(Value::as_str).unwrap_or_default().to_owned(),
        of.id.to_string(),
    ])
}
