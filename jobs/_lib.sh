# Sourced by submit.sh and the job scripts, which have set $jobs to this folder.

# The site's profile over the defaults.
. "$jobs/site.example.sh"
site=${NOSLIT_SITE:-}
if [ -z "$site" ] && [ -f "$jobs/site.sh" ]; then site=$jobs/site.sh; fi
if [ -n "$site" ]; then
  [ -f "$site" ] || { echo "noslit jobs: no site profile $site" >&2; exit 2; }
  . "$site"
fi

say() { echo "$(date -u +%FT%TZ) ${SLURM_JOB_ID:+job $SLURM_JOB_ID: }$*"; }
stop() { echo "noslit jobs: $*" >&2; exit 2; }

# One value of the configuration: config_value CONFIG KEY
config_value() { "$noslit" config "$1" --json | grep -A1 "\"$2\":" | sed -n 's/.*"value":[^"]*"\(.*\)",\{0,1\}$/\1/p'; }

# --- inside a job -----------------------------------------------------------------------------------------------------------------

environment() {
  setup
  export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1      # one rank a core: a BLAS thread more only takes another rank's core
  export OMPI_MCA_mpi_yield_when_idle=1
  say "$(hostname): $("$noslit" --version), ${SLURM_NTASKS:-1} ranks on ${SLURM_JOB_NUM_NODES:-1} nodes, start ${SLURM_RESTART_COUNT:-0}"
}

# The command that starts the ranks. With "survivors" the others go on when a rank dies; then the launcher's exit code says nothing.
launch_words() { # survivors|together
  if [ "$launcher" = srun ]; then
    launch=(srun $srun_options)
    if [ "$1" = survivors ]; then launch+=(--kill-on-bad-exit=0 --no-kill) && export OMPI_MCA_orte_enable_recovery=1; fi
  else
    launch=(mpirun $mpirun_options -n "${SLURM_NTASKS:-1}")
    if [ "$1" = survivors ]; then launch+=(--enable-recovery); fi
  fi
}

# SIGUSR1 is SLURM's warning before the time limit; SIGTERM comes with scancel and preemption. Both drain: the ranks finish their
# tiles. When the time left gets short a second signal makes them give up what they are at. $drained_by keeps the first signal.
drain() { # signal
  drained_by=${drained_by:-$1}
  say "SIG$1: draining"
  [ -n "${launch_pid:-}" ] || return 0
  kill -USR1 "$launch_pid" 2> /dev/null || true
  (sleep $((drain_s * 2 / 3)); kill -USR1 "$launch_pid" 2> /dev/null) &
  hurry_pid=$!
}

# When the master dies, mpirun has been seen to wait for ever although all its processes have left.
has_ranks() { [ "$launcher" = srun ] || pgrep -P "$launch_pid" > /dev/null; }
watch_launcher() {
  local quiet=0
  while sleep 10; do
    if has_ranks; then quiet=0; else quiet=$((quiet + 1)); fi
    if [ $quiet -ge 6 ]; then
      say "mpirun hangs without ranks: ending it"
      kill -9 "$launch_pid"
      return
    fi
  done
}

# Runs the program and sets $code to its own exit code, read from a file, or to "crashed" when it did not come to its end.
program() { # survivors|together, arguments of noslit
  local mode=$1 left folder; shift
  drained_by=${drained_by:-}
  folder=${TMPDIR:-/tmp}
  left=$folder/noslit-exit.$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}
  rm -f "$left"
  launch_words "$mode"
  say "${launch[*]} $noslit $*"
  trap 'drain USR1' USR1
  trap 'drain TERM' TERM
  "${launch[@]}" "$noslit" "$@" --exit-file "$left" &
  launch_pid=$!
  if [ -n "$drained_by" ]; then drain "$drained_by"; fi # the signal came before there was anybody to tell
  watch_launcher &
  local watch_pid=$! rc=0
  while kill -0 "$launch_pid" 2> /dev/null; do
    rc=0
    wait "$launch_pid" || rc=$?
  done
  kill "$watch_pid" ${hurry_pid:-} 2> /dev/null || true
  if [ -s "$left" ]; then code=$(cat "$left"); else code=crashed; fi
  rm -f "$left"
  say "${1}: $code (launcher: $rc)"
}

# Back into the queue. The job ends here, with 75 should the queue not take it.
requeue() { # why
  say "$1: back into the queue"
  trap '' USR1 TERM
  scontrol requeue "$SLURM_JOB_ID" && sleep 600
  exit 75
}

# How a job ends whose program can go on where it stopped. A start that leaves the measure of what is done as it was got nowhere;
# their number in a row is kept in a file.
finished_or_requeue() { # file, measure before, measure now
  local stuck_file=$1 before=$2 now=$3
  case $code in
  0 | 2 | 3) rm -f "$stuck_file"; exit "$code" ;;
  esac
  if [ "$drained_by" = TERM ]; then exit 75; fi # somebody wants it to stop
  local stuck=0
  if [ "$now" = "$before" ]; then stuck=$(($(cat "$stuck_file" 2> /dev/null || echo 0) + 1)); fi
  echo "$stuck" > "$stuck_file"
  if [ "$code" = 1 ] && [ "$stuck" -gt 0 ]; then exit 1; fi # it says itself why, and another start would say the same
  if [ "$stuck" -ge "$max_stuck" ]; then
    say "nothing was done in $stuck starts: giving up"
    [ "$code" = 75 ] && exit 75
    exit 1
  fi
  requeue "$([ "$code" = 75 ] && echo drained || echo "ended too early ($code)")"
}
