//! Casbin with the model of RBAC with domains and deny-override. Each company has an enforcer whose policies are loaded
//! in advance.
//!
//! A company's enforcer searches only that company's policies. Modules that a company lacks have no policies.
//! The matcher tests the cheapest condition first.

use casbin::{CachedApi, CachedEnforcer, CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use iam_domain::ViewState;

use crate::Result;
use crate::data::{Cell, Company, Data, Place};

const MODEL: &str = "
[request_definition]
r = sub, dom, obj, act

[policy_definition]
p = sub, dom, obj, act, eft

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.act == p.act && r.obj == p.obj && r.dom == p.dom && g(r.sub, p.sub, r.dom)
";

/// The Casbin enforcers of all companies.
pub struct Casbin<E> {
    enforcers: Vec<E>,
    /// The checks, prepared in advance.
    requests: Vec<(usize, [String; 4])>,
}

fn asked(cell: &Cell) -> (String, String) {
    match cell {
        Cell::View(view) => (view.to_string(), "View".to_owned()),
        Cell::Action((feature, action)) => (feature.to_string(), action.to_string()),
    }
}

impl Casbin<Enforcer> {
    /// Creates enforcers that evaluate every check.
    ///
    /// # Errors
    ///
    /// Returns an error if Casbin returns an error, which does not occur in practice.
    pub async fn plain(data: &Data, places: &[Place]) -> Result<Self> {
        let mut enforcers = Vec::new();
        for company in &data.companies {
            let mut enforcer = Enforcer::new(DefaultModel::from_str(MODEL).await?, MemoryAdapter::default()).await?;
            fill(&mut enforcer, data, company).await?;
            enforcers.push(enforcer);
        }
        Ok(Self { enforcers, requests: requests(data, places) })
    }
}

impl Casbin<CachedEnforcer> {
    /// Creates enforcers that cache every decision, with sufficient capacity for all decisions.
    ///
    /// # Errors
    ///
    /// Returns an error if Casbin returns an error, which does not occur in practice.
    pub async fn cached(data: &Data, places: &[Place]) -> Result<Self> {
        let mut enforcers = Vec::new();
        for company in &data.companies {
            let model = DefaultModel::from_str(MODEL).await?;
            let mut enforcer = CachedEnforcer::new(model, MemoryAdapter::default()).await?;
            let answers = company.users.len() * data.cells.len();
            enforcer.set_cache(Box::new(casbin::DefaultCache::new(answers * 2)));
            fill(&mut enforcer, data, company).await?;
            enforcers.push(enforcer);
        }
        Ok(Self { enforcers, requests: requests(data, places) })
    }
}

impl<E: CoreApi> Casbin<E> {
    /// Decides the check at this index. An error counts as a denial.
    #[must_use]
    pub fn decide(&self, question: usize) -> bool {
        let (company, [user, domain, object, action]) = &self.requests[question];
        let question = (user.as_str(), domain.as_str(), object.as_str(), action.as_str());
        self.enforcers[*company].enforce(question).unwrap_or(false)
    }
}

fn requests(data: &Data, places: &[Place]) -> Vec<(usize, [String; 4])> {
    let request = |place: &Place| {
        let company = &data.companies[place.company];
        let (object, action) = asked(&data.cells[place.cell]);
        (place.company, [company.users[place.user].id.to_string(), company.id.to_string(), object, action])
    };
    places.iter().map(request).collect()
}

async fn fill<E: MgmtApi>(enforcer: &mut E, data: &Data, company: &Company) -> Result<()> {
    let domain = company.id.to_string();
    let mut policies = Vec::new();
    for (place, level) in company.levels.iter().enumerate() {
        let snapshot = company.snapshot(&data.catalog, [place, place]);
        for cell in &data.cells {
            let (says_yes, says_no) = match cell {
                Cell::View(view) => {
                    let denies = level.permissions.views.get(view) == Some(&ViewState::Deny);
                    (snapshot.view(*view).allowed, denies)
                }
                Cell::Action((feature, action)) => {
                    let rule = level.permissions.features.get(feature).and_then(|rules| rules.get(action));
                    (snapshot.feature(*feature, action).allowed, rule.is_some_and(|rule| !rule.value))
                }
            };
            if says_yes || says_no {
                let (object, action) = asked(cell);
                let effect = if says_no { "deny" } else { "allow" };
                policies.push(vec![level.id.to_string(), domain.clone(), object, action, effect.to_owned()]);
            }
        }
    }
    enforcer.add_policies(policies).await?;
    let holders = company.users.iter().flat_map(|user| user.levels.map(|level| (user, &company.levels[level])));
    let holders = holders.map(|(user, level)| vec![user.id.to_string(), level.id.to_string(), domain.clone()]);
    enforcer.add_grouping_policies(holders.collect()).await?;
    Ok(())
}
