# Weights from and to PyTorch without PyTorch: a thin ResNet made by numpy agrees layer by layer with one written in numpy, names of
# several kinds are understood, and import(export(model)) is the same model. Then running statistics measured on stamps.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
export NOSLIT_PYTHON=$python
dir=$build/tests/work/formats-torch
rm -rf "$dir"; mkdir -p "$dir"
cd "$dir"
cat > stamps.yaml <<YAML
survey: {name: tiny, workdir: ., seed: 5}
instrument: {file: "$source_dir/configs/instruments/csst_mini.yaml"}
simulate: {stamps_dir: ., stamps: 24, stamps_per_file: 24, exposures: 2}
YAML
inst=(--instrument "$source_dir/configs/instruments/csst_mini.yaml")
stamps=(--stamps "$dir/train_00000.h5")
hash_of() { "$noslit" model info "$1" | sed -n 's/^hash *//p'; }
"$noslit" simulate stamps.yaml --stamps --quiet
check=$source_dir/tests/formats/torch_peer.py
"$python" "$check" make .
expect 0 "$noslit" model import paper.safetensors --out paper.h5 "${inst[@]}" --quiet
expect 0 "$noslit" model layers paper.h5 "${stamps[@]}" --count 2 --out layers.h5 --quiet
"$python" "$check" numpy .

# Other names of the same tensors: torchvision's, and any by a map.
expect 0 "$noslit" model import vision.npz --out vision.h5 "${inst[@]}" --quiet
[ "$(hash_of paper.h5)" = "$(hash_of vision.h5)" ] || fail "torchvision's names give another model"
expect 1 "$noslit" model import odd.npz --out odd.h5 "${inst[@]}" --quiet
says "no first layer" "$noslit" model import odd.npz --out odd.h5 "${inst[@]}"
echo "first.weight stem.weight  # as it is called there" > names.txt
expect 0 "$noslit" model import odd.npz --out odd.h5 "${inst[@]}" --map names.txt --quiet
[ "$(hash_of paper.h5)" = "$(hash_of odd.h5)" ] || fail "names by a map give another model"

# What does not fit is named, and leaves no file.
says "s3_b3_conv1_bn.weight is missing" "$noslit" model import lacking.npz --out bad.h5 "${inst[@]}"
says "give --instrument" "$noslit" model import paper.safetensors --out bad.h5
head -c 5000 paper.safetensors > short.safetensors
says "no safetensors file|outside the file" "$noslit" model import short.safetensors --out bad.h5 "${inst[@]}"
says "no such file" "$noslit" model import none.pth --out bad.h5 "${inst[@]}"
echo junk > junk.pth
says "no file of torch.save" "$noslit" model import junk.pth --out bad.h5 "${inst[@]}"
expect 2 "$noslit" model import paper.safetensors
expect 2 "$noslit" model export paper.h5
[ ! -e bad.h5 ] || fail "a model file was left behind"
[ -z "$(ls -A | grep tmp || true)" ] || fail "temporary files were left behind: $(ls -A | grep tmp)"

# Export and back: the same bits, calibration and card included, for both networks.
for kind in npz safetensors; do
  for model in paper.h5 "$source_dir/configs/models/default.h5"; do
    expect 0 "$noslit" model export "$model" --out back.$kind --quiet
    expect 0 "$noslit" model import back.$kind --out back.h5 --quiet
    [ "$(hash_of "$model")" = "$(hash_of back.h5)" ] || fail "import(export($model)) by $kind is another model"
    cmp <("$noslit" model card "$model") <("$noslit" model card back.h5) || fail "the card of $model did not survive $kind"
  done
done
expect 0 "$noslit" model export paper.h5 --out paper.npz --quiet
"$python" "$check" exported .

# Running statistics: taken from the stamps, so a second time on the same stamps they stay.
expect 0 "$noslit" model renorm paper.h5 "${stamps[@]}" --batch 12 --out renormed.h5 --quiet
[ "$(hash_of paper.h5)" != "$(hash_of renormed.h5)" ] || fail "renorm changed nothing"
expect 0 "$noslit" model renorm renormed.h5 "${stamps[@]}" --batch 12 --out again.h5 --quiet
[ "$(hash_of again.h5)" = "$(hash_of renormed.h5)" ] || fail "renorm on the same stamps is not the same"
expect 0 "$noslit" model layers renormed.h5 "${stamps[@]}" --count 24 --out layers24.h5 --quiet
"$python" - <<'PY'
import h5py, numpy as np
with h5py.File("renormed.h5") as m, h5py.File("layers24.h5") as f:
    stem = f["layers/stem"][...].astype(float)
    assert np.allclose(m["weights/stem_bn.mean"][...], stem.mean((0, 2, 3)), rtol=1e-3, atol=1e-3 * stem.std())
    assert np.allclose(m["weights/stem_bn.var"][...], stem.var((0, 2, 3)), rtol=2e-3)
PY
says "less than one batch" "$noslit" model renorm paper.h5 "${stamps[@]}" --batch 25 --out bad.h5
