//! The eighth migration: the global lock, which only roles that may change data can acquire.

use sea_orm_migration::prelude::*;

/// Creates the table of the global lock, in a schema of its own, and the two functions that lock the table.
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

/// The lock is a table lock on an empty table. Privileges on the table would not protect it: a role that may use the
/// table's schema can lock the table with `PREPARE … FOR SHARE`, because PostgreSQL locks a table before it checks
/// privileges. Therefore the table is in a schema that no other role may use. The name of this schema is the name of
/// the installation's schema followed by `_lock`, so installations in several schemas do not share a lock.
///
/// The functions run with the privileges of their owner. Roles that may update `company_states` may execute the
/// functions, because these roles can block changes anyway, with row locks. No other role may execute the functions.
///
/// The table has no index and no column. An index would allow any role to lock the table for a moment with
/// `brin_summarize_new_values`, which also locks a table before it checks privileges.
pub(crate) const UP: &str = r#"
DO $do$
DECLARE
    own CONSTANT text := current_schema();
    lock_schema CONSTANT text := CASE WHEN octet_length(own) <= 58 THEN own ELSE md5(own) END || '_lock';
    grants record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = lock_schema) THEN
        EXECUTE format('CREATE SCHEMA %I', lock_schema);
    ELSIF (SELECT nspowner FROM pg_namespace WHERE nspname = lock_schema) <> quote_ident(current_user)::regrole THEN
        RAISE EXCEPTION 'the schema % belongs to another role; the role that migrates must own it', lock_schema;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I.iam_changes', lock_schema);
    EXECUTE format('CREATE TABLE %I.iam_changes ()', lock_schema);

    -- Waits for the lock, and returns true.
    EXECUTE format($sql$
        CREATE FUNCTION iam_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE;
            END IF;
            RETURN true;
        END
        $body$
    $sql$, lock_schema);

    -- Returns false, without waiting, if the lock is not available.
    EXECUTE format($sql$
        CREATE FUNCTION iam_try_lock_changes(is_exclusive boolean) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            IF is_exclusive THEN
                LOCK TABLE %1$I.iam_changes IN EXCLUSIVE MODE NOWAIT;
            ELSE
                LOCK TABLE %1$I.iam_changes IN ROW SHARE MODE NOWAIT;
            END IF;
            RETURN true;
        EXCEPTION WHEN lock_not_available THEN
            RETURN false;
        END
        $body$
    $sql$, lock_schema);

    -- Revokes what PostgreSQL and the default privileges of the owner have granted.
    FOR grants IN
        SELECT 'SCHEMA ' || quote_ident(nspname) AS object, privilege.grantee
        FROM pg_namespace, aclexplode(nspacl) AS privilege
        WHERE nspname = lock_schema AND privilege.grantee <> nspowner
        UNION
        SELECT 'FUNCTION ' || lock.oid::regprocedure, privilege.grantee
        FROM pg_proc AS lock, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS privilege
        WHERE lock.oid IN ('iam_lock_changes(boolean)'::regprocedure, 'iam_try_lock_changes(boolean)'::regprocedure)
            AND privilege.grantee <> proowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', grants.object,
            CASE grants.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grants.grantee)) END);
    END LOOP;

    FOR grants IN
        SELECT privilege.grantee FROM pg_class, aclexplode(relacl) AS privilege
        WHERE pg_class.oid = 'company_states'::regclass AND privilege.privilege_type = 'UPDATE'
            AND privilege.grantee <> 0
        UNION
        SELECT relowner FROM pg_class WHERE oid = 'company_states'::regclass
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION iam_lock_changes(boolean), iam_try_lock_changes(boolean) TO %I',
            pg_get_userbyid(grants.grantee));
    END LOOP;
END
$do$;
"#;

/// Reverts [`UP`].
pub(crate) const DOWN: &str = "
DROP FUNCTION iam_lock_changes(boolean), iam_try_lock_changes(boolean);

DO $do$
DECLARE
    own CONSTANT text := current_schema();
    lock_schema CONSTANT text := CASE WHEN octet_length(own) <= 58 THEN own ELSE md5(own) END || '_lock';
BEGIN
    EXECUTE format('DROP TABLE %I.iam_changes', lock_schema);
    EXECUTE format('DROP SCHEMA %I', lock_schema);
END
$do$;
";
