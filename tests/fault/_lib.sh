# Sourced by the fault tests: a small network of their own, an undisturbed run to compare with, and tools to hurt a run.
. "$(dirname "$0")/../e2e/_lib.sh"
model=$build/tests/fault_model/model.h5
reference=$build/tests/work/fault_reference
recovery="--enable-recovery" # the other ranks go on when one dies; mpirun's exit code is then always 0

survey() { # name, further sed expressions: a work folder whose survey uses the small network
  local which=$1; shift
  workdir "$which" "s|run: {model: \"[^\"]*\"|run: {model: \"$model\"|" "$@"
}

# The network and the reference are made once for a build and a mini survey, by whichever test comes first.
is_new() { [ "$1" -nt "$noslit" ] && [ "$1" -nt "$fixture/truth.fits" ]; }
prepare() {
  mkdir -p "$build/tests/work"
  exec 8> "$build/tests/work/.fault_lock"; flock 8
  local dir
  if ! is_new "$model"; then
    dir=$build/tests/fault_model; rm -rf "$dir"; mkdir -p "$dir"
    sed -e "s|@NOSLIT@|$source_dir|g" -e "s|@INPUT@|$fixture|g" -e "s|simulate: {|simulate: {stamps: 32, stamps_dir: stamps, |" \
      "$source_dir/tests/e2e/mini.yaml" > "$dir/train.yaml"
    echo "train: {architecture: eq, width: 4, epochs: 1, batch: 16, output: tmp.h5, stamps: [stamps/*.h5], validation: [stamps/*.h5]}" \
      >> "$dir/train.yaml"
    (cd "$dir" && "$noslit" simulate train.yaml --stamps --quiet > /dev/null && "$noslit" train train.yaml --quiet > /dev/null)
    mv "$dir/tmp.h5" "$model"
    rm -rf "$reference"
  fi
  if ! is_new "$reference/run/COMPLETE.json"; then
    dir=$(survey reference)
    "$noslit" run "$dir/survey.yaml" --quiet > /dev/null
    rm -rf "$reference"; mv "$dir" "$reference"
  fi
  flock -u 8
}
prepare

json() { "$python" -c 'import json,sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): v = v[int(k)] if isinstance(v, list) else v[k]
print(str(v).lower() if isinstance(v, bool) else v)' "$1" "$2"; }

tiles() { (cd "$1/tiles" 2> /dev/null && find . -name 'Npix=*.h5' | sed 's/.*Npix=\([0-9]*\).h5/\1/' | sort -n); }
some_tile() { tiles "$reference" | sed -n "${1}p"; }
times() { (cd "$1/tiles" && find . -name 'Npix=*.h5' -printf '%p %T@\n' | sort); }

# The run's products are those of the undisturbed run.
same_as_reference() {
  [ -s "$1/run/COMPLETE.json" ] || fail "no completion proof in $1"
  [ "$(json "$1/run/COMPLETE.json" content_hash)" = "$(json "$reference/run/COMPLETE.json" content_hash)" ] ||
    fail "the tiles of $1 are not those of an undisturbed run"
  [ -z "$(find "$1/tiles" -name '.*tmp*' -newer "$1/run/COMPLETE.json")" ] || fail "temporary files appear after the end"
}
unfinished() { [ ! -e "$1/run/COMPLETE.json" ] || fail "a completion proof although the run did not complete"; }

# Starts a run in the background: $job is the mpirun, output in $dir/out.txt.
start() { # dir, ranks, mpirun options and noslit options, separated by --
  local d=$1 n=$2; shift 2
  local before=()
  while [ "${1:-}" != "--" ]; do before+=("$1"); shift; done
  shift
  mpirun --oversubscribe --bind-to none "${before[@]}" -n "$n" "$noslit" run "$d/survey.yaml" "$@" > "$d/out.txt" 2>&1 &
  job=$!
}
ranks_of() { ps -o pid= --ppid "$1" | tr -d ' '; } # in rank order, since mpirun starts them so
wait_for_tiles() { # dir, number
  for _ in $(seq 400); do
    [ "$(tiles "$1" | wc -l)" -ge "$2" ] && return
    kill -0 "$job" 2> /dev/null || return 0
    sleep 0.02
  done
  fail "no $2 tiles after 8 s"
}
# Waits for the job at most so many seconds and sets $code.
finish() {
  local limit=$1
  for _ in $(seq $((limit * 10))); do
    kill -0 "$job" 2> /dev/null || { code=0; wait "$job" || code=$?; return; }
    sleep 0.1
  done
  kill -9 $(ranks_of "$job") "$job" 2> /dev/null || true
  cat "$dir/out.txt" >&2
  fail "the run did not end within $limit s"
}
