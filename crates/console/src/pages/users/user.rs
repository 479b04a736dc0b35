//! One user: the profile, the levels with their periods, the effective permissions, and the end of all sessions.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Path, Query};
use iam_application::{
    CutOffUser, DecisionContext, Direction, HeldLevel, ListMembers, Member, MemberOrder, PageRequest, Requirement,
    SearchText,
};
use iam_domain::{AssignmentState, CompanyId, ExternalId, NamedUser, Period, UserLevel};
use iam_permissions_cache::Consistency;
use maud::{Markup, html};
use serde::Deserialize;

use super::edit::{Operation, Problems, level_control, period_controls};
use super::permissions::{Address, Filter, Permissions};
use super::person::{matrix_path, person, user_path};
use crate::authorized::{Authorized, ManageCredentials, Policy, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field, time};
use crate::page::{Page, see_other};
use crate::pages::audit::filter::about_user;
use crate::pages::view_as::address as view_as;
use crate::path::company_path;
use crate::submitted::Submitted;

/// The user in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct UserPath {
    user: String,
}

/// What the previous request did.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    /// The number of users whose levels were changed.
    changed: Option<usize>,
    /// Whether all sessions of the user were ended.
    signed_out: Option<String>,
}

/// A form without fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// Returns the user in the path.
fn user_of<P: Policy>(page: &Authorized<P>, path: &UserPath) -> Result<NamedUser, PageError> {
    page.user_named(&path.user).map_err(|_| PageError::NotFound)
}

/// `POST /console/companies/{company}/users/{user}/sign-out`
pub(crate) async fn sign_out(
    sent: Submitted<Authorized<ManageCredentials>, Nothing>,
    path: Path<UserPath>,
) -> Result<HttpResponse, PageError> {
    let page = &sent.page;
    let user = user_of(page, &path)?;
    let path = format!("{}?signed_out=1", user_path(page.company, user.id));
    page.execute(CutOffUser { user, not_before: None, clock_skew: page.clock_skew() }).await?;
    Ok(see_other(&path))
}

/// What the signed-in person may do with a user.
struct Rights {
    assign: bool,
    check_others: bool,
    read_audit: bool,
    read_profiles: bool,
    sign_out: bool,
}

/// `GET /console/companies/{company}/users/{user}`
pub(crate) async fn show(
    page: Authorized<ReadIam>,
    path: Path<UserPath>,
    done: Query<Done>,
    filter: Query<Filter>,
) -> Result<Page, PageError> {
    let user = user_of(&page, &path)?;
    let (application, caller, company) = (page.application(), page.caller(), page.company);
    let request = ListMembers {
        company,
        level: None,
        search: Some(SearchText::User(user.id)),
        order: MemberOrder::Id(Direction::Ascending),
        page: PageRequest { limit: 1, cursor: None, include_total: false },
    };
    let member = application.list_members(caller, "console user", &request).await?.elements.pop();
    let levels = application.user_levels(company).await?;
    let context = DecisionContext { caller, company, consistency: Consistency::Cached };
    let access = application.access_of_user(&context, user.id).await?;
    let rights = Rights {
        assign: page.meets(Requirement::AssignLevels).await?,
        check_others: page.meets(Requirement::CheckOthers).await?,
        read_audit: page.meets(Requirement::ReadAudit).await?,
        read_profiles: page.meets(Requirement::ReadProfiles).await?,
        sign_out: page.meets(Requirement::ManageCredentials).await?,
    };
    let held = member.as_ref().map(|member| member.levels.as_slice()).unwrap_or_default();
    let names: BTreeMap<_, _> = held.iter().map(|held| (held.id, held.name.clone())).collect();
    let name = member.as_ref().and_then(|member| member.display_name.as_ref());
    let title = name.map_or_else(|| "User".to_owned(), ToString::to_string);
    page.page(&title, Section::Users, |csrf| {
        html! {
            header {
                h1 { (person(name, user.id)) }
                div.actions {
                    a.button href={ (company_path(company, "why")) "?user=" (user.id) } { "Why?" }
                    @if rights.check_others { a.button href=(view_as::of_user(company, user.id)) { "View as" } }
                    @if rights.read_audit { a.button href=(about_user(company, user.id)) { "History" } }
                }
            }
            @if let Some(changed) = done.changed {
                div.notice role="status" {
                    p { @if changed > 0 { "The levels of the user were changed." } @else { "The user's levels were already so. Nothing was changed." } }
                }
            }
            @if done.signed_out.is_some() {
                div.notice role="status" { p { "The user was signed out everywhere." } }
            }
            (profile(&user, member.as_ref(), rights.read_profiles))
            section {
                h2 { "Levels" }
                (levels_table(company, &user, held, rights.assign, csrf))
                @if rights.assign { (add_form(company, &user, &levels, csrf)) }
            }
            @if access.is_non_member() || held.is_empty() {
                section #permissions {
                    h2 { "Effective permissions" }
                    div.empty { p { "The user has no permissions in this company, because no level is in effect." } }
                }
            } @else {
                (Permissions {
                    company,
                    user: Some(user.id),
                    deciding: &access,
                    levels: &names,
                    sees_levels: true,
                    filter: &filter,
                    address: Address { path: user_path(company, user.id), parameters: Vec::new() },
                }.show())
            }
            @if rights.sign_out { (sign_out_form(company, &user, name, csrf)) }
        }
    })
}

fn profile(user: &NamedUser, member: Option<&Member>, reads_profiles: bool) -> Markup {
    let external = member.and_then(|member| member.external_id.as_ref()).or(user.external_id.as_ref());
    html! {
        dl.panel.facts {
            dt { "Id" } dd.mono { (user.id) }
            @if let Some(external) = external { dt { "Identity at the issuer" } dd { bdi { (external) } } }
            @if reads_profiles {
                dt { "E-mail address" }
                dd {
                    @match member.and_then(|member| member.email.as_ref()) {
                        Some(email) => bdi { (email) },
                        None => span.muted { "None" },
                    }
                }
            }
        }
    }
}

/// Returns the text that identifies the user in forms.
fn identity(user: &NamedUser) -> String {
    user.external_id.as_ref().map_or_else(|| user.id.to_string(), ExternalId::to_string)
}

fn levels_table(company: CompanyId, user: &NamedUser, held: &[HeldLevel], may_assign: bool, csrf: &str) -> Markup {
    html! {
        @if held.is_empty() {
            div.empty { p { "The user holds no level in this company." } }
        } @else {
            div.scroll {
                table {
                    caption.visually-hidden { "Levels of the user" }
                    thead {
                        tr {
                            th scope="col" { "Level" }
                            th scope="col" { "State" }
                            th scope="col" { "Start" }
                            th scope="col" { "End" }
                            @if may_assign { th scope="col" { span.visually-hidden { "Remove" } } }
                        }
                    }
                    tbody {
                        @for HeldLevel { id, name, period: Period { starts_at, expires_at }, state } in held {
                            tr {
                                th scope="row" { a href=(matrix_path(company, *id)) { bdi { (name) } } }
                                td { (state_chip(*state)) }
                                td { @match starts_at { Some(start) => (time(*start)), None => "–" } }
                                td { @match expires_at { Some(end) => (time(*end)), None => "–" } }
                                @if may_assign {
                                    td {
                                        form method="post" action=(company_path(company, "users/review")) {
                                            (csrf_field(csrf))
                                            input type="hidden" name="user" value=(identity(user));
                                            input type="hidden" name="level" value=(id);
                                            button type="submit" name="do" value=(Operation::Remove.value())
                                                aria-label={ "Remove " (name) } { "Remove…" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn state_chip(state: AssignmentState) -> Markup {
    html! {
        @match state {
            AssignmentState::Active => span.chip.allow { "Active" },
            AssignmentState::Pending => span.chip.warn { "Pending" },
            AssignmentState::Expired => span.chip { "Expired" },
        }
    }
}

fn add_form(company: CompanyId, user: &NamedUser, levels: &[UserLevel], csrf: &str) -> Markup {
    html! {
        form.panel.edit method="post" action=(company_path(company, "users/review")) {
            h3 { "Add a level, or change its period" }
            (csrf_field(csrf))
            input type="hidden" name="user" value=(identity(user));
            (level_control(levels, "", None))
            (period_controls("", "", &Problems::new()))
            div.buttons { button type="submit" name="do" value=(Operation::Add.value()) { "Review…" } }
        }
    }
}

fn sign_out_form(company: CompanyId, user: &NamedUser, name: Option<&iam_domain::Name>, csrf: &str) -> Markup {
    html! {
        section.panel {
            h2 { "Sign out everywhere" }
            form method="post" action={ (user_path(company, user.id)) "/sign-out" } {
                (csrf_field(csrf))
                details {
                    summary { "Sign out everywhere…" }
                    p {
                        "All tokens and sessions of " (person(name, user.id)) " end now, in all companies. The user can sign in again."
                    }
                    button.danger type="submit" { "Sign out " (person(name, user.id)) " everywhere" }
                }
            }
        }
    }
}
