# The catalogue's datasets are byte-identical for any number of ranks, more ranks than tiles included, and pass validation; training stamps are
# the same files.
. "$(dirname "$0")/_lib.sh"
reference=$(workdir n1)
"$noslit" plan "$reference/survey.yaml"
expect 0 "$noslit" run "$reference/survey.yaml"
expect 0 "$noslit" merge "$reference/survey.yaml"
for n in 2 3 4; do
  dir=$(workdir n$n)
  expect 0 mpi $n "$noslit" run "$dir/survey.yaml"
  [ -s "$dir/run/COMPLETE.json" ] || fail "no completion proof at -n $n"
  expect 0 mpi $n "$noslit" merge "$dir/survey.yaml"
  same_catalogue "$reference/catalogue.hdf5" "$dir/catalogue.hdf5"
done
expect 0 "$noslit" verify "$reference/catalogue.hdf5"
"$noslit" validate "$reference/catalogue.hdf5" --truth "$fixture/truth.fits" --json > "$reference/metrics.json"
"$python" - "$reference/metrics.json" <<'PY'
import json, sys
m = json.load(open(sys.argv[1]))
for key in ("all", "snr_gi>=1", "snr_gi>=3", "snr_gi>=5", "snr_gi>=10"):
    for name in ("n", "sigma_nmad", "bias", "outlier_0.02", "outlier_0.15", "mean_e", "pit_ks", "crps", "nll", "coverage_68", "coverage_95"):
        assert name in m[key], (key, name)
assert m["all"]["n"] > 20, m["all"]["n"]
PY

stamps="--stamps --quiet --set simulate.stamps=7 --set simulate.stamps_per_file=2"
expect 0 "$noslit" simulate "$reference/survey.yaml" $stamps --set "simulate.stamps_dir=$reference/stamps"
for n in 1 3; do
  expect 0 mpi $n "$noslit" simulate "$reference/survey.yaml" $stamps --set "simulate.stamps_dir=$reference/stamps$n"
  for f in "$reference"/stamps/*.h5; do cmp "$f" "$reference/stamps$n/$(basename "$f")" || fail "other stamps at -n $n"; done
done
