# SIGUSR1 drains: what runs is finished, exit code 75, the same command goes on. A second one gives up what runs.
. "$(dirname "$0")/_lib.sh"
dir=$(survey drain)
start "$dir" 3 -- --fault nap:tile=any
wait_for_tiles "$dir" 2
kill -USR1 "$job"
finish 30
[ "$code" = 75 ] || { cat "$dir/out.txt"; fail "exit code $code instead of 75"; }
unfinished "$dir"
done_before=$(tiles "$dir" | wc -l)
[ "$done_before" -lt "$(tiles "$reference" | wc -l)" ] || fail "nothing was left to do: the drain came too late to test anything"
[ -z "$(find "$dir/tiles" -name '.*tmp*')" ] || fail "a tile was given up half-way"
says "complete: no" "$noslit" status "$dir/survey.yaml"
expect 0 mpi 2 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
[ "$(json "$dir/run/report.json" tiles.verified)" = "$done_before" ] || fail "tiles were lost by draining"

# A tile that takes a minute is given up by the second signal, with every rank count.
for n in 1 3; do
  dir=$(survey give_up$n)
  start "$dir" $n -- --fault slow:tile="$(some_tile 3)"
  for _ in $(seq 300); do grep -qs "\"assign\",\"tile\":$(some_tile 3)," "$dir/run/journal.jsonl" && break; sleep 0.05; done
  kill -USR1 "$job"; sleep 0.5; kill -USR1 "$job"
  finish 20
  [ "$code" = 75 ] || { cat "$dir/out.txt"; fail "exit code $code instead of 75"; }
done
expect 0 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"
