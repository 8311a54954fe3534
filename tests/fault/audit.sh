# The completeness audit: every source is in the product or has a reason, and one that is neither is found and named.
. "$(dirname "$0")/_lib.sh"
dir=$(survey whole)
cp -r "$reference"/{plan,run,tiles} "$dir/"
audit() { "$noslit" audit "$dir/survey.yaml" --json > "$dir/audit.json" || code=$?; }
count() { json "$dir/audit.json" "$1"; }
"$noslit" merge "$dir/survey.yaml" > /dev/null
code=0; audit; [ "$code" = 0 ] && [ "$(count complete)" = true ] || fail "a whole survey is not complete: $(cat "$dir/audit.json")"
n=$(count input)
[ "$n" -gt 50 ] && [ "$n" = $(($(count with_pdf) + $(count without_pdf) + $(count rejected) + $(count faint))) ] || fail "the counts do not add up"

# A partial merge: the sources of the tile that is left out are named.
gone=$(some_tile 2); rows=$("$python" - "$dir/catalogue.hdf5" "$gone" <<'PY'
import sys, h5py
with h5py.File(sys.argv[1]) as f: print(int((f["ancil/tile"][()] == int(sys.argv[2])).sum()))
PY
)
file=$(find "$dir/tiles" -name "Npix=$gone.h5"); mv "$file" "$dir/kept.h5"
"$noslit" merge "$dir/survey.yaml" --partial > /dev/null
code=0; audit; [ "$code" = 1 ] && [ "$(count not_done)" = "$rows" ] || fail "sources of a missing tile: $(cat "$dir/audit.json")"
mv "$dir/kept.h5" "$file"
code=0; audit; [ "$code" = 1 ] && [ "$(count not_merged)" = "$rows" ] || fail "sources of a tile that was not merged: $(cat "$dir/audit.json")"

# In quarantine they have a reason: exit code 3.
rm "$file"
expect 3 "$noslit" run "$dir/survey.yaml" --fault fail:tile="$gone" 2> /dev/null
code=0; audit; [ "$code" = 3 ] && [ "$(count quarantined)" = "$rows" ] && [ "$(count complete)" = true ] || fail "quarantine: $(cat "$dir/audit.json")"
