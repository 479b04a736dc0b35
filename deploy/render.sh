#!/bin/sh
# Prints the manifests of an overlay, for `kubectl apply -f -`. Fails without output if the pods may open more connections
# than PostgreSQL accepts. Names the migration Job after its image (job-name.sh).
set -eu

usage='usage: deploy/render.sh OVERLAY MAX_CONNECTIONS, where MAX_CONNECTIONS is the setting of PostgreSQL'
overlay=${1:?$usage}
max_connections=${2:?$usage}
manifests=$(kubectl kustomize "$overlay")

# Prints the first value of a key. The output of kustomize has one member on each line.
value() {
    printf "%s\n" "$manifests" | sed -n "s/^ *$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | head -n 1
}
# Prints the value of an environment variable of the Deployment, or else its value in the ConfigMap.
variable() {
    own=$(printf "%s\n" "$manifests" | awk -v name="$1" '
        /^---/ { kind = "" } /^kind: / { kind = $2 }
        kind == "Deployment" && $1 == "-" && $2 == "name:" { is_asked = ($3 == name) }
        kind == "Deployment" && is_asked && $1 == "value:" { gsub(/"/, "", $2); print $2; exit }')
    echo "${own:-$(value "$1")}"
}
has() {
    printf "%s\n" "$manifests" | grep -q "^kind: $1\$"
}

# docs/deployment.md explains the connection budget.
replicas=$(value maxReplicas)
replicas=${replicas:-$(value replicas)}
replicas=${replicas:-1}
pool=$(variable IAM__DATABASE__MAX_CONNECTIONS)
pool=${pool:-16}
# An update runs one new pod and one pod that ends beside all replicas.
needed=$(((replicas + 2) * (pool + 3)))
# The migration Job migrates with one connection, builds indexes with another one, and looks for blocking sessions with a third one.
if has Job; then needed=$((needed + 3)); fi
if has CronJob; then needed=$((needed + 1)); fi
if [ "$(variable USE_DATABASE)" = false ]; then needed=0; fi
if [ "$needed" -gt $((max_connections - 3)) ]; then
    echo "$overlay: $replicas replicas with pools of $pool need $needed connections, but PostgreSQL accepts" \
        "$((max_connections - 3)) of $max_connections: lower maxReplicas or IAM__DATABASE__MAX_CONNECTIONS, or raise" \
        "max_connections" >&2
    exit 1
fi

if printf "%s\n" "$manifests" | grep -q '^  name: .*iam-migration-[0-9a-f]\{10\}'; then
    # The image of the Job follows its kind, before the next document.
    image=$(printf "%s\n" "$manifests" | awk '/^---/ { job = 0 } /^kind: Job$/ { job = 1 } job && $1 == "image:" { print $2; exit }')
    new=$("$(dirname "$0")/job-name.sh" "$image")
    # The overlay may add a prefix and a suffix to the name.
    manifests=$(printf "%s\n" "$manifests" | sed "s/^\(  name: .*\)iam-migration-[0-9a-f]\{10\}/\1$new/")
fi
printf "%s\n" "$manifests"
