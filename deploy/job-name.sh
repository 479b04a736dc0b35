#!/bin/sh
# Prints the name of the migration Job for an image. Jobs are immutable, so the name contains a hash of the image and of
# the names of the migrations: another image or another migration is another Job, and the same Job is not repeated.
set -eu

image=${1:?usage: deploy/job-name.sh IMAGE}
cd "$(dirname "$0")/../migration/src"
hash=$({ echo "$image"; LC_ALL=C ls m[0-9]*.rs; } | sha256sum | cut -c 1-10)
echo "iam-migration-$hash"
