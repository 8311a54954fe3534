# Stamps, training and model file by the commands: h5py reads both files, a stopped training goes on to the same bits, and two ranks
# give the bits of one.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
dir=$build/tests/work/formats-model
rm -rf "$dir"; mkdir -p "$dir"
cat > "$dir/train.yaml" <<YAML
survey: {name: tiny, workdir: ., seed: 5}
instrument: {file: "$source_dir/configs/instruments/csst_mini.yaml"}
simulate: {stamps_dir: stamps, stamps: 70, stamps_per_file: 40, exposures: 2}
train:
  stamps: ["stamps/train_*.h5"]
  validation: ["stamps/validation_*.h5"]
  epochs: 12
  batch: 16
  group: 8
  bins: 320
YAML
cd "$dir"
"$noslit" simulate train.yaml --stamps --quiet
"$noslit" simulate train.yaml --stamps --quiet --set simulate.set=validation --set simulate.stamps=20
"$noslit" train train.yaml --quiet --set train.output=whole.h5

# Stopped as soon as it is training, then called again.
"$noslit" train train.yaml --set train.output=resumed.h5 --log train.log > /dev/null 2>&1 &
pid=$!
for _ in $(seq 300); do grep -q "epoch 2.00" train.log 2> /dev/null && break; sleep 0.1; done
kill -TERM $pid
code=0; wait $pid || code=$?
[ "$code" = 75 ] || fail "a training that was told to stop left with $code, not 75"
[ -s resumed.h5.checkpoint ] || fail "no checkpoint was left"
"$noslit" train train.yaml --set train.output=resumed.h5 --log train.log > /dev/null 2>&1
grep -q "resuming at step" train.log || fail "the training did not go on from its checkpoint"
[ ! -e resumed.h5.checkpoint ] || fail "the checkpoint outlived the training"
mpi 2 "$noslit" train train.yaml --quiet --set train.output=two.h5

hash_of() { "$noslit" model info "$1" | sed -n 's/^hash *//p'; }
for other in resumed.h5 two.h5; do
  [ "$(hash_of whole.h5)" = "$(hash_of $other)" ] || fail "$other is not the model of the training in one go"
done
"$noslit" model card whole.h5 > card.json
expect 2 "$noslit" model inof whole.h5
expect 1 "$noslit" model info stamps/train_00000.h5

# Calibration: too few stamps are refused, and the model stays.
expect 1 "$noslit" model calibrate whole.h5 --stamps "stamps/validation_*.h5" --samples 4
expect 2 "$noslit" model calibrate whole.h5
"$noslit" simulate train.yaml --stamps --quiet --set simulate.set=calibration --set simulate.stamps=240
"$noslit" model calibrate whole.h5 --stamps "stamps/calibration_*.h5" --samples 4 --out calibrated.h5 --quiet
says "; calibrated" "$noslit" model info calibrated.h5
says "; not calibrated" "$noslit" model info whole.h5
[ "$(hash_of whole.h5)" != "$(hash_of calibrated.h5)" ] || fail "the calibration is not part of the model's hash"

# A catalogue of stamps, and their truth.
"$noslit" estimate "stamps/validation_*.h5" --model calibrated.h5 --out check.hdf5 --samples 8 --quiet
expect 0 "$noslit" verify check.hdf5
"$noslit" validate check.hdf5 --truth check.truth.h5 --draws 0 --json > check.json
expect 1 "$noslit" estimate "stamps/nothing_*.h5" --model whole.h5 --out none.hdf5
expect 1 "$noslit" estimate stamps/validation_00000.h5 stamps/validation_00000.h5 --model whole.h5 --out twice.hdf5
expect 2 "$noslit" estimate stamps/validation_00000.h5 --out none.hdf5
[ ! -e twice.hdf5 ] || fail "a catalogue was left behind"

# Fits of the same stamps, and what they need.
inst=$source_dir/configs/instruments/csst_mini.yaml
fitted() { "$noslit" estimate "stamps/validation_*.h5" --instrument "$inst" --out fitted.hdf5 --quiet "$@"; }
expect 0 fitted --estimator template --limit 3
expect 0 fitted --estimator oracle --config train.yaml --limit 5
"$noslit" validate fitted.hdf5 --truth fitted.truth.h5 --draws 0 --json --quiet > /dev/null
says "give the configuration" fitted --estimator oracle --config train.yaml --set survey.seed=6 --out other.hdf5
sed -e "s|{name: GI, lambda0_a: [0-9.]*|{name: GI, lambda0_a: 6300|" -e "s|csst/|$source_dir/configs/instruments/csst/|g" "$inst" > moved.yaml
says "GI" fitted --estimator template --instrument moved.yaml --out other.hdf5
expect 1 fitted --estimator oracle --config none.yaml --out other.hdf5
expect 2 fitted --estimator oracle --out other.hdf5
expect 2 fitted --estimator guess --out other.hdf5
expect 2 "$noslit" estimate stamps/validation_00000.h5 --estimator template --out other.hdf5
[ ! -e other.hdf5 ] || fail "a catalogue was left behind"

"$python" - <<'PY'
import json, h5py, numpy as np
with h5py.File("stamps/train_00000.h5") as f:
    assert f.attrs["format"] in ("noslit-stamps", b"noslit-stamps") and f.attrs["version"] == 5
    flux = (f["flux"][0] - f["scale/zero"][0][:, None, None].astype(float)) * f["scale/quantum"][0][:, None, None]
    code = f["variance"][0].astype(float)
    sigma = np.exp(0.5 * (f["scale/ln_var_min"][0] + f["scale/ln_var_step"][0] * (code.transpose(1, 2, 0) - 1))).transpose(2, 0, 1)
    sky = np.abs(flux / sigma)[code > 0]
    assert flux.shape == (2, 40, 480) and 0.3 < np.median(sky) < 3, np.median(sky)
    assert len(f["label/z"]) == f.attrs["n_stamps"] == 40
with h5py.File("whole.h5") as f:
    card = json.loads(f["card"][:].tobytes())
    assert card == json.load(open("card.json")) and card["history"][-1]["step"] == 48
    graph = f["graph"][:].tobytes().decode().splitlines()
    assert graph[0].startswith("input name=x") and f.attrs["pdf_n"] == 320
    names = {line.split()[1].split("=")[1] for line in graph}
    assert {w.rsplit(".", 1)[0] for w in f["weights"]} <= names
with h5py.File("fitted.hdf5") as f, h5py.File("fitted.truth.h5") as t:
    assert f.attrs["estimator"] in ("oracle", b"oracle") and f["data/pdfs"].shape[0] == len(t["z"]) == 5
with h5py.File("check.hdf5") as f, h5py.File("check.truth.h5") as t, h5py.File("stamps/validation_00000.h5") as s:
    assert np.array_equal(f["ancil/object_id"][:], t["object_id"][:]) and np.all(np.diff(t["object_id"][:]) > 0)
    where = np.argsort(s["label/source_id"][:])
    assert np.array_equal(s["label/z"][:][where], t["z"][:]) and np.array_equal(s["facts/snr"][:, 1][where], f["ancil/snr_gi"][:])
    assert np.all((f["ancil/p_good"][:] >= 0) & (f["ancil/p_good"][:] <= 1))
    assert json.load(open("check.json"))["match"]["matched"] == len(t["z"]) - np.count_nonzero(t["type"][:] % 3)
PY
