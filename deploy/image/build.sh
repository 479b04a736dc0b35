#!/bin/sh
# Builds the release programs `iam` and `migration` with cargo-auditable, which stores the list of their dependencies in
# the programs, and writes the SBOM (CycloneDX, JSON) beside them: TARGET/release/iam.cdx.json. Installs both tools into
# TARGET/tools if they are missing. Runs in the root of the repository.
# usage: deploy/image/build.sh [TARGET]
set -eu

target=${1:-target}
auditable=0.7.7
cyclonedx=0.5.9

mkdir -p "$target"
target=$(cd "$target" && pwd)
export PATH="$target/tools/cargo/bin:$PATH"
for tool in "auditable $auditable" "cyclonedx $cyclonedx"; do
    name=cargo-${tool% *} version=${tool#* }
    case $(cargo install --list --root "$target/tools/cargo" 2>/dev/null) in
    *"$name v$version"*) ;;
    *) cargo install --quiet --locked --root "$target/tools/cargo" "$name@$version" ;;
    esac
done

cargo auditable build --locked --release --target-dir "$target" -p iam-http -p migration --bin iam --bin migration
# The SBOM lists the dependencies of the package `iam-http`, which contains the program `iam`. They include those of
# `migration`. cargo-cyclonedx writes one file into the folder of each package of the workspace.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
cargo cyclonedx --quiet --manifest-path crates/http/Cargo.toml --format json --spec-version 1.5 \
    --target "$(rustc --print host-tuple)" --override-filename iam.cdx
# The identifiers of the workspace's own packages would contain the path of this folder.
sed "s|path+file://$PWD/|path+file:///|g" crates/http/iam.cdx.json >"$target/release/iam.cdx.json"
find . -name target -prune -o -name iam.cdx.json -exec rm {} +
