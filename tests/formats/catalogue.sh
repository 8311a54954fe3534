# The catalogue as others read it: qp's rules, h5py, astropy; what verify and diff say of good, damaged and changed ones.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
dir=$build/tests/work/formats-$name
rm -rf "$dir"; mkdir -p "$dir"
mpi 2 "$build/tests/mpi_test_merge" "$dir" a 0
mpi 3 "$build/tests/mpi_test_merge" "$dir" same 0
mpi 2 "$build/tests/mpi_test_merge" "$dir" b 1
mpi 1 "$build/tests/mpi_test_merge" "$dir" c 2
same_catalogue "$dir/a.hdf5" "$dir/same.hdf5"
"$python" "$source_dir/tests/formats/catalogue.py" layout "$dir/a.hdf5"
"$python" "$source_dir/tests/formats/catalogue.py" fits "$dir/a.hdf5" "$dir/a.fits"

expect 0 "$noslit" verify "$dir"/tiles/*/*/*.h5 "$dir/a.hdf5" "$dir/b.hdf5"
says "compared with its index" "$noslit" verify "$dir/a.hdf5"

# Each kind of damage is found, and named.
damage() { # NAME PYTHON-STATEMENT WHAT-VERIFY-SAYS
  cp "$dir/a.hdf5" "$dir/$1.hdf5"; cp "$dir/a.tiles.h5" "$dir/$1.tiles.h5"
  "$python" -c "import h5py, numpy as np
with h5py.File('$dir/$1.hdf5', 'r+') as f: $2"
  expect 1 "$noslit" verify "$dir/$1.hdf5"
  says "$3" "$noslit" verify "$dir/$1.hdf5"
}
damage value "d = f['ancil/z_mode']; d[200] = d[200] + 1e-3" "tile 401: its rows are not those of its tile file"
damage pdf "f['data/pdfs'][3] *= 2" "source 1009: its PDF integrates to 2"
damage order "d = f['ancil/object_id']; v = d[:]; v[1] = v[0]; d[:] = v" "tile 10: source 1000 comes twice"
damage tile "d = f['ancil/tile']; v = d[:]; v[0] = 999; d[:] = v" "not in order"
damage extra "f['log'] = np.zeros(3)" "/ holds 'log', which does not belong there"
damage extra_meta "f['meta/units'] = np.zeros(1)" "/meta holds 'units'"
damage lacking "del f['ancil/odds']" "/ancil lacks 'odds'"
damage incomplete "del f.attrs['complete']" "is not complete"
damage foreign "del f.attrs['format']" "is no noslit catalogue"
head -c 50000 "$dir/a.hdf5" > "$dir/short.hdf5"
expect 1 "$noslit" verify "$dir/short.hdf5"
expect 1 "$noslit" verify "$dir/a.hdf5" "$dir/none.hdf5"
says "none.hdf5" "$noslit" verify "$dir/none.hdf5"
expect 2 "$noslit" verify
# Without the index damage is still found.
cp "$dir/value.hdf5" "$dir/alone.hdf5"
says "content hash differs" "$noslit" verify "$dir/alone.hdf5"

# diff: tile 401 (64 sources) is another in b.
expect 0 "$noslit" diff "$dir/a.hdf5" "$dir/same.hdf5"
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5"
expect 0 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5" --max-sigma 1e6
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5" --max-sigma 0.001
expect 0 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5" --max-sigma 0.001 --max-moved 0.06
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5" --max-sigma 0.001 --max-moved 0.05
expect 2 "$noslit" diff "$dir/a.hdf5" "$dir/b.hdf5" --require everything
expect 2 "$noslit" diff "$dir/a.hdf5"
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/none.hdf5"
"$noslit" diff --json "$dir/a.hdf5" "$dir/b.hdf5" > "$dir/diff.json" || true
mv "$dir/b.tiles.h5" "$dir/b.tiles.away"
"$noslit" diff --json "$dir/a.hdf5" "$dir/b.hdf5" > "$dir/diff_without_index.json" || true
"$python" "$source_dir/tests/formats/catalogue.py" diff "$dir/a.hdf5" "$dir/b.hdf5" "$dir/diff.json" "$dir/diff_without_index.json"

# c has the sources of tile 400 in another tile, 300 sources less and 5 more.
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/c.hdf5" --max-sigma 1e6
says "300 sources were lost" "$noslit" diff "$dir/a.hdf5" "$dir/c.hdf5" --max-sigma 1e6
expect 1 "$noslit" diff "$dir/a.hdf5" "$dir/c.hdf5" --max-sigma 1e6 --require sources,model
"$noslit" diff --json "$dir/a.hdf5" "$dir/c.hdf5" > "$dir/moved.json" || true
"$python" "$source_dir/tests/formats/catalogue.py" moved "$dir/moved.json"
