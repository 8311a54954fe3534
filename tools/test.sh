#!/usr/bin/env bash
# Installs, builds and runs every test. Usage: tools/test.sh [ctest options], e.g. tools/test.sh -L unit
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

install_missing $build_needs $test_needs $python_needs
build_noslit release

say "the unit tests again under AddressSanitizer and UndefinedBehaviorSanitizer"
build_noslit asan
ctest --no-tests=error --test-dir "$root/build-asan" -L unit --output-on-failure -j "$jobs" "$@"

say "all tests"
ctest --no-tests=error --test-dir "$root/build" --output-on-failure -j "$jobs" "$@"
