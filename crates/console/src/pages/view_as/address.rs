//! The addresses of the page, and what its query selects.

use iam_domain::{CompanyId, UserId, UserLevelId};

use crate::form::Fields;
use crate::path::company_path;

/// Returns the path of the page.
pub(crate) fn path(company: CompanyId) -> String {
    company_path(company, "view-as")
}

/// Returns the address of the page for a user.
pub(crate) fn of_user(company: CompanyId, user: UserId) -> String {
    format!("{}?user={user}", path(company))
}

/// Returns the address of the page for levels.
pub(crate) fn of_levels(company: CompanyId, levels: &[UserLevelId]) -> String {
    format!("{}?levels={}", path(company), joined(levels))
}

fn joined(levels: &[UserLevelId]) -> String {
    levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What the query of the page selects, as it was typed.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) user: String,
    /// The ids of levels. The parameter may occur several times, and each may contain several ids.
    pub(crate) levels: Vec<String>,
}

impl Query {
    /// Reads the fields of a query.
    pub(crate) fn of(fields: &Fields) -> Self {
        let of = |name: &'static str| fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value);
        let user = of("user").next().map(|user| user.trim().to_owned()).unwrap_or_default();
        let levels = of("levels").flat_map(|levels| levels.split(',')).map(str::trim).filter(|level| !level.is_empty());
        Self { user, levels: levels.map(str::to_owned).collect() }
    }

    /// Returns the parameters that lead to the same page.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let user = Some(("user", self.user.clone())).filter(|(_, user)| !user.is_empty());
        let levels = Some(("levels", self.levels.join(","))).filter(|(_, levels)| !levels.is_empty());
        user.into_iter().chain(levels).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_repeated_or_separated_by_commas() {
        let fields = [("levels", "a,b"), ("user", " u "), ("levels", "c,,"), ("q", "x")];
        let query = Query::of(&fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        assert_eq!(
            (query.user.as_str(), query.levels.as_slice()),
            ("u", ["a", "b", "c"].map(str::to_owned).as_slice())
        );
        assert_eq!(query.parameters(), [("user", "u".to_owned()), ("levels", "a,b,c".to_owned())]);
    }
}
