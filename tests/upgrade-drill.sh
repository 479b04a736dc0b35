#!/usr/bin/env bash
# Builds the release of a git ref in a temporary worktree, and runs the upgrade drill from it to this checkout
# (tests/it/process/upgrades.rs). The dependencies of the old release are kept in the target directory.
# usage: tests/upgrade-drill.sh REF
set -euo pipefail

ref=$(git rev-parse --verify "${1:?usage: tests/upgrade-drill.sh REF}^{commit}")
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-upgrade.XXXXXX")
trap 'git worktree remove --force "$work/old"; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/old" "$ref"

echo "building the old release: $(git log -1 --format='%h %s' "$ref")" >&2
(cd "$work/old" && cargo build --locked -p iam-http -p migration --bins --target-dir "$target/upgrade-drill")
if git grep -q IAM__ADMIN__PORT "$ref" -- docs/settings.md; then
    export IAM_OLD_HAS_ADMIN_PORT=true
fi
IAM_OLD_PROGRAMS=$target/upgrade-drill/debug tests/with-postgres.sh \
    cargo test -p iam-tests --test it -- --ignored --nocapture an_upgrade_and_a_rollback_fail_no_request
