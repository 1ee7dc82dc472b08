#!/usr/bin/env bash
# Runs the tests, those against a real PostgreSQL included.
#
#   ./run_tests.sh                       all of them
#   ./run_tests.sh --long                the same at full size
#   ./run_tests.sh --soak 10             only the soak, ten minutes on each backend, and docs/reports/soak-*.md
#   ./run_tests.sh tests/unit -k codec   further options are pytest's
#
# The first run makes .venv beside this file and installs into it.
set -eu
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment app postgres test

export HUEY_SLOW_TESTS=1 # Huey's own suite skips some tests without it
[ "${1:-}" != --soak ] || set -- tests/soak "$@"
# Tests are run side by side; `-n 0` runs one after the other, as --long and --soak do.
exec python -m pytest -n auto --dist worksteal "$@"
