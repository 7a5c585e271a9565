# What ./scripts/demo and ./scripts/test share: a Python that is new enough, and a .venv.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "lakefs_client needs Python 3.10 or newer. Found: $(python3 --version 2>&1 || echo none)." >&2
    echo "Install one, or name it: PYTHON=/path/to/python3.12 $0" >&2
    return 1
}

# Make .venv with the named requirement files, once for each set of them.
make_venv() {
    local python stamp
    stamp=.venv/requirements-$(cat "$@" setup.py pyproject.toml | cksum | tr ' ' -)
    if [ -x .venv/bin/python ] && [ -e "$stamp" ]; then
        return
    fi
    python=$(find_python)
    if ! [ -x .venv/bin/python ]; then
        echo "Making .venv with $("$python" --version) ..."
        "$python" -m venv .venv || {
            echo "$python cannot make a virtual environment; on Debian: apt install python3-venv" >&2
            return 1
        }
    fi
    local files=()
    local file
    for file in "$@"; do files+=(-r "$file"); done
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "${files[@]}"
    # setuptools warns of every editable install, whatever the folder.
    PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --editable .
    touch "$stamp"
}
