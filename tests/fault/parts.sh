# Parts of a survey side by side in one work folder: each has its own journal and report, together they give the same products;
# two runs on one journal are refused; failures are remembered when the survey is divided otherwise.
. "$(dirname "$0")/_lib.sh"
dir=$(survey side)
"$noslit" plan "$dir/survey.yaml" > /dev/null
pids=()
for i in 1 2 3; do
  mpi 2 "$noslit" run "$dir/survey.yaml" --part $i/3 --exit-file "$dir/exit$i" > "$dir/out$i.txt" 2>&1 &
  pids+=($!)
done
for p in "${pids[@]}"; do wait "$p" || fail "a part ended with $?"; done
same_as_reference "$dir"
made=0
for i in 1 2 3; do
  [ "$(cat "$dir/exit$i")" = 0 ] || fail "exit file of part $i"
  n=$(json "$dir/run/part-$i-of-3/report.json" tiles.made)
  [ "$n" -gt 0 ] || fail "part $i had nothing to do"
  made=$((made + n))
done
[ "$made" = "$(tiles "$reference" | wc -l)" ] || fail "$made tiles were made by the parts"
[ ! -e "$dir/run/journal.jsonl" ] || fail "parts wrote the survey's journal"
says "complete: yes" "$noslit" status "$dir/survey.yaml"
says "last run .*--part ./3" "$noslit" status "$dir/survey.yaml" --part 3/3
expect 2 "$noslit" run "$dir/survey.yaml" --part 1/3 --failed

# A second run on the same journal: refused, and it changes nothing.
dir=$(survey twice)
start "$dir" 2 -- --fault slow:tile="$(some_tile 2)"
for _ in $(seq 400); do grep -qs '"assign"' "$dir/run/journal.jsonl" && break; sleep 0.05; done
expect 1 "$noslit" run "$dir/survey.yaml"
says "another run is at work" "$noslit" run "$dir/survey.yaml"
kill -USR1 "$job"; sleep 0.5; kill -USR1 "$job"
finish 30
expect 0 "$noslit" run "$dir/survey.yaml"
same_as_reference "$dir"

# What failed in one division of the survey counts in another.
dir=$(survey divided "s|lease_s|max_attempts: 2, lease_s|")
bad=$(some_tile 1)
code=0; mpi 2 "$noslit" run "$dir/survey.yaml" --part 1/2 --fault crash:tile="$bad" > "$dir/out.txt" 2>&1 || code=$?
[ "$code" != 0 ] || fail "mpirun without recovery survived a crash"
code=0; mpi 2 "$noslit" run "$dir/survey.yaml" --part 1/3 --fault crash:tile="$bad" >> "$dir/out.txt" 2>&1 || code=$?
expect 3 "$noslit" run "$dir/survey.yaml"
[ "$(json "$dir/run/quarantine.json" tiles.0.tile)" = "$bad" ] || fail "tile $bad is not in quarantine"
expect 0 "$noslit" run "$dir/survey.yaml" --failed
same_as_reference "$dir"

# The reports of the parts as one picture.
if "$python" -c "import matplotlib" 2> /dev/null; then
  dir=$build/tests/work/$name-side
  expect 0 "$python" "$source_dir/tools/run_report.py" "$dir" > /dev/null
  [ "$(head -c 4 "$dir/run/report.png" | tail -c 3)" = PNG ] || fail "no picture of the run"
fi
