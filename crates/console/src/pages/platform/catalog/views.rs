//! The views of the catalog: the list, and the forms of a view.

use actix_web::web::Query;
use iam_application::{Application, CreateView, DeleteView, Failure, IfMatch, UpdateView};
use iam_domain::{Category, CompanyId, Description, Icon, Name, View, ViewId, ViewUrl, folded};
use maud::{Markup, html};

use super::super::control::{Control, Problems, check_box};
use super::super::pager::Part;
use super::frame::{Place, Tab, catalog_path, deleted, search, tab_path, tabs};
use super::kind::Kind;
use super::typed::{Typed, replaced};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::platform::OnPlatform;

const NAME: Control = Control::line("name", "Name").required();
const URL: Control =
    Control::line("url", "URL").required().hint("The path of the page in your product, such as /risks/:id.");
const CATEGORY: Control = Control::line("category", "Category (optional)");
const DESCRIPTION: Control = Control::lines("description", "Description (optional)");
const ICON: Control = Control::line("icon", "Icon (optional)").hint("A name that your product defines.");

/// The views.
pub(crate) struct Views;

/// `GET /console/catalog` and `GET /console/catalog/views`
pub(crate) async fn list(page: OnPlatform<SuperAdmin>, place: Query<Place>) -> Result<Page, PageError> {
    let all = page.application().views().await?;
    let text = folded(place.q.trim());
    let contains = |part: &str| folded(part).contains(&text);
    let matches = |view: &&View| {
        let of_category = view.category.as_ref().is_some_and(|category| contains(category.as_str()));
        contains(view.name.as_str()) || contains(view.url.as_str()) || of_category
    };
    let found: Vec<_> = all.iter().filter(matches).collect();
    let part = Part::of(&found, place.page);
    page.page("Views", Section::Catalog, |_| {
        html! {
            (tabs(Tab::Views))
            header {
                h1 { "Views" }
                p.muted { (all.len()) " views" }
                div.actions { a.button.primary href=(catalog_path("views/new", None)) { "New view" } }
            }
            (deleted(&place))
            (search(Tab::Views, "Views", &place.q))
            @if found.is_empty() {
                div.empty { p { @if all.is_empty() { "The catalog has no views yet." } @else { "No view matches the text." } } }
            } @else {
                (table(part.rows))
                (part.links(&tab_path(Tab::Views, None), &[("q", &place.q)]))
            }
        }
    })
}

fn table(views: &[&View]) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Views" }
                thead {
                    tr { th scope="col" { "View" } th scope="col" { "URL" } th scope="col" { "Category" } th scope="col" { "Access" } }
                }
                tbody {
                    @for view in views {
                        tr {
                            th scope="row" { a href=(catalog_path(&format!("views/{}", view.id), None)) { bdi { (view.name) } } }
                            td.mono { bdi { (view.url) } }
                            td { @if let Some(category) = &view.category { bdi { (category) } } }
                            td { @if view.requires_auth { "With permission" } @else { span.chip.warn { "Public" } } }
                        }
                    }
                }
            }
        }
    }
}

impl Kind for Views {
    type Id = ViewId;
    type Entity = View;
    type Create = CreateView;
    type Update = UpdateView;
    type Delete = DeleteView;
    type Choices = ();

    const TAB: Tab = Tab::Views;
    const NAME: &'static str = "view";
    const SEGMENT: &'static str = "views";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("name", "Name"), ("url", "URL"), ("category", "Category"), ("description", "Description"), ("icon", "Icon")];
    const FLAGS: &'static [(&'static str, &'static str)] = &[("requires_auth", "With permission")];
    const DELETED: &'static str = "Its cells in all matrices and its place in modules are deleted, too.";

    fn parse_id(text: &str) -> Option<ViewId> {
        ViewId::parse(text).ok()
    }

    fn id(view: &View) -> ViewId {
        view.id
    }

    fn id_text(id: ViewId) -> String {
        id.to_string()
    }

    fn name(view: &View) -> &str {
        view.name.as_str()
    }

    async fn read(application: &Application, _: Option<CompanyId>, id: ViewId) -> Result<View, Failure> {
        application.view(id).await
    }

    async fn choices(_: &Application, _: Option<CompanyId>) -> Result<(), Failure> {
        Ok(())
    }

    fn blank(_: &Typed, (): &()) -> Typed {
        Typed::default().with_flag("requires_auth", true)
    }

    fn stored(view: &View) -> Typed {
        let typed = Typed::default().with("name", &view.name).with("url", &view.url);
        let typed = typed.with_any("category", view.category.as_ref()).with_any("icon", view.icon.as_ref());
        typed.with_any("description", view.description.as_ref()).with_flag("requires_auth", view.requires_auth)
    }

    fn controls(typed: &Typed, problems: &Problems, (): &()) -> Markup {
        html! {
            (typed.controls(&[NAME, URL, CATEGORY, DESCRIPTION, ICON], problems))
            (check_box(
                "requires_auth",
                "on",
                typed.flag("requires_auth"),
                &html! { "Only for users whose levels allow it. Without the check mark, the view is public" },
            ))
        }
    }

    fn creation(typed: &Typed, problems: &mut Problems, _: Option<CompanyId>) -> Option<CreateView> {
        let name = typed.required(problems, "name", Name::parse);
        let url = typed.required(problems, "url", ViewUrl::parse);
        let category = typed.optional(problems, "category", Category::parse);
        let description = typed.optional(problems, "description", Description::parse);
        let icon = typed.optional(problems, "icon", Icon::parse);
        let (name, url, requires_auth) = (name?, url?, typed.flag("requires_auth"));
        problems.is_empty().then_some(CreateView { name, url, category, description, icon, requires_auth })
    }

    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: ViewId,
        if_match: IfMatch,
    ) -> Option<UpdateView> {
        let CreateView { name, url, category, description, icon, requires_auth } =
            Self::creation(typed, problems, owner)?;
        Some(UpdateView {
            id,
            name: Some(name),
            url: Some(url),
            category: replaced(category),
            description: replaced(description),
            icon: replaced(icon),
            requires_auth: Some(requires_auth),
            if_match,
        })
    }

    fn deletion(_: &Typed, _: Option<CompanyId>, id: ViewId, if_match: IfMatch) -> DeleteView {
        DeleteView { id, if_match }
    }
}
