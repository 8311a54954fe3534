# kill -9 of the whole job, or of the master alone, at any moment: the same command again finishes, and what was done stays.
. "$(dirname "$0")/_lib.sh"
dir=$(survey whole)
start "$dir" 3 -- --fault nap:tile=any
wait_for_tiles "$dir" $((1 + RANDOM % 12))
kill -9 $(ranks_of "$job") "$job"
finish 20
unfinished "$dir"
says "^(running|a run) \\(all\\).* of .* tiles ended" "$noslit" status "$dir/survey.yaml"
times "$dir" > "$dir/times"
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
[ ! -e "$dir/run/progress.json" ] || fail "a run that has ended is said to be under way"
[ "$(times "$dir" | grep -cFxf "$dir/times")" = "$(wc -l < "$dir/times")" ] || fail "tiles that were done were made again"

# The master alone: its workers notice and leave.
dir=$(survey master)
start "$dir" 3 $recovery -- --fault nap:tile=any
wait_for_tiles "$dir" 2
workers=$(ranks_of "$job" | tail -n +2)
kill -9 "$(ranks_of "$job" | head -1)"
finish 40
for w in $workers; do ! kill -0 "$w" 2> /dev/null || fail "worker $w has outlived its master"; done
unfinished "$dir"
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
