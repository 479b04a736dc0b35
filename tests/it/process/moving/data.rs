//! Data for tests of exports and imports: companies with rows of each kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Ceilings, CompanyDetails, CompanyId, CompanyModule,
    CompanyStatus, Description, ExternalId, FeaturePermission, FeaturePermissionId, Label, Menu, MenuItem, MenuItemId,
    Name, Period, Priority, ProfileSource, Quota, QuotaOverrides, Scope, ServiceRole, SubMenuItem, SubMenuItemId,
    Timestamp, UserId, UserLevel, UserLevelId, UserProfile, ViewPermission, ViewPermissionId, ViewState,
};
use iam_storage::{Assigned, ChangeContext, CompanyContent, CopiedLevel, Storage, Target};
use uuid::Uuid;

/// Number of levels of each company.
pub const LEVELS: usize = 3;

/// A time with microseconds, which must not be lost.
fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_123 + n).unwrap()
}

/// Returns the id of a new company.
pub fn some_company() -> CompanyId {
    CompanyId::generate(at(0))
}

/// Returns a user of an external issuer.
pub fn external_user(company: CompanyId) -> ExternalId {
    ExternalId::parse(&format!("https://issuer.example|{company}")).unwrap()
}

/// Stores companies with levels, matrices, assignments, menus, profiles, settings and an audit log, and one API key for
/// each company.
pub async fn fill(storage: &dyn Storage, companies: &[CompanyId]) {
    for company in companies {
        let content = content(storage, *company).await;
        let mut tx = storage.begin(Target::Company(*company), ChangeContext::command_line()).await.unwrap();
        tx.users_mut().remember(&[&external_user(*company)]).await.unwrap();
        tx.company_contents_mut().install(&content).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = storage.begin(Target::Credentials, ChangeContext::command_line()).await.unwrap();
    for company in companies {
        tx.api_keys_mut().create(&key(*company), &ApiKeyDigest([7; 32])).await.unwrap();
        tx.users_mut().cut_off(external_user(*company).user_id(), at(9)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn key(company: CompanyId) -> ApiKey {
    let prefix: String = Uuid::new_v4().simple().to_string().chars().take(ApiKeyPrefix::LENGTH).collect();
    ApiKey {
        id: ApiKeyId::generate(at(0)),
        prefix: ApiKeyPrefix::parse(prefix).unwrap(),
        name: Name::parse("Key").unwrap(),
        role: ServiceRole::Read,
        company_id: Some(company),
        requests_per_second: None,
        created_by: None,
        created_at: at(1),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

/// Returns the content of a company, which refers to the catalog of the storage.
async fn content(storage: &dyn Storage, company: CompanyId) -> CompanyContent {
    let reader = storage.reader();
    let (views, features) = (reader.views().find_all().await.unwrap(), reader.features().find_all().await.unwrap());
    let modules = reader.modules().find_all().await.unwrap();
    let states = [ViewState::Allow, ViewState::Deny, ViewState::Inherit];
    let copied = |number: usize| {
        let level = UserLevel {
            id: UserLevelId::generate(at(0)),
            company_id: company,
            name: Name::parse(format!("Ebene {number}")).unwrap(),
            description: Description::parse("Zeile 1\nZeile 2").unwrap(),
            is_default: number == 0,
            created_at: at(2),
            updated_at: at(3),
        };
        let cell = |(place, view): (usize, &iam_domain::View)| ViewPermission {
            id: ViewPermissionId::generate(at(0)),
            company_id: company,
            user_level_id: level.id,
            view_id: view.id,
            state: states[(place + number) % 3],
            modifiable: place % 2 == 0,
            created_at: at(4),
            updated_at: at(5),
        };
        let mut view_cells: Vec<_> = views.iter().enumerate().map(cell).collect();
        view_cells.sort_by_key(|cell| cell.view_id);
        let cell = |(place, feature): (usize, &iam_domain::Feature)| FeaturePermission {
            id: FeaturePermissionId::generate(at(0)),
            company_id: company,
            user_level_id: level.id,
            feature_id: feature.id,
            action: Action::read(),
            value: !(place + number).is_multiple_of(3),
            scope: Scope::Company,
            modifiable: true,
            created_at: at(6),
            updated_at: at(7),
        };
        let mut feature_cells: Vec<_> = features.iter().enumerate().map(cell).collect();
        feature_cells.sort_by_key(|cell| cell.feature_id);
        CopiedLevel { level, views: view_cells, features: feature_cells }
    };
    let levels: Vec<_> = (0..LEVELS).map(copied).collect();
    let item = MenuItem {
        id: MenuItemId::generate(at(0)),
        company_id: Some(company),
        label: Label::parse("Menü").unwrap(),
        icon: None,
        priority: Priority::Optional,
        required_permissions: features.iter().find_map(|feature| Some(vec![feature.key.clone()?])),
        sort_order: -1,
        view_id: Some(views[0].id),
        feature_id: None,
        is_entrypoint: false,
        created_at: at(8),
        updated_at: at(8),
    };
    let sub_item = SubMenuItem {
        id: SubMenuItemId::generate(at(0)),
        menu_item_id: item.id,
        label: Label::parse("Eintrag").unwrap(),
        view_id: None,
        feature_id: Some(features[0].id),
        icon: None,
        sort_order: 2,
        enabled: false,
        created_at: at(8),
        updated_at: at(9),
    };
    let period = Period { starts_at: Some(at(10)), expires_at: Timestamp::from_millis(4_000_000_000_000) };
    let all =
        |period: Period| -> Arc<Assigned> { Arc::new(levels.iter().map(|copied| (copied.level.id, period)).collect()) };
    let external = external_user(company).user_id();
    let first = UserId::generate(at(0));
    let holders = BTreeMap::from([(first, all(Period::UNLIMITED)), (external, all(period))]);
    let modules = modules.iter().map(|module| CompanyModule {
        company_id: company,
        module_id: module.id,
        enabled: true,
        created_at: at(11),
        updated_at: at(12),
    });
    let mut modules: Vec<_> = modules.collect();
    modules.sort_by_key(|module| module.module_id);
    CompanyContent {
        company,
        provisioned_at: Some(at(13)),
        details: CompanyDetails { name: Name::parse("Ärzte & Söhne \"GmbH\"").ok(), status: CompanyStatus::Active },
        modules,
        ceilings: Ceilings {
            hidden_views: [views[1].id].into(),
            actions: [(features[1].id, [(Action::read(), Some(Scope::Own))].into())].into(),
        },
        quotas: QuotaOverrides([(Quota::Levels, 50)].into()),
        levels,
        holders,
        menu: Menu { items: vec![item], sub_items: vec![sub_item] },
        profiles: vec![UserProfile {
            company_id: company,
            user_id: external,
            display_name: Name::parse("Zoë").ok(),
            email: None,
            source: ProfileSource::Token,
            created_at: at(14),
            updated_at: at(15),
        }],
    }
}
