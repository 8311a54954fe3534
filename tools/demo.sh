#!/usr/bin/env bash
# The main job on a fresh machine: install what is missing, build, make a mini survey, process it under mpirun, merge, validate.
# Products in out/demo. Usage: tools/demo.sh [ranks]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
ranks=${1:-3} # one master and two workers
out=$root/out/demo
noslit=$root/build/noslit

install_missing $build_needs $python_needs
build_noslit release noslit
cd "$root"

say "mini survey in out/demo"
rm -rf "$out"
mkdir -p "$out"
sed "s|@NOSLIT@|$root|g" "$root/configs/demo.yaml" > "$out/survey.yaml"
time mpi 2 "$noslit" simulate "$out/survey.yaml"

say "plan"
"$noslit" plan "$out/survey.yaml"

say "run: one master, $((ranks - 1)) workers"
time mpi "$ranks" "$noslit" run "$out/survey.yaml"

say "merge"
mpi 2 "$noslit" merge "$out/survey.yaml"

say "validate"
"$noslit" validate "$out/catalogue.hdf5" --truth "$out/truth.fits" --report "$out/report" --config "$out/survey.yaml"

say "done"
echo "catalogue  $out/catalogue.hdf5   (qp.read opens it)"
echo "truth      $out/truth.fits"
echo "report     $out/report/index.html"
echo "metrics    $out/report/metrics.json"
