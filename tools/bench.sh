#!/usr/bin/env bash
# Measures how fast noslit is, as ratios against what a user would write instead (docs/benchmarks.md). Needs a quiet machine.
# PyTorch is taken from $NOSLIT_TORCH_PYTHON, a python with torch, numpy, h5py, scipy and astropy, else from the first python here that
# has it, else from out/bench/venv, made with pip when it can be (NOSLIT_BENCH_VENV=0: never).
# Usage: tools/bench.sh [--json] [--only KEY,...] [--repeats N]   KEY: a key of docs/benchmarks.md, or nn, io, train, merge, job
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

modules="torch numpy h5py scipy astropy"
venv=$root/out/bench/venv

# A python with PyTorch: prints its path, or nothing where it cannot be had.
python_of_the_peers() {
  find_python $modules && return
  if [ "${NOSLIT_BENCH_VENV:-1}" != 0 ] && ! NOSLIT_PYTHON=$venv/bin/python find_python $modules >/dev/null; then
    say "making $venv with PyTorch"
    python3 -m venv "$venv" && "$venv/bin/pip" install -q $modules || rm -rf "$venv"
  fi >&2
  NOSLIT_PYTHON=$venv/bin/python find_python $modules
}

{
  install_missing $build_needs
  build_noslit release
} >&2
python=${NOSLIT_TORCH_PYTHON:-$(python_of_the_peers || find_python numpy || echo python3)}
exec "$python" -W ignore "$root/tests/bench/bench.py" --build "$root/build" --source "$root" --work "$root/out/bench" "$@"
