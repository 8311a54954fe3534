# Re-runs redo exactly the tiles asked for; a changed input makes exactly its tiles stale; merging again changes only those rows.
. "$(dirname "$0")/_lib.sh"
dir=$(workdir a)
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
expect 0 "$noslit" merge "$dir/survey.yaml"
cp "$dir/catalogue.hdf5" "$dir/before.hdf5"
list() { (cd "$dir/tiles" && find . -name 'Npix=*.h5' -printf '%p %T@\n' | sort); }

# Nothing to do: no file is touched.
list > "$dir/list0"
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
list | diff "$dir/list0" - || fail "a run with nothing to do touched tiles"

# The same configuration called from inside its folder: the same plan.
says "the plan is up to date" env -C "$dir" "$noslit" plan survey.yaml

# --tiles --force redoes exactly that tile, with the same rows.
tile=$(cd "$dir/tiles" && find . -name 'Npix=*.h5' | sort | sed -n 2p | sed 's/.*Npix=\([0-9]*\).h5/\1/')
sleep 0.05
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --tiles "$tile" --force
changed=$(list | diff "$dir/list0" - | grep -c '^>' || true)
[ "$changed" = 1 ] || fail "--tiles $tile --force redid $changed tiles"
expect 0 mpi 2 "$noslit" merge "$dir/survey.yaml"
same_catalogue "$dir/before.hdf5" "$dir/catalogue.hdf5"
expect 0 "$noslit" diff "$dir/before.hdf5" "$dir/catalogue.hdf5"

# A damaged tile is found, named and redone.
file=$(cd "$dir/tiles" && find . -name 'Npix=*.h5' | sort | sed -n 1p)
truncate -s -100 "$dir/tiles/$file"
says "corrupt|damaged|incomplete" "$noslit" status "$dir/survey.yaml" --why
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
expect 0 mpi 2 "$noslit" merge "$dir/survey.yaml"
same_catalogue "$dir/before.hdf5" "$dir/catalogue.hdf5"

# Another setting of science makes every tile stale; an operational one makes none.
list > "$dir/list1"
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --set run.lease_s=77
list | diff "$dir/list1" - || fail "an operational key made tiles stale"
says "stale: the configuration has changed since it was made \\(run.samples: 16 -> 8\\)$" "$noslit" status "$dir/survey.yaml" --why --set run.samples=8
says "^$(wc -l < "$dir/list1") stale: the configuration" "$noslit" status "$dir/survey.yaml" --why --set run.samples=8
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --stale --set run.samples=8 2> "$dir/log"
grep -q "^\[0\] $(wc -l < "$dir/list1") tiles to make: the configuration has changed" "$dir/log" || fail "the log does not say why tiles were made"
! grep -q $'\r' "$dir/log" || fail "carriage returns in a log"
[ "$(list | diff "$dir/list1" - | grep -c '^>')" = "$(wc -l < "$dir/list1")" ] || fail "another number of samples did not make every tile stale"

# A program that makes other numbers (noslit_next) finds every tile stale, says which program made it, and will not mix; one whose
# commit alone differs finds nothing to do (both are seen on the same files).
next=$build/tests/noslit_next
expect 0 "$noslit" run "$dir/survey.yaml"
expect 0 "$noslit" merge "$dir/survey.yaml"
says "stale +0$" "$noslit" status "$dir/survey.yaml"
says "complete: yes" "$noslit" status "$dir/survey.yaml"
says "^tile $tile: stale: it was made by noslit .* \(results [0-9]+, .*this is noslit .* \(results 1000000, " "$next" status "$dir/survey.yaml" --why
says "done +0$" "$next" status "$dir/survey.yaml"
says "complete: no" "$next" status "$dir/survey.yaml"
expect 1 "$next" merge "$dir/survey.yaml"
list > "$dir/list2"
expect 0 mpi 2 "$next" run "$dir/survey.yaml" --stale
[ "$(list | diff "$dir/list2" - | grep -c '^>')" = "$(wc -l < "$dir/list2")" ] || fail "--stale did not make anew the tiles of another program"
says "stale +0$" "$next" status "$dir/survey.yaml"
expect 1 "$noslit" merge "$dir/survey.yaml"
cp "$dir/catalogue.hdf5" "$dir/before.hdf5"
expect 0 "$next" merge "$dir/survey.yaml"
same_catalogue "$dir/before.hdf5" "$dir/catalogue.hdf5"
expect 1 "$noslit" diff "$dir/before.hdf5" "$dir/catalogue.hdf5" --require results
expect 0 "$noslit" diff "$dir/before.hdf5" "$dir/catalogue.hdf5" --require model
