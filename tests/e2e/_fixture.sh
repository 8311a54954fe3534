# Makes the mini survey that e2e and fault tests share (a ctest fixture).
. "$(dirname "$0")/_lib.sh"
rm -rf "$fixture"
mkdir -p "$fixture"
dir=$(workdir input)
mpi 2 "$noslit" simulate "$dir/survey.yaml"
for f in catalogue.fits truth.fits; do [ -s "$fixture/$f" ] || fail "simulate left no $f"; done
