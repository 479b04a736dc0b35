//! The smallest change that would allow a denied decision, as a draft of the matrix, or as the review of an assignment.

use iam_application::{LevelMatrix, Requirement};
use iam_domain::escalation::Cell;
use iam_domain::{Catalog, CompanyId, Explanation, Name, Reason, Scope, Step, UserId, UserLevelId};
use iam_permissions_cache::{Check, FeatureRef, ViewRef};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::authorized::{Authorized, Member};
use crate::error::PageError;
use crate::layout::csrf_field;
use crate::pages::matrix::draft::{Draft, Edit, Part};
use crate::pages::matrix::grid::Entry;
use crate::pages::matrix::rule::{Kind, Rule};
use crate::path::company_path;

/// Maximum number of levels that a draft changes.
const MOST_LEVELS: usize = 20;

/// What the signed-in person can do about a denial.
#[derive(Default)]
pub(crate) struct Fix {
    /// The changes of levels, if the person may make them.
    draft: Option<DraftFix>,
    /// The assignment of a level, if the person may assign levels.
    assignment: Option<Assignment>,
}

/// A draft of the matrix.
struct DraftFix {
    /// The path of the page that shows the draft.
    path: String,
    draft: Draft,
    /// Whether the draft changes cells that only super admins may change, and the person is none.
    is_pinned: bool,
}

/// The levels that would allow the check, of which one can be assigned to the user.
struct Assignment {
    user: UserId,
    levels: Vec<(UserLevelId, Name)>,
}

impl Fix {
    /// Returns what the person can do about the denial. `user` is the subject, if the person may see its page.
    pub(crate) async fn of(
        page: &Authorized<Member>,
        check: &Check,
        explanation: &Explanation,
        user: Option<UserId>,
    ) -> Result<Self, PageError> {
        let steps = &explanation.suggestion;
        let changes_levels = steps.iter().any(|step| matches!(step, Step::Undeny(_) | Step::Allow(_)));
        let edits = changes_levels && steps.len() <= MOST_LEVELS && page.meets(Requirement::ManagePermissions).await?;
        let user = user.filter(|_| explanation.decision.reason == Reason::NoUserLevels);
        let assigns = user.is_some() && page.meets(Requirement::AssignLevels).await?;
        if !(edits || assigns) || !page.meets(Requirement::ReadIam).await? {
            return Ok(Self::default());
        }
        let matrix = page.application().matrix(page.company).await?.value;
        let Some((cell, key)) = cell_of(check, &matrix.catalog) else { return Ok(Self::default()) };
        let least = match check {
            Check::View(_) => Scope::Any,
            Check::Feature { least_scope, .. } => least_scope.unwrap_or(Scope::Own),
        };
        let entry = |level: UserLevelId| {
            let level = matrix.levels.iter().find(|found| found.level.id == level)?;
            Some(entry_of(level, &cell))
        };
        let draft = edits.then(|| {
            let parts = steps.iter().filter_map(|step| {
                let (level, after) = match *step {
                    Step::Undeny(level) => (level, Rule::Inherit),
                    Step::Allow(level) => (level, Rule::Allow(least)),
                    _ => return None,
                };
                let Entry { rule: before, is_pinned } = entry(level)?;
                let edits = vec![Edit { cell: cell.clone(), before, after }];
                Some((Part { level, kind: Kind::of(&cell), edits }, is_pinned))
            });
            let parts: Vec<_> = parts.collect();
            let is_pinned = parts.iter().any(|(_, is_pinned)| *is_pinned) && !page.caller().is_super_admin();
            let path = draft_path(page.company, &parts, &cell, &key);
            DraftFix { path, draft: parts.iter().map(|(part, _)| part).collect(), is_pinned }
        });
        let assignment = user.filter(|_| assigns).map(|user| {
            let allows =
                |level: &&LevelMatrix| matches!(entry_of(level, &cell).rule, Rule::Allow(scope) if scope >= least);
            let levels = matrix.levels.iter().filter(allows);
            Assignment { user, levels: levels.map(|level| (level.level.id, level.level.name.clone())).collect() }
        });
        Ok(Self { draft, assignment })
    }

    /// Returns the controls that open the fix.
    pub(crate) fn show(&self, company: CompanyId, csrf: &str) -> Markup {
        html! {
            @match &self.draft {
                Some(DraftFix { is_pinned: true, .. }) => p.muted {
                    "The platform has pinned this cell: only super admins may change it."
                },
                Some(DraftFix { path, draft, .. }) => form.fix method="post" action=(path) {
                    (csrf_field(csrf))
                    (draft.fields())
                    button type="submit" { "Open as a draft in the matrix" }
                    " " span.muted { "Nothing is changed before the draft is reviewed and saved." }
                },
                None => "",
            }
            @if let Some(Assignment { user, levels }) = &self.assignment {
                @if levels.is_empty() {
                    p.muted { "No level of the company allows it yet." }
                } @else {
                    form.edit.fix method="post" action=(company_path(company, "users/review")) {
                        (csrf_field(csrf))
                        input type="hidden" name="user" value=(user);
                        div.field {
                            label for="fix-level" { "A level that allows it" }
                            select #fix-level name="level" {
                                @for (id, name) in levels { option value=(id) { (name) } }
                            }
                        }
                        div.buttons { button type="submit" name="do" value="add" { "Review the assignment…" } }
                    }
                }
            }
        }
    }
}

/// Returns the cell that a check is about, with the URL of the view or the key of the feature. `None` if the cell does not
/// exist.
fn cell_of(check: &Check, catalog: &Catalog) -> Option<(Cell, String)> {
    match check {
        Check::View(view) => {
            let view = match view {
                ViewRef::Id(id) => catalog.view(*id),
                ViewRef::Url(url) => catalog.view_by_url(url),
            }?;
            Some((Cell::View(view.id), view.url.to_string()))
        }
        Check::Feature { feature, action, .. } => {
            let feature = match feature {
                FeatureRef::Id(id) => catalog.feature(*id),
                FeatureRef::Key(key) => catalog.feature_by_key(key),
            }?;
            let key = feature.key.as_ref().map_or_else(|| feature.name.to_string(), ToString::to_string);
            feature.knows(action).then(|| (Cell::Action(feature.id, action.clone()), key))
        }
    }
}

/// Returns the rule of a level for a cell.
fn entry_of(level: &LevelMatrix, cell: &Cell) -> Entry {
    let found = match cell {
        Cell::View(id) => {
            let found = level.views.iter().find(|found| found.view == *id);
            found.map(|found| Entry { rule: found.state.into(), is_pinned: !found.modifiable })
        }
        Cell::Action(id, action) => {
            let found = level.features.iter().find(|found| found.feature == *id && found.action == *action);
            found.map(|found| Entry { rule: found.rule.into(), is_pinned: !found.modifiable })
        }
    };
    found.unwrap_or(Entry { rule: Rule::Inherit, is_pinned: false })
}

/// Returns the path of the matrix of the changed level, or of all levels if the draft changes several.
fn draft_path(company: CompanyId, parts: &[(Part, bool)], cell: &Cell, key: &str) -> String {
    let page = match parts {
        [(part, _)] => format!("levels/{}/matrix", part.level),
        _ => "matrix".to_owned(),
    };
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    format!("{}?tab={}&q={key}", company_path(company, &page), Kind::of(cell).name())
}
