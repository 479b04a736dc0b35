#!/bin/sh
# Checks the alerts of the component `monitoring`, and runs the cases of cases.yaml. Needs kubectl, and promtool from the
# package `prometheus` of Debian.
set -eu

cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The specification of a PrometheusRule is a rule file.
kubectl annotate --local --filename=../../deploy/components/monitoring/alerts.yaml none- --output='jsonpath={.spec}' \
    >"$folder/alerts.yaml"
cp cases.yaml "$folder/cases.yaml"
promtool check rules "$folder/alerts.yaml"
promtool test rules "$folder/cases.yaml"
