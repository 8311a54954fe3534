# The look back from the catalogue to the pixels: show and the report make stamps again from the exposures.
. "$(dirname "$0")/_lib.sh"
dir=$(workdir a)
expect 0 "$noslit" run "$dir/survey.yaml"
expect 0 "$noslit" merge "$dir/survey.yaml"
"$noslit" validate "$dir/catalogue.hdf5" --truth "$fixture/truth.fits" --json > "$dir/metrics.json"
[ -n "$python" ] || skip "no python with h5py"
id=$("$python" -c "
import h5py
with h5py.File('$dir/catalogue.hdf5') as f: print(f['ancil/object_id'][f['ancil/snr_gi'][()].argmax()])")
"$noslit" show "$dir/catalogue.hdf5" --id "$id" --config "$dir/survey.yaml" > "$dir/show.txt"
grep -qE "^exposures +[1-9]" "$dir/show.txt" || fail "show --config names no exposures"
grep -q "exposures/CSST_" "$dir/show.txt" || fail "show --config names no files"
"$python" -c "import matplotlib, astropy" 2>/dev/null || skip "no python with matplotlib and astropy"
export NOSLIT_PYTHON=$python
expect 0 "$noslit" show "$dir/catalogue.hdf5" --id "$id" --config "$dir/survey.yaml" --png "$dir/card.png" > /dev/null
[ "$(head -c 4 "$dir/card.png" | tail -c 3)" = PNG ] || fail "show --png left no picture"
# The card's heading: flags in words, exposures.
"$python" - "$source_dir" <<'PY'
import sys
sys.path.insert(0, sys.argv[1] + "/tools")
import show
a = dict(object_id=7, ra=1.0, dec=2.0, mag=20.0, snr_gv=1.0, snr_gi=2.0, odds=0.9, p_good=0.8, contamination=0.1, n_exp_gv=3, n_exp_gi=4,
         flag_words=b"star,low_snr", exposures=b"100/1,100/2,101/1")
text = show.heading(a)
assert "flags: star, low_snr" in text and "3 GV and 4 GI" in text and "100/1+2   101/1" in text, text
PY
expect 0 "$noslit" validate "$dir/catalogue.hdf5" --truth "$fixture/truth.fits" --report "$dir/report" --config "$dir/survey.yaml" > /dev/null
"$python" - "$dir" <<'PY'
import glob, json, sys, h5py, numpy as np
d = sys.argv[1]
worst = json.load(open(d + "/report/metrics.json"))["worst"]
cards = glob.glob(d + "/report/cards/*.h5")
assert len(cards) == len(worst) > 0, (len(cards), len(worst))
for path in cards:
    with h5py.File(path) as f:
        assert f["flux"].shape == f["variance"].shape == f["contamination"].shape == (2, 40, 480)
        assert np.all(np.diff(f["wavelength"][()], axis=1) > 0) and 3000 < f["wavelength"][0, 0] < f["wavelength"][1, -1] < 12000
        assert (f.attrs["flag_words"] in ("", b"")) == (f.attrs["flags"] == 0), "flags in words"
        assert np.any(f["variance"][()] > 0) and np.all(np.isfinite(f["flux"][()]))
PY
