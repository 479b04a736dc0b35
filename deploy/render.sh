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
has() {
    printf "%s\n" "$manifests" | grep -q "^kind: $1\$"
}

# docs/deployment.md explains the connection budget.
replicas=$(value maxReplicas)
replicas=${replicas:-$(value replicas)}
replicas=${replicas:-1}
pool=$(value IAM__DATABASE__MAX_CONNECTIONS)
pool=${pool:-16}
needed=$(((replicas + 1) * (pool + 3)))
if has Job; then needed=$((needed + 1)); fi
if has CronJob; then needed=$((needed + 1)); fi
if [ "$(value USE_DATABASE)" = false ]; then needed=0; fi
if [ "$needed" -gt $((max_connections - 3)) ]; then
    echo "$overlay: $replicas replicas with pools of $pool need $needed connections, but PostgreSQL accepts" \
        "$((max_connections - 3)) of $max_connections: lower maxReplicas or IAM__DATABASE__MAX_CONNECTIONS, or raise" \
        "max_connections" >&2
    exit 1
fi

old=$(printf "%s\n" "$manifests" | sed -n 's/^  name: \(iam-migration-.*\)$/\1/p' | head -n 1)
if [ -n "$old" ]; then
    # The image of the Job follows its kind, before the next document.
    image=$(printf "%s\n" "$manifests" | awk '/^---/ { job = 0 } /^kind: Job$/ { job = 1 } job && $1 == "image:" { print $2; exit }')
    new=$("$(dirname "$0")/job-name.sh" "$image")
    manifests=$(printf "%s\n" "$manifests" | sed "s/^  name: $old\$/  name: $new/")
fi
printf "%s\n" "$manifests"
