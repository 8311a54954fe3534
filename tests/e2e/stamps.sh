# Fine-tuning on real redshifts: stamps of the survey's matched sources, a training from the default model on them (killed with -9 on
# its way), renorm, and the new model measures the survey.
. "$(dirname "$0")/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
dir=$(workdir a)
cd "$dir"
expect 0 "$noslit" run survey.yaml --quiet
expect 0 "$noslit" merge survey.yaml --quiet
expect 0 "$noslit" stamps survey.yaml --truth "$fixture/truth.fits" --out stamps --split 5,2,1 --per-file 20
expect 0 "$noslit" stamps survey.yaml --truth "$fixture/truth.fits" --out positions --by-position --split 1,0,0 --quiet
expect 2 "$noslit" stamps survey.yaml --truth "$fixture/truth.fits" --out stamps --quiet # there are stamps already
expect 2 "$noslit" stamps survey.yaml --truth "$fixture/truth.fits" --out other --split 0,0,0
expect 2 "$noslit" stamps survey.yaml --out other
expect 1 "$noslit" stamps survey.yaml --truth "$fixture/none.fits" --out other
for i in 1 2; do expect 0 "$noslit" stamps survey.yaml --truth "$fixture/truth.fits" --out parts --part $i/2 --quiet; done
"$noslit" validate catalogue.hdf5 --truth "$fixture/truth.fits" --draws 0 --json > metrics.json

# The stamps are what run measured, none twice, in disjoint sets.
"$python" - <<'PY'
import glob, json, h5py, numpy as np
def read(pattern):
    ids, z, snr = [], [], []
    for p in sorted(glob.glob(pattern)):
        with h5py.File(p) as f:
            assert len(f["label/z"]) <= 500
            ids.append(f["label/source_id"][...]); z.append(f["label/z"][...]); snr.append(f["facts/snr"][...])
    return np.concatenate(ids), np.concatenate(z), np.concatenate(snr)
ids, z, snr = read("stamps/*.h5")
assert len(set(ids)) == len(ids) > 20
sets = [set(read(f"stamps/{s}_*.h5")[0]) for s in ("train", "validation", "calibration")]
assert len(sets[0]) > len(sets[1]) > 0 and sum(map(len, sets)) == len(ids)
assert len(glob.glob("stamps/train_*.h5")) == -(-len(sets[0]) // 20)
for other in ("positions/*.h5", "parts/*.h5"):
    i, zo, s = read(other)
    assert sorted(i) == sorted(ids), other
    assert np.array_equal(zo[np.argsort(i)], z[np.argsort(ids)]) and np.array_equal(s[np.argsort(i)], snr[np.argsort(ids)]), other
matched = json.load(open("metrics.json"))["match"]["matched"] - json.load(open("metrics.json"))["match"]["matched_no_pdf"]
assert len(ids) == matched, (len(ids), matched)
with h5py.File("catalogue.hdf5") as f:
    row = {int(i): k for k, i in enumerate(f["ancil/object_id"][...])}
    for i, s in zip(ids, snr): assert f["ancil/snr_gi"][row[int(i)]] == s[1]
PY

# Fine-tuning; the killed one ends with the bits of the one that was left in peace.
cat > tune.yaml <<YAML
survey: {name: tune, workdir: ., seed: 3}
train:
  stamps: ["stamps/train_*.h5"]
  validation: ["stamps/validation_*.h5"]
  from: "$source_dir/configs/models/default.h5"
  epochs: 150
  batch: 8
  group: 8
  lr: 0.0001
  checkpoint_s: 1
YAML
expect 0 "$noslit" train tune.yaml --quiet --set train.output=tuned.h5
"$noslit" train tune.yaml --quiet --set train.output=killed.h5 &
pid=$!
for _ in $(seq 600); do [ -s killed.h5.checkpoint ] && break; kill -0 $pid 2> /dev/null || break; sleep 0.02; done
kill -9 $pid 2> /dev/null || true; wait $pid 2> /dev/null || true
expect 0 "$noslit" train tune.yaml --set train.output=killed.h5 --log again.log > /dev/null 2>&1
grep -q "resuming at step" again.log || fail "the killed training did not go on from its checkpoint"
hash_of() { "$noslit" model info "$1" | sed -n 's/^hash *//p'; }
[ "$(hash_of tuned.h5)" = "$(hash_of killed.h5)" ] || fail "a training that was killed ended with another model"
expect 0 "$noslit" model renorm tuned.h5 --stamps "stamps/train_*.h5" --batch 8 --out renormed.h5 --quiet
expect 0 "$noslit" estimate "stamps/calibration_*.h5" --model renormed.h5 --out check.hdf5 --samples 8 --quiet
expect 0 "$noslit" run survey.yaml --quiet --set run.model=renormed.h5
