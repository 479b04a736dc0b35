//! The section of a company: its lines, and the content that they make up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use iam_domain::{CompanyDetails, CompanyId, ExternalId, Menu, Period, QuotaOverrides, UserId, UserLevelId};
use iam_storage::{Assigned, CompanyContent, CopiedLevel};

use crate::lines::{AssignmentRow, CompanyRow, FeatureCellRows, Line, PAGE, ViewCellRows};
use crate::moment::Moment;
use crate::rows::are_distinct;
use crate::writer::FileWriter;

/// Writes the content of a company and the external names of its users, without the last line of the section.
pub(crate) fn write<W: Write>(
    out: &mut FileWriter<W>,
    content: CompanyContent,
    external_ids: Vec<ExternalId>,
) -> io::Result<()> {
    out.line(&Line::Company(CompanyRow {
        id: content.company,
        provisioned_at: content.provisioned_at.map(Moment),
        name: content.details.name,
        status: content.details.status,
        ceilings: content.ceilings,
        quotas: content.quotas.0,
        modules: content.modules.iter().map(Into::into).collect(),
    }))?;
    for CopiedLevel { level, views, features } in content.levels {
        let id = level.id;
        out.line(&Line::Level(level.into()))?;
        for cells in views.chunks(PAGE) {
            out.line(&Line::ViewCells(ViewCellRows { level: id, cells: cells.iter().map(Into::into).collect() }))?;
        }
        for cells in features.chunks(PAGE) {
            let cells = cells.iter().map(Into::into).collect();
            out.line(&Line::FeatureCells(FeatureCellRows { level: id, cells }))?;
        }
    }
    let held = content.holders.iter().flat_map(|(user, held)| held.iter().map(move |held| (*user, held)));
    let held: Vec<_> = held.collect();
    for rows in held.chunks(PAGE) {
        let row = |(user, (level, period)): &(UserId, (&UserLevelId, &Period))| {
            AssignmentRow(*user, **level, period.starts_at.map(Moment), period.expires_at.map(Moment))
        };
        out.line(&Line::Assignments(rows.iter().map(row).collect()))?;
    }
    write_menu(out, content.menu)?;
    for profile in content.profiles {
        out.line(&Line::Profile(profile.into()))?;
    }
    for external_id in external_ids {
        out.line(&Line::ExternalId(external_id.into()))?;
    }
    Ok(())
}

/// Writes the items and the sub-items of a menu.
pub(crate) fn write_menu<W: Write>(out: &mut FileWriter<W>, menu: Menu) -> io::Result<()> {
    for item in menu.items {
        out.line(&Line::MenuItem(item.into()))?;
    }
    for item in menu.sub_items {
        out.line(&Line::SubMenuItem(item.into()))?;
    }
    Ok(())
}

/// The content of a company, as far as its lines have been read.
pub(crate) struct CompanyBuilder {
    content: CompanyContent,
    levels: BTreeMap<UserLevelId, CopiedLevel>,
    holders: BTreeMap<UserId, Assigned>,
    external_ids: BTreeSet<ExternalId>,
}

/// The result of adding a line: the line itself if it is not a line of the content of a company.
pub(crate) type Added = Result<Option<Line>, &'static str>;

impl CompanyBuilder {
    pub(crate) fn new(row: CompanyRow) -> Self {
        let company = row.id;
        let content = CompanyContent {
            provisioned_at: row.provisioned_at.map(|at| at.0),
            details: CompanyDetails { name: row.name, status: row.status },
            modules: row.modules.into_iter().map(|granted| granted.of(company)).collect(),
            ceilings: row.ceilings,
            quotas: QuotaOverrides(row.quotas),
            ..CompanyContent::empty(company)
        };
        Self { content, levels: BTreeMap::new(), holders: BTreeMap::new(), external_ids: BTreeSet::new() }
    }

    fn company(&self) -> CompanyId {
        self.content.company
    }

    /// Adds a line of the content.
    pub(crate) fn add(&mut self, line: Line) -> Added {
        const NO_LEVEL: &str = "a row refers to a level that the company does not have";
        let company = self.company();
        match line {
            Line::Level(row) => {
                let level = CopiedLevel { level: row.of(company), views: Vec::new(), features: Vec::new() };
                if self.levels.insert(level.level.id, level).is_some() {
                    return Err("two levels have the same id");
                }
            }
            Line::ViewCells(ViewCellRows { level, cells }) => {
                let of = self.levels.get_mut(&level).ok_or(NO_LEVEL)?;
                of.views.extend(cells.into_iter().map(|cell| cell.of(company, level)));
            }
            Line::FeatureCells(FeatureCellRows { level, cells }) => {
                let of = self.levels.get_mut(&level).ok_or(NO_LEVEL)?;
                of.features.extend(cells.into_iter().map(|cell| cell.of(company, level)));
            }
            Line::Assignments(rows) => {
                for AssignmentRow(user, level, starts_at, expires_at) in rows {
                    let period = Period { starts_at: starts_at.map(|at| at.0), expires_at: expires_at.map(|at| at.0) };
                    if period.starts_at.zip(period.expires_at).is_some_and(|(start, end)| end <= start) {
                        return Err("an assignment ends before it starts");
                    }
                    if !self.levels.contains_key(&level) {
                        return Err(NO_LEVEL);
                    }
                    if self.holders.entry(user).or_default().insert(level, period).is_some() {
                        return Err("a user has two assignments of the same level");
                    }
                }
            }
            Line::MenuItem(row) => self.content.menu.items.push(row.of(Some(company))),
            Line::SubMenuItem(row) => self.content.menu.sub_items.push(row.into()),
            Line::Profile(row) => self.content.profiles.push(row.of(company)),
            Line::ExternalId(row) => _ = self.external_ids.insert(row.into()),
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Returns the content and the external names of the users, in ascending order. Fails if the content contradicts
    /// itself.
    pub(crate) fn build(self) -> Result<(CompanyContent, Vec<ExternalId>), &'static str> {
        let Self { mut content, levels, holders, external_ids } = self;
        content.levels = levels.into_values().collect();
        content.holders = holders.into_iter().map(|(user, held)| (user, Arc::new(held))).collect();
        content.modules.sort_unstable_by_key(|module| module.module_id);
        content.profiles.sort_unstable_by_key(|profile| profile.user_id);
        for level in &mut content.levels {
            level.views.sort_unstable_by_key(|cell| cell.view_id);
            level.features.sort_unstable_by(|a, b| (a.feature_id, &a.action).cmp(&(b.feature_id, &b.action)));
        }
        check(&content)?;
        Ok((content, external_ids.into_iter().collect()))
    }
}

/// Checks that keys are unique and that the references within the company exist.
fn check(content: &CompanyContent) -> Result<(), &'static str> {
    let levels = || content.levels.iter();
    if !are_distinct(levels().map(|level| &level.level.name)) {
        return Err("two levels have the same name");
    }
    for level in levels() {
        if !are_distinct(level.views.iter().map(|cell| cell.view_id))
            || !are_distinct(level.features.iter().map(|cell| (cell.feature_id, &cell.action)))
        {
            return Err("a matrix contains two cells for the same view or action");
        }
    }
    let views = || levels().flat_map(|level| level.views.iter().map(|cell| cell.id));
    let features = || levels().flat_map(|level| level.features.iter().map(|cell| cell.id));
    if !are_distinct(views()) || !are_distinct(features()) {
        return Err("two cells have the same id");
    }
    if !are_distinct(content.modules.iter().map(|module| module.module_id)) {
        return Err("the company has the same module twice");
    }
    if !are_distinct(content.profiles.iter().map(|profile| profile.user_id)) {
        return Err("a user has two profiles");
    }
    check_menu(&content.menu)
}

/// Checks that the ids of a menu are unique and that each sub-item belongs to an item.
pub(crate) fn check_menu(menu: &Menu) -> Result<(), &'static str> {
    let items: BTreeSet<_> = menu.items.iter().map(|item| item.id).collect();
    if items.len() != menu.items.len() || !are_distinct(menu.sub_items.iter().map(|item| item.id)) {
        return Err("two menu items have the same id");
    }
    if menu.sub_items.iter().any(|item| !items.contains(&item.menu_item_id)) {
        return Err("a sub-item belongs to no item of the menu");
    }
    Ok(())
}
