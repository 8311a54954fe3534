# A worker that is killed, exits, crashes or hangs loses its tile to another; the run ends in bounded time with the same products.
. "$(dirname "$0")/_lib.sh"
tile=$(some_tile 4)
dir=$(survey dies)
start "$dir" 5 $recovery -- --fault kill:tile=$(some_tile 3):times=1,exit:tile=$tile:times=1,crash:tile=$(some_tile 9):times=1
finish 60
same_as_reference "$dir"
for i in 3 4 9; do
  grep -q "tile $(some_tile $i): its worker (rank [1-4]) was lost" "$dir/out.txt" || fail "the lost worker of tile $i is not named"
done
[ "$(json "$dir/run/report.json" workers_lost)" = 3 ] || fail "the report does not count the lost workers"

# SIGSTOP: nothing but its silence tells.
dir=$(survey hang)
start "$dir" 4 $recovery -- --fault hang:tile=$tile:times=1 --set run.lease_s=2 --set run.lease_factor=1
finish 60
same_as_reference "$dir"
grep -q "no sign of life" "$dir/out.txt" || fail "the silent worker is not named"

# Without --enable-recovery mpirun cannot go on without a rank, but a hanging one must not keep it for ever either.
dir=$(survey hang_plain)
start "$dir" 4 -- --fault hang:tile=$tile:times=1 --set run.lease_s=2 --set run.lease_factor=1
finish 60
same_as_reference "$dir"

# Any worker, at any moment.
dir=$(survey random)
start "$dir" 4 $recovery -- --fault nap:tile=any
wait_for_tiles "$dir" $((1 + RANDOM % 10))
kill -9 "$(ranks_of "$job" | sed -n $((2 + RANDOM % 3))p)"
finish 60
same_as_reference "$dir"

# All of them: the run ends, says so, and the same command finishes.
dir=$(survey all)
start "$dir" 3 $recovery -- --fault kill:tile=any:times=1
finish 60
unfinished "$dir"
grep -q "all workers were lost" "$dir/out.txt" || fail "nobody says that all workers were lost"
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
