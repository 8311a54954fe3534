#!/usr/bin/env bash
# Every tracked C file is laid out as clang-format 14 does it. Usage: format.sh BUILD_DIR SOURCE_DIR. 77: cannot be checked here.
set -eu
cd "$2"
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is not installed: skipped"; exit 77; }
"$tool" --version | grep -q 'version 14\.' || { echo "clang-format 14 is needed, this is another: skipped"; exit 77; }
git rev-parse --git-dir >/dev/null 2>&1 || { echo "no git checkout: skipped"; exit 77; }
git ls-files -z -- '*.c' '*.h' | xargs -0 -r "$tool" --dry-run -Werror && echo "format: all in order"
