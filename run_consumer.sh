#!/usr/bin/env bash
# Runs the reference application: jobs, schedules and all.
#
#   ./run_consumer.sh            the consumer; further options are huey_consumer's (-w 4, -k process, -v ...)
#   ./run_consumer.sh --demo     a demonstration with real work, which ends by itself
#
# With REDIS_URL the jobs are kept in that Redis; with --redis as the first or second option, in one that is started
# for this run and keeps nothing.
#
# The first run makes .venv beside this file and installs into it; the database is created or brought up to date each time.
set -eu
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
. scripts/environment.sh
. scripts/redis.sh

demo='' redis=''
while :; do
    case "${1:-}" in
        --demo) demo=yes ;;
        --redis) redis=yes ;;
        *) break ;;
    esac
    shift
done
if [ -n "$redis" ] && [ -n "${REDIS_URL:-}" ]; then
    echo "Expected either --redis, which starts a Redis, or REDIS_URL, which names one; got both." >&2
    exit 2
fi

extras=(app)
case "${DATABASE_URL:-}" in
    postgres*://*) extras+=(postgres) ;;
esac
if [ -n "$redis" ] && ! find_redis >/dev/null; then extras+=(redis-server); fi # which has one
prepare_environment "${extras[@]}"
if [ -n "$redis" ]; then start_redis; fi

# The console scripts look for app, tasks and periodic in their own folder first, not in this one.
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
nephew -A app.main.huey migrate

if [ -n "$demo" ]; then
    exec python -m app.demo "$@"
fi
exec huey_consumer app.main.huey "$@"
