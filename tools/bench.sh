#!/usr/bin/env bash
# Measures how fast noslit is, as ratios against what a user would write instead (docs/benchmarks.md). Needs a quiet machine.
# PyTorch is taken from $NOSLIT_TORCH_PYTHON, a python with torch, numpy and h5py, else from the first python here that has it.
# Usage: tools/bench.sh [--json] [--only nn,io,train,job,merge] [--repeats N]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

{
  install_missing $build_needs
  build_noslit release
} >&2
python=${NOSLIT_TORCH_PYTHON:-$(find_python torch numpy h5py || find_python torch numpy || find_python numpy || echo python3)}
exec "$python" -W ignore "$root/tests/bench/bench.py" --build "$root/build" --source "$root" --work "$root/out/bench" "$@"
