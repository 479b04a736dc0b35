#!/usr/bin/env bash
# Fuzzes the API: Schemathesis derives requests from /openapi.json of a demo server, sends them, and checks that each
# response conforms to the document and is not a server error. One pass authenticates as a super admin, the other pass
# as a member. Each pass starts its own server.
# usage: tests/fuzz/run.sh IAM_HTTP (the path of the server binary)
# FUZZ_CASES: maximum number of cases per operation (400). FUZZ_SECONDS: time limit of each pass (300). SEED: the seed.
set -euo pipefail

server=$(realpath "$1")
source=$(cd "$(dirname "$0")" && pwd)
cases=${FUZZ_CASES:-400}
seconds=${FUZZ_SECONDS:-300}
seed=${SEED:-$(date +%s)}
venv=$(realpath -m "${CARGO_TARGET_DIR:-$source/../../target}")/fuzz-venv
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-fuzz.XXXXXX")
child=

stop_server() {
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        child=
    fi
}
finish() {
    stop_server
    rm -rf "$work"
}
trap finish EXIT

step() { printf 'fuzz: %s\n' "$*"; }

if ! python3 -c 'import ensurepip' 2>/dev/null; then
    step "install Python"
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3 python3-venv
fi
if ! cmp -s "$source/requirements.txt" "$venv/requirements.txt"; then
    step "install Schemathesis"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check install -r "$source/requirements.txt"
    cp "$source/requirements.txt" "$venv"
fi

# The checks of each response. In addition to conformance, they verify that undocumented methods are rejected.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
checks+=,response_headers_conformance,unsupported_method,allow_header_conformance

# usage: pass ROLE SHARE (the minimum share of operations that succeed at least once, in percent)
pass() {
    step "requests of the $1, at most $cases per operation and $seconds s, SEED=$seed"
    # The log of the previous pass must not be read.
    : >"$work/server.log"
    # Rate limits are disabled, so that no request is rejected before it is validated.
    env IAM__RATE_LIMIT__PER_USER=0 IAM__RATE_LIMIT__PER_COMPANY=0 IAM__RATE_LIMIT__LOADS_PER_USER=0 \
        IAM__RATE_LIMIT__FAILURES_PER_ADDRESS=0 DATABASE_URL='' PORT=0 IAM__ADMIN__PORT=0 "$server" demo \
        >"$work/server.log" 2>&1 &
    child=$!
    local deadline=$((SECONDS + 60))
    until grep -q '^# List the user levels' "$work/server.log"; do
        if ! kill -0 "$child" || [ "$SECONDS" -ge "$deadline" ]; then
            cat "$work/server.log"
            step "the server did not print the output of the demo within a minute"
            exit 1
        fi
        sleep 0.1
    done
    BASE_URL=$(sed -n 's,^export API=\(.*\)/api/iam$,\1,p' "$work/server.log")
    COMPANY=$(sed -n 's/^export COMPANY=//p' "$work/server.log")
    TOKEN=$(sed -n 's/^export SUPER_ADMIN_TOKEN=//p' "$work/server.log")
    if [ "$1" = member ]; then
        local user
        user=$(BASE_URL="$BASE_URL" COMPANY="$COMPANY" TOKEN="$TOKEN" python3 "$source/member.py")
        TOKEN=$("$server" token --user "$user")
    fi
    RESPONSES="$work/responses.json"
    export BASE_URL COMPANY TOKEN RESPONSES
    # Schemathesis stores its cache in the current directory.
    local directory outcome=0
    directory=$(mktemp -d "$work/pass.XXXXXX")
    (cd "$directory" && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$source" SCHEMATHESIS_HOOKS=hooks "$venv/bin/schemathesis" run \
        "$BASE_URL/openapi.json" --header "Authorization: Bearer $TOKEN" --checks "$checks" --max-examples "$cases" \
        --max-time "$seconds" --seed "$seed" --continue-on-failure --generation-database none --warnings off) || outcome=1
    "$venv/bin/python" "$source/check_responses.py" "$RESPONSES" "$2" || outcome=1
    if ! kill -0 "$child" || grep -q 'panicked at' "$work/server.log"; then
        step "the server has panicked or exited"
        grep -A5 'panicked at' "$work/server.log" || tail -n 20 "$work/server.log"
        outcome=1
    fi
    stop_server
    return "$outcome"
}

# The demo and the command that creates tokens sign with the same secret.
export JWT_SECRET=for-fuzzing-in-development-only-32-bytes
failed=0
pass 'super admin' 75 || failed=1
pass member 10 || failed=1
if [ "$failed" -ne 0 ]; then
    step "failed; repeat the requests with SEED=$seed"
    exit 1
fi
step "every response conforms to the document"
