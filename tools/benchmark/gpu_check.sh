#!/bin/sh
# The first thing to run on a machine with a GPU: see gpu_check.py, or --help.
#   sh tools/benchmark/gpu_check.sh --out DIR [--wheels DIR] [--device cpu --tiny]
# PYTHON names the interpreter; its PyTorch should be one for CUDA.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${PYTHON:-}" ]; then
    for name in python3 python; do
        if command -v "$name" > /dev/null 2>&1; then
            PYTHON=$name
            break
        fi
    done
fi
if ! command -v "${PYTHON:=python3}" > /dev/null 2>&1; then
    echo "there is no $PYTHON; name the Python that has PyTorch: PYTHON=PATH sh $0" >&2
    exit 2
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Pet needs Python 3.10 or newer; $PYTHON is $("$PYTHON" -V 2>&1). PYTHON names another" >&2
    exit 2
}
exec "$PYTHON" "$here/gpu_check.py" "$@"
