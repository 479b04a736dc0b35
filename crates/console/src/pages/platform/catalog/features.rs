//! The features of the catalog: the list, and the forms of a feature.

use actix_web::web::Query;
use iam_application::{Application, CreateFeature, DeleteFeature, Failure, IfMatch, SetFeatureViews, UpdateFeature};
use iam_domain::{
    Action, Category, CompanyId, Description, Feature, FeatureId, FeatureKey, Name, ResourceType, folded, is_reserved,
};
use maud::{Markup, html};

use super::super::control::{Control, Problems, check_box};
use super::super::pager::Part;
use super::content::{Chosen, ContentForm};
use super::frame::{Place, Tab, catalog_path, deleted, search, tab_path, tabs};
use super::kind::Kind;
use super::typed::{Typed, replaced};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::platform::OnPlatform;

const NAME: Control = Control::line("name", "Name").required();
const KEY: Control =
    Control::line("key", "Key (optional)").hint("The key in requests of the API, such as risks.approve.");
const ACTIONS: Control = Control::lines("actions", "Custom actions (optional)")
    .hint("One on each line. Every feature also has Create, Read, Update, Delete, Export, Approve and Publish.");
const CATEGORY: Control = Control::line("category", "Category (optional)");
const RESOURCE_TYPE: Control = Control::line("resource_type", "Type of resource (optional)");
const DESCRIPTION: Control = Control::lines("description", "Description (optional)");

/// The features.
pub(crate) struct Features;

/// `GET /console/catalog/features`
pub(crate) async fn list(page: OnPlatform<SuperAdmin>, place: Query<Place>) -> Result<Page, PageError> {
    let all = page.application().features().await?;
    let text = folded(place.q.trim());
    let contains = |part: &str| folded(part).contains(&text);
    let matches = |feature: &&Feature| {
        let of_key = feature.key.as_ref().is_some_and(|key| contains(key.as_str()));
        let of_category = feature.category.as_ref().is_some_and(|category| contains(category.as_str()));
        contains(feature.name.as_str()) || of_key || of_category
    };
    let found: Vec<_> = all.iter().filter(matches).collect();
    let part = Part::of(&found, place.page);
    page.page("Features", Section::Catalog, |_| {
        html! {
            (tabs(Tab::Features))
            header {
                h1 { "Features" }
                p.muted { (all.len()) " features" }
                div.actions { a.button.primary href=(catalog_path("features/new", None)) { "New feature" } }
            }
            (deleted(&place))
            p.muted {
                "Every feature has the actions " (Action::STANDARD.join(", ")) ", besides its custom actions. A level allows \
                 each action with a scope: own, team, company or any."
            }
            (search(Tab::Features, "Features", &place.q))
            @if found.is_empty() {
                div.empty {
                    p { @if all.is_empty() { "The catalog has no features yet." } @else { "No feature matches the text." } }
                }
            } @else {
                (table(part.rows))
                (part.links(&tab_path(Tab::Features, None), &[("q", &place.q)]))
            }
        }
    })
}

fn table(features: &[&Feature]) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Features" }
                thead {
                    tr {
                        th scope="col" { "Feature" }
                        th scope="col" { "Key" }
                        th scope="col" { "Custom actions" }
                        th scope="col" { "Category" }
                        th scope="col" { "State" }
                    }
                }
                tbody {
                    @for feature in features {
                        tr {
                            th scope="row" {
                                a href=(catalog_path(&format!("features/{}", feature.id), None)) { bdi { (feature.name) } }
                            }
                            td.mono { @if let Some(key) = &feature.key { bdi { (key) } } }
                            td { ul.chips { @for action in feature.actions.iter().flatten() { li.chip { bdi { (action) } } } } }
                            td { @if let Some(category) = &feature.category { bdi { (category) } } }
                            td {
                                @if !feature.enabled { span.chip.warn { "Disabled" } } @else { "Enabled" }
                                @if feature.key.as_ref().is_some_and(is_reserved) { " " span.chip { "of the service" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Kind for Features {
    type Id = FeatureId;
    type Entity = Feature;
    type Create = CreateFeature;
    type Update = UpdateFeature;
    type Delete = DeleteFeature;
    type Choices = ();

    const TAB: Tab = Tab::Features;
    const NAME: &'static str = "feature";
    const SEGMENT: &'static str = "features";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("name", "Name"),
        ("key", "Key"),
        ("actions", "Custom actions"),
        ("category", "Category"),
        ("resource_type", "Type of resource"),
        ("description", "Description"),
    ];
    const FLAGS: &'static [(&'static str, &'static str)] = &[("enabled", "Enabled")];
    const DELETED: &'static str = "Its cells in all matrices and its place in modules are deleted, too.";

    fn parse_id(text: &str) -> Option<FeatureId> {
        FeatureId::parse(text).ok()
    }

    fn id(feature: &Feature) -> FeatureId {
        feature.id
    }

    fn id_text(id: FeatureId) -> String {
        id.to_string()
    }

    fn name(feature: &Feature) -> &str {
        feature.name.as_str()
    }

    async fn read(application: &Application, _: Option<CompanyId>, id: FeatureId) -> Result<Feature, Failure> {
        application.feature(id).await
    }

    async fn choices(_: &Application, _: Option<CompanyId>) -> Result<(), Failure> {
        Ok(())
    }

    fn blank(_: &Typed, (): &()) -> Typed {
        Typed::default().with_flag("enabled", true)
    }

    fn stored(feature: &Feature) -> Typed {
        let actions: Vec<_> = feature.actions.iter().flatten().map(Action::as_str).collect();
        let typed = Typed::default().with("name", &feature.name).with_any("key", feature.key.as_ref());
        let typed = typed.with("actions", actions.join("\n")).with_any("category", feature.category.as_ref());
        let typed = typed.with_any("resource_type", feature.resource_type.as_ref());
        typed.with_any("description", feature.description.as_ref()).with_flag("enabled", feature.enabled)
    }

    fn controls(typed: &Typed, problems: &Problems, (): &()) -> Markup {
        html! {
            (typed.controls(&[NAME, KEY, ACTIONS, CATEGORY, RESOURCE_TYPE, DESCRIPTION], problems))
            p.muted { "The matrix cells of an action that you remove are deleted." }
            (check_box("enabled", "on", typed.flag("enabled"), &html! { "Enabled. Otherwise, all users are denied" }))
        }
    }

    fn creation(typed: &Typed, problems: &mut Problems, _: Option<CompanyId>) -> Option<CreateFeature> {
        let name = typed.required(problems, "name", Name::parse);
        let key = typed.optional(problems, "key", FeatureKey::parse);
        let actions = typed.lines(problems, "actions", Action::parse);
        let category = typed.optional(problems, "category", Category::parse);
        let resource_type = typed.optional(problems, "resource_type", ResourceType::parse);
        let description = typed.optional(problems, "description", Description::parse);
        let (name, enabled) = (name?, typed.flag("enabled"));
        let change = CreateFeature { key, name, description, resource_type, actions, category, enabled };
        problems.is_empty().then_some(change)
    }

    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: FeatureId,
        if_match: IfMatch,
    ) -> Option<UpdateFeature> {
        let CreateFeature { key, name, description, resource_type, actions, category, enabled } =
            Self::creation(typed, problems, owner)?;
        Some(UpdateFeature {
            id,
            key: replaced(key),
            name: Some(name),
            description: replaced(description),
            resource_type: replaced(resource_type),
            actions: replaced(actions),
            category: replaced(category),
            enabled: Some(enabled),
            if_match,
        })
    }

    fn deletion(_: &Typed, _: Option<CompanyId>, id: FeatureId, if_match: IfMatch) -> DeleteFeature {
        DeleteFeature { id, if_match }
    }

    async fn contents(application: &Application, feature: &Feature) -> Result<Vec<ContentForm>, Failure> {
        let (all, members) = (application.views().await?, application.feature_views(feature.id).await?);
        let page = format!("features/{}", feature.id);
        Ok(vec![ContentForm::views(&page, "Views on which the feature is shown", &all, &members)?])
    }

    async fn set(
        page: &OnPlatform<SuperAdmin>,
        feature: FeatureId,
        chosen: &Chosen<'_>,
        if_match: IfMatch,
    ) -> Result<(), Failure> {
        match chosen.part {
            "views" => page.execute(SetFeatureViews { feature, views: chosen.views()?, if_match }).await.map(drop),
            _ => Err(Failure::NotFound("Page")),
        }
    }
}
