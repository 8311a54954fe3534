# Surveys submitted to a real SLURM: an array with dependencies that meets its time limit, scancel in the middle, a killed worker, a
# damaged exposure and the re-run of a cone after its repair. In the end every catalogue is that of an undisturbed run, byte for byte.
. "$(dirname "$0")/../fault/_lib.sh"
. "$(dirname "$0")/_lib.sh"
start_cluster 9

expected=$build/tests/work/$name-expected.hdf5
"$noslit" merge "$reference/survey.yaml" --set output.catalogue="$expected" --set output.fits= > /dev/null

# A survey with its site profile. While the file `fault` is there, the run of a job's first start has that fault.
slurm_survey() { # name, lines of the profile
  local d; d=$(survey "$1"); shift
  cat > "$d/noslit.sh" <<WRAP
#!/bin/sh
if [ "\$1" = run ] && [ "\${SLURM_RESTART_COUNT:-0}" = 0 ] && [ -f "$d/fault" ]; then exec "$noslit" "\$@" --fault "\$(cat "$d/fault")"; fi
exec "$noslit" "\$@"
WRAP
  chmod +x "$d/noslit.sh"
  cat > "$d/site.sh" <<SITE
noslit=$d/noslit.sh
cores_per_node=3
mpirun_options="--oversubscribe --bind-to none"
drain_s=20
max_walltime_h=1
SITE
  printf '%s\n' "$@" >> "$d/site.sh"
  echo "$d"
}
submit() { # dir, arguments of submit.sh: prints what it says; $d/run/jobs.jsonl has the numbers
  local d=$1; shift
  "$source_dir/jobs/submit.sh" "$d/survey.yaml" --site "$d/site.sh" "$@" || fail "submit.sh $*"
}
done_tiles() { cat "$1"/run/journal.jsonl "$1"/run/part-*/journal.jsonl 2> /dev/null | grep -c '"e":"done"'; }
has_done() { [ "$(done_tiles "$1")" -ge "$2" ]; }

# --- all at once, so that the waiting overlaps ----------------------------------------------------------------------------------

# The dry run shows the commands and submits nothing.
limit=$(slurm_survey limit)
text=$(submit "$limit" --dry-run --array 2)
grep -q "core-hours (a guess" <<< "$text" || fail "the dry run predicts nothing: $text"
grep -q -- "--array=1-2 .*run.sbatch .*--parts 2" <<< "$text" || fail "no array in the dry run: $text"
[ "$(grep -c '^sbatch ' <<< "$text")" = 3 ] && [ ! -e "$limit/run/jobs.jsonl" ] && [ -z "$(squeue -h)" ] || fail "the dry run: $text"

# 1. An array with its dependencies; one tile would take all day, so the time limit comes first: drained, requeued, completed.
echo "slow:tile=$(some_tile 3),slow:tile=$(some_tile 16)" > "$limit/fault"
submit "$limit" --array 2 --time 1
# 2. Cancelled in the middle.
cancel=$(slurm_survey cancel)
echo "slow:tile=$(some_tile 5)" > "$cancel/fault"
submit "$cancel" --stages run
# 3. A worker dies; and an exposure is damaged: the run goes on without it.
in=$build/tests/work/$name-input
rm -rf "$in"; mkdir -p "$in/exposures"
for f in "$fixture"/exposures/*; do ln -s "$f" "$in/exposures/"; done
cp "$fixture"/catalogue.fits "$fixture"/truth.fits "$in/"
victim=$(find "$in/exposures" -name '*.fits*' | sort | head -n 1); whole=$(readlink -f "$victim")
rm "$victim"; head -c 100000 "$whole" > "$victim"
input=$in; damaged=$(slurm_survey damaged); unset input
echo "kill:tile=$(some_tile 4):times=1" > "$damaged/fault"
submit "$damaged"

wait_until 120 "tiles of the run that will be cancelled" has_done "$cancel" 3
scancel "$(job_of "$cancel" run)"
wait_until 120 "the end of the cancelled job" is_over "$(job_of "$cancel" run)"
unfinished "$cancel"
rm "$cancel/fault"
before=$(tiles "$cancel" | wc -l)
if srun --mpi=list 2>&1 | grep -q pmix; then echo "launcher=srun" >> "$cancel/site.sh"; echo 'srun_options="--mpi=pmix"' >> "$cancel/site.sh"; fi
submit "$cancel"
completed "$cancel" validate
same_as_reference "$cancel"
[ "$(json "$cancel/run/report.json" tiles.verified)" = "$before" ] || fail "cancelling lost tiles"
same_catalogue "$expected" "$cancel/catalogue.hdf5"
[ -s "$cancel/report/metrics.json" ] || fail "validate left no metrics"

completed "$damaged" validate
[ "$(json "$damaged/run/report.json" workers_lost)" = 1 ] || fail "no worker was lost"
says "$(basename "$victim")" "$noslit" status "$damaged/survey.yaml" --why
! cmp -s <(dataset_hashes "$expected") <(dataset_hashes "$damaged/catalogue.hdf5") || fail "a damaged exposure changed nothing"
# Repaired, its tiles are stale; a cone over them makes them anew, and them alone.
rm "$victim" && cp "$whole" "$victim"
rm "$damaged/fault"
times "$damaged" > "$damaged/times"
"$noslit" plan "$damaged/survey.yaml" > /dev/null
"$noslit" status "$damaged/survey.yaml" --why --json > "$damaged/status.json"
stale=$(json "$damaged/status.json" tiles.stale)
[ "$stale" -gt 0 ] || fail "the repaired exposure made no tile stale"
cone=$("$python" - "$damaged/status.json" "$damaged/catalogue.hdf5" <<'PY'
import json, sys, h5py, numpy as np
stale = [t["tile"] for t in json.load(open(sys.argv[1]))["why"] if t["state"] == "stale"]
with h5py.File(sys.argv[2]) as f:
    mine = np.isin(f["ancil/tile"][()], stale)
    ra, dec = f["ancil/ra"][()][mine], f["ancil/dec"][()][mine]
r = np.hypot((ra - ra.mean()) * np.cos(np.radians(dec.mean())), dec - dec.mean()).max()
print("%.6f,%.6f,%.6f" % (ra.mean(), dec.mean(), r * 1.01 + 1e-4))
PY
)
submit "$damaged" --cone "$cone"
completed "$damaged" validate
same_as_reference "$damaged"
[ "$(times "$damaged" | grep -cvFxf "$damaged/times")" = "$stale" ] || fail "the cone made other tiles than the $stale stale ones"
same_catalogue "$expected" "$damaged/catalogue.hdf5"

completed "$limit" validate
grep -q "SIGUSR1: draining" "$limit"/run/log/noslit-run-*.log || fail "the time limit drained nothing"
grep -q "drained: back into the queue" "$limit"/run/log/noslit-run-*.log || fail "a drained job did not go back into the queue"
same_as_reference "$limit"
same_catalogue "$expected" "$limit/catalogue.hdf5"
