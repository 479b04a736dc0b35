//! Test data: a small catalog and companies with fixed ids, and the decisions that the reference implementation makes
//! for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, Assignment, CommitStamp, CompanyId, CompanyStatus, Decision, Description, Feature, FeatureId, FeatureKey,
    FeaturePermission, FeaturePermissionId, Module, ModuleCode, ModuleId, Name, Period, Priority, Reason, Scope,
    Snapshot, Timestamp, UserId, UserLevel, UserLevelId, View, ViewId, ViewPermission, ViewPermissionId, ViewState,
    ViewUrl,
};
use iam_permissions_cache::{
    Access, ActionPermission, Check, Consistency, EffectivePermissions, FeatureRef, Permissions, Subject, ViewRef,
};
use iam_storage::{Result, Target, UnitOfWork};
use uuid::Uuid;

use crate::store::Store;

pub(crate) const SCOPES: [Scope; 4] = [Scope::Own, Scope::Team, Scope::Company, Scope::Any];

fn uuid(kind: u64, number: usize) -> Uuid {
    Uuid::from_u64_pair(kind, number as u64 + 1)
}

pub(crate) fn view(number: usize) -> ViewId {
    ViewId::from_uuid(uuid(1, number))
}

pub(crate) fn feature(number: usize) -> FeatureId {
    FeatureId::from_uuid(uuid(2, number))
}

pub(crate) fn module(number: usize) -> ModuleId {
    ModuleId::from_uuid(uuid(3, number))
}

pub(crate) fn company(number: usize) -> CompanyId {
    CompanyId::from_uuid(uuid(5, number))
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::from_uuid(uuid(6, number))
}

/// Returns the id of a level. No two companies share a level.
pub(crate) fn level(company: usize, number: usize) -> UserLevelId {
    UserLevelId::from_uuid(uuid(1000 + company as u64, number))
}

pub(crate) fn action(text: &str) -> Action {
    Action::parse(text).unwrap()
}

pub(crate) fn a_view(number: usize, requires_auth: bool, at: Timestamp) -> View {
    View {
        id: view(number),
        name: Name::parse(format!("View {number}")).unwrap(),
        url: ViewUrl::parse(format!("/{number}")).unwrap(),
        category: None,
        description: None,
        icon: None,
        requires_auth,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn a_feature(number: usize, enabled: bool, own: &[&str], at: Timestamp) -> Feature {
    Feature {
        id: feature(number),
        key: Some(FeatureKey::parse(format!("feature.{number}")).unwrap()),
        name: Name::parse(format!("Feature {number}")).unwrap(),
        description: None,
        resource_type: None,
        actions: (!own.is_empty()).then(|| own.iter().map(|own| action(own)).collect()),
        category: None,
        enabled,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn a_module(number: usize, enabled: bool, at: Timestamp) -> Module {
    Module {
        id: module(number),
        code: ModuleCode::parse(format!("module-{number}")).unwrap(),
        name: Name::parse(format!("Module {number}")).unwrap(),
        description: None,
        icon: None,
        enabled,
        priority: Priority::Standard,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn a_level(of: usize, number: usize, at: Timestamp) -> UserLevel {
    UserLevel {
        id: level(of, number),
        company_id: company(of),
        name: Name::parse(format!("Level {number}")).unwrap(),
        description: Description::parse("").unwrap(),
        is_default: false,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn view_cell(of: usize, number: usize, about: ViewId, state: ViewState, at: Timestamp) -> ViewPermission {
    ViewPermission {
        id: ViewPermissionId::generate(at),
        company_id: company(of),
        user_level_id: level(of, number),
        view_id: about,
        state,
        modifiable: true,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn feature_cell(
    of: usize,
    number: usize,
    about: (FeatureId, Action),
    (value, scope): (bool, Scope),
    at: Timestamp,
) -> FeaturePermission {
    FeaturePermission {
        id: FeaturePermissionId::generate(at),
        company_id: company(of),
        user_level_id: level(of, number),
        feature_id: about.0,
        action: about.1,
        value,
        scope,
        modifiable: true,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn holding(of: usize, who: usize, number: usize, at: Timestamp) -> Assignment {
    Assignment {
        user_id: user(who),
        user_level_id: level(of, number),
        company_id: company(of),
        assigned_by: None,
        created_at: at,
        period: Period::UNLIMITED,
    }
}

/// Functions that create the initial data of several tests.
impl Store {
    /// Creates a store with three views, two features and no module.
    pub(crate) async fn with_catalog() -> Arc<Self> {
        let store = Self::new();
        store.catalog().await;
        store
    }

    pub(crate) async fn catalog(&self) -> CommitStamp {
        self.change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            for number in 0..3 {
                tx.views_mut().create(&a_view(number, true, now)).await?;
            }
            for number in 0..2 {
                tx.features_mut().create(&a_feature(number, true, &[], now)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Creates a company with one level and `users` users who hold the level. The level allows view 0 and `Read` on
    /// feature 0.
    pub(crate) async fn company(&self, of: usize, users: usize) -> CommitStamp {
        self.change_company(of, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.user_levels_mut().create(&a_level(of, 0, now)).await?;
            tx.view_permissions_mut().upsert(&view_cell(of, 0, view(0), ViewState::Allow, now)).await?;
            let cell = feature_cell(of, 0, (feature(0), Action::read()), (true, Scope::Company), now);
            tx.feature_permissions_mut().upsert(&cell).await?;
            for who in 0..users {
                tx.assignments_mut().add(&holding(of, who, 0, now)).await?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn change_company(
        &self,
        of: usize,
        work: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<()>,
    ) -> CommitStamp {
        self.change(Target::Company(company(of)), work).await
    }

    /// Sets the rule of the company's level for view 0.
    pub(crate) async fn say(&self, of: usize, state: ViewState) -> CommitStamp {
        self.change_company(of, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            tx.view_permissions_mut().upsert(&view_cell(of, 0, view(0), state, now)).await
        })
        .await
    }

    /// Renames view 2, which the tests do not check.
    pub(crate) async fn rename_a_view(&self) -> CommitStamp {
        self.change(Target::Catalog, async |tx: &mut dyn UnitOfWork| {
            let now = tx.now();
            let name = Name::parse(format!("Renamed at {}", now.micros())).unwrap();
            tx.views_mut().update(&View { name, ..a_view(2, true, now) }).await.map(drop)
        })
        .await
    }
}

/// Returns the permission check for view 0.
pub(crate) fn sees_view_0() -> Check {
    Check::View(ViewRef::Id(view(0)))
}

/// Returns `true` if the user may see view 0, decided with `Consistency::Cached`.
pub(crate) async fn sees(permissions: &Permissions, of: usize, who: usize) -> bool {
    see(permissions, of, who, Consistency::Cached).await.unwrap()
}

/// Returns `true` if the user may see view 0, decided with this consistency level.
pub(crate) async fn see(permissions: &Permissions, of: usize, who: usize, consistency: Consistency) -> Result<bool> {
    let access = permissions.access(company(of), Subject::User(user(who)), consistency).await?;
    Ok(access.decide(&sees_view_0()).outcome.allowed)
}

/// Decides from the cache whether the user may see view 0. Returns `None` on a cache miss.
pub(crate) fn hit(permissions: &Permissions, of: usize, who: usize) -> Option<bool> {
    let outcome = permissions.try_check(company(of), Subject::User(user(who)), &sees_view_0())?;
    Some(outcome.allowed)
}

/// Returns the decision of the reference implementation, including the rules for super admins and non-members.
pub(crate) fn expected(snapshot: &Snapshot, subject: Subject, question: &Check) -> Decision {
    let catalog = &snapshot.catalog;
    let is_super_admin = matches!(subject, Subject::SuperAdmin(_));
    let is_non_member = snapshot.levels.is_empty() && !is_super_admin;
    let is_suspended = snapshot.status == CompanyStatus::Suspended && !is_super_admin;
    match question {
        Check::View(_) if is_non_member => Decision::of_view(false, Reason::NoUserLevels),
        Check::Feature { .. } if is_non_member => Decision::denied_action(Reason::NoUserLevels),
        Check::View(_) if is_suspended => Decision::of_view(false, Reason::CompanySuspended),
        Check::Feature { .. } if is_suspended => Decision::denied_action(Reason::CompanySuspended),
        Check::View(asked) => {
            let found = match asked {
                ViewRef::Id(id) => catalog.view(*id),
                ViewRef::Url(url) => catalog.view_by_url(url),
            };
            match found {
                None => Decision::of_view(false, Reason::UnknownView),
                Some(_) if is_super_admin => Decision::of_view(true, Reason::SuperAdmin),
                Some(view) => snapshot.view(view.id),
            }
        }
        Check::Feature { feature, action, least_scope } => {
            let found = match feature {
                FeatureRef::Id(id) => catalog.feature(*id),
                FeatureRef::Key(key) => catalog.feature_by_key(key),
            };
            match found {
                None => Decision::denied_action(Reason::UnknownFeature),
                Some(feature) if !feature.knows(action) => Decision::denied_action(Reason::UnknownAction),
                Some(_) if is_super_admin => Decision {
                    allowed: true,
                    scope: Some(Scope::Any),
                    reason: Reason::SuperAdmin,
                    decided_by: Vec::new(),
                },
                Some(feature) => {
                    let reaching = |least| snapshot.feature_reaching(feature.id, action, least);
                    least_scope.map_or_else(|| snapshot.feature(feature.id, action), reaching)
                }
            }
        }
    }
}

/// Returns checks for all entities of the catalog, and for some entities that do not exist.
pub(crate) fn questions(snapshot: &Snapshot) -> Vec<Check> {
    let catalog = &snapshot.catalog;
    let ids = catalog.views().map(|view| view.id).chain([view(98)]).map(ViewRef::Id);
    let urls = catalog.views().map(|view| view.url.to_string()).chain(["/nowhere".to_owned()]).map(ViewRef::Url);
    let mut questions: Vec<_> = ids.chain(urls).map(Check::View).collect();
    let ids = catalog.features().map(|feature| feature.id).chain([feature(98)]).map(FeatureRef::Id);
    let keys = catalog.features().filter_map(|feature| feature.key.as_ref()).map(ToString::to_string);
    let features: Vec<_> = ids.chain(keys.chain(["no.key".to_owned()]).map(FeatureRef::Key)).collect();
    let own = catalog.features().flat_map(|feature| feature.actions.iter().flatten().cloned());
    let said = snapshot.levels.iter().flat_map(|level| level.features.values().flat_map(BTreeMap::keys).cloned());
    let standard = Action::STANDARD.into_iter().chain(["Nonsense", "read"]).map(action);
    let actions: BTreeSet<_> = standard.chain(own).chain(said).collect();
    let scopes = [None].into_iter().chain(SCOPES.map(Some));
    for feature in features {
        for action in &actions {
            questions.extend(scopes.clone().map(|least_scope| Check::Feature {
                feature: feature.clone(),
                action: action.clone(),
                least_scope,
            }));
        }
    }
    questions
}

/// Returns the effective permissions according to the reference implementation.
pub(crate) fn expected_effective(snapshot: &Snapshot, subject: Subject) -> EffectivePermissions {
    let decide = |question: &Check| expected(snapshot, subject, question);
    let views = snapshot.catalog.views();
    let views = views.map(|view| (view.id, decide(&Check::View(ViewRef::Id(view.id))).allowed));
    let features = snapshot.catalog.features().map(|feature| {
        let actions = snapshot.actions(feature).into_iter().map(|action| {
            let id = FeatureRef::Id(feature.id);
            let decision = decide(&Check::Feature { feature: id, action: action.clone(), least_scope: None });
            (action, ActionPermission { allowed: decision.allowed, scope: decision.scope.unwrap() })
        });
        (feature.id, actions.collect())
    });
    EffectivePermissions { views: views.collect(), features: features.collect() }
}

/// Compares all decisions with those of the reference implementation. The error describes the first difference.
pub(crate) fn compare(access: &Access, snapshot: &Snapshot) -> std::result::Result<(), String> {
    for question in questions(snapshot) {
        let (answer, naive) = (access.check(&question), expected(snapshot, access.subject(), &question));
        if answer != naive {
            return Err(format!(
                "{question:?} of {:?}: the decision is {answer:?}, but must be {naive:?}",
                access.subject()
            ));
        }
    }
    let (answer, naive) = (access.effective(), expected_effective(snapshot, access.subject()));
    if answer != naive {
        return Err(format!("effective permissions of {:?}: {answer:?}, but must be {naive:?}", access.subject()));
    }
    Ok(())
}
