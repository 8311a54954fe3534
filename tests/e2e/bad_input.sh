# Bad input of every kind: one clear line that names the file and the reason, the run goes on where it can, the exit code tells.
. "$(dirname "$0")/_lib.sh"
"$python" -c "import astropy" 2>/dev/null || skip "no python with astropy"

# A copy of the mini survey's inputs that a test may spoil (exposures as links, so that only what is spoilt is copied).
inputs() {
  local dir=$build/tests/work/$name-$1/input f
  rm -rf "$dir"; mkdir -p "$dir/exposures"
  for f in "$fixture"/exposures/*; do ln -s "$f" "$dir/exposures/"; done
  cp "$fixture"/{catalogue,truth}.fits "$dir/"
  echo "$dir"
}
spoil() { # file: replaces the link by a copy
  local real; real=$(readlink -f "$1"); rm "$1"; cp "$real" "$1"; chmod u+w "$1"
}
edit() { "$python" - "$@"; }

# --- exposures: the run goes on without them, says so, and their sources are flagged --------------------------------------------
spoilt_exposure() { # case, what status --why must say; stdin: python that spoils sys.argv[1]
  local case=$1 want=$2 code in dir victim
  code=$(cat)
  in=$(inputs "$case-in")
  victim=$(ls "$in"/exposures/* | sed -n 2p)
  spoil "$victim"
  if [ "$code" = truncate ]; then truncate -s $(($(stat -c %s "$victim") * 6 / 10)) "$victim"; else edit "$victim" <<< "$code"; fi
  input=$in
  dir=$(workdir "$case")
  unset input
  expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
  says "$(basename "$victim").*($want)" "$noslit" status "$dir/survey.yaml" --why
}
spoilt_exposure truncated "missing|truncated|shorter|end of file|beyond|size|incomplete|cut" <<< truncate
spoilt_exposure missing_hdu "DQ" <<'PY'
import sys
from astropy.io import fits
f = fits.open(sys.argv[1]); del f["DQ"]; f.writeto(sys.argv[1], overwrite=True)
PY
spoilt_exposure wrong_size "x|dimension|size|pixel" <<'PY'
import sys
from astropy.io import fits
f = fits.open(sys.argv[1])
for h in f[1:]: h.data = h.data[:1000, :900]
f.writeto(sys.argv[1], overwrite=True)
PY
spoilt_exposure no_wcs "WCS|celestial|coordinate|CTYPE" <<'PY'
import sys
from astropy.io import fits
f = fits.open(sys.argv[1])
for k in list(f["SCI"].header):
    if k.startswith(("CTYPE", "CRVAL", "CRPIX", "CD1", "CD2", "PV1", "PV2")): del f["SCI"].header[k]
f.writeto(sys.argv[1], overwrite=True)
PY
spoilt_exposure unknown_detector "detector 77|77" <<'PY'
import sys
from astropy.io import fits
f = fits.open(sys.argv[1]); f[0].header["DETECTOR"] = 77; f.writeto(sys.argv[1], overwrite=True)
PY

# --- NaN pixels are masked: the run ends well and every source keeps its row ----------------------------------------------------
in=$(inputs nan-in)
for f in "$in"/exposures/*; do spoil "$f"; done
edit "$in"/exposures/* <<'PY'
import sys, numpy as np
from astropy.io import fits
for p in sys.argv[1:]:
    f = fits.open(p, mode="update"); f["SCI"].data[:, ::7] = np.nan; f["ERR"].data[::50] = np.nan; f.close()
PY
input=$in; dir=$(workdir nan); unset input
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
expect 0 "$noslit" merge "$dir/survey.yaml"
"$python" - "$dir/catalogue.hdf5" <<'PY'
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    z, flags, pdf = f["ancil/z_mode"][()], f["ancil/flags"][()], f["data/pdfs"][()]
    assert np.isfinite(pdf).all() and (np.isfinite(z) | (flags & 1 > 0)).all() and len(z) > 20
PY

# --- catalogues: nothing can be done, one clear line, exit 1 ---------------------------------------------------------------------
bad_catalogue() { # case, regex; stdin: python that edits the catalogue sys.argv[1]
  local in code dir
  code=$(cat); in=$(inputs "$1-in")
  edit "$in/catalogue.fits" <<< "$code"
  input=$in; dir=$(workdir "$1"); unset input
  expect 1 mpi 2 "$noslit" run "$dir/survey.yaml"
  says "catalogue.fits.*($2)" mpi 2 "$noslit" run "$dir/survey.yaml"
}
bad_catalogue no_ra "RA" <<'PY'
import sys
from astropy.table import Table
t = Table.read(sys.argv[1]); t.rename_column("RA", "ALPHA"); t.write(sys.argv[1], overwrite=True)
PY
bad_catalogue duplicate_id "[Dd]uplicate|twice" <<'PY'
import sys
from astropy.table import Table
t = Table.read(sys.argv[1]); t["ID"][3] = t["ID"][5]; t.write(sys.argv[1], overwrite=True)
PY

# --- configuration and files -----------------------------------------------------------------------------------------------------
dir=$(workdir config "s/samples: 16/sampels: 16/")
expect 2 mpi 2 "$noslit" run "$dir/survey.yaml"
says "survey.yaml:[0-9]+:[0-9]+: unknown key 'run.sampels'; did you mean 'run.samples'" "$noslit" plan "$dir/survey.yaml"
dir=$(workdir missing)
expect 1 "$noslit" run "$dir/survey.yaml" --set run.model=/nowhere/model.h5
says "/nowhere/model.h5" "$noslit" run "$dir/survey.yaml" --set run.model=/nowhere/model.h5
says "not.*model|model" "$noslit" run "$dir/survey.yaml" --set "run.model=$fixture/truth.fits"
mkdir -p "$dir/inst"; cp -r "$source_dir"/configs/instruments/* "$dir/inst/"
rm "$dir"/inst/csst/GV_L.conf
expect 1 "$noslit" run "$dir/survey.yaml" --set "instrument.file=$dir/inst/csst_mini.yaml"
says "GV_L.conf" "$noslit" run "$dir/survey.yaml" --set "instrument.file=$dir/inst/csst_mini.yaml"
touch "$dir/a_file"
expect 1 "$noslit" run "$dir/survey.yaml" --set "survey.workdir=$dir/a_file/x"
says "a_file" "$noslit" run "$dir/survey.yaml" --set "survey.workdir=$dir/a_file/x"

# A product never overwrites what the survey is made from.
expect 2 "$noslit" merge "$dir/survey.yaml" --set "output.fits=$fixture/catalogue.fits"
says "output.fits.*also input.catalogue" "$noslit" merge "$dir/survey.yaml" --set "output.fits=$fixture/catalogue.fits"

# --- a full disk: nothing is lost, the same command finishes once there is room ----------------------------------------------------
small=$build/tests/work/$name-small_disk
mkdir -p "$small"
if mount -t tmpfs -o size=300k tmpfs "$small" 2>/dev/null; then
  trap 'umount "$small"' EXIT
  dir=$(workdir full)
  code=0; mpi 2 "$noslit" run "$dir/survey.yaml" --set "survey.workdir=$small" > "$dir/out.txt" 2>&1 || code=$?
  [ "$code" != 0 ] || fail "a run on a full disk ended with 0"
  grep -qi "no space" "$dir/out.txt" || { cat "$dir/out.txt"; fail "a full disk is not named"; }
  mount -o remount,size=100m "$small"
  expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --set "survey.workdir=$small" --failed
  expect 0 mpi 2 "$noslit" run "$dir/survey.yaml" --set "survey.workdir=$small"
else
  echo "(no permission to mount a small disk: that part was left out)"
fi
