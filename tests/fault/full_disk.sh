# A disk that runs full in the middle of a run: one line names it, nothing half-written is taken for done, and with room made the same
# command finishes. A real file system of its own, where that is allowed.
. "$(dirname "$0")/_lib.sh"
[ "$(id -u)" = 0 ] || skip "mounting a small file system wants root"
disk=$(mktemp -d /tmp/noslit-full.XXXXXX)
trap 'umount "$disk" 2> /dev/null; rmdir "$disk"' EXIT
used=$(du -sk --apparent-size "$reference/tiles" | cut -f1)
mount -t tmpfs -o "size=$((used / 3 + 120))k" noslit-full "$disk" 2> /dev/null || skip "mounting is not allowed here"
dir=$(survey full)
cp "$dir/survey.yaml" "$disk/"
"$noslit" plan "$disk/survey.yaml" > /dev/null
start "$disk" 3 --
finish 60
[ "$code" = 1 ] || { cat "$disk/out.txt"; fail "exit code $code instead of 1"; }
grep -q "No space left on device" "$disk/out.txt" || { cat "$disk/out.txt"; fail "nobody says that the disk is full"; }
unfinished "$disk"
n=$(tiles "$disk" | wc -l)
[ "$n" -gt 0 ] && [ "$n" -lt "$(tiles "$reference" | wc -l)" ] || fail "$n tiles fitted: the disk tests nothing"
says "corrupt +0\$" "$noslit" status "$disk/survey.yaml" --full
[ ! -e "$disk/run/quarantine.json" ] || ! grep -q '"tile"' "$disk/run/quarantine.json" || fail "a full disk put tiles into quarantine"
mount -o remount,size=64m "$disk"
expect 0 mpi 3 "$noslit" run "$disk/survey.yaml"
same_as_reference "$disk"
[ "$(json "$disk/run/report.json" tiles.verified)" = "$n" ] || fail "tiles that were done were made again"

# A merge that finds no room for the catalogue says so and leaves nothing; with room it is as if nothing had been.
used=$(du -sk "$disk" | cut -f1)
mount -o remount,size=$((used + 200))k "$disk"
says "No space left on device" mpi 2 "$noslit" merge "$disk/survey.yaml"
expect 1 mpi 2 "$noslit" merge "$disk/survey.yaml"
[ -z "$(find "$disk" -maxdepth 1 -name '*catalogue.hdf5*')" ] || fail "something is left of a merge that found no room: $(ls -A "$disk")"
mount -o remount,size=64m "$disk"
expect 0 mpi 2 "$noslit" merge "$disk/survey.yaml"
expect 0 "$noslit" verify "$disk/catalogue.hdf5"
