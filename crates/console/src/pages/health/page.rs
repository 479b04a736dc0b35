//! The page and its refreshed part.

use actix_web::web::Query;
use iam_application::{ReadinessProblem, Requirement};
use maud::{Markup, html};
use serde::Deserialize;

use super::charts::charts;
use super::operations::operations;
use crate::authorized::SignedIn;
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::path::PATH;

/// Number of times that the figures are refreshed. Each refresh is a request of the session: without a limit, the session
/// would not end while the page is open.
const REFRESHES: u32 = 120;

/// How many times the figures were refreshed.
#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    n: u32,
}

/// `GET /console/health`
pub(crate) async fn show(person: SignedIn) -> Result<Page, PageError> {
    let figures = figures(&person, 0).await?;
    person.page("Health", Section::Health, |_| {
        html! {
            header { h1 { "Health" } p.muted { "This replica only" } }
            (figures)
        }
    })
}

/// `GET /console/health/figures`: the figures without the frame.
pub(crate) async fn refresh(person: SignedIn, position: Query<Position>) -> Result<Page, PageError> {
    Ok(Page::fragment(figures(&person, position.n).await?))
}

async fn figures(person: &SignedIn, refreshes: u32) -> Result<Markup, PageError> {
    person.authorize_on_platform(Requirement::SuperAdmin).await?;
    let services = &person.console.services;
    let (readiness, source) = (services.probe.readiness(), &services.figures);
    let history = source.history();
    let is_in_memory = history.last().is_none_or(|latest| latest.pool.is_none());
    let next = refreshes.saturating_add(1);
    let path = (next <= REFRESHES).then(|| format!("{PATH}/health/figures?n={next}"));
    Ok(html! {
        div #figures hx-get=[&path] hx-trigger=[path.as_ref().map(|_| "load delay:5s")] hx-swap="outerHTML" {
            p {
                @if readiness.is_ready() { span.chip.allow { "✓ Ready" } } @else { span.chip.deny { "✗ Not ready" } }
                " Replica " span.mono { (source.replica()) }
            }
            @for problem in readiness.problems() { (notice(problem)) }
            @if path.is_none() {
                div.notice { p { "The page is no longer refreshed. " a href={ (PATH) "/health" } { "Refresh it again" } "." } }
            }
            (charts(&history))
            (operations(source.operations(), is_in_memory))
        }
    })
}

fn notice(problem: &ReadinessProblem) -> Markup {
    html! {
        div.notice.error[problem.is_blocking].warn[!problem.is_blocking] {
            p { strong { span.mono { (problem.reason.code()) } } " " bdi { (problem.text) } "." }
        }
    }
}
