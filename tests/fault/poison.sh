# A tile that cannot be done is quarantined with its reason, the rest of the survey goes on, exit code 3.
. "$(dirname "$0")/_lib.sh"
tile=$(some_tile 7)
all=$(tiles "$reference" | wc -l)

# It fails.
dir=$(survey fails)
expect 3 mpi 3 "$noslit" run "$dir/survey.yaml" --fault fail:tile=$tile
[ "$(json "$dir/run/COMPLETE.json" quarantined.0.tile)" = "$tile" ] || fail "the proof does not name the quarantined tile"
[ "$(tiles "$dir" | wc -l)" = $((all - 1)) ] || fail "other tiles are missing"
says "tile $tile: quarantined: .*fails on request.*3 attempts" "$noslit" status "$dir/survey.yaml" --why
expect 3 mpi 3 "$noslit" run "$dir/survey.yaml" # quarantine survives, and is not tried again
[ "$(tiles "$dir" | wc -l)" = $((all - 1)) ] || fail "a quarantined tile was tried again unasked"
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml" --failed
same_as_reference "$dir"
expect 0 "$noslit" run "$dir/survey.yaml"

# It fails for a while: no quarantine.
dir=$(survey recovers)
expect 0 mpi 3 "$noslit" run "$dir/survey.yaml" --fault fail:tile=$tile:times=2
same_as_reference "$dir"

# It crashes whoever touches it.
dir=$(survey crashes)
start "$dir" 5 $recovery -- --fault crash:tile=$tile
finish 60
[ "$(json "$dir/run/COMPLETE.json" quarantined.0.tile)" = "$tile" ] || fail "the proof does not name the quarantined tile"
[ "$(tiles "$dir" | wc -l)" = $((all - 1)) ] || fail "other tiles are missing"
says "tile $tile: quarantined: .*worker.*lost" "$noslit" status "$dir/survey.yaml" --why

# It takes the whole job with it (no --enable-recovery): the same command again and again ends with it in quarantine, and only it.
dir=$(survey kills_job)
for attempt in 1 2 3 4; do
  code=0; mpi 3 "$noslit" run "$dir/survey.yaml" --fault crash:tile=$tile > "$dir/out.txt" 2>&1 || code=$?
  [ "$code" != 0 ] || fail "a run with a poisonous tile ended with 0"
  [ "$(json "$dir/run/COMPLETE.json" quarantined.0.tile 2> /dev/null)" = "$tile" ] && break
done
[ "$attempt" -gt 1 ] || fail "one lost job was enough for quarantine"
expect 3 mpi 3 "$noslit" run "$dir/survey.yaml" --fault crash:tile=$tile
[ "$(tiles "$dir" | wc -l)" = $((all - 1)) ] || fail "innocent tiles were quarantined with the guilty one"
says "tile $tile: quarantined: .*(died|lost)" "$noslit" status "$dir/survey.yaml" --why
