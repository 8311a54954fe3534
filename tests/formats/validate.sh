# noslit validate and show on a catalogue and truth tables with known answers (numpy's), the gate's exit codes, the report.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
"$python" -c "import astropy, scipy" 2>/dev/null || skip "no python with astropy and scipy"
dir=$build/tests/work/formats-$name
rm -rf "$dir"; mkdir -p "$dir"
"$python" "$source_dir/tests/formats/make_validation_set.py" "$dir" 4000
cat=$dir/catalogue.hdf5

# Numbers agree with numpy's, on a DESI table, on a mapped CSV and by position alone.
"$noslit" validate "$cat" --truth "$dir/truth.fits" --json > "$dir/desi.json"
"$noslit" validate "$cat" --truth "$dir/truth.csv" --id name_of_it --z redshift_of_it --json --draws 0 > "$dir/csv.json"
"$noslit" validate "$cat" --truth "$dir/position.fits" --json --draws 20 > "$dir/position.json"
"$noslit" validate "$cat" --truth "$dir/truth.fits" --by-position --radius 0.6 --draws 20 --json > "$dir/radius.json"
"$noslit" validate "$cat" --truth "$dir/zall-pix.fits" --draws 0 --json > "$dir/zall.json"
"$noslit" validate "$cat" --truth "$dir/redrock.fits" --draws 0 --json > "$dir/redrock.json"
"$noslit" validate "$cat" --truth "$dir/spAll.fits" --radius 0.6 --draws 0 --json > "$dir/spall.json"
"$python" - "$dir" <<'PY'
import json, math, sys
d = sys.argv[1]
want = json.load(open(d + "/expected.json"))
doc = {k: json.load(open(f"{d}/{k}.json")) for k in ("desi", "csv", "position", "radius")}
for name, m in doc.items():
    assert m["match"]["matched"] == want["matched"], (name, m["match"])
    assert m["match"]["n_truth"] == want["n_truth"], (name, m["match"])
    assert m["all"]["n"] == want["n"], (name, m["all"]["n"])
    assert m["match"]["by"] == ("position" if name in ("position", "radius") else "id"), name
    for k, v in want["cuts"]["all"].items():
        assert abs(m["all"][k] - v) <= 1e-6 * abs(v) + 1e-8, (name, k, m["all"][k], v)
for name, by, primary in (("zall", "id", 1), ("redrock", "id", 0), ("spall", "position", 1)):  # redrock has primaries only
    m = json.load(open(f"{d}/{name}.json"))
    assert m["match"]["by"] == by and m["match"]["matched"] == want["matched"] and m["all"]["n"] == want["n"], (name, m["match"])
    left_out = m["match"]["truth_table"]
    assert (left_out["not_primary"] > 0) == bool(primary) and left_out["star"] > 0 and left_out["zwarn"] > 0, (name, left_out)
    assert abs(m["all"]["bias"] - want["cuts"]["all"]["bias"]) < 1e-6 and abs(m["all"]["sigma_nmad"] / want["cuts"]["all"]["sigma_nmad"] - 1) < 1e-3, name
m = doc["desi"]
for cut, values in want["cuts"].items():
    for k, v in values.items():
        assert abs(m[cut][k] - v) <= 1e-6 * abs(v) + 1e-8, (cut, k, m[cut][k], v)
assert m["match"]["truth_table"]["zwarn"] == want["zwarn"]
assert m["match"]["truth_table"]["star"] > 50 and m["match"]["truth_table"]["qso"] > 5 and m["match"]["truth_table"]["not_primary"] > 50
# The truths were drawn from the PDFs, so these are calibrated: KS at the 0.1 % level, coverage within 4 sigma.
n = m["all"]["n"]
assert m["all"]["pit_ks"] < 1.95 / math.sqrt(n), m["all"]["pit_ks"]
for level, key in ((0.68, "coverage_68"), (0.95, "coverage_95")):
    assert abs(m["all"][key] - level) < 4 * math.sqrt(level * (1 - level) / n), (key, m["all"][key])
assert abs(m["nz"]["mean_z_stacked"] - m["nz"]["mean_z_truth"]) < 0.005
assert 0 < m["all"]["sigma_nmad_err"] < 3e-4 and m["meta"]["bootstrap"]["units"] >= 30
assert m["all"]["sigma_nmad_z_median"] > 0 and m["flag:contaminated"]["n"] > 100
assert sum(v["n"] for k, v in m.items() if isinstance(v, dict) and v.get("axis") == "snr_gi") == n
assert doc["csv"]["all"]["sigma_nmad_err"] is None  # --draws 0
assert m["confidence_p_good"]["purity_99"]["purity"] >= 0.99
for k in ("odds", "p_good"):
    r = m["reliability"][k]
    assert sum(b["n"] for b in r["bins"]) == r["n"] == n and 0 <= r["brier"] < 0.25, r
    assert math.isclose(sum(b["n"] * abs(b["claimed"] - b["found"]) for b in r["bins"]) / r["n"], r["mean_gap"], rel_tol=1e-6)
assert m["confidence"]["purity_99"]["purity"] >= 0.99 and m["worst"][0]["odds"] >= m["worst"][-1]["odds"]
PY

# Identifiers that agree by accident are told by their positions; right ones are not.
"$python" - "$dir" <<'PY'
import sys
from astropy.table import Table
t = Table.read(sys.argv[1] + "/truth.fits")
t["TARGET_DEC"] += 0.01
t.write(sys.argv[1] + "/accident.fits", overwrite=True)
PY
"$noslit" validate "$cat" --truth "$dir/accident.fits" --draws 0 --json > "$dir/accident.json" 2> "$dir/accident.err"
grep -q "lie more than 5 arcsec away.*--by-position" "$dir/accident.err" || fail "identifiers that agree by accident: no warning"
"$noslit" validate "$cat" --truth "$dir/truth.fits" --draws 0 --json 2>&1 > /dev/null | grep -q "lie more than" && fail "a warning of right identifiers"
"$python" -c "import json; a, b = (json.load(open('$dir/' + f))['match'] for f in ('accident.json', 'desi.json')); assert a['far_apart'] == a['matched'] and b['far_apart'] == 0, (a, b)"
says "name the redshifts' column with --z" "$noslit" validate "$cat" --truth "$dir/truth.csv"

# The same command gives the same bytes.
"$noslit" validate "$cat" --truth "$dir/truth.fits" --json 2>/dev/null | cmp - "$dir/desi.json" || fail "a second validation differs"

# So do several ranks, by identifier and by position, and with blocks enough for all of them.
for n in 1 2 3; do
  mpi $n "$noslit" validate "$cat" --truth "$dir/truth.fits" --json 2>/dev/null | cmp - "$dir/desi.json" || fail "$n ranks give other numbers"
  mpi $n "$noslit" validate "$cat" --truth "$dir/truth.fits" --by-position --radius 0.6 --draws 20 --json 2>/dev/null | cmp - "$dir/radius.json" ||
    fail "$n ranks give other numbers by position"
done
"$python" - "$dir" <<'PY'
import sys, numpy as np
from astropy.table import Table, vstack
d = sys.argv[1]
t = Table.read(d + "/truth.fits")["TARGETID", "TARGET_RA", "TARGET_DEC", "Z", "ZWARN", "ZCAT_PRIMARY", "SPECTYPE", "SNR_GI"]
n = 200_000
filler = Table({"TARGETID": -1 - np.arange(n), "TARGET_RA": np.full(n, 200.0), "TARGET_DEC": np.full(n, 50.0), "Z": np.full(n, 0.4),
                "ZWARN": np.zeros(n, int), "ZCAT_PRIMARY": np.ones(n, bool), "SPECTYPE": np.full(n, "GALAXY"), "SNR_GI": np.ones(n, "f4")})
late = t.copy(); late["Z"] += 0.1  # the first row of an identifier wins, in whatever block it is
vstack([t[::2], filler, t[1::2], late]).write(d + "/long.fits", overwrite=True)
PY
"$noslit" validate "$cat" --truth "$dir/long.fits" --draws 0 --json > "$dir/long1.json"
mpi 3 "$noslit" validate "$cat" --truth "$dir/long.fits" --draws 0 --json 2>/dev/null | cmp - "$dir/long1.json" || fail "three ranks give other numbers for a long table"
"$python" -c "import json; d = '$dir/'; a, b = (json.load(open(d + f)) for f in ('long1.json', 'desi.json')); assert a['all']['sigma_nmad'] == b['all']['sigma_nmad'] and a['match']['ambiguous'] > 3000, a['match']"
expect 1 mpi 2 "$noslit" validate "$cat" --truth "$dir/nowhere.fits" > /dev/null

# The gate.
printf '"snr_gi>=3":\n  sigma_nmad: {max: 0.02}\n  "outlier_0.02": {max: 0.05}\nmatch:\n  completeness: {min: 0.9}\n' > "$dir/pass.yaml"
printf '"snr_gi>=3": {sigma_nmad: {max: 0.02}, coverage_68: {min: 0.99}}\n' > "$dir/fail.yaml"
printf '"snr_gi>=3": {sigma_nmda: {max: 0.02}}\n' > "$dir/unknown.yaml"
printf '"snr_gi>=3": {sigma_nmad: 0.02}\n' > "$dir/form.yaml"
gate() { "$noslit" validate "$cat" --truth "$dir/truth.fits" --draws 0 --require "$dir/$1.yaml"; }
expect 0 gate pass > "$dir/pass.txt"
grep -q "3 thresholds, 0 failed" "$dir/pass.txt" || fail "gate: no summary"
expect 1 gate fail > "$dir/fail.txt"
grep -q "^FAIL   snr_gi>=3.coverage_68" "$dir/fail.txt" || fail "gate: no word of what failed"
grep -q "^pass   snr_gi>=3.sigma_nmad" "$dir/fail.txt" || fail "gate: no word of what passed"
expect 2 gate unknown > /dev/null
expect 2 gate form > /dev/null

# Selections and bad input.
all=$("$python" -c "import json; print(json.load(open('$dir/desi.json'))['match']['n_catalogue'])")
some=$("$noslit" validate "$cat" --truth "$dir/truth.fits" --cone 0.5,0.5,0.5 --json --draws 0 | "$python" -c "import json, sys; print(json.load(sys.stdin)['match']['n_catalogue'])")
[ "$some" -gt 100 ] && [ "$some" -lt "$all" ] || fail "--cone took $some of $all sources"
expect 2 "$noslit" validate "$cat"
expect 2 "$noslit" validate "$cat" --truth "$dir/truth.fits" --failed
expect 1 "$noslit" validate "$cat" --truth "$dir/nowhere.fits"
says "nearest is 'name_of_it'" "$noslit" validate "$cat" --truth "$dir/truth.csv" --id name_of_ix
expect 1 "$noslit" validate "$dir/truth.fits" --truth "$dir/truth.fits"

# One source.
id=$("$python" -c "import json; print(json.load(open('$dir/desi.json'))['worst'][0]['object_id'])")
"$noslit" show "$cat" --id "$id" --truth "$dir/truth.fits" > "$dir/show.txt"
for word in "^source        $id" "^truth " "^68 % " "^peaks  .*z = .*, z = " "^flags " "^provenance "; do
  grep -q "$word" "$dir/show.txt" || fail "show: no line matches '$word'"
done
expect 1 "$noslit" show "$cat" --id 5
expect 2 "$noslit" show "$cat"

# The report and the card, where there is a Python to draw them.
"$python" -c "import matplotlib" 2>/dev/null || { echo "no matplotlib: report not tested"; exit 0; }
export NOSLIT_PYTHON=$python
expect 0 "$noslit" validate "$cat" --truth "$dir/truth.fits" --report "$dir/report" > /dev/null
cmp <("$python" -m json.tool "$dir/report/metrics.json") <("$python" -m json.tool "$dir/desi.json") || fail "metrics.json is not what --json prints"
"$python" - "$dir/report/index.html" <<'PY'
import re, sys
text = open(sys.argv[1], encoding="utf-8").read()
assert len(re.findall("<figure>", text)) >= 25, len(re.findall("<figure>", text))
assert not re.search(r'(src|href)="(?!data:)', text), "the page wants something from outside"
for word in ("Reliability of odds", "Confident failures", "0.0104", "Definitions"):
    assert word in text, word
PY
expect 0 "$noslit" show "$cat" --id "$id" --png "$dir/card.png" > /dev/null
[ "$(head -c 4 "$dir/card.png" | tail -c 3)" = PNG ] || fail "show --png left no picture"
"$python" "$source_dir/docs/nz.py" "$cat" "$dir/nz.png"
[ -s "$dir/nz.png" ] || fail "docs/nz.py left no picture"
