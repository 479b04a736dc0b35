//! The rows of a matrix: the views, or the actions of the features, with the reasons why a row is not available.

use std::collections::BTreeSet;

use iam_domain::escalation::Cell;
use iam_domain::{Catalog, Ceilings, GrantedModule, ModuleId, Scope, folded};
use iam_permissions_cache::{AvailableCatalog, AvailableFeature, AvailableView};
use maud::{Markup, html};

use super::filter::{Filter, InModule};
use super::rule::{Kind, Rule};

/// What the platform makes available to a company.
#[derive(Debug)]
pub(crate) struct Available {
    /// The modules that are granted to the company.
    pub(crate) granted: Vec<GrantedModule>,
    /// The ceilings of the company. Explanations disclose them to all members.
    pub(crate) ceilings: Ceilings,
}

/// A row of a matrix.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    /// The name of the view or of the feature.
    name: String,
    /// The URL of the view, or the key of the feature.
    key: Option<String>,
    /// The modules that gate the row.
    modules: Vec<ModuleId>,
    /// The reason why every user is denied this row, whatever the levels say.
    pub(crate) closed: Option<Markup>,
    /// The widest scope that the platform permits in the company. `None` if it permits the row to no user.
    pub(crate) max_scope: Option<Scope>,
}

impl Row {
    /// Returns the name of the row, as pages show it.
    pub(crate) fn label(&self) -> Markup {
        html! { bdi { (self.name) } @if let Cell::Action(_, action) = &self.cell { " · " bdi { (action) } } }
    }

    /// Returns the name of the row with its key, for a tooltip.
    pub(crate) fn title(&self) -> String {
        let key = self.key.as_ref().map(|key| format!(" ({key})"));
        match &self.cell {
            Cell::View(_) => format!("{}{}", self.name, key.unwrap_or_default()),
            Cell::Action(_, action) => format!("{} · {action}{}", self.name, key.unwrap_or_default()),
        }
    }

    /// Returns the key of the row and the reason why the row is closed.
    pub(crate) fn notes(&self) -> Markup {
        html! {
            @if let Some(key) = &self.key { small.mono { bdi { (key) } } }
            @if let Some(reason) = &self.closed { small.reason { (reason) } }
            @match (self.max_scope, &self.cell) {
                (Some(Scope::Any), _) => "",
                (Some(max), _) => small.reason { "Ceiling of the company: at most " (max) },
                (None, Cell::View(_)) => small.reason { "Ceiling of the company: hidden from all users" },
                (None, Cell::Action(..)) => small.reason { "Ceiling of the company: permitted to no user" },
            }
        }
    }

    /// Returns what the ceiling of the company leaves of a rule, if it limits the rule.
    pub(crate) fn capped(&self, rule: Rule) -> Option<&'static str> {
        match (rule, self.max_scope) {
            (Rule::Allow(_), None) => Some("no effect: ceiling"),
            (Rule::Allow(scope), Some(max)) if scope > max => Some(match max {
                Scope::Own => "capped at own",
                Scope::Team => "capped at team",
                Scope::Company | Scope::Any => "capped at company",
            }),
            (Rule::Allow(_) | Rule::Inherit | Rule::Deny, _) => None,
        }
    }

    fn matches(&self, filter: &Filter) -> bool {
        let is_in_module = match filter.module() {
            InModule::Any => true,
            InModule::None => self.modules.is_empty(),
            InModule::Module(module) => self.modules.contains(&module),
        };
        let text = folded(filter.text());
        let contains = |part: &str| folded(part).contains(&text);
        let has_action = matches!(&self.cell, Cell::Action(_, action) if contains(action.as_str()));
        is_in_module && (contains(&self.name) || self.key.as_deref().is_some_and(contains) || has_action)
    }
}

/// Returns the rows of a matrix that the filter selects, in the order of the catalog.
pub(crate) fn rows(catalog: &Catalog, available: &Available, kind: Kind, filter: &Filter) -> Vec<Row> {
    let mut rows = all_rows(catalog, available, kind);
    rows.retain(|row| row.matches(filter));
    rows
}

/// Returns all rows of a matrix.
pub(crate) fn all_rows(catalog: &Catalog, available: &Available, kind: Kind) -> Vec<Row> {
    let Available { granted, ceilings } = available;
    let enabled: BTreeSet<_> =
        granted.iter().filter(|module| module.granted.enabled).map(|module| module.module.id).collect();
    match kind {
        Kind::Views => {
            let AvailableCatalog { views, .. } = AvailableCatalog::of(catalog.views(), std::iter::empty());
            views.into_iter().map(|view| view_row(catalog, &enabled, ceilings, view)).collect()
        }
        Kind::Features => {
            let AvailableCatalog { features, .. } = AvailableCatalog::of(std::iter::empty(), catalog.features());
            features.into_iter().flat_map(|feature| feature_rows(catalog, &enabled, ceilings, feature)).collect()
        }
    }
}

fn view_row(catalog: &Catalog, enabled: &BTreeSet<ModuleId>, ceilings: &Ceilings, view: AvailableView) -> Row {
    let modules: Vec<_> = catalog.modules_of_view(view.id).collect();
    let is_open = catalog.is_view_open(view.id, enabled);
    Row {
        cell: Cell::View(view.id),
        name: view.name.to_string(),
        key: Some(view.url.to_string()),
        closed: (!is_open).then(|| missing(catalog, &modules)),
        modules,
        max_scope: (!ceilings.hides(view.id)).then_some(Scope::Any),
    }
}

fn feature_rows(
    catalog: &Catalog,
    enabled: &BTreeSet<ModuleId>,
    ceilings: &Ceilings,
    feature: AvailableFeature,
) -> Vec<Row> {
    let AvailableFeature { id, key, name, actions } = feature;
    let modules: Vec<_> = catalog.modules_of_feature(id).collect();
    let is_enabled = catalog.feature(id).is_some_and(|feature| feature.enabled);
    let closed = match () {
        () if !is_enabled => Some(html! { "Not available: the feature is disabled for all companies" }),
        () if !catalog.is_feature_open(id, enabled) => Some(missing(catalog, &modules)),
        () => None,
    };
    let row = |action| Row {
        max_scope: ceilings.max_scope(id, &action),
        cell: Cell::Action(id, action),
        name: name.to_string(),
        key: key.as_ref().map(ToString::to_string),
        modules: modules.clone(),
        closed: closed.clone(),
    };
    actions.into_iter().map(row).collect()
}

/// Returns the reason why a row is closed that these modules gate.
fn missing(catalog: &Catalog, modules: &[ModuleId]) -> Markup {
    let names: Vec<_> =
        modules.iter().filter_map(|module| catalog.module(*module)).map(|module| module.name.as_str()).collect();
    html! {
        "Not available: "
        @match names.as_slice() {
            [name] => { "the module " bdi { (name) } " is not enabled in this company" },
            names => {
                "none of its modules is enabled in this company ("
                @for (index, name) in names.iter().enumerate() { @if index > 0 { ", " } bdi { (name) } }
                ")"
            },
        }
    }
}
