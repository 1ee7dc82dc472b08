# Sourced, from the project's folder, by run_consumer.sh, run_tests.sh and .ci/run.
#
#   prepare_environment app test    puts .venv first on PATH; makes it and installs the extras where they are missing
#
# .venv/installed/<extra> holds the checksum of the files which that extra was installed from: a later start compares
# and installs nothing. Starts at the same time wait for each other.

fits() { # an interpreter that can make a virtual environment for us
    "$1" -c 'import sys, ensurepip, fcntl, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    # A name on PATH proves nothing (version managers put stubs there), so each is tried.
    for candidate in ${PYTHON:+"$PYTHON"} python3.14 python3.13 python3.12 python3.11 python3; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        elif [ "$candidate" = "${PYTHON:-}" ]; then
            break
        fi
    done
    echo "Nephew needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2
    echo "${PYTHON:+PYTHON=$PYTHON is not one. }Name one like this: PYTHON=/path/to/python3 $0" >&2
    return 1
}

has_venv() { # whole, made at this very place, and its interpreter still there
    grep -qsF "$PWD/.venv/bin/" .venv/bin/pip && .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

missing_extras() {
    local extra checksum
    checksum=$(cat setup.cfg pyproject.toml | cksum)
    for extra in "$@"; do
        [ "$(cat ".venv/installed/$extra" 2>/dev/null)" = "$checksum" ] || echo "$extra"
    done
}

is_ready() {
    has_venv && [ -z "$(missing_extras "$@")" ]
}

lock_venv() { # on descriptor 9, which the shell keeps open; flock(1) is not everywhere
    exec 9>.venv.lock
    "$1" -c '
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another start is installing; waiting for it.", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
'
}

make_venv() {
    echo "First run: making .venv with $("$1" --version)."
    "$1" -m venv --clear .venv
}

install_extras() {
    local missing extra
    missing=$(missing_extras "$@")
    missing=${missing//$'\n'/,}
    echo "Installing Nephew and what it needs ($missing) into .venv; this takes a minute, and only when something changed."
    if ! .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --editable ".[$missing]"; then
        echo "That failed; the next start tries again. pip tells more without -qq: .venv/bin/pip install -e '.[$missing]'" >&2
        return 1
    fi
    mkdir -p .venv/installed
    for extra in ${missing//,/ }; do
        cat setup.cfg pyproject.toml | cksum >".venv/installed/$extra"
    done
}

prepare_environment() {
    local python
    if ! is_ready "$@"; then
        python=$(find_python)
        lock_venv "$python"
        if ! has_venv; then make_venv "$python"; fi
        if ! is_ready "$@"; then install_extras "$@"; fi
        exec 9>&- # what runs next must not keep the lock
    fi
    unset PYTHONHOME
    export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
}
