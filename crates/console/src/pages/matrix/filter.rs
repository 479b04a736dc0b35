//! The filter of a matrix page, which is part of its URL.

use iam_domain::{CompanyId, ModuleId, UserLevelId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::rule::Kind;
use crate::path::company_path;

/// The query of a matrix page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    tab: String,
    module: String,
    q: String,
    differs: String,
    from: String,
    /// The level of the page. Empty for a page with all levels.
    level: String,
    /// The number of cells that have just been saved.
    saved: String,
}

/// The modules whose rows a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InModule {
    /// All rows.
    Any,
    /// The rows that no module gates.
    None,
    /// The rows that this module gates.
    Module(ModuleId),
}

impl InModule {
    /// Returns the value that stands for these modules in a query.
    pub(crate) fn value(self) -> String {
        match self {
            Self::Any => String::new(),
            Self::None => "none".to_owned(),
            Self::Module(module) => module.to_string(),
        }
    }
}

impl Filter {
    /// Returns the matrix that the page shows.
    pub(crate) fn kind(&self) -> Kind {
        if self.tab == Kind::Features.name() { Kind::Features } else { Kind::Views }
    }

    /// Returns the modules whose rows the page shows.
    pub(crate) fn module(&self) -> InModule {
        match self.module.as_str() {
            "none" => InModule::None,
            text => ModuleId::parse(text).map_or(InModule::Any, InModule::Module),
        }
    }

    /// Returns the text that the names, keys or actions of the rows contain.
    pub(crate) fn text(&self) -> &str {
        self.q.trim()
    }

    /// Returns `true` if the page shows only rows for which the levels have different rules.
    pub(crate) fn is_differing(&self) -> bool {
        self.differs == "1"
    }

    /// Returns the index of the first row of the page.
    pub(crate) fn from(&self) -> usize {
        self.from.parse().unwrap_or_default()
    }

    /// Returns the level of the page. `None` for a page with all levels.
    pub(crate) fn level(&self) -> Option<UserLevelId> {
        UserLevelId::parse(&self.level).ok()
    }

    /// Returns the number of cells that have just been saved.
    pub(crate) fn saved(&self) -> Option<usize> {
        self.saved.parse().ok()
    }

    /// Returns `true` if the filter selects all rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.module() == InModule::Any && self.text().is_empty() && !self.is_differing()
    }

    /// Returns the same filter for another matrix, from the first row on.
    pub(crate) fn for_kind(&self, kind: Kind) -> Self {
        Self { tab: kind.name().to_owned(), saved: String::new(), from: String::new(), ..self.clone() }
    }

    /// Returns the same filter from another row on.
    pub(crate) fn starting(&self, from: usize) -> Self {
        Self { from: from.to_string(), saved: String::new(), ..self.clone() }
    }

    /// Returns the same filter for a page with one level.
    pub(crate) fn for_level(&self, level: UserLevelId) -> Self {
        Self { level: level.to_string(), ..self.clone() }
    }

    /// Returns the same filter for the page with all levels.
    pub(crate) fn for_all_levels(&self) -> Self {
        Self { level: String::new(), ..self.clone() }
    }

    /// Returns the path of the page, with its query.
    pub(crate) fn page(&self, company: CompanyId) -> String {
        let page = match self.level() {
            Some(level) => format!("levels/{level}/matrix"),
            None => "matrix".to_owned(),
        };
        format!("{}?{}", company_path(company, &page), self.query())
    }

    /// Returns the path to which the draft of the page is sent, with the query that leads back to the page.
    pub(crate) fn action(&self, company: CompanyId, action: &str) -> String {
        let level = self.level().map(|level| format!("&level={level}")).unwrap_or_default();
        format!("{}?{}{level}", company_path(company, &format!("matrix/{action}")), self.query())
    }

    /// Returns the query that contains the filter, without the question mark.
    pub(crate) fn query(&self) -> String {
        let differs = if self.is_differing() { "1" } else { "" };
        let from = if self.from() == 0 { String::new() } else { self.from().to_string() };
        let (module, text) = (self.module().value(), self.text());
        let optional = [("module", module.as_str()), ("q", text), ("differs", differs), ("from", from.as_str())];
        let mut query = format!("tab={}", self.kind().name());
        for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use actix_web::web::Query;

    use super::*;

    fn parsed(query: &str) -> Filter {
        Query::<Filter>::from_query(query).unwrap().into_inner()
    }

    #[test]
    fn a_filter_is_kept_by_its_query() {
        let module = "c0ffee00-0000-4000-8000-000000000001";
        let query = format!("tab=features&module={}&q=a%26b&differs=1&from=200", module.replace('-', "%2D"));
        let filter = parsed(&query);
        assert_eq!((filter.kind(), filter.text(), filter.from()), (Kind::Features, "a&b", 200));
        assert!(filter.is_differing() && !filter.is_empty());
        assert_eq!(filter.query(), query);
    }

    #[test]
    fn values_that_do_not_exist_select_everything() {
        let filter = parsed("tab=x&module=x&differs=x&from=x&saved=x&other=1");
        assert!(filter.is_empty());
        assert_eq!((filter.query().as_str(), filter.saved()), ("tab=views", None));
    }
}
