# The disk fills up in the middle: one clear line, an exit code that tells, nothing half-written taken for done; with room again the same
# command ends as if nothing had been. Needs root, to mount a small disk.
. "$(dirname "$0")/_lib.sh"
dir=$(survey full)
mkdir -p "$dir/tiles"
mount -t tmpfs -o size=100k tmpfs "$dir/tiles" 2> /dev/null || skip "no right to mount a small disk"
trap 'umount "$dir/tiles"' EXIT
all=$(tiles "$reference" | wc -l)

for ranks in 1 3; do
  code=0; timeout 120 mpirun --oversubscribe --bind-to none -n $ranks "$noslit" run "$dir/survey.yaml" > "$dir/out.txt" 2>&1 || code=$?
  [ "$code" = 1 ] || fail "a run on a full disk ended with $code, not 1"
  grep -q "No space left on device" "$dir/out.txt" || fail "no line says that the disk is full: $(tail -n 3 "$dir/out.txt")"
  [ "$(wc -l < "$dir/out.txt")" -lt 30 ] || fail "it says so in $(wc -l < "$dir/out.txt") lines"
  unfinished "$dir"
  done_now=$(tiles "$dir" | wc -l)
  [ "$done_now" -gt 0 ] && [ "$done_now" -lt "$all" ] || fail "$done_now of $all tiles on a disk for a few of them"
  "$noslit" verify "$dir"/tiles/*/*/Npix=*.h5 > /dev/null || fail "a tile file on the full disk does not verify"
done
mount -o remount,size=64m "$dir/tiles"
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
