# The edges: no source at all, sources that no exposure holds, sources at the rim of a detector and of the sky, more ranks than tiles.
. "$(dirname "$0")/_lib.sh"
"$python" -c "import astropy" 2>/dev/null || skip "no python with astropy"

# A survey with another catalogue; stdin: python that makes table `t` from the mini survey's table `c`.
survey() {
  local dir; dir=$(workdir "$1")
  { echo "import sys, numpy as np"; echo "from astropy.table import Table"; echo "c = Table.read(sys.argv[1])"; cat
    echo "t.write(sys.argv[2], overwrite=True)"; } > "$dir/make.py"
  "$python" "$dir/make.py" "$fixture/catalogue.fits" "$dir/sources.fits"
  sed -i "s|catalogue: \"$fixture/catalogue.fits\"|catalogue: \"$dir/sources.fits\"|" "$dir/survey.yaml"
  echo "$dir"
}
whole_chain() { # dir ranks expected_rows
  expect 0 mpi "$2" "$noslit" run "$1/survey.yaml"
  [ -s "$1/run/COMPLETE.json" ] || fail "$1: no completion proof"
  expect 0 mpi "$2" "$noslit" merge "$1/survey.yaml"
  expect 0 "$noslit" verify "$1/catalogue.hdf5"
  "$python" - "$1/catalogue.hdf5" "$3" <<'PY'
import sys, h5py
with h5py.File(sys.argv[1]) as f:
    n = f["ancil/object_id"].shape[0]
    assert n == int(sys.argv[2]), (n, sys.argv[2])
    for name in f["ancil"]: assert f["ancil"][name].shape[0] == n
PY
}

# No source at all, so no tile: the chain still ends well, at any number of ranks.
dir=$(survey none <<< "t = c[:0]")
whole_chain "$dir" 1 0
whole_chain "$dir" 3 0

# One source, one tile, four ranks.
dir=$(survey one <<< "t = c[c['MAG'] < 21][:1]")
whole_chain "$dir" 4 1

# Sources that no exposure holds keep a row with flags and no PDF; poles and the meridian are places like any other.
dir=$(survey outside <<'PY'
t = c[:6].copy()
t["RA"] = [0.0, 359.9999999, 10.0, 200.0, 150.0, 0.0]
t["DEC"] = [0.0, 0.0, 90.0, -90.0, -45.0, 45.0]
PY
)
whole_chain "$dir" 3 6
"$python" - "$dir/catalogue.hdf5" <<'PY'
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    assert (f["ancil/flags"][()] & 1 == 1).all() and np.isnan(f["ancil/z_mode"][()]).all() and (f["data/pdfs"][()] == 0).all()
PY

# Along a line right across the field and off both its ends: every source has its row, and those off the field have no PDF.
dir=$(survey rim <<'PY'
n = 40
t = Table({"ID": np.arange(n) + 1, "RA": np.linspace(c["RA"].min() - 0.05, c["RA"].max() + 0.05, n),
           "DEC": np.full(n, np.median(c["DEC"])), "MAG": np.full(n, 20.0)})
PY
)
whole_chain "$dir" 2 40
"$python" - "$dir/catalogue.hdf5" <<'PY'
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    order = np.argsort(f["ancil/object_id"][()])
    measured = (f["ancil/flags"][()][order] & 1) == 0
    assert not measured[0] and not measured[-1] and measured.sum() > 10, measured
    assert (f["ancil/flags"][()][order][measured] & 0b111110 > 0).any()
PY

# A CSV catalogue with other column names gives the same answer as the FITS table.
dir=$(workdir csv 's|  catalogue: "[^"]*"|  catalogue: sources.csv\n  column_id: NUMBER\n  column_ra: ALPHA\n  column_dec: DELTA\n  column_mag: M|')
plain=$(workdir fits)
"$python" - "$fixture/catalogue.fits" "$dir/sources.csv" <<'PY'
import sys
from astropy.table import Table
t = Table.read(sys.argv[1])
for old, new in (("ID", "NUMBER"), ("RA", "ALPHA"), ("DEC", "DELTA"), ("MAG", "M")): t.rename_column(old, new)
with open(sys.argv[2], "w") as f:
    f.write(",".join(t.colnames) + "\n")
    for row in t: f.write(",".join(repr(x.item()) if hasattr(x, "item") else str(x) for x in row) + "\n")
PY
for d in "$dir" "$plain"; do
  expect 0 mpi 2 "$noslit" run "$d/survey.yaml"
  expect 0 "$noslit" merge "$d/survey.yaml"
done
same_catalogue "$dir/catalogue.hdf5" "$plain/catalogue.hdf5"
