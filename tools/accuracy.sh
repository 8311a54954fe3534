#!/usr/bin/env bash
# Accuracy of the committed models on test stamps that are made afresh from their seed, and the tables of docs/accuracy.md.
#   tools/accuracy.sh [--json] [--stamps N] [--robust N] [--work DIR]
# --stamps N   stamps of either test set (24000: bins of a few hundred sources tell nothing of calibration); the paper's network, which is
#              slow, and the robust one see the first 8000 of them
# --fits N     the first N of them are fitted with templates and by the oracle, and compared with the networks (2000)
# --robust N   stamps of each line of the robustness table (1000; 0: leave it out)
# --json       {"clean": ..., "full": ..., ...} on stdout, docs/accuracy.md stays; without it the tables of docs/accuracy.md are remade
# --work DIR   where stamps and catalogues go (out/accuracy); what is there already is used again
set -euo pipefail
. "$(dirname "$0")/common.sh"
stamps=24000 few=8000 fits=2000 robust=1000 json=0 work=$root/out/accuracy
while [ $# -gt 0 ]; do
  case $1 in
  --json) json=1 ;;
  --stamps) stamps=$2; shift ;;
  --fits) fits=$2; shift ;;
  --robust) robust=$2; shift ;;
  --work) work=$2; shift ;;
  -h | --help) sed -n '2,10s/^# //p' "$0"; exit 0 ;;
  *) echo "accuracy.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
[ $json = 0 ] || robust=0
noslit=${NOSLIT:-$root/build/noslit}
[ -x "$noslit" ] || { echo "accuracy.sh: build noslit first (no $noslit)" >&2; exit 1; }
python=$(find_python h5py numpy) || { echo "accuracy.sh: no python with h5py" >&2; exit 1; }
models=$root/configs/models inst=$root/configs/instruments/csst.yaml
mkdir -p "$work"

note() { printf '%s\n' "$*" >&2; }

make_stamps() { # NAME COUNT KEY=VALUE...
  local dir=$work/$1-$2 count=$2 sets=() kv
  shift 2
  [ -e "$dir/done" ] && return 0
  note "stamps: $dir"
  for kv in "$@"; do sets+=(--set "$kv"); done
  rm -rf "$dir"
  mpirun --oversubscribe --bind-to none -n "$jobs" --allow-run-as-root "$noslit" simulate "$root/configs/train_stamps.yaml" --stamps --quiet \
    --set survey.workdir="$dir" --set simulate.stamps_dir="$dir" --set simulate.set=test --set simulate.stamps="$count" \
    --set simulate.stamps_per_file=$(((count + jobs - 1) / jobs)) "${sets[@]}" >&2
  touch "$dir/done"
}

score() { # OUTPUT-NAME STAMP-DIR MODEL OPTION...
  local cat=$work/$1.hdf5
  "$noslit" estimate "$2"/*.h5 --model "$3" "${@:4}" --instrument "$inst" --out "$cat" --quiet >&2
  "$noslit" validate "$cat" --truth "$work/$1.truth.h5" --json --quiet >"$work/$1.json" 2>/dev/null
}

fit() { # OUTPUT-NAME STAMP-DIR template|oracle KEY=VALUE...
  local cat=$work/$1.hdf5 dir=$2 estimator=$3 sets=() kv
  shift 3
  for kv in "$@"; do sets+=(--set "$kv"); done
  "$noslit" estimate "$dir"/*.h5 --estimator "$estimator" --instrument "$inst" --config "$root/configs/train_stamps.yaml" "${sets[@]}" \
    --limit "$fits" --out "$cat" --quiet >&2
  "$noslit" validate "$cat" --truth "${cat%.hdf5}.truth.h5" --json --quiet >"${cat%.hdf5}.json" 2>/dev/null
}

rm -f "$work"/*.json
make_stamps clean "$stamps" simulate.clean=true
make_stamps full "$stamps"
score clean "$work/clean-$stamps" "$models/clean.h5"
score clean_default "$work/clean-$stamps" "$models/default.h5"
score full "$work/full-$stamps" "$models/default.h5"
score clean_same "$work/clean-$stamps" "$models/clean.h5" --limit "$fits"
score full_same "$work/full-$stamps" "$models/default.h5" --limit "$fits"
fit clean_template "$work/clean-$stamps" template & # two at a time
fit clean_oracle "$work/clean-$stamps" oracle simulate.clean=true
wait $!
fit full_template "$work/full-$stamps" template &
fit full_oracle "$work/full-$stamps" oracle
wait $!
score paper_net "$work/clean-$stamps" "$models/paper.h5" --limit "$few"
score paper_same "$work/clean-$stamps" "$models/paper.h5" --limit "$fits"
score small_same "$work/clean-$stamps" "$models/paper_small.h5" --limit "$fits"
score robust_net "$work/clean-$stamps" "$models/robust.h5" --limit "$few"

if [ "$robust" != 0 ]; then
  line() { # NAME KEY=VALUE...
    local name=$1 model
    shift
    make_stamps "robust-$name" "$robust" simulate.clean=true "$@"
    for model in default robust; do score "$model-$name" "$work/robust-$name-$robust" "$models/$model.h5"; done
  }
  for px in 0 0.25 0.5 1 2 3 5 10 48; do
    line "wave-$px" simulate.error_wave_shape=fixed simulate.error_wave_exposure=0 simulate.error_wave_grating=$px
    [ $px = 0 ] && continue
    for band in GV GI; do
      line "wave_$band-$px" simulate.error_wave_shape=fixed simulate.error_wave_exposure=0 simulate.error_wave_grating=$px \
        simulate.error_wave_bands=$band
    done
  done
  for x in 0.001 0.003; do line "dispersion-$x" simulate.error_dispersion=$x; done
  for x in 0.5 1 2; do line "trace-$x" simulate.error_trace=$x; done
  for x in 0.1 0.3; do line "psf-$x" simulate.error_psf=$x; done
  for x in 0.03 0.1; do line "sky-$x" simulate.error_sky=$x; done
  for x in 1 2; do line "exposures-$x" simulate.exposures=$x; done
  make_stamps strange "$robust" simulate.stamp_stars=0.35 simulate.stamp_quasars=0.35 simulate.stamp_blends=0.3
  score strange "$work/strange-$robust" "$models/default.h5"
fi

"$python" "$root/tools/accuracy.py" "$work" "$models" $([ $json = 1 ] && echo --json || echo "$root/docs/accuracy.md")
