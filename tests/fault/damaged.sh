# Truncated, altered, exchanged and foreign tile files are found, named, redone; nothing else is touched.
. "$(dirname "$0")/_lib.sh"
dir=$(survey files)
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
file() { find "$dir/tiles" -name "Npix=$(some_tile "$1").h5"; }
times "$dir" > "$dir/before"
truncate -s -500 "$(file 1)"
"$python" - "$(file 2)" <<'PY'
import sys
b = bytearray(open(sys.argv[1], "rb").read()); b[len(b) // 2] ^= 4; open(sys.argv[1], "wb").write(b)
PY
cp "$(file 4)" "$(file 3)"
: > "$(file 5)"
rm "$(file 6)"
"$noslit" status "$dir/survey.yaml" --why --full > "$dir/status.txt"
for i in 1 2 3 5; do
  grep -q "tile $(some_tile $i): corrupt: .*Npix=$(some_tile $i).h5" "$dir/status.txt" || { cat "$dir/status.txt"; fail "damage $i is not named"; }
done
grep -q "tile $(some_tile 6): missing" "$dir/status.txt" || fail "the missing tile is not named"
grep -q "complete: no" "$dir/status.txt" || fail "a damaged survey is called complete"
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
[ "$(ls "$dir/quarantine" | wc -l)" = 4 ] || fail "damaged files were not kept aside"
[ "$(json "$dir/run/report.json" tiles.made)" = 5 ] || fail "other tiles were made again"

# A file made by another model is stale; --stale redoes exactly such tiles.
other=$(survey other "s/run: {/run: {samples: 8, #/")
sed -i 's/, #.*model:/, model:/; s/samples: 16, //' "$other/survey.yaml"
expect 0 mpi 2 "$noslit" run "$other/survey.yaml"
cp "$(find "$other/tiles" -name "Npix=$(some_tile 8).h5")" "$(file 8)"
rm "$(file 9)"
says "tile $(some_tile 8): stale: the configuration has changed" "$noslit" status "$dir/survey.yaml" --why
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --stale
[ "$(json "$dir/run/report.json" tiles.made)" = 1 ] || fail "--stale did not redo exactly the stale tile"
[ ! -e "$dir/run/COMPLETE.json" ] || fail "complete although a tile is missing"
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
