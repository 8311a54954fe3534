#!/usr/bin/env bash
# vectorised.sh finds what it is there for: a clamp that becomes a branch, a function without any vectors; and a tidy one passes.
set -eu
lint=$2/tests/lint/vectorised.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/src" "$tree/build"

lint_of() { # body of a marked function
  printf '#include "noslit/base/vectorised.h"\nvoid f(float *restrict x, const float *restrict y, int n);\nNSL_VECTORISED %s\n' "$1" >"$tree/src/a.c"
  printf '[\n{\n  "directory": "%s",\n  "command": "cc -I%s/include -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -std=gnu11 -o a.o -c %s/src/a.c",\n  "file": "%s/src/a.c"\n}\n]\n' \
    "$tree" "$2" "$tree" "$tree" >"$tree/build/compile_commands.json"
  bash "$lint" "$tree/build" "$tree" 2>&1
}
finds() { # body, what the complaint must say
  if out=$(lint_of "$1" "$3"); then
    echo "not found: $1"
    exit 1
  fi
  case $out in *"$2"*) ;; *) echo "wrong complaint: $out"; exit 1 ;; esac
}
head='void f(float *restrict x, const float *restrict y, int n)\n{\n  for (int i = 0; i < n; i++) {'
lint_of "$(printf '%b' "$head x[i] += 2 * y[i]; }\n}")" "$2" >"$tree/out" || rc=$?
case ${rc:-0} in 0) ;; 77) cat "$tree/out"; exit 77 ;; *) echo "a tidy function is refused:"; cat "$tree/out"; exit 1 ;; esac
finds "$(printf '%b' "$head x[i] = i ? x[i - 1] + y[i] : y[i]; }\n}")" 'no loop has become vectors' "$2"
finds "$(printf '%b' "$head float v = y[i] < -80 ? -80 : y[i];\n int k = (int)(v * 1.44f + (v < 0 ? -0.5f : 0.5f));\n v -= (float)k * 0.69f;\n union { int i; float f; } s = {(k + 127) * (1 << 23)};\n x[i] = (1 + v * (1 + v * 0.5f)) * s.f; }\n}")" 'vectors of 16 bytes only' "$2"
echo "vectorised_finds: all found"
