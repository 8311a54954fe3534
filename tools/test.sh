#!/usr/bin/env bash
# Installs, builds and runs every test. Usage: tools/test.sh [ctest options], e.g. tools/test.sh -L unit
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

install_missing $build_needs $test_needs $python_needs
build_noslit release

if [ ! -x "$root/build/qp-venv/bin/python" ] && [ -z "${NOSLIT_QP_PYTHON:-}" ]; then
  say "qp from PyPI, for the test that it reads the catalogue"
  if ! { timeout 60 "$(find_python ensurepip || echo python3)" -m venv "$root/build/qp-venv" && timeout 300 "$root/build/qp-venv/bin/pip" install -q qp-prob h5py; } > "$root/build/qp-venv.log" 2>&1; then
    echo "   could not be installed (build/qp-venv.log says why): that test is skipped"
    rm -rf "$root/build/qp-venv"
  fi
fi

say "the unit tests again under AddressSanitizer and UndefinedBehaviorSanitizer"
build_noslit asan
ctest --no-tests=error --test-dir "$root/build-asan" -L unit --output-on-failure -j "$jobs" "$@"

say "all tests"
ctest --no-tests=error --test-dir "$root/build" --output-on-failure -j "$jobs" "$@"
