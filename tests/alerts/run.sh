#!/bin/sh
# Checks the alerts of the component `monitoring`, and runs the cases of cases.yaml. Needs kubectl, and promtool from the
# package `prometheus` of Debian.
set -eu

if ! command -v promtool >/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo='sudo -n'; fi
    $sudo apt-get -q update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends prometheus
fi
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The specification of a PrometheusRule is a rule file.
kubectl annotate --local --filename=../../deploy/components/monitoring/alerts.yaml none- --output='jsonpath={.spec}' \
    >"$folder/alerts.yaml"
cp cases.yaml "$folder/cases.yaml"
promtool check rules "$folder/alerts.yaml"
promtool test rules "$folder/cases.yaml"
