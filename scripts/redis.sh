# Sourced by run_consumer.sh: a throwaway Redis, on a socket that only this user can reach.
#
#   find_redis     tells the server's program: the one that REDIS_SERVER names, or else the first on PATH
#   start_redis    starts it and exports REDIS_URL
#
# It keeps nothing, and it ends when this process has ended, whatever that becomes by `exec`, and the last child that
# was forked from it: they hold the writing end of a pipe, which the kernel closes also when they are killed.

find_redis() {
    local name
    for name in ${REDIS_SERVER:+"$REDIS_SERVER"} redis-server valkey-server; do
        command -v "$name" && return
    done
    return 1
}

serve_until_left() { # server, folder; standard input is the pipe's reading end
    trap '' INT TERM HUP # meant for the consumer, which may still have to finish
    set -m               # a process group of its own, which the terminal's Ctrl-C does not reach
    "$1" --port 0 --unixsocket "$2/redis.sock" --unixsocketperm 700 --dir "$2" --save "" </dev/null >"$2/log" 2>&1 &
    cat >/dev/null
    kill "$!" || :
    wait "$!" || :
    rm -rf "$2"
}

start_redis() {
    local server folder tries=0
    if ! server=$(find_redis); then
        echo "Found no Redis server for --redis: install one (redis-server or valkey-server), or name it in REDIS_SERVER." >&2
        return 1
    fi
    folder=$(mktemp -d "${TMPDIR:-/tmp}/nephew-redis-XXXXXX")
    exec 8> >(serve_until_left "$server" "$folder" >/dev/null 2>&1)
    until [ -S "$folder/redis.sock" ]; do
        if [ $((tries += 1)) -gt 200 ]; then
            echo "$server did not start within 10 s. It said:" >&2
            cat "$folder/log" >&2
            return 1
        fi
        sleep 0.05
    done
    export REDIS_URL="unix://$folder/redis.sock"
    echo "A Redis of this run's own keeps the jobs; other programs reach it with REDIS_URL=$REDIS_URL"
}
