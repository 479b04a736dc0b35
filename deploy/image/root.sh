#!/bin/sh
# Writes the root file system of the image to FOLDER: the programs in BINARIES (`iam` and `migration`), the shared libraries
# that they need, the SBOM, the CA certificates of this machine, and the files that resolve the user and host names.
# usage: deploy/image/root.sh BINARIES FOLDER
set -eu

binaries=${1:?usage: deploy/image/root.sh BINARIES FOLDER}
root=${2:?usage: deploy/image/root.sh BINARIES FOLDER}
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || { echo "$certificates is missing: install the package ca-certificates" >&2; exit 1; }

umask 022
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs"
for program in iam migration; do
    install -m 755 "$binaries/$program" "$root/usr/local/bin/$program"
    # ldd prints `NAME => PATH (ADDRESS)` for libraries, and `PATH (ADDRESS)` for the dynamic linker.
    ldd "$binaries/$program" | sed -n 's/^.*=> *\(\/[^ ]*\) (.*$/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*$/\1/p'
done | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    install -m 755 "$(realpath "$library")" "$root$library"
done
ln -sfn iam "$root/usr/local/bin/iam-http"
# Only a release build (build.sh) has an SBOM.
if [ -e "$binaries/iam.cdx.json" ]; then
    mkdir -p "$root/usr/share/sbom"
    install -m 644 "$binaries/iam.cdx.json" "$root/usr/share/sbom/iam.cdx.json"
fi
install -m 644 "$certificates" "$root$certificates"
echo 'iam:x:65532:65532:iam:/:/sbin/nologin' >"$root/etc/passwd"
echo 'iam:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
