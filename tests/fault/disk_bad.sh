# The disk goes bad in the middle (fsync says EIO, by a preloaded shim): the run stops and says so, no tile is called done that may not
# have reached the disk, and on a good disk the same command ends as if nothing had been.
. "$(dirname "$0")/_lib.sh"
shim=$build/tests/libeio_shim.so
dir=$(survey bad)
export NOSLIT_TEST_EIO=$dir/bad_from_now
start "$dir" 3 -x NOSLIT_TEST_EIO -x LD_PRELOAD="$shim" -- --fault nap:tile=any
wait_for_tiles "$dir" 2
: > "$NOSLIT_TEST_EIO"
finish 60
[ "$code" = 1 ] || fail "a run on a bad disk ended with $code, not 1: $(tail -n 3 "$dir/out.txt")"
grep -q "Input/output error" "$dir/out.txt" || fail "no line says that the disk is bad: $(tail -n 3 "$dir/out.txt")"
unfinished "$dir"
[ "$(tiles "$dir" | wc -l)" -lt "$(tiles "$reference" | wc -l)" ] || fail "the run was over before the disk went bad"
"$noslit" verify "$dir"/tiles/*/*/Npix=*.h5 > /dev/null || fail "a tile file does not verify"
unset NOSLIT_TEST_EIO
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"

# So does a merge: no catalogue is called whole that may not be on the disk.
export NOSLIT_TEST_EIO=$dir/bad_for_the_merge
: > "$NOSLIT_TEST_EIO"
says "Input/output error" mpi 2 env LD_PRELOAD="$shim" "$noslit" merge "$dir/survey.yaml"
expect 1 mpi 2 env LD_PRELOAD="$shim" "$noslit" merge "$dir/survey.yaml"
[ ! -e "$dir/catalogue.hdf5" ] || fail "there is a catalogue from a bad disk"
unset NOSLIT_TEST_EIO
expect 0 mpi 2 "$noslit" merge "$dir/survey.yaml"
expect 0 "$noslit" verify "$dir/catalogue.hdf5"
