//! A draft: edits of cells that a person has made on a page and that are not saved.
//!
//! Each edit is one field of a form. The name of the field contains the rule that the person saw, and the value is the rule
//! that the person wants. A draft therefore states by itself what it is based on.

use std::collections::BTreeMap;

use iam_domain::escalation::Cell;
use iam_domain::{Action, FeatureId, UserLevelId, ViewId};
use maud::{Markup, html};

use super::rule::{Kind, Rule};
use crate::error::PageError;

/// The prefix of the names of fields that contain edits.
const PREFIX: &str = "c.";

/// An edit of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) cell: Cell,
    /// The rule that the person saw.
    pub(crate) before: Rule,
    /// The rule that the person wants.
    pub(crate) after: Rule,
}

/// The edits of one matrix of a level, which are saved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) level: UserLevelId,
    pub(crate) kind: Kind,
    pub(crate) edits: Vec<Edit>,
}

/// The edits of all levels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The rules before and after the edit of each cell.
    edits: BTreeMap<(UserLevelId, Cell), (Rule, Rule)>,
}

/// Returns the part of a field name that identifies a cell of a level.
pub(crate) fn cell_name(cell: &Cell) -> String {
    match cell {
        Cell::View(view) => format!("v.{view}"),
        Cell::Action(feature, action) => format!("f.{feature}.{action}"),
    }
}

/// Returns the name of the field for a cell of which the person saw this rule.
pub(crate) fn field_name(level: UserLevelId, cell: &Cell, before: Rule) -> String {
    format!("{PREFIX}{}.{level}.{}", before.code(), cell_name(cell))
}

/// Reads the name of the field for a cell.
fn parse_name(name: &str) -> Option<(UserLevelId, Cell, Rule)> {
    let mut parts = name.strip_prefix(PREFIX)?.splitn(5, '.');
    let (before, level, kind, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let cell = match (kind, parts.next()) {
        ("v", None) => Cell::View(ViewId::parse(id).ok()?),
        ("f", Some(action)) => Cell::Action(FeatureId::parse(id).ok()?, Action::parse(action).ok()?),
        _ => return None,
    };
    Some((UserLevelId::parse(level).ok()?, cell.clone(), Rule::from_code(Kind::of(&cell), before)?))
}

impl Draft {
    /// Reads the edits in the fields of a form. Cells that the person did not change are omitted.
    ///
    /// # Errors
    ///
    /// Returns [`PageError::Invalid`] if a field cannot be read.
    pub(crate) fn of(fields: &[(String, String)]) -> Result<Self, PageError> {
        let mut edits = BTreeMap::new();
        for (name, value) in fields.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let invalid = || PageError::Invalid("The form contains a cell that cannot be read".to_owned());
            let (level, cell, before) = parse_name(name).ok_or_else(invalid)?;
            let after = Rule::from_code(Kind::of(&cell), value).ok_or_else(invalid)?;
            if after != before {
                edits.insert((level, cell), (before, after));
            }
        }
        Ok(Self { edits })
    }

    /// Returns the number of edited cells.
    pub(crate) fn len(&self) -> usize {
        self.edits.len()
    }

    /// Returns `true` if no cell is edited.
    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Returns the rules before and after the edit of a cell, if it is edited.
    pub(crate) fn edit(&self, level: UserLevelId, cell: &Cell) -> Option<(Rule, Rule)> {
        self.edits.get(&(level, cell.clone())).copied()
    }

    /// Removes the edit of a cell, which a control on the page contains.
    pub(crate) fn remove(&mut self, level: UserLevelId, cell: &Cell) {
        self.edits.remove(&(level, cell.clone()));
    }

    /// Returns the parts of the draft, in the order of levels and matrices.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut parts: BTreeMap<(UserLevelId, Kind), Vec<Edit>> = BTreeMap::new();
        for ((level, cell), (before, after)) in &self.edits {
            let edit = Edit { cell: cell.clone(), before: *before, after: *after };
            parts.entry((*level, Kind::of(cell))).or_default().push(edit);
        }
        parts.into_iter().map(|((level, kind), edits)| Part { level, kind, edits }).collect()
    }

    /// Returns the hidden fields that contain the draft.
    pub(crate) fn fields(&self) -> Markup {
        html! {
            @for ((level, cell), (before, after)) in &self.edits {
                input type="hidden" name=(field_name(*level, cell, *before)) value=(after.code());
            }
        }
    }
}

impl<'a> FromIterator<&'a Part> for Draft {
    fn from_iter<T: IntoIterator<Item = &'a Part>>(parts: T) -> Self {
        let edits = parts.into_iter().flat_map(|part| part.edits.iter().map(|edit| (part.level, edit)));
        let edits = edits.map(|(level, edit)| ((level, edit.cell.clone()), (edit.before, edit.after)));
        Self { edits: edits.collect() }
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::Scope;

    use super::*;

    const LEVEL: &str = "c0ffee00-0000-4000-8000-000000000001";
    const ID: &str = "c0ffee00-0000-4000-8000-000000000002";

    fn draft(fields: &[(&str, &str)]) -> Result<Draft, PageError> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Draft::of(&fields)
    }

    #[test]
    fn the_name_of_a_field_contains_the_cell_and_its_rule() {
        let level = UserLevelId::parse(LEVEL).unwrap();
        let action = Action::parse("Sign. <off>").unwrap();
        for cell in [Cell::View(ViewId::parse(ID).unwrap()), Cell::Action(FeatureId::parse(ID).unwrap(), action)] {
            for rule in Kind::of(&cell).rules() {
                assert_eq!(parse_name(&field_name(level, &cell, *rule)), Some((level, cell.clone(), *rule)));
            }
        }
    }

    #[test]
    fn a_draft_contains_only_the_cells_that_differ() {
        let (view, action) = (format!("c.n.{LEVEL}.v.{ID}"), format!("c.o.{LEVEL}.f.{ID}.Read"));
        assert!(draft(&[("csrf", "x"), (&view, "n"), (&action, "o")]).unwrap().is_empty());
        let changed = draft(&[(&view, "d"), (&action, "a")]).unwrap();
        let parts = changed.parts();
        assert_eq!(changed.len(), 2);
        assert_eq!(parts.iter().map(|part| part.kind).collect::<Vec<_>>(), [Kind::Views, Kind::Features]);
        let edit = &parts[1].edits[0];
        assert_eq!((edit.before, edit.after), (Rule::Allow(Scope::Own), Rule::Allow(Scope::Any)));
        assert_eq!(parts.iter().collect::<Draft>(), changed);
    }

    #[test]
    fn a_field_that_is_no_cell_is_rejected() {
        let (view, action) = (format!("c.n.{LEVEL}.v.{ID}"), format!("c.n.{LEVEL}.f.{ID}"));
        for (name, value) in [
            ("c.", "d"),
            ("c.n.x.v.x", "d"),
            (&view, ""),
            (&view, "o"),
            (&action, "d"),
            (&format!("{view}.Read"), "d"),
            (&format!("{action}."), "d"),
            (&format!("c.o.{LEVEL}.v.{ID}"), "d"),
            (&format!("c.n.{LEVEL}.x.{ID}"), "d"),
        ] {
            assert!(draft(&[(name, value)]).is_err(), "{name} {value}");
        }
    }
}
