//! One record of the audit log: a sentence that expands to the difference, to the credential, and to the JSON.

use iam_application::{NamedRecord, Names};
use iam_domain::{Actor, AuditRecord, CompanyId, EntityType, UserId, UserLevelId};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

use super::actions::{did, kind_of_entity};
use super::difference::{Difference, differences};
use super::filter;
use super::log::{Existing, People};
use crate::layout::time;
use crate::pages::users::person::{matrix_path, person, user_path};
use crate::path::company_path;
use crate::quantity::count;

/// Maximum number of differences that a record lists.
const LISTED: usize = 100;

/// What the records of a page have in common.
pub(crate) struct Records<'a> {
    /// The company. `None` for the audit log of the platform.
    pub(crate) company: Option<CompanyId>,
    /// Whether the signed-in person may see the pages of levels and users.
    pub(crate) sees_pages: bool,
    pub(crate) people: &'a People,
    pub(crate) existing: &'a Existing,
}

impl People {
    /// Returns the name of a user, or the id of a user without a name.
    fn user(&self, user: UserId) -> Markup {
        html! { span title=(user) { (person(self.names.get(&user), user)) } }
    }

    /// Returns the name of a user as text, or the id of a user without a name.
    pub(crate) fn user_text(&self, user: UserId) -> String {
        self.names.get(&user).map_or_else(|| user.to_string(), ToString::to_string)
    }
}

/// Returns the name of the entity that a record is about, if it is known. Menu items have a label instead of a name.
pub(crate) fn entity_name(record: &AuditRecord, names: &Names) -> Option<String> {
    let label = |side: &str| record.changes.as_ref()?.get(side)?.get("label")?.as_str().map(str::to_owned);
    names.get(&record.entity_id).cloned().or_else(|| label("after")).or_else(|| label("before"))
}

/// Returns a member of the metadata of a record.
pub(crate) fn metadata<'a>(record: &'a AuditRecord, name: &str) -> Option<&'a Value> {
    record.metadata.as_ref()?.get(name)
}

/// Returns `true` if the metadata of a record contains this mark.
pub(crate) fn is_marked(record: &AuditRecord, mark: &str) -> bool {
    metadata(record, mark) == Some(&Value::Bool(true))
}

impl Records<'_> {
    /// Returns a record.
    pub(crate) fn show(&self, named: &NamedRecord) -> Markup {
        let NamedRecord { record, names } = named;
        let found = differences(record, names);
        html! {
            li {
                details.record {
                    summary {
                        span.when { (time(record.timestamp)) }
                        span.what {
                            (self.actor(record, names)) " " (did(&record.action)) " " (self.entity(record, names)) " "
                            (marks(record, found.len()))
                        }
                    }
                    (self.links(record))
                    (table(&found))
                    (self.facts(record, names))
                    (json(record))
                }
            }
        }
    }

    fn actor(&self, record: &AuditRecord, names: &Names) -> Markup {
        html! {
            @match record.actor {
                Actor::User(user) => strong { (self.people.user(user)) },
                Actor::ApiKey(key) => {
                    "The API key " strong { @match names.get(&key.as_uuid()) {
                        Some(name) => bdi title=(key) { (name) },
                        None => span.mono { (key) },
                    } }
                },
                Actor::CommandLine => strong { "An operator" },
                Actor::System => strong { "The service" },
            }
        }
    }

    fn entity(&self, record: &AuditRecord, names: &Names) -> Markup {
        let AuditRecord { entity_type, entity_id, .. } = record;
        html! {
            @match entity_type {
                // The record is in the audit log of this company.
                EntityType::Company if self.company.map(|company| company.as_uuid()) == Some(*entity_id) => "",
                EntityType::Assignment | EntityType::User => strong { (self.people.user(UserId::from_uuid(*entity_id))) },
                _ => strong { @match entity_name(record, names) {
                    Some(name) => bdi title=(entity_id) { (name) },
                    None => span.mono { (entity_id) },
                } },
            }
            @if self.existing.lacks(*entity_type, *entity_id) { span.muted { " (deleted)" } }
        }
    }

    /// Returns the links to the pages of the entity, and to its history.
    fn links(&self, record: &AuditRecord) -> Markup {
        let AuditRecord { entity_type, entity_id, actor, .. } = record;
        let kind = kind_of_entity(*entity_type);
        let is_there = !self.existing.lacks(*entity_type, *entity_id);
        html! {
            p.links {
                @if let Some(company) = self.company.filter(|_| self.sees_pages && is_there) {
                    @match entity_type {
                        EntityType::UserLevel | EntityType::Permission => {
                            @let level = UserLevelId::from_uuid(*entity_id);
                            a href=(company_path(company, &format!("levels/{level}"))) { "Level" }
                            a href={ (matrix_path(company, level)) "?tab=" (tab(record)) } { "Matrix" }
                        }
                        EntityType::Assignment | EntityType::User => {
                            a href=(user_path(company, UserId::from_uuid(*entity_id))) { "User" }
                        }
                        EntityType::Company => a href=(company_path(company, "")) { "Company" },
                        _ => "",
                    }
                }
                a href=(self.history(*entity_type, *entity_id)) { "History of this " (kind.to_lowercase()) }
                @if let Some(id) = actor.id() { a href=(filter::by(self.company, id)) { "All changes by the same actor" } }
            }
        }
    }

    fn history(&self, kind: EntityType, id: Uuid) -> String {
        match (self.company, kind) {
            (Some(company), EntityType::UserLevel | EntityType::Permission) => {
                filter::about_level(company, UserLevelId::from_uuid(id))
            }
            (company, _) => filter::about(company, id),
        }
    }

    fn facts(&self, record: &AuditRecord, names: &Names) -> Markup {
        let AuditRecord { actor, entity_type, entity_id, .. } = record;
        let external = |user: UserId| self.people.external_ids.get(&user);
        html! {
            dl.facts {
                dt { "By" }
                dd {
                    @match actor {
                        Actor::User(user) => {
                            "User " span.mono { (user) }
                            @if let Some(external) = external(*user) { " (" bdi { (external) } ")" }
                        }
                        Actor::ApiKey(key) => { "Service with the API key " span.mono { (key) } },
                        Actor::CommandLine => "An operator on the command line",
                        Actor::System => "A background task of the service",
                    }
                }
                dt { "Credential" }
                dd { (credential(record)) }
                dt { (kind_of_entity(*entity_type)) }
                dd {
                    @if let Some(name) = entity_name(record, names) { bdi { (name) } " " }
                    span.mono { (entity_id) }
                    @if let Some(external) = external(UserId::from_uuid(*entity_id)) { " (" bdi { (external) } ")" }
                }
                dt { "Action" } dd { code { (record.action) } }
                @if let Some(id) = metadata(record, "requestId").and_then(Value::as_str) {
                    dt { "Request" } dd.mono { bdi { (id) } }
                }
                dt { "Record" } dd.mono { (record.id) }
            }
        }
    }
}

/// Returns what proved the identity of the actor.
fn credential(record: &AuditRecord) -> &'static str {
    match record.actor {
        Actor::User(_) if is_marked(record, "console") => "A session of this console",
        Actor::User(_) => "A token, in a request to the API",
        Actor::ApiKey(_) => "An API key, in a request to the API",
        Actor::CommandLine => "None: access to the machine and the database",
        Actor::System => "None",
    }
}

/// Returns the tab of the matrix that a record is about.
fn tab(record: &AuditRecord) -> &'static str {
    if record.action == "permissions.features_updated" { "features" } else { "views" }
}

fn marks(record: &AuditRecord, differences: usize) -> Markup {
    let number = |name: &str| metadata(record, name).and_then(Value::as_u64);
    html! {
        @if differences > 1 { span.chip { (count(differences, "difference")) } " " }
        @if let (Some(part), Some(parts)) = (number("part"), number("parts")) {
            span.chip { "part " (part) " of " (parts) } " "
        }
        @if is_marked(record, "superAdmin") { span.chip.warn { "as super admin" } " " }
        @if is_marked(record, "forced") { span.chip.warn { "forced" } }
    }
}

fn table(found: &[Difference]) -> Markup {
    html! {
        @if found.is_empty() {
            p.muted { "The record states no details." }
        } @else {
            div.scroll {
                table.differences {
                    caption.visually-hidden { "Differences" }
                    thead { tr { th scope="col" { "What" } th scope="col" { "Before" } th scope="col" { "After" } } }
                    tbody { @for difference in found.iter().take(LISTED) { (difference.row()) } }
                }
            }
            @if found.len() > LISTED { p.muted { "and " (found.len() - LISTED) " more, which the JSON below contains" } }
        }
    }
}

fn json(record: &AuditRecord) -> Markup {
    let text = serde_json::to_string_pretty(record).unwrap_or_default();
    html! { details { summary { "JSON" } pre tabindex="0" { (text) } } }
}
