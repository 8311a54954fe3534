# The paper's ResNet-34 in PyTorch and in noslit, with random and with trained weights: every layer agrees. Skipped without PyTorch.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
torch=""
for p in "${NOSLIT_TORCH_PYTHON:-}" "$python"; do
  if [ -n "$p" ] && "$p" -c "import torch, h5py" > /dev/null 2>&1; then torch=$p; break; fi
done
[ -n "$torch" ] || skip "no python with torch and h5py (say which by NOSLIT_TORCH_PYTHON)"
export NOSLIT_PYTHON=$python # noslit itself needs no PyTorch
dir=$build/tests/work/formats-torch_layers
rm -rf "$dir"; mkdir -p "$dir"
cd "$dir"
cat > stamps.yaml <<YAML
survey: {name: tiny, workdir: ., seed: 5}
instrument: {file: "$source_dir/configs/instruments/csst_mini.yaml"}
simulate: {stamps_dir: ., stamps: 6, stamps_per_file: 6, exposures: 2}
YAML
inst=(--instrument "$source_dir/configs/instruments/csst_mini.yaml")
stamps=(--stamps "$dir/train_00000.h5" --count 6)
check=$source_dir/tests/formats/torch_peer.py
"$noslit" simulate stamps.yaml --stamps --quiet
"$python" "$check" make .
"$noslit" model import paper.safetensors --out paper.h5 "${inst[@]}" --quiet
"$noslit" model layers paper.h5 "${stamps[@]}" --out layers.h5 --quiet # for the stamps as the network sees them
"$torch" "$check" torch_make .
for name in random trained; do
  expect 0 "$noslit" model import $name.pth --out $name.h5 "${inst[@]}" --quiet
  expect 0 "$noslit" model layers $name.h5 "${stamps[@]}" --out ${name}_layers.h5 --quiet
done
"$python" "$check" torch_compare .
expect 0 "$noslit" model export trained.h5 --out trained.npz --quiet
"$torch" "$check" torch_load .
