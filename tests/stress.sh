#!/usr/bin/env bash
# Runs a command several times while four busy loops load the CPU. Stops at the first failure and prints the output of
# the failed run.
# usage: tests/stress.sh TIMES COMMAND [ARGUMENT...]
set -euo pipefail

say() { printf 'stress: %s\n' "$*" >&2; }

times=${1:-}
if ! [[ "$times" =~ ^[1-9][0-9]*$ ]] || [ "$#" -lt 2 ]; then
    say "usage: tests/stress.sh TIMES COMMAND [ARGUMENT...], TIMES at least 1"
    exit 2
fi
shift

log=$(mktemp "${TMPDIR:-/tmp}/iam-stress.XXXXXX")
loops=
child=

finish() {
    trap '' INT TERM
    # The command is terminated first, so that it can terminate the processes that it started.
    if [ -n "$child" ] && kill "$child" 2>/dev/null; then
        wait "$child" || true
    fi
    for loop in $loops; do
        kill "$loop" 2>/dev/null || true
    done
    rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Each loop regularly checks whether this script is still running, so that the loop ends even if the script is killed.
script=$$
for _ in 1 2 3 4; do
    (
        trap - EXIT INT TERM
        while kill -0 "$script" 2>/dev/null; do
            for ((turn = 0; turn < 100000; turn++)); do :; done
        done
    ) &
    loops="$loops $!"
done

for ((run = 1; run <= times; run++)); do
    begin=$SECONDS
    status=0
    # The command runs in the background, because bash runs traps during `wait`, but not while a foreground command
    # runs.
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    wait "$child" || status=$?
    child=
    if [ "$status" -ne 0 ]; then
        cat "$log"
        say "run $run of $times failed with status $status after $((SECONDS - begin)) s"
        exit "$status"
    fi
    say "run $run of $times passed in $((SECONDS - begin)) s"
done
