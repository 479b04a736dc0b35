//! The seed: inserts the initial catalog, without changing existing rows.

use std::collections::{HashMap, HashSet};
use std::fmt;

use iam_domain::seed::catalog;
use iam_domain::{Actor, AuditRecord, AuditRecordId, EntityType, FeatureId, MenuItem, SubMenuItem, Timestamp, ViewId};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::change::{append_audit_records, begin_change, to_json};
use crate::compatibility::{self, TypedStatement};
use crate::error::MigrationError;
use crate::session::statement;

/// The numbers of rows that [`seed`] inserted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeedReport {
    /// Number of views that were inserted.
    pub views: usize,
    /// Number of modules that were inserted.
    pub modules: usize,
    /// Number of features that were inserted.
    pub features: usize,
    /// Number of feature-view mappings that were inserted.
    pub feature_views: usize,
    /// Number of module-view mappings that were inserted.
    pub module_views: usize,
    /// Number of module-feature mappings that were inserted.
    pub module_features: usize,
    /// Number of menu items that were inserted.
    pub menu_items: usize,
    /// Number of sub-menu items that were inserted.
    pub sub_menu_items: usize,
}

impl SeedReport {
    /// Returns `true` if nothing was inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} views, {} modules, {} features, {} feature-view, {} module-view and {} module-feature mappings, \
             {} menu items, {} sub-menu items",
            self.views,
            self.modules,
            self.features,
            self.feature_views,
            self.module_views,
            self.module_features,
            self.menu_items,
            self.sub_menu_items,
        )
    }
}

// These statements insert rows from a JSON array of domain entities, so the columns of each table are listed only here.
// If a row conflicts with an existing row, it is not inserted. Such rows have the same natural key if an operator
// created the existing row, or the same id if an operator renamed a seeded row.

const INSERT_VIEWS: &str = r#"
    INSERT INTO views (id, name, url, category, description, icon, requires_auth, created_at, updated_at)
    SELECT id, name, url, category, description, icon, "requiresAuth", $2, $2
    FROM jsonb_to_recordset($1) AS seed (
        id uuid, name text, url text, category text, description text, icon text, "requiresAuth" boolean
    )
    ON CONFLICT DO NOTHING RETURNING id"#;

const INSERT_MODULES: &str = r#"
    INSERT INTO modules (id, code, name, description, icon, enabled, priority, created_at, updated_at)
    SELECT id, code, name, description, icon, enabled, priority, $2, $2
    FROM jsonb_to_recordset($1) AS seed (
        id uuid, code text, name text, description text, icon text, enabled boolean, priority text
    )
    ON CONFLICT DO NOTHING RETURNING id"#;

const INSERT_FEATURES: &str = r#"
    INSERT INTO features (id, key, name, description, resource_type, actions, category, enabled, created_at, updated_at)
    SELECT id, key, name, description, "resourceType", actions, category, enabled, $2, $2
    FROM jsonb_to_recordset($1) AS seed (
        id uuid, key text, name text, description text, "resourceType" text, actions jsonb, category text,
        enabled boolean
    )
    ON CONFLICT DO NOTHING RETURNING id"#;

const INSERT_MENU_ITEMS: &str = r#"
    INSERT INTO menu_items (id, company_id, label, icon, priority, required_permissions, sort_order, view_id,
        feature_id, is_entrypoint, created_at, updated_at)
    SELECT id, "companyId", label, icon, priority, "requiredPermissions", "sortOrder", "viewId", "featureId",
        "isEntrypoint", $2, $2
    FROM jsonb_to_recordset($1) AS seed (
        id uuid, "companyId" uuid, label text, icon text, priority text, "requiredPermissions" jsonb,
        "sortOrder" integer, "viewId" uuid, "featureId" uuid, "isEntrypoint" boolean
    )
    ON CONFLICT DO NOTHING RETURNING id"#;

const INSERT_SUB_MENU_ITEMS: &str = r#"
    INSERT INTO sub_menu_items (id, menu_item_id, label, view_id, feature_id, icon, sort_order, enabled, created_at,
        updated_at)
    SELECT id, "menuItemId", label, "viewId", "featureId", icon, "sortOrder", enabled, $2, $2
    FROM jsonb_to_recordset($1) AS seed (
        id uuid, "menuItemId" uuid, label text, "viewId" uuid, "featureId" uuid, icon text, "sortOrder" integer,
        enabled boolean
    )
    WHERE "menuItemId" IN (SELECT menu_items.id FROM menu_items)
    ON CONFLICT DO NOTHING RETURNING id"#;

// Statement that records the ids in $1, and returns the ids that were not recorded before.
const REMEMBER: &str = "
    INSERT INTO iam_seeded_rows (id) SELECT * FROM unnest($1) ON CONFLICT DO NOTHING RETURNING id";

// These statements look up the catalog row for each seed row: the row with the same natural key, or else the row with
// the seed's id. If there is neither, the row was deleted.

const FIND_VIEWS: &str = "
    SELECT seed.id AS seeded, coalesce(named.id, own.id) AS id FROM jsonb_to_recordset($1) AS seed (id uuid, url text)
    LEFT JOIN views AS named ON named.url = seed.url LEFT JOIN views AS own ON own.id = seed.id
    WHERE coalesce(named.id, own.id) IS NOT NULL";

const FIND_MODULES: &str = "
    SELECT seed.id AS seeded, coalesce(named.id, own.id) AS id FROM jsonb_to_recordset($1) AS seed (id uuid, code text)
    LEFT JOIN modules AS named ON named.code = seed.code LEFT JOIN modules AS own ON own.id = seed.id
    WHERE coalesce(named.id, own.id) IS NOT NULL";

const FIND_FEATURES: &str = "
    SELECT seed.id AS seeded, coalesce(named.id, own.id) AS id FROM jsonb_to_recordset($1) AS seed (id uuid, key text)
    LEFT JOIN features AS named ON named.key = seed.key LEFT JOIN features AS own ON own.id = seed.id
    WHERE coalesce(named.id, own.id) IS NOT NULL";

const MAP_FEATURES_TO_VIEWS: &str = "
    INSERT INTO feature2views (feature_id, view_id, created_at)
    SELECT *, $3 FROM unnest($1, $2) ON CONFLICT DO NOTHING RETURNING feature_id AS owner, view_id AS member";

const MAP_MODULES_TO_VIEWS: &str = "
    INSERT INTO module2views (module_id, view_id, created_at)
    SELECT *, $3 FROM unnest($1, $2) ON CONFLICT DO NOTHING RETURNING module_id AS owner, view_id AS member";

const MAP_MODULES_TO_FEATURES: &str = "
    INSERT INTO module2features (module_id, feature_id, created_at)
    SELECT *, $3 FROM unnest($1, $2) ON CONFLICT DO NOTHING RETURNING module_id AS owner, feature_id AS member";

/// All statements of the seed on its own tables, with the types of their parameters.
const STATEMENTS: [TypedStatement; 14] = [
    ("(uuid[])", REMEMBER),
    ("(jsonb, timestamptz)", INSERT_VIEWS),
    ("(jsonb, timestamptz)", INSERT_MODULES),
    ("(jsonb, timestamptz)", INSERT_FEATURES),
    ("(jsonb, timestamptz)", INSERT_MENU_ITEMS),
    ("(jsonb, timestamptz)", INSERT_SUB_MENU_ITEMS),
    ("(jsonb)", FIND_VIEWS),
    ("(jsonb)", FIND_MODULES),
    ("(jsonb)", FIND_FEATURES),
    ("(uuid[], uuid[], timestamptz)", MAP_FEATURES_TO_VIEWS),
    ("(uuid[], uuid[], timestamptz)", MAP_MODULES_TO_VIEWS),
    ("(uuid[], uuid[], timestamptz)", MAP_MODULES_TO_FEATURES),
    ("", LOCK_CATALOG),
    ("(timestamptz)", BUMP_CATALOG),
];

/// The entity type and the action of the audit records for new rows.
type Creation = (EntityType, &'static str);

/// A catalog table: the entity type and action of its audit records, the SQL that inserts new rows, and the SQL that
/// finds existing rows.
type Table = (Creation, &'static str, &'static str);

const VIEWS: Table = ((EntityType::View, "view.created"), INSERT_VIEWS, FIND_VIEWS);
const MODULES: Table = ((EntityType::Module, "module.created"), INSERT_MODULES, FIND_MODULES);
const FEATURES: Table = ((EntityType::Feature, "feature.created"), INSERT_FEATURES, FIND_FEATURES);

const MENU_ITEM: Creation = (EntityType::Menu, "menu.created");
const SUB_MENU_ITEM: Creation = (EntityType::Menu, "sub_menu.created");

/// A mapping: the entity type and the action of its audit records, and the SQL that inserts its pairs.
type Mapping = (EntityType, &'static str, &'static str);

const FEATURE_VIEWS: Mapping = (EntityType::Feature, "feature.views_updated", MAP_FEATURES_TO_VIEWS);
const MODULE_VIEWS: Mapping = (EntityType::Module, "module.views_updated", MAP_MODULES_TO_VIEWS);
const MODULE_FEATURES: Mapping = (EntityType::Module, "module.features_updated", MAP_MODULES_TO_FEATURES);

// Locks the row with the catalog's version.
const LOCK_CATALOG: &str = "
    SELECT FROM company_states WHERE company_id = '00000000-0000-0000-0000-000000000000' FOR UPDATE";

// Reads the clock after the locks are acquired. This is a separate statement, because the locking statement could read
// the clock before it waits.
const READ_CLOCK: &str = "SELECT clock_timestamp() AS at";

// Increments the catalog's version. Replicas read the new version at their next poll.
const BUMP_CATALOG: &str = "
    UPDATE company_states SET version = version + 1, updated_at = $1
    WHERE company_id = '00000000-0000-0000-0000-000000000000'";

/// Inserts the catalog rows of [`iam_domain::seed`] that this installation has never received, and returns the number
/// of inserted rows of each type.
///
/// Each view, module and feature is inserted at most once, because its id is recorded in `iam_seeded_rows`. Rows that
/// an operator has deleted are therefore not inserted again. Existing rows are not changed. They are identified by
/// their URL, code or key, or by the seed's fixed id if they were renamed. A mapping or a menu entry is added if at
/// least one of the views, modules and features that it refers to is new. It is not added if one of them was deleted.
///
/// All insertions together are one change to the catalog. The change increments the catalog's version, which running
/// replicas read at their next poll. It also writes an audit record for each row and mapping, as the in-memory storage
/// does for its seed.
///
/// # Errors
///
/// [`MigrationError::Behind`] if migrations are pending; [`MigrationError::Ahead`] if a newer release has migrated the
/// database, and [`MigrationError::Incompatible`] if that release has also changed the tables of the seed;
/// [`MigrationError::Database`] if a statement fails; other errors as for [`up`](crate::up). In each case the database
/// is unchanged.
pub async fn seed(db: &DatabaseConnection) -> Result<SeedReport, MigrationError> {
    insert(db, Deleted::Stay).await
}

/// Does the same as [`seed`], and also reinserts the views, modules and features that were deleted, with their mappings
/// and menu entries.
///
/// # Errors
///
/// Returns the same errors as [`seed`].
pub async fn restore_seed(db: &DatabaseConnection) -> Result<SeedReport, MigrationError> {
    insert(db, Deleted::Restore).await
}

/// The treatment of seeded rows that were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleted {
    /// Deleted rows are not inserted again.
    Stay,
    /// Deleted rows are inserted again.
    Restore,
}

async fn insert(db: &DatabaseConnection, deleted: Deleted) -> Result<SeedReport, MigrationError> {
    let tx = match begin_change(db).await {
        Err(MigrationError::Ahead { unknown, pending }) if pending.is_empty() => {
            compatibility::check(db, &STATEMENTS, &unknown).await?;
            return Err(MigrationError::Ahead { unknown, pending });
        }
        begun => begun?,
    };
    let mut run = Run::begin(&tx).await?;
    let report = run.insert_catalog(deleted).await?;
    if !report.is_empty() {
        run.publish().await?;
    }
    tx.commit().await?;
    Ok(report)
}

/// One run of the seed: its transaction, its timestamp from the database's clock, and the audit records collected so
/// far.
struct Run<'a> {
    tx: &'a DatabaseTransaction,
    at: Timestamp,
    records: Vec<AuditRecord>,
}

/// The result of seeding one catalog table.
struct Seeded {
    /// The ids that this run inserted.
    inserted: HashSet<Uuid>,
    /// Map from the ids in the seed to the ids of the catalog rows. Deleted rows are absent.
    ids: HashMap<Uuid, Uuid>,
}

impl Seeded {
    fn is_new(&self, seeded: Uuid) -> bool {
        self.inserted.contains(&seeded)
    }

    fn id(&self, seeded: Uuid) -> Option<Uuid> {
        self.ids.get(&seeded).copied()
    }
}

impl<'a> Run<'a> {
    /// Starts a run in a transaction that holds the global lock: locks the catalog, and then reads the clock of the
    /// database.
    async fn begin(tx: &'a DatabaseTransaction) -> Result<Self, DbErr> {
        let locked = tx.query_one_raw(statement(LOCK_CATALOG, [])).await?;
        let clock = tx.query_one_raw(statement(READ_CLOCK, [])).await?;
        let (Some(_), Some(clock)) = (locked, clock) else {
            return Err(DbErr::RecordNotFound("company_states has no row for the catalog".to_owned()));
        };
        let at = Timestamp::new(clock.try_get::<DateTimeUtc>("", "at")?);
        Ok(Self { tx, at, records: Vec::new() })
    }

    async fn insert_catalog(&mut self, deleted: Deleted) -> Result<SeedReport, DbErr> {
        let seed =
            catalog(self.at).map_err(|error| DbErr::Custom(format!("invalid string in the seed data: it {error}")))?;
        let ids = seed.views.iter().map(|view| view.id.as_uuid());
        let ids = ids.chain(seed.modules.iter().map(|module| module.id.as_uuid()));
        let ids = ids.chain(seed.features.iter().map(|feature| feature.id.as_uuid())).collect::<HashSet<_>>();
        let unknown = self.remember(&ids).await?;
        let offered = match deleted {
            Deleted::Stay => unknown,
            Deleted::Restore => ids,
        };
        let views = self.add(VIEWS, &seed.views, |view| view.id.as_uuid(), &offered).await?;
        let modules = self.add(MODULES, &seed.modules, |module| module.id.as_uuid(), &offered).await?;
        let features = self.add(FEATURES, &seed.features, |feature| feature.id.as_uuid(), &offered).await?;

        let pairs = seed.feature_views.iter().map(|(feature, view)| (feature.as_uuid(), view.as_uuid()));
        let feature_views = self.map(FEATURE_VIEWS, (&features, &views), pairs).await?;
        let pairs = seed.module_views.iter().map(|(module, view)| (module.as_uuid(), view.as_uuid()));
        let module_views = self.map(MODULE_VIEWS, (&modules, &views), pairs).await?;
        let pairs = seed.module_features.iter().map(|(module, feature)| (module.as_uuid(), feature.as_uuid()));
        let module_features = self.map(MODULE_FEATURES, (&modules, &features), pairs).await?;

        let (menu_items, sub_menu_items) =
            self.insert_menu(seed.menu_items, seed.sub_menu_items, &views, &features).await?;

        Ok(SeedReport {
            views: views.inserted.len(),
            modules: modules.inserted.len(),
            features: features.inserted.len(),
            feature_views,
            module_views,
            module_features,
            menu_items,
            sub_menu_items,
        })
    }

    /// Inserts the menu entries that refer to a newly inserted view or feature. Returns the numbers of inserted items
    /// and sub-items. Skips entries that refer to a deleted view or feature, and sub-items whose item does not exist.
    async fn insert_menu(
        &mut self,
        items: Vec<MenuItem>,
        sub_items: Vec<SubMenuItem>,
        views: &Seeded,
        features: &Seeded,
    ) -> Result<(usize, usize), DbErr> {
        // Returns the ids of the view and the feature that an entry refers to, or `None` if one of them was deleted.
        let find = |view: Option<ViewId>, feature: Option<FeatureId>| {
            let view_id = match view {
                Some(id) => Some(ViewId::from_uuid(views.id(id.as_uuid())?)),
                None => None,
            };
            let feature_id = match feature {
                Some(id) => Some(FeatureId::from_uuid(features.id(id.as_uuid())?)),
                None => None,
            };
            Some((view_id, feature_id))
        };
        let is_new = |view: Option<ViewId>, feature: Option<FeatureId>| {
            view.is_some_and(|id| views.is_new(id.as_uuid())) || feature.is_some_and(|id| features.is_new(id.as_uuid()))
        };
        let items = items.into_iter().filter_map(|item| {
            let (view_id, feature_id) = find(item.view_id, item.feature_id)?;
            Some(MenuItem { view_id, feature_id, ..item })
        });
        let sub_items = sub_items
            .into_iter()
            .filter_map(|item| {
                let (view_id, feature_id) = find(item.view_id, item.feature_id)?;
                Some(SubMenuItem { view_id, feature_id, ..item })
            })
            .collect::<Vec<_>>();

        // An item is also inserted if one of its sub-items refers to a new view or feature. A sub-item is also inserted
        // if its item is new.
        let parents = sub_items.iter().filter(|item| is_new(item.view_id, item.feature_id));
        let parents = parents.map(|item| item.menu_item_id).collect::<HashSet<_>>();
        let items = items
            .filter(|item| is_new(item.view_id, item.feature_id) || parents.contains(&item.id))
            .collect::<Vec<_>>();
        let items = self.insert(MENU_ITEM, &items, |item| item.id.as_uuid(), INSERT_MENU_ITEMS).await?;

        let sub_items = sub_items
            .into_iter()
            .filter(|item| is_new(item.view_id, item.feature_id) || items.contains(&item.menu_item_id.as_uuid()))
            .collect::<Vec<_>>();
        let sub_items = self.insert(SUB_MENU_ITEM, &sub_items, |item| item.id.as_uuid(), INSERT_SUB_MENU_ITEMS).await?;
        Ok((items.len(), sub_items.len()))
    }

    /// Records the ids of seed rows in `iam_seeded_rows`, and returns the ids that were not recorded before.
    async fn remember(&self, ids: &HashSet<Uuid>) -> Result<HashSet<Uuid>, DbErr> {
        let ids = ids.iter().copied().collect::<Vec<_>>();
        let unknown = self.tx.query_all_raw(statement(REMEMBER, [ids.into()])).await?;
        unknown.iter().map(|row| row.try_get("", "id")).collect()
    }

    /// Inserts those seed rows of one catalog table whose ids are in `offered`. Then looks up, for each seed row, the
    /// corresponding row in the catalog. Returns both results.
    async fn add<T: Serialize>(
        &mut self,
        (creation, insert, find): Table,
        rows: &[T],
        id: impl Fn(&T) -> Uuid,
        offered: &HashSet<Uuid>,
    ) -> Result<Seeded, DbErr> {
        let new = rows.iter().filter(|row| offered.contains(&id(row))).collect::<Vec<_>>();
        let inserted = self.insert(creation, &new, |row| id(row), insert).await?;
        let found = self.tx.query_all_raw(statement(find, [to_json(rows)?.into()])).await?;
        let ids = found.iter().map(|row| Ok((row.try_get("", "seeded")?, row.try_get("", "id")?)));
        Ok(Seeded { inserted, ids: ids.collect::<Result<_, DbErr>>()? })
    }

    /// Inserts those rows that do not conflict with existing rows, adds an audit record for each inserted row, and
    /// returns the ids of the inserted rows.
    async fn insert<T: Serialize>(
        &mut self,
        (kind, action): Creation,
        rows: &[T],
        id: impl Fn(&T) -> Uuid,
        sql: &str,
    ) -> Result<HashSet<Uuid>, DbErr> {
        let values = [to_json(rows)?.into(), self.at.as_datetime().into()];
        let inserted = self.tx.query_all_raw(statement(sql, values)).await?;
        let inserted = inserted.iter().map(|row| row.try_get("", "id")).collect::<Result<HashSet<_>, _>>()?;
        for row in rows {
            let entity_id = id(row);
            if inserted.contains(&entity_id) {
                self.record(kind, action, entity_id, json!({ "after": to_json(row)? }));
            }
        }
        Ok(inserted)
    }

    /// Inserts the pairs of a mapping. A pair is inserted if both of its rows exist and at least one of them is new.
    /// Adds an audit record for each inserted pair, and returns the number of inserted pairs.
    async fn map(
        &mut self,
        (kind, action, sql): Mapping,
        (left, right): (&Seeded, &Seeded),
        pairs: impl Iterator<Item = (Uuid, Uuid)>,
    ) -> Result<usize, DbErr> {
        let pairs = pairs.filter(|&(a, b)| left.is_new(a) || right.is_new(b));
        let (left, right): (Vec<_>, Vec<_>) = pairs.filter_map(|(a, b)| Some((left.id(a)?, right.id(b)?))).unzip();
        let values = [left.into(), right.into(), self.at.as_datetime().into()];
        let added = self.tx.query_all_raw(statement(sql, values)).await?;
        for pair in &added {
            let (owner, member): (Uuid, Uuid) = (pair.try_get("", "owner")?, pair.try_get("", "member")?);
            self.record(kind, action, owner, json!({ "added": [member], "removed": [] }));
        }
        Ok(added.len())
    }

    fn record(&mut self, kind: EntityType, action: &str, entity_id: Uuid, changes: Value) {
        self.records.push(AuditRecord {
            id: AuditRecordId::generate(self.at),
            company_id: None,
            actor: Actor::CommandLine,
            action: action.to_owned(),
            entity_type: kind,
            entity_id,
            changes: Some(changes),
            metadata: None,
            timestamp: self.at,
        });
    }

    /// Writes the audit records of the change, and increments the catalog's version.
    async fn publish(self) -> Result<(), DbErr> {
        append_audit_records(self.tx, &self.records, self.at).await?;
        self.tx.execute_raw(statement(BUMP_CATALOG, [self.at.as_datetime().into()])).await?;
        Ok(())
    }
}
