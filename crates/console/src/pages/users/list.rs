//! The list of the users of a company, in which levels of many users can be changed together.

use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{ListMembers, Member, MemberOrder, PageRequest, Requirement, SearchText, Total};
use iam_domain::{CompanyId, ExternalId, UserLevel, UserLevelId};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::edit::{Operation, Problems, level_control, period_controls};
use super::person::{level_chip, person, user_path};
use crate::authorized::{Authorized, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::path::company_path;
use crate::quantity::count;

/// Number of users on a page.
const PAGE: u64 = 50;
/// Maximum length of a search text in characters.
const MAX_SEARCH: usize = 255;

/// The search text, the filter and the position in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    q: String,
    level: String,
    cursor: Option<String>,
    /// The number of users whose levels were changed by the previous request.
    changed: Option<usize>,
}

impl Search {
    /// Returns the path of a page of the list with this search text and filter.
    fn path(&self, company: CompanyId, cursor: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (q, level, cursor) = (encoded(&self.q), encoded(&self.level), encoded(cursor));
        format!("{}?q={q}&level={level}&cursor={cursor}", company_path(company, "users"))
    }
}

/// Text that should identify a user.
#[derive(Debug, Deserialize)]
pub(crate) struct Opened {
    #[serde(default)]
    user: String,
}

/// Parses a search text. The error is the reason why the text is not valid.
pub(crate) fn search_text(page: &Authorized<ReadIam>, text: &str) -> Result<Option<SearchText>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > MAX_SEARCH || text.contains('\0') {
        return Err(format!("The search text must have at most {MAX_SEARCH} visible characters"));
    }
    if ExternalId::may_be(text) {
        let user = page.user_named(text).map_err(|error| format!("The search text {error}"))?;
        return Ok(Some(SearchText::User(user.id)));
    }
    Ok(Some(SearchText::Text(text.to_owned())))
}

/// `GET /console/companies/{company}/users`
pub(crate) async fn show(page: Authorized<ReadIam>, search: Query<Search>) -> Result<Page, PageError> {
    render(&page, &search, None).await
}

/// `GET /console/companies/{company}/users/open`: leads to the page of a user who may hold no level yet.
pub(crate) async fn open(
    page: Authorized<ReadIam>,
    opened: Query<Opened>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let text = opened.user.trim();
    match page.user_named(text) {
        Ok(user) => {
            let id = user.external_id.as_ref().map_or_else(|| user.id.to_string(), ExternalId::path_id);
            Ok(Either::Right(see_other(&company_path(page.company, &format!("users/{id}")))))
        }
        Err(error) => {
            let problem = (text, format!("It {error}."));
            Ok(Either::Left(render(&page, &Search::default(), Some(problem)).await?))
        }
    }
}

async fn render(
    page: &Authorized<ReadIam>,
    search: &Search,
    not_opened: Option<(&str, String)>,
) -> Result<Page, PageError> {
    let (application, company) = (page.application(), page.company);
    let levels = application.user_levels(company).await?;
    let text = search_text(page, &search.q);
    let level = match search.level.as_str() {
        "" => None,
        id => Some(UserLevelId::parse(id).map_err(|_| PageError::NotFound)?),
    };
    let cursor = search.cursor.clone().filter(|cursor| !cursor.is_empty());
    let (members, next, total) = match &text {
        Err(_) => (Vec::new(), None, None),
        Ok(text) => {
            let (search, order) = (text.clone(), MemberOrder::Name);
            let slice = PageRequest { limit: PAGE, cursor, include_total: true };
            let request = ListMembers { company, level, search, order, page: slice };
            let found = application.list_members(page.caller(), "console users", &request).await?;
            (found.elements, found.next_cursor, found.total)
        }
    };
    let may_assign = page.meets(Requirement::AssignLevels).await?;
    let reads_emails = page.meets(Requirement::ReadProfiles).await?;
    page.page("Users", Section::Users, |csrf| {
        html! {
            header { h1 { "Users" } @if let Some(total) = total { p.muted { (number_of_users(total)) } } }
            @if let Some(changed) = search.changed {
                div.notice role="status" { p { "The levels of " (count(changed, "user")) " were changed." } }
            }
            (search_form(&levels, search, reads_emails))
            @if let Err(problem) = &text { div.notice.error role="alert" { p { (problem) "." } } }
            @if members.is_empty() {
                div.empty {
                    @if search.q.trim().is_empty() && level.is_none() {
                        p { "No user holds a level in this company." }
                    } @else {
                        p { "No user matches the search." }
                        p { a href=(company_path(company, "users")) { "Show all users" } }
                    }
                }
            } @else if may_assign {
                form method="post" action=(company_path(company, "users/review")) {
                    (csrf_field(csrf))
                    (table(company, &members, true, reads_emails))
                    (bulk_controls(&levels))
                }
            } @else {
                (table(company, &members, false, reads_emails))
            }
            @if let Some(next) = next {
                nav.pager aria-label="Pages" { a.button href=(search.path(company, &next)) { "Next page" } }
            }
            @if may_assign { (open_form(company, not_opened.as_ref())) }
        }
    })
}

/// Returns the number of users of a list.
pub(crate) fn number_of_users(total: Total) -> String {
    match total {
        Total::Exactly(number) => count(usize::try_from(number).unwrap_or(usize::MAX), "user"),
        Total::MoreThan(number) => format!("More than {number} users"),
    }
}

fn search_form(levels: &[UserLevel], search: &Search, reads_emails: bool) -> Markup {
    html! {
        form.toolbar role="search" aria-label="Users" {
            div {
                label for="q" { @if reads_emails { "Name, e-mail address or id" } @else { "Name or id" } }
                input #q type="search" name="q" value=(search.q) maxlength=(MAX_SEARCH) autocomplete="off" dir="auto";
            }
            div {
                label for="level" { "Holds the level" }
                select #level name="level" {
                    option value="" { "Any level" }
                    @for level in levels {
                        option value=(level.id) selected[level.id.to_string() == search.level] { (level.name) }
                    }
                }
            }
            button type="submit" { "Search" }
        }
    }
}

fn table(company: CompanyId, members: &[Member], selectable: bool, reads_emails: bool) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Users" }
                thead {
                    tr {
                        @if selectable { th scope="col" { "Select" } }
                        th scope="col" { "User" }
                        th scope="col" { "Id" }
                        @if reads_emails { th scope="col" { "E-mail address" } }
                        th scope="col" { "Levels" }
                    }
                }
                tbody { @for member in members { (row(company, member, selectable, reads_emails)) } }
            }
        }
    }
}

fn row(company: CompanyId, member: &Member, selectable: bool, reads_emails: bool) -> Markup {
    let name = member.display_name.as_ref();
    let label = name.map_or_else(|| member.user.to_string(), ToString::to_string);
    html! {
        tr {
            @if selectable {
                td { input type="checkbox" name="user" value=(member.user) aria-label={ "Select " (label) }; }
            }
            th scope="row" { a href=(user_path(company, member.user)) { (person(name, member.user)) } }
            td.mono {
                (member.user)
                @if let Some(external) = &member.external_id { br; bdi.muted { (external) } }
            }
            @if reads_emails { td { @if let Some(email) = &member.email { bdi { (email) } } } }
            td { div.chips { @for held in &member.levels { (level_chip(&held.name, held.period, held.state)) } } }
        }
    }
}

fn bulk_controls(levels: &[UserLevel]) -> Markup {
    html! {
        fieldset.panel.edit {
            legend { "Change the levels of the selected users" }
            (level_control(levels, "", None))
            (period_controls("", "", &Problems::new()))
            div.buttons {
                button type="submit" name="do" value=(Operation::Add.value()) { "Add level…" }
                button type="submit" name="do" value=(Operation::Remove.value()) { "Remove level…" }
            }
        }
    }
}

fn open_form(company: CompanyId, not_opened: Option<&(&str, String)>) -> Markup {
    html! {
        form.panel method="get" action=(company_path(company, "users/open")) {
            h2 { "Add a user" }
            div.field {
                label for="open-user" { "User id, or issuer|subject" }
                input #open-user name="user" value=(not_opened.map_or("", |(text, _)| text)) required autocomplete="off"
                    aria-invalid=[not_opened.map(|_| "true")] aria-describedby=[not_opened.map(|_| "open-user-error")];
                @if let Some((_, problem)) = not_opened { p.error #open-user-error { (problem) } }
            }
            button type="submit" { "Open" }
        }
    }
}
