#!/usr/bin/env bash
# Starts a private PostgreSQL server, runs a command with its URL in TEST_DATABASE_URL, and stops the server.
#
#   tests/with-postgres.sh cargo test --workspace
#
# If TEST_DATABASE_URL is already set, the script starts no server. Otherwise it searches for the server programs, or
# installs them if it may use apt-get. IAM_PG_BINDIR sets the folder of the programs and disables the search. PG sets the
# major version: PG=18 finds PostgreSQL 18, or installs it below the target directory (tests/tools/postgres.sh). Each
# server has its own data folder and an unused port of 127.0.0.1, so several servers can run at the same time. The
# script exits with the exit code of the command, and forwards INT, TERM and HUP to the command and its child processes.
set -euo pipefail

say() { printf 'with-postgres: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${CARGO_TARGET_DIR:-$source/../target}/tools

if [ $# -eq 0 ]; then
    say "usage: tests/with-postgres.sh COMMAND [ARGUMENT…]"
    exit 2
fi
if [ -n "${TEST_DATABASE_URL:-}" ]; then
    exec "$@"
fi

# --- Find the server programs ---

# Prints the folders that may contain the server programs, in order of preference.
candidates() {
    if [ -n "${IAM_PG_BINDIR:-}" ]; then
        printf '%s\n' "$IAM_PG_BINDIR"
        return
    fi
    if [ -n "${PG:-}" ]; then printf '%s\n' "$tools/postgresql-$PG/bin"; fi
    if have initdb; then dirname "$(command -v initdb)"; fi
    if have pg_config; then pg_config --bindir; fi
    local dir
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql*/bin /usr/local/pgsql/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /opt/local/lib/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin; do
        printf '%s\n' "$dir"
    done | sort -rV
}

# Succeeds if the programs in this folder have the major version that PG specifies, if it specifies one.
is_wanted() {
    [ -z "${PG:-}" ] || "$1/postgres" --version | grep -Eq "^postgres \(PostgreSQL\) $PG([^0-9]|\$)"
}

find_server() {
    local dir found=
    while IFS= read -r dir; do
        if [ -z "$found" ] && [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/postgres" ] && is_wanted "$dir"; then
            found=$dir
        fi
    done < <(candidates)
    printf '%s' "$found"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs packages of the distribution without starting their services: no system-wide PostgreSQL cluster is created
# (as Debian would by default), and PgBouncer is not started.
install() {
    if ! have apt-get || ! as_root true 2>/dev/null; then
        return 1
    fi
    say "installing: $*"
    local drop_in=/etc/postgresql-common/createcluster.d/with-postgres.conf status=0
    as_root mkdir -p "${drop_in%/*}"
    echo 'create_main_cluster = false' | as_root tee "$drop_in" >/dev/null
    {
        as_root apt-get -q update &&
            as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=300 \
                install -y --no-install-recommends "$@"
    } </dev/null >&2 || status=$?
    as_root rm -f "$drop_in"
    return "$status"
}

install_server() {
    if [ -n "${IAM_PG_BINDIR:-}" ]; then return 1; fi
    case ${PG:-} in
        '') install postgresql ;;
        18) "$source/tools/postgres.sh" "$tools/postgresql-18" ;;
        *) install "postgresql-$PG" ;;
    esac
}

# Succeeds if PgBouncer is installed. One test connects to a PostgreSQL server through PgBouncer, and fails without it.
find_pooler() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer >/dev/null
}
if ! find_pooler && ! install pgbouncer; then
    say "pgbouncer was not found and could not be installed automatically: one test will fail"
fi

# Succeeds if HAProxy is installed. One test restarts replicas behind it, and fails without it.
find_balancer() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v haproxy >/dev/null
}
if ! find_balancer && ! install haproxy; then
    say "haproxy was not found and could not be installed automatically: one test will fail"
fi

bindir=$(find_server)
if [ -z "$bindir" ] && install_server; then
    bindir=$(find_server)
fi
if [ -z "$bindir" ]; then
    cat >&2 <<'HELP'
with-postgres: initdb, pg_ctl and postgres (of the version in PG, if it is set) were not found and could not be installed
automatically. Install PostgreSQL:

  Debian, Ubuntu   sudo apt-get install postgresql
  Fedora           sudo dnf install postgresql-server
  Arch             sudo pacman -S postgresql
  macOS            brew install postgresql@17

or set IAM_PG_BINDIR to the folder that contains them, or TEST_DATABASE_URL to a server with a user that may create databases.
HELP
    exit 1
fi
bindir=$(cd "$bindir" && pwd)

# --- Start the server ---

# PostgreSQL refuses to run as root. If this script runs as root, it starts the server as an unprivileged user.
server_user=
if [ "$(id -u)" -eq 0 ]; then
    for user in postgres nobody; do
        if id "$user" >/dev/null 2>&1; then
            server_user=$user
            break
        fi
    done
    if [ -z "$server_user" ]; then
        say "PostgreSQL refuses to run as root, and neither the user 'postgres' nor the user 'nobody' exists to run it"
        exit 1
    fi
fi

if [ -n "$server_user" ] && ! su -s /bin/sh "$server_user" -c "test -x '$bindir/postgres'"; then
    say "the user '$server_user' cannot run $bindir/postgres: move the checkout to a folder that this user can read"
    exit 1
fi

# Runs a PostgreSQL program as the server's user, in the server's folder, with English messages.
server() {
    (
        cd "$dir"
        export LC_ALL=C
        program=$bindir/$1
        shift
        if [ -z "$server_user" ]; then
            exec "$program" "$@"
        elif have runuser; then
            exec runuser -u "$server_user" -- "$program" "$@"
        elif have setpriv; then
            exec setpriv --reuid="$(id -u "$server_user")" --regid="$(id -g "$server_user")" --clear-groups "$program" "$@"
        else
            exec su -s /bin/sh "$server_user" -c "$(printf '%q ' "$program" "$@")"
        fi
    ) </dev/null
}

dir=
child=

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$dir" ]; then
        if [ -f "$dir/data/postmaster.pid" ]; then
            server pg_ctl -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
        fi
        rm -rf "$dir"
    fi
    exit "$status"
}

# Forwards a signal to the command's process group. Kills the remaining processes of the group when the command has
# exited, after ten seconds, or at a second signal, whichever comes first.
# shellcheck disable=SC2317 # a trap calls it
interrupted() {
    if [ -n "$child" ]; then
        trap 'kill -s KILL -- "-$child" 2>/dev/null || true' INT TERM HUP
        kill -s "$1" -- "-$child" 2>/dev/null || true
        local tenths=100
        while [ "$tenths" -gt 0 ] && kill -s 0 "$child" 2>/dev/null; do
            sleep 0.1 || true
            tenths=$((tenths - 1))
        done
        kill -s KILL -- "-$child" 2>/dev/null || true
    fi
    exit "$2"
}

trap clean_up EXIT
trap 'interrupted HUP 129' HUP
trap 'interrupted INT 130' INT
trap 'interrupted TERM 143' TERM

# The data folder is in /dev/shm if that is a tmpfs with enough space, because each test copies a database of about a
# thousand files. Otherwise the data folder is in /tmp or TMPDIR. The server's user may have no access to root's TMPDIR.
memory=/dev/shm
room=$(df -Pk "$memory" 2>/dev/null | awk 'NR == 2 && $1 == "tmpfs" { print int($4 / 1024) }' || true)
free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
if [ "${room:-0}" -ge 2048 ] && [ "${free:-0}" -ge 4096 ] && [ -w "$memory" ]; then
    base=$memory
elif [ -n "$server_user" ]; then
    base=/tmp
else
    base=${TMPDIR:-/tmp}
fi
dir=$(mktemp -d "${base%/}/iam-postgres.XXXXXX")
if [ -n "$server_user" ]; then
    chown "$server_user" "$dir"
fi

init() {
    server initdb --no-sync --auth=trust --encoding=UTF8 --locale="$1" -U iam_test -D "$dir/data" >"$dir/initdb.log" 2>&1
}
if ! init C.UTF-8 && ! init C; then
    cat "$dir/initdb.log" >&2
    say "initdb failed"
    exit 1
fi

# The data is deleted when the command exits, so durability (fsync) is disabled. If the port is already in use, the
# start fails and another port is tried.
options="-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300 -c shared_buffers=64MB"
options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_wal_size=256MB"
port=
tries=20
while [ -z "$port" ]; do
    candidate=$((20000 + RANDOM % 12000))
    rm -f "$dir/server.log"
    if server pg_ctl -D "$dir/data" -l "$dir/server.log" -w -o "-p $candidate $options" start >"$dir/start.log" 2>&1; then
        port=$candidate
    elif tries=$((tries - 1)) && [ "$tries" -gt 0 ] && grep -q 'could not bind' "$dir/server.log"; then
        continue
    else
        cat "$dir/start.log" "$dir/server.log" >&2 || true
        say "the server did not start"
        exit 1
    fi
done

# --- Run the command ---

export TEST_DATABASE_URL="postgres://iam_test@127.0.0.1:$port/postgres"
# Some tests start and stop their own PostgreSQL servers.
export IAM_PG_BINDIR=$bindir
say "$("$bindir/postgres" --version) at $TEST_DATABASE_URL"

# The command runs in its own process group, so that a signal can be sent to all its processes. A background process
# group cannot read from a terminal, so standard input is redirected.
if [ -t 0 ]; then
    exec </dev/null
fi
set -m
"$@" &
child=$!
set +m

status=0
wait "$child" || status=$?
exit "$status"
