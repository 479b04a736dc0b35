//! The start page: leads to the only company of the person, or to the list of companies.

use actix_web::HttpResponse;
use iam_application::PageRequest;

use crate::authorized::SignedIn;
use crate::error::PageError;
use crate::page::see_other;
use crate::path::{PATH, company_path};

/// `GET /console`
pub(crate) async fn show(person: SignedIn) -> Result<HttpResponse, PageError> {
    let page = PageRequest { limit: 2, cursor: None, include_total: false };
    if !person.caller().is_super_admin() {
        let found = person.application().memberships(person.caller(), person.identity.user(), &page).await?;
        if let [only] = found.elements.as_slice() {
            return Ok(see_other(&company_path(only.company, "")));
        }
    }
    Ok(see_other(&format!("{PATH}/companies")))
}

/// `GET /console/`
pub(crate) async fn without_slash() -> HttpResponse {
    see_other(PATH)
}
