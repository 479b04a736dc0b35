//! The users whom a check allows, as a CSV file.

use actix_web::HttpResponse;
use actix_web::web::Query;
use iam_application::{AllowedMember, PageRequest, WhoCan};

use super::question::Question;
use super::who_can::message_of;
use crate::authorized::{Authorized, FindAllowed};
use crate::csv::{record, response};
use crate::error::PageError;

/// Number of users that are read at once.
const PART: u64 = 200;
/// Maximum number of users in a file. A file contains all users or does not exist.
const MOST_USERS: usize = 10_000;

/// The names of the columns.
const COLUMNS: [&str; 7] = ["user id", "external id", "display name", "e-mail address", "scope", "reason", "levels"];

/// `GET /console/companies/{company}/who-can.csv`
pub(crate) async fn show(page: Authorized<FindAllowed>, question: Query<Question>) -> Result<HttpResponse, PageError> {
    let check = question.check().map_err(PageError::Invalid)?;
    let check = check.ok_or_else(|| PageError::Invalid("Choose a view, or a feature and an action".to_owned()))?;
    let (mut file, mut users, mut cursor) = (record(COLUMNS.map(str::to_owned)), 0, None);
    loop {
        let slice = PageRequest { limit: PART, cursor, include_total: false };
        let who_can = WhoCan { company: page.company, check: check.clone(), page: slice };
        let found = page.application().who_can(page.caller(), &who_can, page.now()).await;
        let found = match found {
            Ok(found) => found,
            Err(failure) => return Err(PageError::Invalid(message_of(failure)?)),
        };
        users += found.members.len();
        found.members.iter().for_each(|allowed| file.push_str(&row(allowed)));
        cursor = found.next_cursor;
        if cursor.is_none() {
            break;
        }
        if users >= MOST_USERS {
            let message =
                format!("The file would contain more than {MOST_USERS} users. Read them with GET /api/iam/who-can");
            return Err(PageError::Invalid(message));
        }
        // Each further part is charged as a request of its own.
        page.charge(1)?;
    }
    Ok(response("who-can.csv", file))
}

fn row(AllowedMember { member, decision }: &AllowedMember) -> String {
    let levels = member.levels.iter().filter(|held| decision.decided_by.contains(&held.id));
    let levels: Vec<_> = levels.map(|held| held.name.as_str()).collect();
    let text = |text: Option<String>| text.unwrap_or_default();
    record([
        member.user.to_string(),
        text(member.external_id.as_ref().map(ToString::to_string)),
        text(member.display_name.as_ref().map(ToString::to_string)),
        text(member.email.as_ref().map(ToString::to_string)),
        text(decision.scope.map(|scope| scope.to_string())),
        decision.reason.code().to_owned(),
        levels.join("; "),
    ])
}
