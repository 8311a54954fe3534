# Sourced by the e2e and fault tests. $1 is the build folder, $2 the source folder.
set -euo pipefail
build=$(cd "$1" && pwd)
source_dir=$(cd "$2" && pwd)
noslit=$build/noslit
fixture=$build/tests/mini_survey # made once by e2e/_fixture.sh
name=$(basename "$0" .sh)
python=""
for p in "${NOSLIT_PYTHON:-}" python3 /usr/bin/python3; do
  if [ -n "$p" ] && "$p" -c "import h5py, numpy" >/dev/null 2>&1; then python=$p; break; fi
done

fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*"; exit 77; }
mpi() { local n=$1; shift; mpirun --oversubscribe --bind-to none -n "$n" "$@"; }

# A new work folder with the mini survey's configuration; prints its path. Extra arguments are sed expressions on the configuration.
workdir() {
  local dir=$build/tests/work/$name-$1; shift
  rm -rf "$dir"; mkdir -p "$dir"
  local edits=(-e "s|@NOSLIT@|$source_dir|g" -e "s|@INPUT@|${input:-$fixture}|g") e
  for e in "$@"; do edits+=(-e "$e"); done
  sed "${edits[@]}" "$source_dir/tests/e2e/mini.yaml" > "$dir/survey.yaml"
  echo "$dir"
}

# Runs a command and checks its exit code: expect CODE command...
expect() {
  local want=$1 got=0; shift
  "$@" || got=$?
  [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}

# Checks that the output of a command (stdout and stderr) matches a regular expression: says REGEX command...
says() {
  local want=$1 text; shift
  text=$("$@" 2>&1) || true
  grep -qE -- "$want" <<< "$text" || fail "no line matches /$want/ in the output of: $*"$'\n'"$text"
}

# Hashes of every dataset of a catalogue, of its values and of its bytes as compressed, attributes left out: what must not change with
# ranks or interruptions.
dataset_hashes() {
  [ -n "$python" ] || skip "no python with h5py"
  "$python" - "$1" <<'PY'
import hashlib, sys, h5py
with h5py.File(sys.argv[1], "r") as f:
    def show(name, item):
        if isinstance(item, h5py.Dataset):
            print(name, item.dtype, item.shape, hashlib.sha256(item[()].tobytes()).hexdigest())
            for i in range(item.id.get_num_chunks() if item.chunks else 0):
                c = item.id.get_chunk_info(i)
                raw = item.id.read_direct_chunk(c.chunk_offset)[1]
                print(name, c.chunk_offset, c.byte_offset, c.size, hashlib.sha256(raw).hexdigest())
    f.visititems(show)
PY
}

same_catalogue() { diff <(dataset_hashes "$1") <(dataset_hashes "$2") || fail "$1 and $2 differ"; }
