//! The overview of a company: its modules, and how many levels and users it has.

use maud::html;

use crate::authorized::{Authorized, Member};
use crate::error::PageError;
use crate::layout::{Section, company_name, suspended};
use crate::page::Page;

/// `GET /console/companies/{company}`
pub(crate) async fn show(page: Authorized<Member>) -> Result<Page, PageError> {
    let company = page.application().company(page.company).await?;
    page.page("Overview", Section::Overview, |_| {
        html! {
            header { h1 { (company_name(company.id, &company.details)) } (suspended(&company.details)) }
            ul.cards {
                li.card { strong { (company.levels) } "levels" }
                li.card { strong { (company.modules.len()) } "modules" }
            }
            section {
                h2 { "Modules" }
                @if company.modules.is_empty() {
                    div.empty { p { "This company has no modules, so gated views and features are not available." } }
                } @else {
                    ul.chips { @for granted in &company.modules { li.chip { bdi { (granted.module.name.as_str()) } } } }
                }
            }
        }
    })
}
