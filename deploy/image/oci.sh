#!/usr/bin/env bash
# Writes the container image as an OCI archive, without a container engine: the same root file system and the same
# configuration as deploy/Containerfile. Needs umoci and skopeo.
# usage: deploy/image/oci.sh BINARIES ARCHIVE [NAME:TAG]
set -euo pipefail

binaries=${1:?usage: deploy/image/oci.sh BINARIES ARCHIVE [NAME:TAG]}
archive=$(realpath -m "${2:?usage: deploy/image/oci.sh BINARIES ARCHIVE [NAME:TAG]}")
name=${3:-iam-http:0.1.0}
source=$(cd "$(dirname "$0")" && pwd)

for tool in umoci skopeo; do
    command -v "$tool" >/dev/null || { echo "the image needs umoci and skopeo (apt-get install umoci skopeo)" >&2; exit 1; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/iam-image.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$source/root.sh" "$binaries" "$work/root"
image="$work/image:${name##*:}"
umoci init --layout "$work/image"
umoci new --image "$image"
umoci insert --rootless --image "$image" "$work/root" /
umoci config --image "$image" --config.user 65532:65532 --config.entrypoint /usr/local/bin/iam \
    --config.env IAM__SERVER__HOST=0.0.0.0 --config.env IAM__ADMIN__HOST=0.0.0.0 \
    --config.exposedports 3001/tcp --config.exposedports 9464/tcp \
    --config.label org.opencontainers.image.title=iam \
    --config.label "org.opencontainers.image.version=${name##*:}" \
    --config.label "org.opencontainers.image.revision=${REVISION:-unknown}" \
    --config.label 'org.opencontainers.image.description=Multi-tenant authorization service'
mkdir -p "$(dirname "$archive")"
rm -f "$archive"
skopeo --insecure-policy copy --quiet "oci:$image" "oci-archive:$archive:$name"
