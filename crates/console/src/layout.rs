//! The frame of the pages: the document, the header with the company and the signed-in person, and the navigation.

use iam_application::Requirement;
use iam_domain::{CompanyDetails, CompanyId, CompanyStatus, Timestamp};
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::path::{PATH, company_path};

/// The configuration of htmx. Requests to other origins are refused (`mode`), and no styles are inserted. Version 4 has no
/// setting that turns `eval` off: the content security policy refuses it.
const HTMX: &str = r#"{"mode":"same-origin","includeIndicatorCSS":false,"defaultTimeout":30000}"#;

/// The name of the hidden field that proves that a form belongs to the session.
pub(crate) const FORM_TOKEN: &str = "csrf";

/// A section of the console, which an entry of the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The list of companies.
    Companies,
    /// The overview of a company.
    Overview,
    /// The levels of a company.
    Levels,
    /// The matrix of a company.
    Matrix,
    /// The users of a company.
    Users,
    /// The reason for a decision.
    Why,
    /// The users whom a check allows.
    WhoCan,
    /// The settings of a company, for super admins.
    Settings,
    /// The views, features, modules and menus.
    Catalog,
    /// The API keys of services.
    ApiKeys,
    /// The issuers of tokens.
    Issuers,
    /// What users see.
    ViewAs,
    /// The audit log of a company.
    Audit,
    /// The audit log of the platform.
    PlatformAudit,
    /// The health of the replica.
    Health,
    /// A page outside of the navigation.
    None,
}

/// The sections of a company: the last segment of the path, the label, and the requirement for the page.
pub(crate) const OF_COMPANY: [(Section, &str, &str, Requirement); 9] = [
    (Section::Overview, "", "Overview", Requirement::Member),
    (Section::Levels, "levels", "Levels", Requirement::ReadIam),
    (Section::Matrix, "matrix", "Matrix", Requirement::ReadIam),
    (Section::Users, "users", "Users", Requirement::ReadIam),
    (Section::Why, "why", "Why?", Requirement::Member),
    (Section::WhoCan, "who-can", "Who can?", Requirement::FindAllowed),
    (Section::ViewAs, "view-as", "View as", Requirement::CheckOthers),
    (Section::Audit, "audit", "Audit", Requirement::ReadAudit),
    (Section::Settings, "settings", "Settings", Requirement::SuperAdmin),
];

/// The sections of the platform, with the last segment of their paths and their labels. All of them except the first are for
/// super admins.
const OF_PLATFORM: [(Section, &str, &str); 6] = [
    (Section::Companies, "companies", "Companies"),
    (Section::Catalog, "catalog", "Catalog"),
    (Section::ApiKeys, "api-keys", "API keys"),
    (Section::Issuers, "issuers", "Issuers"),
    (Section::PlatformAudit, "audit", "Audit"),
    (Section::Health, "health", "Health"),
];

/// What the frame of a page shows besides its content.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The title of the page.
    pub(crate) title: &'a str,
    /// The section that the page belongs to.
    pub(crate) section: Section,
    /// The company that the page is about, if any.
    pub(crate) company: Option<(CompanyId, &'a CompanyDetails)>,
    /// The requirements of [`OF_COMPANY`] that the signed-in person meets in the company.
    pub(crate) met: &'a [Requirement],
    /// The name of the signed-in person.
    pub(crate) person: &'a str,
    /// Whether the signed-in person is a super admin.
    pub(crate) is_super_admin: bool,
    /// The token of the forms on the page.
    pub(crate) csrf: &'a str,
}

/// Returns a complete document.
pub(crate) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · IAM console" }
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::htmx()) defer {}
                script type="module" src=(assets::script()) {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                (body)
            }
        }
    }
}

/// Returns a page without the frame, such as the sign-in page or an error.
pub(crate) fn alone(title: &str, content: &Markup) -> Markup {
    document(
        title,
        &html! {
            header.bar { (brand()) }
            main.alone #content tabindex="-1" { h1 { (title) } (content) }
        },
    )
}

/// Returns a page within the frame.
pub(crate) fn framed(frame: &Frame<'_>, content: &Markup) -> Markup {
    let title = match frame.company {
        Some((id, details)) => format!("{} · {}", frame.title, company_text(id, details)),
        None => frame.title.to_owned(),
    };
    document(
        &title,
        &html! {
            header.bar {
                (brand())
                (company_menu(frame))
                @if let Some((company, _)) = frame.company && frame.met.contains(&Requirement::ReadIam) {
                    form.search role="search" aria-label="In this company" action=(company_path(company, "search")) {
                        label.visually-hidden for="search" { "Search in this company" }
                        input #search type="search" name="q" placeholder="Search (press /)" data-search
                            autocomplete="off" maxlength="255";
                    }
                }
                div.end { (person_menu(frame)) }
            }
            div.shell {
                nav.sections aria-label="Sections" { (navigation(frame)) }
                main #content tabindex="-1" { (content) }
            }
        },
    )
}

fn brand() -> Markup {
    html! { a.brand href=(PATH) { img src=(assets::icon()) alt=""; "IAM console" } }
}

fn company_menu(frame: &Frame<'_>) -> Markup {
    html! {
        details.menu {
            summary {
                @match frame.company {
                    Some((id, details)) => { span.visually-hidden { "Company: " } (company_name(id, details)) },
                    None => "Choose a company",
                }
            }
            div {
                form role="search" aria-label="Companies" action={ (PATH) "/companies" } {
                    label for="company-search" { "Find a company" }
                    input #company-search type="search" name="q" autocomplete="off" maxlength="255"
                        hx-get={ (PATH) "/companies/options" } hx-trigger="input changed delay:200ms, focus once"
                        hx-target="#company-options" hx-swap="innerHTML";
                }
                div #company-options aria-live="polite" {}
                p { a href={ (PATH) "/companies" } { "All companies" } }
            }
        }
    }
}

fn person_menu(frame: &Frame<'_>) -> Markup {
    html! {
        details.menu.right {
            summary { span.visually-hidden { "Signed in as " } bdi { (frame.person) } }
            div {
                p { "Signed in as " bdi { (frame.person) } @if frame.is_super_admin { ", a super admin" } "." }
                form method="post" action={ (PATH) "/sign-out" } {
                    (csrf_field(frame.csrf))
                    button type="submit" { "Sign out" }
                }
            }
        }
    }
}

fn navigation(frame: &Frame<'_>) -> Markup {
    let current = |section| (section == frame.section).then_some("page");
    html! {
        @if let Some((company, _)) = frame.company {
            ul {
                @for (section, segment, label, requirement) in OF_COMPANY {
                    @if frame.met.contains(&requirement) {
                        li { a href=(company_path(company, segment)) aria-current=[current(section)] { (label) } }
                    }
                }
            }
        }
        div.group { "Platform" }
        ul {
            @for (section, segment, label) in OF_PLATFORM {
                @if frame.is_super_admin || section == Section::Companies {
                    li { a href={ (PATH) "/" (segment) } aria-current=[current(section)] { (label) } }
                }
            }
        }
    }
}

/// Returns the hidden field that every form with an effect contains.
pub(crate) fn csrf_field(token: &str) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(token); }
}

fn company_text(id: CompanyId, details: &CompanyDetails) -> String {
    details.name.as_ref().map_or_else(|| id.to_string(), |name| name.as_str().to_owned())
}

/// Returns the name of a company, or its id if it has no name.
pub(crate) fn company_name(id: CompanyId, details: &CompanyDetails) -> Markup {
    html! {
        @match &details.name {
            Some(name) => bdi { (name.as_str()) },
            None => span.mono { (id) },
        }
    }
}

/// Returns a chip if the company is suspended.
pub(crate) fn suspended(details: &CompanyDetails) -> Markup {
    html! { @if details.status == CompanyStatus::Suspended { span.chip.warn { "Suspended" } } }
}

/// Returns a time. The script of the console shows it in the zone of the reader.
pub(crate) fn time(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { time datetime=(text) { (text) } }
}
