//! The third migration: row-level security. A statement can access only rows of the company that the setting
//! `iam.company` specifies.

use sea_orm_migration::prelude::*;

/// Enables row-level security on the tables with tenant data.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}

/// The setting `iam.company` is the id of a company, or `all` for statements across companies. Any other value, or no
/// value, is an error.
///
/// Each policy reads the setting in a sub-select. So the setting is read once per scan instead of once per row, and
/// only when the scan finds its first row. The setting must not be read at planning time: a statement that first sets
/// `iam.company` and then reads rows would fail, because the setting has no value yet.
pub(crate) const UP: &str = "
DO $$
DECLARE
    own CONSTANT text := $sql$%s = (SELECT nullif(current_setting('iam.company'), 'all')::uuid AS company)
        OR (SELECT current_setting('iam.company') = 'all')$sql$;
    item CONSTANT text := $sql$(SELECT item.company_id FROM menu_items AS item WHERE item.id = menu_item_id)$sql$;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'company_states', 'company2modules', 'user_levels', 'user_level_view_permissions',
        'user_level_feature_permissions', 'user_user_levels', 'menu_items', 'sub_menu_items', 'nav_trail',
        'effective_view_permissions', 'effective_feature_permissions', 'iam_audit_logs'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (%s)', name,
            format(own, CASE name WHEN 'sub_menu_items' THEN item ELSE 'company_id' END));
    END LOOP;
END
$$;

-- Rows that belong to no company are visible to all. If a menu item is not visible, its sub-items are not visible
-- either.
CREATE POLICY shared ON menu_items FOR SELECT USING (company_id IS NULL);
CREATE POLICY shared ON sub_menu_items FOR SELECT
    USING (menu_item_id = (SELECT item.id FROM menu_items AS item WHERE item.id = menu_item_id));
CREATE POLICY shared ON company_states FOR SELECT
    USING (company_id IN ('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'));

-- Writers of a company's effective permissions lock the catalog's row with FOR SHARE, for which PostgreSQL checks the
-- policies for UPDATE. This policy allows the lock, but no change to this row or to the row of the credentials.
CREATE POLICY locked ON company_states FOR UPDATE
    USING (company_id IN ('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    WITH CHECK (false);
";

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP POLICY locked ON company_states;
DROP POLICY shared ON company_states;
DROP POLICY shared ON sub_menu_items;
DROP POLICY shared ON menu_items;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'company_states', 'company2modules', 'user_levels', 'user_level_view_permissions',
        'user_level_feature_permissions', 'user_user_levels', 'menu_items', 'sub_menu_items', 'nav_trail',
        'effective_view_permissions', 'effective_feature_permissions', 'iam_audit_logs'
    ] LOOP
        EXECUTE format('DROP POLICY own ON %I', name);
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;
";
