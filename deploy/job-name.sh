#!/bin/sh
# Prints the name of the migration Job for an image. Jobs are immutable, so the name contains a hash of the image, of the
# names of the migrations and of the Job in deploy/base: if one of them differs, so does the name, and the same Job is not
# repeated.
set -eu

image=${1:?usage: deploy/job-name.sh IMAGE}
cd "$(dirname "$0")"
hash=$({
    echo "$image"
    (cd ../migration/src && LC_ALL=C ls m[0-9]*.rs)
    sed '/^  name: iam-migration-/d' base/migration-job.yaml
} | sha256sum | cut -c 1-10)
echo "iam-migration-$hash"
