//! The issuers of tokens that this service trusts, and the state of their keys in this process.

use iam_domain::Timestamp;
use iam_identity::{IssuerState, Reads};
use maud::{Markup, html};

use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::{Section, time};
use crate::page::Page;
use crate::platform::OnPlatform;

/// `GET /console/issuers`
pub(crate) async fn show(page: OnPlatform<SuperAdmin>) -> Result<Page, PageError> {
    let (issuers, now) = (page.verifier().issuer_states(), page.now());
    page.page("Issuers", Section::Issuers, |_| {
        html! {
            header { h1 { "Issuers" } }
            p {
                "An issuer signs the tokens of users. The settings of the service list the trusted issuers. Each replica reads \
                 their keys on its own: this page shows the state of the replica that served it."
            }
            @if issuers.is_empty() {
                div.empty { p { "No issuer is configured, so every token is rejected." } }
            }
            @for issuer in &issuers { (panel(issuer, now)) }
        }
    })
}

fn panel(issuer: &IssuerState, now: Timestamp) -> Markup {
    html! {
        section.panel {
            h2 {
                @match &issuer.issuer {
                    Some(name) => bdi { (name) },
                    None => "Shared secret, without an issuer",
                }
            }
            p { (chips(issuer)) }
            dl.facts {
                dt { "Audiences" } dd { (texts(issuer.audiences.iter().map(String::as_str), "not checked")) }
                dt { "Algorithms" } dd { (texts(issuer.algorithms.iter().map(|algorithm| algorithm.as_str()), "those of the keys")) }
                @match &issuer.reads {
                    None => { dt { "Keys" } dd { "configured, and never read again" } },
                    Some(reads) => (reads_of(reads, now)),
                }
            }
            (keys(issuer))
        }
    }
}

fn chips(issuer: &IssuerState) -> Markup {
    html! {
        @if issuer.keys.is_empty() { span.chip.deny { "No usable key: its tokens are rejected" } " " }
        @if issuer.reads.is_some_and(|reads| reads.is_failing()) { span.chip.warn { "Its keys cannot be read" } " " }
        @if issuer.may_grant_super_admin { span.chip { "May grant super admin" } " " }
        @if issuer.is_native { span.chip { "Native user ids" } " " }
        @if issuer.provides_profiles { span.chip { "Provides profiles" } }
    }
}

fn texts<'a>(texts: impl ExactSizeIterator<Item = &'a str>, none: &str) -> Markup {
    html! {
        @if texts.len() == 0 { (none) } @else { ul.chips { @for text in texts { li.chip { bdi { (text) } } } } }
    }
}

fn reads_of(reads: &Reads, now: Timestamp) -> Markup {
    let moment = |at: Option<Timestamp>| html! { @match at { Some(at) => (time(at)), None => "never" } };
    html! {
        dt { "Last read" }
        dd {
            (moment(reads.succeeded_at))
            @if let Some(age) = reads.age(now) { " (" (age.as_secs()) " s ago)" }
        }
        dt { "Last failure" }
        dd {
            @match reads.failed_at {
                Some((at, kind)) => { (time(at)) ": " code { (kind) } },
                None => "never",
            }
        }
        dt { "Next read" } dd { (moment(reads.next_at())) ", every " (reads.interval.as_secs()) " s" }
    }
}

fn keys(issuer: &IssuerState) -> Markup {
    html! {
        @if !issuer.keys.is_empty() {
            div.scroll role="region" aria-label="Keys" tabindex="0" {
                table {
                    caption { "Keys (" (issuer.keys.len()) ")" }
                    thead { tr { th scope="col" { "Id" } th scope="col" { "Algorithm" } } }
                    tbody {
                        @for key in &issuer.keys {
                            tr {
                                td.mono { @match &key.id { Some(id) => bdi { (id) }, None => span.muted { "no id" } } }
                                td { (key.algorithm.as_str()) }
                            }
                        }
                    }
                }
            }
        }
    }
}
