//! The search over everything in a company: levels, users, views, features and modules.

use actix_web::web::Query;
use iam_application::{ListMembers, MemberOrder, PageRequest};
use iam_domain::CompanyId;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::authorized::{Authorized, ReadIam};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::pages::users::list::search_text;
use crate::path::company_path;

/// Maximum number of results of each kind.
const LIMIT: usize = 20;

/// The search text.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

/// Number of matching users from whom the best matches are chosen.
const USERS: u64 = 200;

/// A result: its name, and a further text by which it was found.
struct Found {
    name: String,
    detail: String,
    /// The page about the result, as the rest of the path of the company.
    page: String,
}

/// Returns how well a text matches, where less is better. Returns `None` if it does not match.
fn rank(text: &str, wanted: &str) -> Option<u8> {
    let text = text.to_lowercase();
    if text == wanted {
        Some(0)
    } else if text.starts_with(wanted) {
        Some(1)
    } else if text.contains(wanted) {
        Some(2)
    } else {
        None
    }
}

/// Returns the entries whose name or detail matches, exact matches first.
fn matching(entries: impl IntoIterator<Item = Found>, wanted: &str) -> Vec<Found> {
    let matches = |entry: &Found| rank(&entry.name, wanted).or_else(|| rank(&entry.detail, wanted)).is_some();
    best(entries.into_iter().filter(matches), wanted)
}

/// Returns the best entries, exact matches first. Entries that match by another text, such as the e-mail address of a user,
/// are last.
fn best(entries: impl IntoIterator<Item = Found>, wanted: &str) -> Vec<Found> {
    let ranked = entries.into_iter().map(|entry| {
        let ranks = [rank(&entry.name, wanted), rank(&entry.detail, wanted)];
        (ranks.into_iter().flatten().min().unwrap_or(u8::MAX), entry)
    });
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
    ranked.into_iter().map(|(_, entry)| entry).take(LIMIT).collect()
}

/// `GET /console/companies/{company}/search`
pub(crate) async fn show(page: Authorized<ReadIam>, search: Query<Search>) -> Result<Page, PageError> {
    let text = search.q.trim();
    if text.is_empty() {
        return page.page(
            "Search",
            Section::None,
            |_| html! { header { h1 { "Search" } } p { "Type a text to search." } },
        );
    }
    let (application, wanted) = (page.application(), text.to_lowercase());
    let entry =
        |name: &str, detail: &str, page: String| Found { name: name.to_owned(), detail: detail.to_owned(), page };
    let rows = |kind: &str, text: &str| format!("matrix?tab={kind}&q={}", utf8_percent_encode(text, NON_ALPHANUMERIC));
    let levels = application.user_levels(page.company).await?;
    let levels = levels
        .iter()
        .map(|level| entry(level.name.as_str(), level.description.as_str(), format!("levels/{}", level.id)));
    let views = application.views().await?;
    let views = views.iter().map(|view| entry(view.url.as_str(), view.name.as_str(), rows("views", view.url.as_str())));
    let features = application.features().await?;
    let features = features.iter().map(|feature| {
        let (key, name) = (feature.key.as_ref().map_or("", |key| key.as_str()), feature.name.as_str());
        let shown = if key.is_empty() { name } else { key };
        entry(shown, name, rows("features", shown))
    });
    let modules = application.modules().await?;
    let modules = modules
        .iter()
        .map(|module| entry(module.name.as_str(), module.code.as_str(), format!("matrix?module={}", module.id)));
    let members = match search_text(&page, text) {
        Ok(search) => {
            let first = PageRequest { limit: USERS, cursor: None, include_total: false };
            let order = MemberOrder::Name;
            let members = ListMembers { company: page.company, level: None, search, order, page: first };
            application.list_members(page.caller(), "console search", &members).await?.elements
        }
        // Such a text identifies no user.
        Err(_) => Vec::new(),
    };
    let users = members.iter().map(|member| {
        let (name, id) = (member.display_name.as_ref(), member.user.to_string());
        entry(name.map_or(id.as_str(), |name| name.as_str()), &id, format!("users/{id}"))
    });
    let groups = [
        ("Levels", matching(levels, &wanted)),
        ("Users", best(users, &wanted)),
        ("Views", matching(views, &wanted)),
        ("Features", matching(features, &wanted)),
        ("Modules", matching(modules, &wanted)),
    ];
    page.page("Search", Section::None, |_| {
        html! {
            header { h1 { "Results for “" bdi { (text) } "”" } }
            @if groups.iter().all(|(_, found)| found.is_empty()) {
                div.empty { p { "Nothing was found in this company." } }
            }
            @for (kind, found) in &groups { (group(page.company, kind, found)) }
        }
    })
}

fn group(company: CompanyId, kind: &str, found: &[Found]) -> Markup {
    html! {
        @if !found.is_empty() {
            section {
                h2 { (kind) }
                div.scroll {
                    table {
                        tbody {
                            @for Found { name, detail, page } in found {
                                tr {
                                    th scope="row" {
                                        a href=(company_path(company, page)) { bdi { (name) } }
                                    }
                                    td.muted { bdi { (detail) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_matches_are_first() {
        let entry = |name: &str| Found { name: name.to_owned(), detail: String::new(), page: String::new() };
        let entries = ["Risk approvers", "A risk", "risk", "other"].map(entry);
        let names: Vec<_> = matching(entries, "risk").into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["risk", "Risk approvers", "A risk"]);
    }
}
