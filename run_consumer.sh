#!/usr/bin/env bash
# Runs the reference application: jobs, schedules and all.
#
#   ./run_consumer.sh            the consumer; further options are huey_consumer's (-w 4, -k process, -v ...)
#   ./run_consumer.sh --demo     a demonstration with real work, which ends by itself
#
# The first run makes .venv beside this file and installs into it; the database is created or brought up to date each time.
set -eu
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
. scripts/environment.sh

extras=(app)
case "${DATABASE_URL:-}" in
    postgres*://*) extras+=(postgres) ;;
esac
prepare_environment "${extras[@]}"

# The console scripts look for app, tasks and periodic in their own folder first, not in this one.
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
nephew -A app.main.huey migrate

case "${1:-}" in
    --demo)
        shift
        exec python -m app.demo "$@"
        ;;
esac
exec huey_consumer app.main.huey "$@"
