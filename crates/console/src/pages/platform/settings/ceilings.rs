//! The ceilings of a company: the form, its review, which changes nothing, and the change.

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::{DecisionContext, Etag, IfMatch, Preview, SetCompanyCeilings};
use iam_domain::escalation::Cell;
use iam_domain::{Action, Catalog, Ceilings, CompanyId, View, folded};
use iam_permissions_cache::{Access, AvailableCatalog, AvailableFeature, Consistency};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::{refusal, reviewed};
use super::draft::{
    CHOICES, Difference, HIDE, differences, field_of, hidden_fields, may_have_ceilings, parse, rebased, requested,
    value_of,
};
use super::effect::{Effect, LISTED_USERS, row_of};
use crate::authorized::{Authorized, SuperAdmin};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::pages::users::effect::cell_name;
use crate::pages::users::names::names_of;
use crate::path::company_path;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// Maximum number of views, and of features, that the form shows. A search text selects others.
const LISTED: usize = 100;

/// The form, besides the ceilings themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    q: String,
    /// The ceilings that were stored when the draft was begun, as JSON.
    base: String,
    /// The versions of the company and of the catalog that were reviewed.
    versions: String,
}

/// `GET /console/companies/{company}/settings/ceilings`
pub(crate) async fn show(page: Authorized<SuperAdmin>) -> Result<Page, PageError> {
    let stored = page.application().company_ceilings(page.company).await?;
    editor(&page, &Form { base: text_of(&stored)?, ..Form::default() }, &stored).await
}

/// `POST /console/companies/{company}/settings/ceilings`: the form with a draft, which may show other rows.
pub(crate) async fn with_draft(sent: Submitted<Authorized<SuperAdmin>, Form>) -> Result<Page, PageError> {
    let Submitted { page, form, fields } = sent;
    editor(&page, &form, &parse(&fields)?).await
}

/// `POST /console/companies/{company}/settings/ceilings/review`
pub(crate) async fn review(sent: Submitted<Authorized<SuperAdmin>, Form>) -> Result<Page, PageError> {
    let Submitted { page, form, fields } = sent;
    render_review(&page, &base_of(&form)?, &parse(&fields)?, None).await
}

/// `POST /console/companies/{company}/settings/ceilings/save`
pub(crate) async fn save(
    sent: Submitted<Authorized<SuperAdmin>, Form>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, fields } = sent;
    let (draft, versions) = (parse(&fields)?, reviewed(&form.versions)?);
    let (company, base) = (page.company, base_of(&form)?);
    let if_match = IfMatch::OneOf(vec![Etag::of(&base)?.as_str().to_owned()]);
    match page.execute_at(versions, SetCompanyCeilings { company, ceilings: requested(&draft), if_match }).await {
        Ok(_) => Ok(Either::Right(see_other(&company_path(company, "settings?done=ceilings")))),
        Err(failure) => {
            let page = render_review(&page, &base, &draft, Some(refusal(failure)?)).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

/// Returns the ceilings that were stored when the draft was begun.
fn base_of(form: &Form) -> Result<Ceilings, PageError> {
    serde_json::from_str(&form.base).map_err(|_| PageError::Invalid("The form contains no stored ceilings".to_owned()))
}

fn text_of(ceilings: &Ceilings) -> Result<String, PageError> {
    serde_json::to_string(ceilings).map_err(|error| PageError::internal(&error))
}

async fn access(page: &Authorized<SuperAdmin>) -> Result<Access, PageError> {
    let context = DecisionContext { caller: page.caller(), company: page.company, consistency: Consistency::Cached };
    Ok(page.application().own_access(&context).await?)
}

async fn editor(page: &Authorized<SuperAdmin>, form: &Form, draft: &Ceilings) -> Result<Page, PageError> {
    let access = access(page).await?;
    let (catalog, company) = (access.catalog(), page.company);
    let rows = Rows::of(catalog, form.q.trim());
    page.page("Ceilings", Section::Settings, |csrf| {
        html! {
            header { h1 { "Ceilings" } }
            p {
                "A ceiling limits what all users of the company may see and do, whatever their levels allow. It does not \
                 apply to super admins."
            }
            form method="post" action=(company_path(company, "settings/ceilings")) {
                (csrf_field(csrf))
                input type="hidden" name="base" value=(form.base);
                (hidden_fields(draft, |cell| rows.contains(cell)))
                div.toolbar role="search" aria-label="Ceilings" {
                    div {
                        label for="q" { "View or feature" }
                        input #q type="search" name="q" value=(form.q) maxlength="255" autocomplete="off";
                    }
                    button type="submit" { "Show" }
                }
                (rows.view_table(draft))
                (rows.feature_table(draft))
                @if rows.is_shortened {
                    p.muted { "Only the first " (LISTED) " views and features are shown. Search for the others." }
                }
                div.buttons {
                    button.primary type="submit" formaction=(company_path(company, "settings/ceilings/review")) { "Review" }
                    a.button href=(company_path(company, "settings")) { "Cancel" }
                }
            }
        }
    })
}

/// The views and features that the form shows.
struct Rows {
    views: Vec<View>,
    features: Vec<AvailableFeature>,
    is_shortened: bool,
}

impl Rows {
    fn of(catalog: &Catalog, text: &str) -> Self {
        let text = folded(text);
        let contains = |part: &str| folded(part).contains(&text);
        let mut views: Vec<_> = catalog.views().cloned().collect();
        views.retain(|view| contains(view.name.as_str()) || contains(view.url.as_str()));
        views.sort_by(|a, b| a.url.cmp(&b.url));
        let AvailableCatalog { mut features, .. } = AvailableCatalog::of(std::iter::empty(), catalog.features());
        features.retain(|feature| {
            let has_key = feature.key.as_ref().is_some_and(|key| contains(key.as_str()));
            may_have_ceilings(catalog, feature.id) && (has_key || contains(feature.name.as_str()))
        });
        let is_shortened = views.len() > LISTED || features.len() > LISTED;
        views.truncate(LISTED);
        features.truncate(LISTED);
        Self { views, features, is_shortened }
    }

    fn contains(&self, cell: &Cell) -> bool {
        match cell {
            Cell::View(id) => self.views.iter().any(|view| view.id == *id),
            Cell::Action(id, action) => {
                self.features.iter().any(|feature| feature.id == *id && feature.actions.iter().any(|own| own == action))
            }
        }
    }

    fn view_table(&self, draft: &Ceilings) -> Markup {
        html! {
            h2 { "Views" }
            @if self.views.is_empty() {
                div.empty { p { "No view matches the text." } }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Ceilings of views" }
                        thead { tr { th scope="col" { "View" } th scope="col" { "URL" } th scope="col" { "Hidden from all users" } } }
                        tbody {
                            @for view in &self.views {
                                tr {
                                    th scope="row" { bdi { (view.name) } }
                                    td.mono { bdi { (view.url) } }
                                    td {
                                        label.check {
                                            input type="checkbox" name=(HIDE) value=(view.id) checked[draft.hides(view.id)];
                                            span { "Hide" span.visually-hidden { " " (view.name) } }
                                        }
                                        @if !view.requires_auth { small.muted { "Public views are never hidden" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn feature_table(&self, draft: &Ceilings) -> Markup {
        html! {
            h2 { "Actions" }
            @if self.features.is_empty() {
                div.empty { p { "No feature matches the text." } }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Ceilings of actions" }
                        thead { tr { th scope="col" { "Feature" } th scope="col" { "Widest scope of each action" } } }
                        tbody {
                            @for feature in &self.features {
                                tr {
                                    th scope="row" {
                                        bdi { (feature.name) }
                                        @if let Some(key) = &feature.key { small.mono { bdi { (key) } } }
                                    }
                                    td { div.choices { @for action in &feature.actions { (action_control(draft, feature, action)) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn action_control(draft: &Ceilings, feature: &AvailableFeature, action: &Action) -> Markup {
    let selected = value_of(draft.max_scope(feature.id, action));
    html! {
        label.small {
            span.visually-hidden { (feature.name) ": " }
            bdi { (action) }
            select name=(field_of(feature.id, action)) {
                @for (value, label) in CHOICES { option value=(value) selected[value == selected] { (label) } }
            }
        }
    }
}

async fn render_review(
    page: &Authorized<SuperAdmin>,
    base: &Ceilings,
    draft: &Ceilings,
    refused: Option<Refused>,
) -> Result<Page, PageError> {
    let company = page.company;
    // The review is based on the current ceilings: what another person has changed in the meantime remains.
    let stored = page.application().company_ceilings(company).await?;
    let (of_others, draft) = (differences(base, &stored), &rebased(&stored, base, draft));
    let change = SetCompanyCeilings { company, ceilings: requested(draft), if_match: IfMatch::Absent };
    let Preview { versions, outcome } = page.preview(change, LISTED_USERS, true).await?;
    let (found, refused, status) = match outcome {
        Ok(found) if !of_others.is_empty() => (Some(found), refused, StatusCode::CONFLICT),
        Ok(found) => (Some(found), refused, StatusCode::OK),
        Err(failure) => (None, Some(refusal(failure)?), StatusCode::CONFLICT),
    };
    let access = access(page).await?;
    let catalog = access.catalog();
    let listed = found.iter().flat_map(|found| found.users.iter().map(|(user, _)| *user)).collect();
    let people = names_of(page, listed).await?;
    let hidden = html! {
        input type="hidden" name="base" value=(text_of(&stored)?);
        input type="hidden" name="versions" value=(versions);
        (hidden_fields(draft, |_| false))
    };
    let page = page.page("Review the ceilings", Section::Settings, |csrf| {
        html! {
            header { h1 { "Review the ceilings" } p.muted { "Nothing is changed yet." } }
            @if let Some(refused) = &refused { (refused.notice("The ceilings are not saved.")) }
            @if !of_others.is_empty() {
                div.notice.warn role="alert" {
                    p { strong { "Another person has changed the ceilings since you opened the page." } }
                    p { "These changes remain. Below them are only your own changes." }
                }
                (difference_table(catalog, "Changed by others", &of_others))
            }
            (difference_table(catalog, "Your changes", &differences(&stored, draft)))
            @if let Some(found) = &found { (Effect { company, found, catalog, people: &people }.show()) }
            (confirmation(company, &hidden, found.is_some(), csrf))
        }
    })?;
    Ok(page.with_status(status))
}

fn confirmation(company: CompanyId, hidden: &Markup, may_save: bool, csrf: &str) -> Markup {
    let path = |page| company_path(company, page);
    html! {
        form method="post" action=(path("settings/ceilings")) {
            (csrf_field(csrf))
            (hidden)
            div.buttons {
                @if may_save {
                    button.primary type="submit" formaction=(path("settings/ceilings/save")) { "Save the ceilings" }
                }
                button type="submit" { "Back to the form" }
                a.button href=(path("settings")) { "Cancel" }
            }
        }
    }
}

fn difference_table(catalog: &Catalog, caption: &str, differences: &[Difference]) -> Markup {
    let mut differences: Vec<_> = differences.iter().collect();
    differences.sort_by_cached_key(|difference| row_of(catalog, &difference.cell));
    html! {
        @if differences.is_empty() {
            p { strong { "The ceilings stay the same." } }
        } @else {
            div.scroll role="region" aria-label=(caption) tabindex="0" {
                table.effect {
                    caption { (caption) }
                    thead { tr { th scope="col" { "Permission" } th scope="col" { "Before" } th scope="col" { "After" } } }
                    tbody {
                        @for Difference { cell, before, after } in &differences {
                            tr { th scope="row" { (cell_name(catalog, cell)) } td { (before) } td { strong { (after) } } }
                        }
                    }
                }
            }
        }
    }
}
