#!/bin/sh
# Creates the role iam_backup with the password in BACKUP_PASSWORD, or changes its password, and grants it what a dump
# needs: it may read all tables, and record the time of a dump. Run the script after the first migration. The role in
# DATABASE_URL must be able to create roles, and own the tables, be a member of their owner, or be a superuser.
set -eu
: "${BACKUP_PASSWORD:?must be set to the password of the role iam_backup}"
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$DATABASE_URL" <<'SQL'
\getenv password BACKUP_PASSWORD
SELECT schemaname AS schema, schemaname || '_lock' AS lock_schema, tableowner AS owner
FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'iam_installation' \gset
SELECT 'CREATE ROLE iam_backup LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'iam_backup') \gexec
ALTER ROLE iam_backup PASSWORD :'password';
GRANT USAGE ON SCHEMA :"schema", :"lock_schema" TO iam_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema", :"lock_schema" TO iam_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema" GRANT SELECT ON TABLES TO iam_backup;
GRANT UPDATE (last_backup_at) ON iam_installation TO iam_backup;
SQL
