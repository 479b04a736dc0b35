//! The cells of a matrix page: the rules of several levels for the rows that the page shows.

use std::collections::HashMap;

use iam_application::{CompanyMatrix, FeatureCell, LevelMatrix, ViewCell};
use iam_domain::escalation::Cell;
use iam_domain::{FeatureId, UserLevel, ViewId};

use super::filter::Filter;
use super::rows::{Available, Row, rows};
use super::rule::{Kind, Rule};

/// The rule of a level for a cell, and whether only super admins may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) rule: Rule,
    pub(crate) is_pinned: bool,
}

/// The entry of a cell that a level does not contain.
const EMPTY: Entry = Entry { rule: Rule::Inherit, is_pinned: false };

/// The rows that a filter selects, with the entries of all levels.
#[derive(Debug)]
pub(crate) struct Grid<'a> {
    /// The levels, which are the columns.
    pub(crate) levels: Vec<&'a UserLevel>,
    /// The rows, each with the entries of the levels in order.
    pub(crate) rows: Vec<(Row, Vec<Entry>)>,
}

/// The positions of the rows, by view, or by feature and action.
#[derive(Default)]
struct Positions<'a> {
    views: HashMap<ViewId, usize>,
    actions: HashMap<(FeatureId, &'a str), usize>,
}

impl<'a> Positions<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut positions = Self::default();
        for (position, row) in rows.iter().enumerate() {
            match &row.cell {
                Cell::View(view) => positions.views.insert(*view, position),
                Cell::Action(feature, action) => positions.actions.insert((*feature, action.as_str()), position),
            };
        }
        positions
    }

    /// Returns the entries of a level, with the positions of their rows.
    fn entries(&self, level: &LevelMatrix, kind: Kind) -> Vec<(usize, Entry)> {
        match kind {
            Kind::Views => {
                let entry = |cell: &ViewCell| {
                    let entry = Entry { rule: cell.state.into(), is_pinned: !cell.modifiable };
                    Some((*self.views.get(&cell.view)?, entry))
                };
                level.views.iter().filter_map(entry).collect()
            }
            Kind::Features => {
                let entry = |cell: &FeatureCell| {
                    let entry = Entry { rule: cell.rule.into(), is_pinned: !cell.modifiable };
                    Some((*self.actions.get(&(cell.feature, cell.action.as_str()))?, entry))
                };
                level.features.iter().filter_map(entry).collect()
            }
        }
    }
}

impl<'a> Grid<'a> {
    /// Returns the rows that the filter selects, with the entries of the levels that `is_shown` selects.
    pub(crate) fn new(
        matrix: &'a CompanyMatrix,
        available: &Available,
        filter: &Filter,
        is_shown: impl Fn(&UserLevel) -> bool,
    ) -> Self {
        let kind = filter.kind();
        let rows = rows(&matrix.catalog, available, kind, filter);
        let levels: Vec<_> = matrix.levels.iter().filter(|level| is_shown(&level.level)).collect();
        let mut entries = vec![vec![EMPTY; levels.len()]; rows.len()];
        let positions = Positions::of(&rows);
        for (column, level) in levels.iter().enumerate() {
            for (position, found) in positions.entries(level, kind) {
                if let Some(entry) = entries.get_mut(position).and_then(|row| row.get_mut(column)) {
                    *entry = found;
                }
            }
        }
        drop(positions);
        let mut rows: Vec<_> = rows.into_iter().zip(entries).collect();
        if filter.is_differing() {
            rows.retain(|(_, entries)| differ(entries));
        }
        Self { levels: levels.into_iter().map(|level| &level.level).collect(), rows }
    }
}

/// Returns `true` if the rules of the entries are not all the same.
pub(crate) fn differ(entries: &[Entry]) -> bool {
    entries.first().is_some_and(|first| entries.iter().any(|entry| entry.rule != first.rule))
}
