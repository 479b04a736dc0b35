//! The modules of the catalog: the list, and the forms of a module.

use actix_web::web::Query;
use iam_application::{
    Application, CreateModule, DeleteModule, Failure, IfMatch, SetModuleFeatures, SetModuleViews, UpdateModule,
};
use iam_domain::{
    CompanyId, Description, Icon, Module, ModuleCode, ModuleId, Name, Priority, Versions, folded, is_reserved,
};
use maud::{Markup, html};

use super::super::control::{Control, Problems, check_box, reviewed};
use super::super::pager::Part;
use super::content::{Chosen, ContentForm, UNGATE, ungate_box};
use super::frame::{Place, Tab, catalog_path, deleted, search, tab_path, tabs};
use super::kind::{Goes, Kind, SEEN};
use super::typed::{Typed, replaced};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::platform::OnPlatform;

const NAME: Control = Control::line("name", "Name").required();
const CODE: Control = Control::line("code", "Code").required().hint("The unique code in your product, such as risks.");
const DESCRIPTION: Control = Control::lines("description", "Description (optional)");
const ICON: Control = Control::line("icon", "Icon (optional)").hint("A name that your product defines.");

/// The modules.
pub(crate) struct Modules;

/// `GET /console/catalog/modules`
pub(crate) async fn list(page: OnPlatform<SuperAdmin>, place: Query<Place>) -> Result<Page, PageError> {
    let all = page.application().modules().await?;
    let text = folded(place.q.trim());
    let contains = |part: &str| folded(part).contains(&text);
    let matches = |module: &&Module| {
        contains(module.name.as_str()) || contains(module.code.as_str()) || contains(module.priority.as_str())
    };
    let found: Vec<_> = all.iter().filter(matches).collect();
    let part = Part::of(&found, place.page);
    page.page("Modules", Section::Catalog, |_| {
        html! {
            (tabs(Tab::Modules))
            header {
                h1 { "Modules" }
                p.muted { (all.len()) " modules" }
                div.actions { a.button.primary href=(catalog_path("modules/new", None)) { "New module" } }
            }
            (deleted(&place))
            (search(Tab::Modules, "Modules", &place.q))
            @if found.is_empty() {
                div.empty {
                    p { @if all.is_empty() { "The catalog has no modules yet." } @else { "No module matches the text." } }
                }
            } @else {
                (table(part.rows))
                (part.links(&tab_path(Tab::Modules, None), &[("q", &place.q)]))
            }
        }
    })
}

fn table(modules: &[&Module]) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Modules" }
                thead {
                    tr { th scope="col" { "Module" } th scope="col" { "Code" } th scope="col" { "Tier" } th scope="col" { "State" } }
                }
                tbody {
                    @for module in modules {
                        tr {
                            th scope="row" {
                                a href=(catalog_path(&format!("modules/{}", module.id), None)) { bdi { (module.name) } }
                            }
                            td.mono { bdi { (module.code) } }
                            td { (module.priority) }
                            td { @if module.enabled { "Enabled" } @else { span.chip.warn { "Disabled for all companies" } } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the control for the commercial tier.
pub(super) fn priority_control(typed: &Typed) -> Markup {
    html! {
        div.field {
            label for="field-priority" { "Tier" }
            select #field-priority name="priority" {
                @for tier in [Priority::Standard, Priority::Optional, Priority::Premium] {
                    option value=(tier) selected[tier.as_str() == typed.get("priority")] { (tier) }
                }
            }
        }
    }
}

impl Kind for Modules {
    type Id = ModuleId;
    type Entity = Module;
    type Create = CreateModule;
    type Update = UpdateModule;
    type Delete = DeleteModule;
    type Choices = ();

    const TAB: Tab = Tab::Modules;
    const NAME: &'static str = "module";
    const SEGMENT: &'static str = "modules";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("name", "Name"), ("code", "Code"), ("description", "Description"), ("icon", "Icon"), ("priority", "Tier")];
    const FLAGS: &'static [(&'static str, &'static str)] = &[("enabled", "Enabled")];
    const DELETED: &'static str = "It is removed from all companies. Its views and features remain. Those that belong to no other module become available to all companies.";

    fn parse_id(text: &str) -> Option<ModuleId> {
        ModuleId::parse(text).ok()
    }

    fn id(module: &Module) -> ModuleId {
        module.id
    }

    fn id_text(id: ModuleId) -> String {
        id.to_string()
    }

    fn name(module: &Module) -> &str {
        module.name.as_str()
    }

    async fn read(application: &Application, _: Option<CompanyId>, id: ModuleId) -> Result<Module, Failure> {
        application.module(id).await
    }

    async fn choices(_: &Application, _: Option<CompanyId>) -> Result<(), Failure> {
        Ok(())
    }

    fn blank(_: &Typed, (): &()) -> Typed {
        Typed::default().with("priority", Priority::Standard).with_flag("enabled", true)
    }

    fn stored(module: &Module) -> Typed {
        let typed = Typed::default().with("name", &module.name).with("code", &module.code);
        let typed = typed.with_any("description", module.description.as_ref()).with_any("icon", module.icon.as_ref());
        typed.with("priority", module.priority).with_flag("enabled", module.enabled)
    }

    fn controls(typed: &Typed, problems: &Problems, (): &()) -> Markup {
        html! {
            (typed.controls(&[NAME, CODE, DESCRIPTION, ICON], problems))
            (priority_control(typed))
            (check_box("enabled", "on", typed.flag("enabled"), &html! { "Enabled. Otherwise, no company has it" }))
        }
    }

    fn creation(typed: &Typed, problems: &mut Problems, _: Option<CompanyId>) -> Option<CreateModule> {
        let name = typed.required(problems, "name", Name::parse);
        let code = typed.required(problems, "code", ModuleCode::parse);
        let description = typed.optional(problems, "description", Description::parse);
        let icon = typed.optional(problems, "icon", Icon::parse);
        let priority = typed.required(problems, "priority", |text| text.parse::<Priority>());
        let (name, code, priority, enabled) = (name?, code?, priority?, typed.flag("enabled"));
        problems.is_empty().then_some(CreateModule { code, name, description, icon, enabled, priority })
    }

    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: ModuleId,
        if_match: IfMatch,
    ) -> Option<UpdateModule> {
        let CreateModule { code, name, description, icon, enabled, priority } = Self::creation(typed, problems, owner)?;
        Some(UpdateModule {
            id,
            code: Some(code),
            name: Some(name),
            description: replaced(description),
            icon: replaced(icon),
            enabled: Some(enabled),
            priority: Some(priority),
            if_match,
        })
    }

    fn deletion(typed: &Typed, _: Option<CompanyId>, id: ModuleId, if_match: IfMatch) -> DeleteModule {
        DeleteModule { id, ungate: typed.flag(UNGATE), if_match }
    }

    async fn goes(application: &Application, _: Option<CompanyId>, module: &Module) -> Result<Goes, Failure> {
        // The versions are read first: if the data is newer, the deletion is refused, and the new list is shown.
        let seen = application.versions(None).await?.to_string();
        let views = application.module_views(module.id).await?;
        let features = application.module_features(module.id).await?;
        let views = views.iter().map(|view| format!("{} ({})", view.name, view.url));
        let names = views.chain(features.iter().map(|feature| feature.name.to_string())).collect();
        Ok(Goes { names, seen })
    }

    fn versions(typed: &Typed) -> Result<Option<Versions>, PageError> {
        reviewed(typed.get(SEEN)).map(Some)
    }

    fn deletion_controls() -> Markup {
        ungate_box()
    }

    async fn contents(application: &Application, module: &Module) -> Result<Vec<ContentForm>, Failure> {
        let page = format!("modules/{}", module.id);
        let (views, of_module) = (application.views().await?, application.module_views(module.id).await?);
        let views = ContentForm::views(&page, "Views of the module", &views, &of_module)?;
        let (mut features, of_module) = (application.features().await?, application.module_features(module.id).await?);
        features.retain(|feature| !feature.key.as_ref().is_some_and(is_reserved));
        let features = ContentForm::features(&page, "Features of the module", &features, &of_module)?;
        Ok(vec![views.of_module(), features.of_module()])
    }

    async fn set(
        page: &OnPlatform<SuperAdmin>,
        module: ModuleId,
        chosen: &Chosen<'_>,
        if_match: IfMatch,
    ) -> Result<(), Failure> {
        let ungate = chosen.ungate;
        match chosen.part {
            "views" => {
                page.execute(SetModuleViews { module, views: chosen.views()?, ungate, if_match }).await.map(drop)
            }
            "features" => page
                .execute(SetModuleFeatures { module, features: chosen.features()?, ungate, if_match })
                .await
                .map(drop),
            _ => Err(Failure::NotFound("Page")),
        }
    }
}
