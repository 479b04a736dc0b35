#!/usr/bin/env bash
# Runs the tests of the console in Chromium. Installs Chromium, its driver and Node with apt-get if they are missing, and
# axe-core and an identity provider into a temporary directory. The screenshots are written to SCREENSHOTS, if it is set.
# usage: tests/browser/run.sh IAM (the path of the program) [FILTER…]
set -euo pipefail

program=$(realpath "$1")
shift
cd "$(dirname "$0")"
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-browser.XXXXXX")
trap 'rm -rf "$work"' EXIT

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null || ! command -v npm >/dev/null; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get -q update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
        chromium chromium-driver nodejs npm
fi

cp package.json provider.mjs "$work"
npm --prefix "$work" install --no-audit --no-fund --loglevel=error
export IAM_PROGRAM=$program
export IAM_TEST_DATABASE=${program%/*}/iam-test-database
export IAM_AXE=$work/node_modules/axe-core/axe.min.js
${CARGO:-cargo} test -p iam-browser --features browser --test browser -- "$@"
