//! The modules of a company: the form, its review, which changes nothing, and the change.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::{DecisionContext, Failure, IfMatch, Preview, SetCompanyModules, SwitchCompanyModule};
use iam_domain::{Catalog, CompanyDetails, CompanyId, GrantedModule, Module, ModuleId};
use iam_permissions_cache::Consistency;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::{check_box, refusal, reviewed, values};
use super::effect::{Effect, LISTED_USERS};
use crate::authorized::{Authorized, SuperAdmin};
use crate::error::PageError;
use crate::form::Fields;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::pages::users::names::names_of;
use crate::path::company_path;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// The name of the field of a module that is checked.
const MODULE: &str = "module";

/// The name of the field of a module that the company had when the form was filled.
const SEEN: &str = "seen";

/// The form, besides the check boxes of the modules.
#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    /// The module to enable (`on:` and its id) or to disable (`off:` and its id). If it is set, the check boxes have no effect.
    #[serde(default)]
    switch: String,
    /// The versions of the company and of the catalog that were reviewed.
    #[serde(default)]
    versions: String,
}

/// The change that the form describes.
#[derive(Debug, Clone)]
enum Requested {
    /// The company has these modules.
    Set(Vec<ModuleId>),
    /// One module of the company is enabled or disabled.
    Switch(ModuleId, bool),
}

/// The form as it was sent, and the modules that the company has now.
struct Sent {
    requested: Requested,
    granted: Vec<GrantedModule>,
    /// The modules that the company had when the form was filled.
    seen: BTreeSet<ModuleId>,
}

impl Sent {
    /// Reads the modules that the company has now, and applies the changes of the form to them. Modules that another person
    /// has added or removed in the meantime remain added or removed.
    async fn read(page: &Authorized<SuperAdmin>, form: &Form, fields: &Fields) -> Result<Self, PageError> {
        let granted = page.application().company_modules(page.company).await?;
        let (now, seen) = (ids(&granted), modules(fields, SEEN)?);
        let requested = Requested::of(form, fields, &now, &seen)?;
        Ok(Self { requested, granted, seen })
    }

    /// Returns the modules that another person has added and removed since the form was filled.
    fn of_others(&self) -> (Vec<ModuleId>, Vec<ModuleId>) {
        let now = ids(&self.granted);
        match self.requested {
            Requested::Switch(..) => (Vec::new(), Vec::new()),
            Requested::Set(_) => {
                (now.difference(&self.seen).copied().collect(), self.seen.difference(&now).copied().collect())
            }
        }
    }
}

fn id(text: &str) -> Result<ModuleId, PageError> {
    ModuleId::parse(text).map_err(|_| PageError::Invalid("The module is not valid".to_owned()))
}

/// Returns the modules in the fields with this name.
fn modules(fields: &Fields, name: &str) -> Result<BTreeSet<ModuleId>, PageError> {
    values(fields, name).map(id).collect()
}

fn ids(granted: &[GrantedModule]) -> BTreeSet<ModuleId> {
    granted.iter().map(|granted| granted.module.id).collect()
}

impl Requested {
    fn of(
        form: &Form,
        fields: &Fields,
        now: &BTreeSet<ModuleId>,
        seen: &BTreeSet<ModuleId>,
    ) -> Result<Self, PageError> {
        match form.switch.split_once(':') {
            Some(("on", module)) => Ok(Self::Switch(id(module)?, true)),
            Some(("off", module)) => Ok(Self::Switch(id(module)?, false)),
            _ => {
                let typed = modules(fields, MODULE)?;
                let remains = |module: &&ModuleId| typed.contains(module) || !seen.contains(module);
                let added = typed.iter().filter(|module| !seen.contains(module));
                let after: BTreeSet<_> = now.iter().filter(remains).chain(added).copied().collect();
                Ok(Self::Set(after.into_iter().collect()))
            }
        }
    }

    /// Returns the modules that are enabled in the company after the change.
    fn enabled_after(&self, granted: &[GrantedModule]) -> BTreeSet<ModuleId> {
        let is_disabled =
            |id: &ModuleId| granted.iter().any(|module| module.module.id == *id && !module.granted.enabled);
        match self {
            Self::Set(modules) => modules.iter().copied().filter(|id| !is_disabled(id)).collect(),
            Self::Switch(module, true) => enabled(granted).into_iter().chain([*module]).collect(),
            Self::Switch(module, false) => enabled(granted).into_iter().filter(|id| id != module).collect(),
        }
    }

    /// Returns the title of the review.
    fn title(&self, details: &CompanyDetails, company: CompanyId, catalog: &Catalog) -> String {
        let (module, verb) = match self {
            Self::Set(_) => return "Review the modules".to_owned(),
            Self::Switch(module, true) => (module, "Enable"),
            Self::Switch(module, false) => (module, "Disable"),
        };
        let module = catalog.module(*module).map_or_else(|| module.to_string(), |module| module.name.to_string());
        let company = details.name.as_ref().map_or_else(|| company.to_string(), ToString::to_string);
        format!("{verb} {module} for {company}")
    }

    /// Returns the button that confirms the change.
    fn button(&self, catalog: &Catalog) -> Markup {
        html! {
            @match self {
                Self::Set(_) => button.primary type="submit" { "Save the modules" },
                Self::Switch(module, true) => button.primary type="submit" { "Enable " (module_name(catalog, *module)) },
                Self::Switch(module, false) => button.danger type="submit" { "Disable " (module_name(catalog, *module)) },
            }
        }
    }

    /// Returns the hidden fields with which the change is confirmed.
    fn fields(&self) -> Markup {
        html! {
            @match self {
                Self::Set(modules) => @for module in modules { input type="hidden" name=(MODULE) value=(module); },
                Self::Switch(module, on) => {
                    input type="hidden" name="switch" value={ (if *on { "on:" } else { "off:" }) (module) };
                },
            }
        }
    }
}

/// Returns the modules that are enabled in the company.
fn enabled(granted: &[GrantedModule]) -> BTreeSet<ModuleId> {
    granted.iter().filter(|module| module.granted.enabled).map(|module| module.module.id).collect()
}

/// Returns the form with a check box for each module of the catalog.
pub(super) fn section(company: CompanyId, modules: &[Module], granted: &[GrantedModule], csrf: &str) -> Markup {
    html! {
        form.panel method="post" action=(company_path(company, "settings/modules/review")) {
            h2 { "Modules" }
            (csrf_field(csrf))
            (seen_fields(granted))
            @if modules.is_empty() {
                p { "The catalog has no modules." }
            } @else {
                ul.rows {
                    @for module in modules {
                        @let grant = granted.iter().find(|granted| granted.module.id == module.id);
                        li { (module_row(module, grant)) }
                    }
                }
                p.muted { "A view or feature of a module is available only in companies that have the module." }
                button type="submit" { "Review the modules" }
            }
        }
    }
}

/// Returns the hidden fields with the modules that the company has when the form is filled.
fn seen_fields(granted: &[GrantedModule]) -> Markup {
    html! { @for granted in granted { input type="hidden" name=(SEEN) value=(granted.module.id); } }
}

fn module_row(module: &Module, grant: Option<&GrantedModule>) -> Markup {
    let label = html! { bdi { (module.name) } " " code { bdi { (module.code) } } };
    let is_on = grant.is_some_and(|grant| grant.granted.enabled);
    html! {
        (check_box(MODULE, &module.id.to_string(), grant.is_some(), &label))
        @if !module.enabled { span.chip.warn { "disabled for all companies" } }
        @if grant.is_some() {
            @if !is_on { span.chip.warn { "disabled for this company" } }
            button.plain name="switch" value={ (if is_on { "off:" } else { "on:" }) (module.id) } {
                @if is_on { "Disable " } @else { "Enable " } bdi { (module.name) } " here…"
            }
        }
    }
}

/// `POST /console/companies/{company}/settings/modules/review`
pub(crate) async fn review(sent: Submitted<Authorized<SuperAdmin>, Form>) -> Result<Page, PageError> {
    let Submitted { page, form, fields } = sent;
    let sent = Sent::read(&page, &form, &fields).await?;
    render(&page, &sent, None).await
}

/// `POST /console/companies/{company}/settings/modules`
pub(crate) async fn save(
    sent: Submitted<Authorized<SuperAdmin>, Form>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, fields } = sent;
    let Sent { requested, .. } = Sent::read(&page, &form, &fields).await?;
    let versions = reviewed(&form.versions)?;
    let (company, if_match) = (page.company, IfMatch::Absent);
    let done = match requested {
        Requested::Set(modules) => {
            page.execute_at(versions, SetCompanyModules { company, modules, if_match }).await.map(drop)
        }
        Requested::Switch(module, enabled) => {
            page.execute_at(versions, SwitchCompanyModule { company, module, enabled, if_match }).await.map(drop)
        }
    };
    let Err(failure) = done else {
        return Ok(Either::Right(see_other(&company_path(company, "settings?done=modules"))));
    };
    let refused = refusal(failure)?;
    let page = render(&page, &Sent::read(&page, &form, &fields).await?, Some(refused)).await?;
    Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
}

async fn preview(page: &Authorized<SuperAdmin>, requested: &Requested) -> Result<Preview, Failure> {
    let (company, if_match) = (page.company, IfMatch::Absent);
    match requested.clone() {
        Requested::Set(modules) => {
            page.preview(SetCompanyModules { company, modules, if_match }, LISTED_USERS, true).await
        }
        Requested::Switch(module, enabled) => {
            page.preview(SwitchCompanyModule { company, module, enabled, if_match }, LISTED_USERS, true).await
        }
    }
}

async fn render(page: &Authorized<SuperAdmin>, sent: &Sent, refused: Option<Refused>) -> Result<Page, PageError> {
    let (caller, company) = (page.caller(), page.company);
    let context = DecisionContext { caller, company, consistency: Consistency::Cached };
    let access = page.application().own_access(&context).await?;
    let catalog = access.catalog();
    let is_outdated = !matches!(sent.of_others(), (added, removed) if added.is_empty() && removed.is_empty());
    let Preview { versions, outcome } = preview(page, &sent.requested).await?;
    let (found, refused, status) = match outcome {
        Ok(found) if is_outdated => (Some(found), refused, StatusCode::CONFLICT),
        Ok(found) => (Some(found), refused, StatusCode::OK),
        Err(failure) => (None, Some(refusal(failure)?), StatusCode::CONFLICT),
    };
    let listed = found.iter().flat_map(|found| found.users.iter().map(|(user, _)| *user)).collect();
    let people = names_of(page, listed).await?;
    let title = sent.requested.title(&page.details, company, catalog);
    let page = page.page(&title, Section::Settings, |csrf| {
        html! {
            header { h1 { bdi { (title) } } p.muted { "Nothing is changed yet." } }
            @if let Some(refused) = &refused { (refused.notice("The modules are not saved.")) }
            (changes_of_others(sent, catalog))
            (differences(sent, catalog))
            (availability(sent, catalog))
            @if let Some(found) = &found { (Effect { company, found, catalog, people: &people }.show()) }
            form method="post" action=(company_path(company, "settings/modules")) {
                (csrf_field(csrf))
                (sent.requested.fields())
                (seen_fields(&sent.granted))
                input type="hidden" name="versions" value=(versions);
                div.buttons {
                    @if found.is_some() { (sent.requested.button(catalog)) }
                    a.button href=(company_path(company, "settings")) { "Cancel" }
                }
            }
        }
    })?;
    Ok(page.with_status(status))
}

/// Returns the notice that another person has changed the modules since the form was filled.
fn changes_of_others(sent: &Sent, catalog: &Catalog) -> Markup {
    let (added, removed) = sent.of_others();
    html! {
        @if !added.is_empty() || !removed.is_empty() {
            div.notice.warn role="alert" {
                p { strong { "Another person has changed the modules since you opened the page." } }
                ul {
                    @for module in &added { li { "+ added by another person: " (module_name(catalog, *module)) } }
                    @for module in &removed { li { "− removed by another person: " (module_name(catalog, *module)) } }
                }
                p { "These changes remain. Below are only your own changes." }
            }
        }
    }
}

fn module_name(catalog: &Catalog, module: ModuleId) -> Markup {
    html! {
        @match catalog.module(module) {
            Some(module) => bdi { (module.name) },
            None => { "unknown module " span.mono { (module) } },
        }
    }
}

/// Returns the modules that the change adds, removes, enables or disables.
fn differences(sent: &Sent, catalog: &Catalog) -> Markup {
    let before: BTreeSet<_> = sent.granted.iter().map(|granted| granted.module.id).collect();
    html! {
        @match &sent.requested {
            Requested::Switch(module, on) => {
                p { @if *on { "Enable " } @else { "Disable " } (module_name(catalog, *module)) " for this company only." }
            },
            Requested::Set(modules) => {
                @let after: BTreeSet<_> = modules.iter().copied().collect();
                @if before == after { p { "The company keeps its modules." } }
                ul {
                    @for module in after.difference(&before) { li { "+ added: " (module_name(catalog, *module)) } }
                    @for module in before.difference(&after) { li { "− removed: " (module_name(catalog, *module)) } }
                }
            },
        }
    }
}

/// Returns the views and features whose availability changes.
fn availability(sent: &Sent, catalog: &Catalog) -> Markup {
    let (before, after) = (enabled(&sent.granted), sent.requested.enabled_after(&sent.granted));
    let changed = |from: &BTreeSet<ModuleId>, to: &BTreeSet<ModuleId>| -> Vec<Markup> {
        let views =
            catalog.views().filter(|view| catalog.is_view_open(view.id, from) && !catalog.is_view_open(view.id, to));
        let views = views.map(|view| html! { "View " bdi { (view.name) } " " code { bdi { (view.url) } } });
        let closes = |id| catalog.is_feature_open(id, from) && !catalog.is_feature_open(id, to);
        let features = catalog.features().filter(|feature| closes(feature.id));
        views.chain(features.map(|feature| html! { "Feature " bdi { (feature.name) } })).collect()
    };
    html! {
        @for (title, list) in [
            ("No longer available in this company", changed(&before, &after)),
            ("Available from now on", changed(&after, &before)),
        ] {
            @if !list.is_empty() { section { h2 { (title) } ul { @for entry in &list { li { (entry) } } } } }
        }
    }
}
