#!/usr/bin/env bash
# What is marked NSL_VECTORISED is vectorised, for new processors too: a loop that only the oldest clone has as vectors, or a function
# without any, is a mark that promises too much. (exp of spectra once was scalar where AVX2 is: GCC had made a branch of a clamp.)
# Functions that are written with vector types are left to themselves. Usage: vectorised.sh BUILD_DIR SOURCE_DIR. 77: cannot tell here.
set -eu
commands=$1/compile_commands.json
[ -f "$commands" ] || { echo "no compile_commands.json: skipped"; exit 77; }
compile_line() { # of a file, with the compiler's notes instead of an object
  awk -v file="\"file\": \"$1\"" '/"command":/ { c = $0 } index($0, file) { print c; exit }' "$commands" |
    sed -e 's/^ *"command": "//' -e 's/",$//' -e 's/\\"/"/g' -e 's| -o [^ ]*| -o /dev/null -fopt-info-vec-optimized|'
}
files=$(grep -rl '^NSL_VECTORISED' "$2/src" --include='*.c' | LC_ALL=C sort)
[ -n "$files" ] || { echo "nothing is marked"; exit 1; }
first=$(compile_line "$(echo "$files" | head -n 1)")
case $first in *" -O3 "*) ;; *) echo "not a release build: skipped"; exit 77 ;; esac
compiler=$(echo "$first" | tr ' ' '\n' | grep -v ccache | head -n 1)
case $("$compiler" -dumpmachine)-$("$compiler" --version | head -n 1) in x86_64*clang*) echo "not GCC: skipped"; exit 77 ;; x86_64*) ;; *) echo "not x86-64: skipped"; exit 77 ;; esac
[ "$("$compiler" -dumpversion | cut -d. -f1)" -ge 12 ] || { echo "GCC 12 is needed, this is older: skipped"; exit 77; }

check() { # one file
  notes=$(cd "$1" && eval "$(compile_line "$2")" 2>&1) || { echo "$notes"; return 1; }
  echo "$notes" | awk -v file="$2" '
    FILENAME == "-" && index($0, file ":") == 1 && index($0, "vectorized using") {
      split(substr($0, length(file) + 2), part, ":")
      line = part[1]
      match($0, /using [0-9]+ byte/)
      bytes = substr($0, RSTART + 6) + 0
      if (index($0, "loop vectorized") && bytes > widest[line]) { widest[line] = bytes }
      next
    }
    FILENAME == "-" { next }
    /^NSL_VECTORISED/ { inside = FNR; loops = found = written = 0; name = $0 }
    inside && /[^a-z_](vec|wide|eight|bytes|mask)[ )*]|LANES/ { written = 1 }
    inside && /for \(/ { loops = 1 }
    inside && (FNR in widest) {
      found = 1
      if (widest[FNR] == 16) { print file ":" FNR ": vectors of 16 bytes only: " $0; bad = 1 }
    }
    inside && /^}/ {
      if (loops && !found && !written) { print file ":" inside ": no loop has become vectors: " name; bad = 1 }
      inside = 0
    }
    END { exit bad }' - "$2"
}
bad=0
for file in $files; do check "$1" "$file" || bad=1; done
[ "$bad" = 0 ] && echo "vectorised: $(echo "$files" | wc -l) files in order"
exit "$bad"
