//! The write operation on the whole content of a company: a fixed number of statements, however many rows it has.

use async_trait::async_trait;
use iam_domain::{CompanyId, Period, folded};
use iam_storage::{CompanyContent, CompanyContentsMut, CopiedLevel, Result, StorageError, Target};
use sea_orm::entity::prelude::Json;
use sea_orm::{DbBackend, Statement, Value};
use serde_json::json;
use uuid::Uuid;

use super::Unit;
use crate::operation::operation;
use crate::periods::{micros, time};
use crate::repository::Repository;

/// The statement that deletes the rows of the content of the company $1. Foreign keys are checked at the end of the
/// statement, so the order of the tables does not matter.
const DELETE: &str = "WITH
    sub_items AS (
        DELETE FROM sub_menu_items WHERE menu_item_id IN (SELECT id FROM menu_items WHERE company_id = $1)
    ),
    items AS (DELETE FROM menu_items WHERE company_id = $1),
    assignments AS (DELETE FROM user_user_levels WHERE company_id = $1),
    views AS (DELETE FROM user_level_view_permissions WHERE company_id = $1),
    features AS (DELETE FROM user_level_feature_permissions WHERE company_id = $1),
    levels AS (DELETE FROM user_levels WHERE company_id = $1),
    modules AS (DELETE FROM company2modules WHERE company_id = $1)
    DELETE FROM user_profiles WHERE company_id = $1";

/// The statement that replaces the columns of the row of the company $1.
const STATE: &str = "UPDATE company_states SET provisioned_at = $2, name = $3, name_folded = $4, status = $5,
        ceilings = $6, quotas = $7
    WHERE company_id = $1";

/// The statement that inserts the levels, the modules and the profiles of the company $1. The rows are JSON.
const LEVELS: &str = "WITH
    modules AS (
        INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
        SELECT $1, id, enabled, created_at, updated_at FROM jsonb_to_recordset($3::jsonb)
            AS sent (id uuid, enabled boolean, created_at timestamptz, updated_at timestamptz)
    ),
    profiles AS (
        INSERT INTO user_profiles (company_id, user_id, display_name, email, name_folded, email_folded, source,
            created_at, updated_at)
        SELECT $1, id, display_name, email, name_folded, email_folded, source, created_at, updated_at
        FROM jsonb_to_recordset($4::jsonb) AS sent (id uuid, display_name text, email text, name_folded text,
            email_folded text, source text, created_at timestamptz, updated_at timestamptz)
    )
    INSERT INTO user_levels (company_id, id, name, description, is_default, created_at, updated_at)
    SELECT $1, id, name, description, is_default, created_at, updated_at FROM jsonb_to_recordset($2::jsonb)
        AS sent (id uuid, name text, description text, is_default boolean, created_at timestamptz,
            updated_at timestamptz)";

/// The statement that inserts the items and sub-items of the menu of the company $1. The rows are JSON. The items are
/// visible to the policy of the sub-items only after they were inserted, so each table has a statement of its own.
const ITEMS: &str = "INSERT INTO menu_items (company_id, id, label, icon, priority, required_permissions, sort_order,
        view_id, feature_id, is_entrypoint, created_at, updated_at)
    SELECT $1, id, label, icon, priority, required_permissions, sort_order, view_id, feature_id, is_entrypoint,
        created_at, updated_at
    FROM jsonb_to_recordset($2::jsonb) AS sent (id uuid, label text, icon text, priority text,
        required_permissions jsonb, sort_order integer, view_id uuid, feature_id uuid, is_entrypoint boolean,
        created_at timestamptz, updated_at timestamptz)";

const SUB_ITEMS: &str = "INSERT INTO sub_menu_items (id, menu_item_id, label, view_id, feature_id, icon, sort_order,
        enabled, created_at, updated_at)
    SELECT sent.id, item.id, sent.label, sent.view_id, sent.feature_id, sent.icon, sent.sort_order, sent.enabled,
        sent.created_at, sent.updated_at
    FROM jsonb_to_recordset($2::jsonb) AS sent (id uuid, menu_item_id uuid, label text, view_id uuid,
        feature_id uuid, icon text, sort_order integer, enabled boolean, created_at timestamptz,
        updated_at timestamptz)
    JOIN menu_items AS item ON item.company_id = $1 AND item.id = sent.menu_item_id";

const VIEW_CELLS: &str = "INSERT INTO user_level_view_permissions
        (company_id, user_level_id, id, view_id, state, modifiable, created_at, updated_at)
    SELECT $1, cell.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::boolean[], $7::timestamptz[],
        $8::timestamptz[]) AS cell";

const FEATURE_CELLS: &str = "INSERT INTO user_level_feature_permissions
        (company_id, user_level_id, id, feature_id, action, value, scope, modifiable, created_at, updated_at)
    SELECT $1, cell.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::boolean[], $7::text[],
        $8::boolean[], $9::timestamptz[], $10::timestamptz[]) AS cell";

/// Returns the statement that inserts the assignments of the company $1.
fn assignments() -> String {
    format!(
        "INSERT INTO user_user_levels (company_id, user_id, user_level_id, created_at, starts_at, expires_at)
        SELECT $1, sent.user_id, sent.level, $6, {}, {}
        FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) AS sent (user_id, level, starts_at, expires_at)",
        time("sent.starts_at"),
        time("sent.expires_at")
    )
}

#[async_trait]
impl CompanyContentsMut for Repository<Unit> {
    async fn install(&mut self, content: &CompanyContent) -> Result<()> {
        operation("company_contents.install", async {
            self.change(Target::Company(content.company), async |unit| {
                unit.install_rows(content).await?;
                unit.0.quota_overrides = content.quotas.clone();
                unit.0.recorder.company_imported(content);
                Ok(())
            })
            .await
        })
        .await
    }
}

impl Repository<Unit> {
    async fn install_rows(&self, content: &CompanyContent) -> Result<()> {
        let company = content.company;
        self.write(DELETE, company, []).await?;
        self.write(STATE, company, state(content)?).await?;
        self.write(LEVELS, company, levels(content)).await?;
        self.write(VIEW_CELLS, company, view_cells(&content.levels)).await?;
        self.write(FEATURE_CELLS, company, feature_cells(&content.levels)).await?;
        let assigned = assigned(content).into_iter().chain([self.at()]);
        self.write(&assignments(), company, assigned).await?;
        self.write(ITEMS, company, [items(content)]).await?;
        let inserted = self.write(SUB_ITEMS, company, [sub_items(content)]).await?;
        if usize::try_from(inserted).is_ok_and(|inserted| inserted == content.menu.sub_items.len()) {
            Ok(())
        } else {
            Err(StorageError::Misuse("a sub-item of the menu belongs to no item of the company"))
        }
    }

    async fn write(&self, sql: &str, company: CompanyId, rest: impl IntoIterator<Item = Value>) -> Result<u64> {
        let values = std::iter::once(company.as_uuid().into()).chain(rest);
        self.execute(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await
    }
}

fn state(content: &CompanyContent) -> Result<[Value; 6]> {
    let name = content.details.name.as_ref();
    let ceilings = serde_json::to_value(&content.ceilings).map_err(StorageError::corrupt)?;
    let quotas = serde_json::to_value(&content.quotas).map_err(StorageError::corrupt)?;
    Ok([
        content.provisioned_at.map(|at| at.as_datetime()).into(),
        name.map(ToString::to_string).into(),
        name.map(|name| folded(name.as_str())).into(),
        content.details.status.as_str().into(),
        (!content.ceilings.is_empty()).then_some(ceilings).into(),
        (!content.quotas.0.is_empty()).then_some(quotas).into(),
    ])
}

fn levels(content: &CompanyContent) -> [Value; 3] {
    let levels = content.levels.iter().map(|CopiedLevel { level, .. }| {
        json!({
            "id": level.id, "name": level.name, "description": level.description, "is_default": level.is_default,
            "created_at": level.created_at.as_datetime(), "updated_at": level.updated_at.as_datetime(),
        })
    });
    let modules = content.modules.iter().map(|module| {
        json!({
            "id": module.module_id, "enabled": module.enabled,
            "created_at": module.created_at.as_datetime(), "updated_at": module.updated_at.as_datetime(),
        })
    });
    let profiles = content.profiles.iter().map(|profile| {
        let (name, email) = (profile.display_name.as_ref(), profile.email.as_ref());
        json!({
            "id": profile.user_id, "display_name": name, "email": email,
            "name_folded": name.map(|name| folded(name.as_str())),
            "email_folded": email.map(|email| folded(email.as_str())), "source": profile.source,
            "created_at": profile.created_at.as_datetime(), "updated_at": profile.updated_at.as_datetime(),
        })
    });
    [levels.collect::<Json>().into(), modules.collect::<Json>().into(), profiles.collect::<Json>().into()]
}

fn items(content: &CompanyContent) -> Value {
    let item = |item: &iam_domain::MenuItem| {
        json!({
            "id": item.id, "label": item.label, "icon": item.icon, "priority": item.priority,
            "required_permissions": item.required_permissions, "sort_order": item.sort_order,
            "view_id": item.view_id, "feature_id": item.feature_id, "is_entrypoint": item.is_entrypoint,
            "created_at": item.created_at.as_datetime(), "updated_at": item.updated_at.as_datetime(),
        })
    };
    content.menu.items.iter().map(item).collect::<Json>().into()
}

fn sub_items(content: &CompanyContent) -> Value {
    let item = |item: &iam_domain::SubMenuItem| {
        json!({
            "id": item.id, "menu_item_id": item.menu_item_id, "label": item.label, "view_id": item.view_id,
            "feature_id": item.feature_id, "icon": item.icon, "sort_order": item.sort_order, "enabled": item.enabled,
            "created_at": item.created_at.as_datetime(), "updated_at": item.updated_at.as_datetime(),
        })
    };
    content.menu.sub_items.iter().map(item).collect::<Json>().into()
}

/// Collects one column of rows into an SQL array.
fn array<R, T>(rows: &[R], column: impl Fn(&R) -> T) -> Value
where
    Vec<T>: Into<Value>,
{
    rows.iter().map(column).collect::<Vec<T>>().into()
}

fn view_cells(levels: &[CopiedLevel]) -> [Value; 7] {
    let cells: Vec<_> = levels.iter().flat_map(|of| of.views.iter().map(|cell| (of.level.id, cell))).collect();
    [
        array(&cells, |(level, _)| level.as_uuid()),
        array(&cells, |(_, cell)| cell.id.as_uuid()),
        array(&cells, |(_, cell)| cell.view_id.as_uuid()),
        array(&cells, |(_, cell)| cell.state.to_string()),
        array(&cells, |(_, cell)| cell.modifiable),
        array(&cells, |(_, cell)| cell.created_at.as_datetime()),
        array(&cells, |(_, cell)| cell.updated_at.as_datetime()),
    ]
}

fn feature_cells(levels: &[CopiedLevel]) -> [Value; 9] {
    let cells: Vec<_> = levels.iter().flat_map(|of| of.features.iter().map(|cell| (of.level.id, cell))).collect();
    [
        array(&cells, |(level, _)| level.as_uuid()),
        array(&cells, |(_, cell)| cell.id.as_uuid()),
        array(&cells, |(_, cell)| cell.feature_id.as_uuid()),
        array(&cells, |(_, cell)| cell.action.to_string()),
        array(&cells, |(_, cell)| cell.value),
        array(&cells, |(_, cell)| cell.scope.to_string()),
        array(&cells, |(_, cell)| cell.modifiable),
        array(&cells, |(_, cell)| cell.created_at.as_datetime()),
        array(&cells, |(_, cell)| cell.updated_at.as_datetime()),
    ]
}

fn assigned(content: &CompanyContent) -> [Value; 4] {
    let held = content
        .holders
        .iter()
        .flat_map(|(user, held)| held.iter().map(move |(level, period)| (user.as_uuid(), level.as_uuid(), *period)));
    let held: Vec<(Uuid, Uuid, Period)> = held.collect();
    [
        array(&held, |(user, _, _)| *user),
        array(&held, |(_, level, _)| *level),
        array(&held, |(_, _, period)| micros(period.starts_at)),
        array(&held, |(_, _, period)| micros(period.expires_at)),
    ]
}
