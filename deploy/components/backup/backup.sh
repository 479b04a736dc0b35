#!/bin/sh
# Dumps the database that DATABASE_URL specifies to a new file in BACKUP_FOLDER, records the time in the database, and
# deletes all but the latest BACKUP_KEEP dumps. A dump that fails leaves the other dumps untouched.
set -eu

case $BACKUP_KEEP in
'' | *[!0-9]* | 0*)
    echo 'BACKUP_KEEP must be a number of dumps, at least 1' >&2
    exit 1
    ;;
esac
cd "$BACKUP_FOLDER"
# A dump has its final name only when it is complete. Only one process writes to the folder, so other incomplete dumps
# are those of processes that were killed.
rm -f iam-*.dump.part
name=iam-$(date -u +%Y%m%dT%H%M%SZ).dump
trap 'rm -f "$name.part"' EXIT
trap 'exit 1' HUP INT TERM
# docs/persistence.md explains the options.
PGOPTIONS='-c iam.company=all' pg_dump --dbname="$DATABASE_URL" --enable-row-security --format=custom --no-blobs \
    --exclude-schema=iam_original --exclude-table-data='effective_view_permissions*' \
    --exclude-table-data='effective_feature_permissions*' --exclude-table-data=nav_trail --file="$name.part"
pg_restore --list "$name.part" >/dev/null
mv "$name.part" "$name"
echo "wrote $name"
# The service exports this time as a metric.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$DATABASE_URL" \
    --command='UPDATE iam_installation SET last_backup_at = statement_timestamp()'

# The names sort by time.
find . -maxdepth 1 -name 'iam-*.dump' | sort -r | tail -n +"$((BACKUP_KEEP + 1))" | while read -r old; do
    rm "$old"
    echo "deleted ${old#./}"
done
