#!/usr/bin/env bash
# Tests the container image: writes it as an OCI archive, unpacks the archive, and runs the service in its root file system
# as an unprivileged user. Needs root for chroot, and installs umoci and skopeo if they are missing.
# usage: tests/image/run.sh BINARIES (a folder with the programs iam and migration)
set -euo pipefail

binaries=$(realpath "$1")
source=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" -ne 0 ]; then
    exec sudo -n "$0" "$@"
fi
if ! { command -v umoci && command -v skopeo && command -v openssl && command -v python3; } >/dev/null; then
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends umoci skopeo openssl python3
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-image-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# The unprivileged user must be able to reach the root file system.
chmod 755 "$work"

REVISION=$(git -C "$source" rev-parse HEAD 2>/dev/null || echo unknown) \
    "$source/../../deploy/image/oci.sh" "$binaries" "$work/iam.tar" iam-http:test
skopeo --insecure-policy copy --quiet "oci-archive:$work/iam.tar" "oci:$work/image:test"
umoci unpack --image "$work/image:test" "$work/bundle"
skopeo inspect --config "oci:$work/image:test" >"$work/config.json"
python3 "$source/test_image.py" "$work/bundle/rootfs" "$work/config.json"
echo "image: $(stat -c %s "$work/iam.tar") bytes"
