#!/usr/bin/env bash
# Generates clients from docs/openapi.json with three generators, type-checks them, and runs a small program with each
# of them against a demo server. Also lints the document. Everything is installed into a temporary directory.
# usage: tests/clients/run.sh IAM_HTTP (the path of the server binary)
set -euo pipefail

server=$(realpath "$1")
source=$(cd "$(dirname "$0")" && pwd)
document="$source/../../docs/openapi.json"
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-clients.XXXXXX")
child=

finish() {
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

step() { printf 'clients: %s\n' "$*"; }

cp -R "$source/." "$work"
cp "$document" "$work/openapi.json"
cd "$work"

if ! command -v npm >/dev/null || ! python3 -c 'import ensurepip' 2>/dev/null; then
    step "install Node and Python"
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends nodejs npm python3 python3-venv
fi

step "install the generators"
npm install --no-audit --no-fund --loglevel=error
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install -r requirements.txt
export PATH="$work/venv/bin:$work/node_modules/.bin:$PATH"

step "lint the document"
redocly lint openapi.json
spectral lint --fail-severity=hint openapi.json

step "generate the clients"
openapi-typescript openapi.json --output paths.d.ts
openapi-ts --input openapi.json --output sdk --client @hey-api/client-fetch
openapi-python-client generate --path openapi.json --output-path python --fail-on-warning

step "check the types"
tsc
pip --quiet --disable-pip-version-check install ./python
mypy --strict with_python.py

step "start the demo server"
: >server.log
DATABASE_URL='' JWT_SECRET='' PORT=0 "$server" demo >server.log 2>&1 &
child=$!
until grep -q '^# List the user levels' server.log; do
    kill -0 "$child" || { cat server.log; exit 1; }
    sleep 0.1
done
BASE_URL=$(sed -n 's,^export API=\(.*\)/api/iam$,\1,p' server.log)
COMPANY=$(sed -n 's/^export COMPANY=//p' server.log)
TOKEN=$(sed -n 's/^export TOKEN=//p' server.log)
export BASE_URL COMPANY TOKEN

for program in with-openapi-fetch with-hey-api; do
    step "run $program"
    node "build/$program.js"
done
step "run with_python"
python with_python.py
step "all clients work"
