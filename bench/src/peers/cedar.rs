//! Cedar with separate policies and entities for each company, which are parsed and built in advance.
//!
//! Cedar decides without scopes, and modules that a company lacks have no policies at all, so Cedar has less work than
//! the other contenders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use iam_domain::{Snapshot, UserLevelId, ViewState};

use crate::Result;
use crate::data::{Cell, Company, Data, Place};

/// The way in which Cedar policies express the matrices of the levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One policy per level, action and effect. The policy applies to a group of resources.
    Policies,
    /// One policy per action and effect, the same for all levels. An attribute of the resource lists the levels.
    Attributes,
}

/// The policies and entities of one company.
struct Slice {
    policies: PolicySet,
    entities: Entities,
}

/// The Cedar policies and entities of all companies.
pub struct Cedar {
    authorizer: Authorizer,
    slices: Vec<Slice>,
    /// The checks, prepared in advance.
    requests: Vec<(usize, Request)>,
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(id)))
}

/// Returns the type and id of a cell's resource, and the id of its action.
fn asked(cell: &Cell) -> (String, String, String) {
    match cell {
        Cell::View(view) => ("View".to_owned(), view.to_string(), "View".to_owned()),
        Cell::Action((feature, action)) => ("Feature".to_owned(), feature.to_string(), action.to_string()),
    }
}

/// Returns the effect of a level on a cell: `true` for an allow, `false` for a deny. Returns `None` if the level has no
/// effect, for example because the company lacks the module.
fn says(snapshot: &Snapshot, cell: &Cell) -> Option<bool> {
    let level = snapshot.levels.first()?;
    match cell {
        Cell::View(view) => match level.views.get(view)? {
            // An allow without effect is blocked by the module gate.
            ViewState::Allow => snapshot.view(*view).allowed.then_some(true),
            ViewState::Deny => Some(false),
            ViewState::Inherit => None,
        },
        Cell::Action((feature, action)) => match level.features.get(feature)?.get(action)?.value {
            true => snapshot.feature(*feature, action).allowed.then_some(true),
            false => Some(false),
        },
    }
}

impl Cedar {
    /// Creates the policies and entities of every company, and the checks.
    ///
    /// # Errors
    ///
    /// Returns an error if Cedar returns an error, which does not occur in practice.
    pub fn new(data: &Data, style: Style, places: &[Place]) -> Result<Self> {
        let slices = data.companies.iter().map(|company| Slice::new(data, company, style)).collect::<Result<_>>()?;
        let mut users = HashMap::new();
        let mut requests = Vec::with_capacity(places.len());
        for place in places {
            let user = data.companies[place.company].users[place.user].id;
            let principal: &EntityUid = match users.entry(user) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => entry.insert(uid("User", &user.to_string())?),
            };
            let (kind, resource, action) = asked(&data.cells[place.cell]);
            let (action, resource) = (uid("Action", &action)?, uid(&kind, &resource)?);
            requests.push((place.company, Request::new(principal.clone(), action, resource, Context::empty(), None)?));
        }
        Ok(Self { authorizer: Authorizer::new(), slices, requests })
    }

    /// Decides the check at this index.
    #[must_use]
    pub fn decide(&self, question: usize) -> bool {
        let (company, request) = &self.requests[question];
        let Slice { policies, entities } = &self.slices[*company];
        self.authorizer.is_authorized(request, policies, entities).decision() == Decision::Allow
    }
}

impl Slice {
    fn new(data: &Data, company: &Company, style: Style) -> Result<Self> {
        // Maps each (resource type, resource, action, effect) to the levels with this effect.
        let mut matrix: BTreeMap<(String, String, String, bool), Vec<UserLevelId>> = BTreeMap::new();
        for (place, level) in company.levels.iter().enumerate() {
            let snapshot = company.snapshot(&data.catalog, [place, place]);
            for cell in &data.cells {
                if let Some(value) = says(&snapshot, cell) {
                    let (kind, resource, action) = asked(cell);
                    matrix.entry((kind, resource, action, value)).or_default().push(level.id);
                }
            }
        }
        let mut entities = Vec::new();
        for level in &company.levels {
            entities.push(Entity::new_no_attrs(uid("Level", &level.id.to_string())?, HashSet::new()));
        }
        for user in &company.users {
            let levels = user.levels.iter().map(|level| uid("Level", &company.levels[*level].id.to_string()));
            entities.push(Entity::new_no_attrs(uid("User", &user.id.to_string())?, levels.collect::<Result<_>>()?));
        }
        let source = match style {
            Style::Policies => Self::policies(&matrix, &mut entities)?,
            Style::Attributes => Self::attributes(data, &matrix, &mut entities)?,
        };
        Ok(Self { policies: PolicySet::from_str(&source)?, entities: Entities::from_entities(entities, None)? })
    }

    fn policies(
        matrix: &BTreeMap<(String, String, String, bool), Vec<UserLevelId>>,
        entities: &mut Vec<Entity>,
    ) -> Result<String> {
        let mut resources: BTreeMap<(String, String), HashSet<EntityUid>> = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for ((kind, resource, action, allow), levels) in matrix {
            for level in levels {
                let group = format!("{level}/{action}/{allow}");
                resources.entry((kind.clone(), resource.clone())).or_default().insert(uid("Grants", &group)?);
                groups.insert(group, (level, action, allow));
            }
        }
        for ((kind, resource), parents) in resources {
            entities.push(Entity::new_no_attrs(uid(&kind, &resource)?, parents));
        }
        let mut source = String::new();
        for (group, (level, action, allow)) in groups {
            entities.push(Entity::new_no_attrs(uid("Grants", &group)?, HashSet::new()));
            let effect = if *allow { "permit" } else { "forbid" };
            writeln!(
                source,
                "{effect}(principal in Level::\"{level}\", action == Action::\"{action}\", \
                 resource in Grants::\"{group}\");"
            )?;
        }
        Ok(source)
    }

    fn attributes(
        data: &Data,
        matrix: &BTreeMap<(String, String, String, bool), Vec<UserLevelId>>,
        entities: &mut Vec<Entity>,
    ) -> Result<String> {
        let mut resources: BTreeMap<(String, String), HashMap<String, RestrictedExpression>> = BTreeMap::new();
        let mut actions = BTreeMap::new();
        for cell in &data.cells {
            let (kind, resource, action) = asked(cell);
            let attributes = resources.entry((kind.clone(), resource.clone())).or_default();
            for allow in [true, false] {
                let key = (kind.clone(), resource.clone(), action.clone(), allow);
                let levels = matrix.get(&key).into_iter().flatten();
                let levels =
                    levels.map(|level| Ok(RestrictedExpression::new_entity_uid(uid("Level", &level.to_string())?)));
                let set = RestrictedExpression::new_set(levels.collect::<Result<Vec<_>>>()?);
                attributes.insert(format!("{action}_{allow}"), set);
            }
            actions.insert(action, ());
        }
        for ((kind, resource), attributes) in resources {
            entities.push(Entity::new(uid(&kind, &resource)?, attributes, HashSet::new())?);
        }
        let mut source = String::new();
        for action in actions.keys() {
            for (effect, allow) in [("permit", true), ("forbid", false)] {
                writeln!(
                    source,
                    "{effect}(principal, action == Action::\"{action}\", resource) \
                     when {{ principal in resource.{action}_{allow} }};"
                )?;
            }
        }
        Ok(source)
    }
}
