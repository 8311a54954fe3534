# --force in a job that is drained and requeued: the next start makes the tiles that the first did not come to, and no other; a job
# of another number, or a first start of the same number on a new cluster, makes all anew.
. "$(dirname "$0")/_lib.sh"
dir=$(survey again)
cp -r "$reference"/{plan,run,tiles} "$dir/"
all=$(tiles "$dir" | wc -l)
made() { json "$dir/run/report.json" tiles.made; }
export SLURM_JOB_ID=17 SLURM_RESTART_COUNT=0
start "$dir" 3 -- --force --fault nap:tile=any
for _ in $(seq 400); do [ "$(grep -c '"e":"done"' "$dir/run/journal.jsonl")" -ge $((all + 2)) ] && break; sleep 0.02; done
kill -USR1 "$job"
finish 30
[ "$code" = 75 ] || { cat "$dir/out.txt"; fail "exit code $code instead of 75"; }
first=$(made)
[ "$first" -gt 0 ] && [ "$first" -lt "$all" ] || fail "$first of $all tiles were made before the drain: it came at no good time"
times "$dir" > "$dir/times"
export SLURM_RESTART_COUNT=1
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml" --force
[ "$(made)" = $((all - first)) ] || fail "after the requeue $(made) tiles were made, not $((all - first))"
[ "$(times "$dir" | grep -cFxf "$dir/times")" = "$first" ] || fail "tiles that the job had made were made again"
same_as_reference "$dir"
# What it has made and somebody has damaged since is made all the same.
truncate -s -500 "$(find "$dir/tiles" -name "Npix=$(some_tile 3).h5")"
export SLURM_RESTART_COUNT=2
expect 0 "$noslit" run "$dir/survey.yaml" --force
[ "$(made)" = 1 ] || fail "$(made) tiles were made instead of the damaged one"
export SLURM_RESTART_COUNT=0
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml" --force
[ "$(made)" = "$all" ] || fail "the first start of a job of the same number forced $(made) tiles"

# A tile that was given up stays so when the job comes back with --failed.
gone=$(some_tile 2)
rm "$(find "$dir/tiles" -name "Npix=$gone.h5")"
expect 3 "$noslit" run "$dir/survey.yaml" --fault fail:tile="$gone"
export SLURM_JOB_ID=18
expect 3 "$noslit" run "$dir/survey.yaml" --failed --fault fail:tile="$gone"
export SLURM_RESTART_COUNT=1
expect 3 "$noslit" run "$dir/survey.yaml" --failed
export SLURM_RESTART_COUNT=0
expect 0 "$noslit" run "$dir/survey.yaml" --failed
same_as_reference "$dir"
