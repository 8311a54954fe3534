# Sourced by the slurm tests after e2e/_lib.sh: a throwaway SLURM, and what its jobs do.
PATH=$PATH:/usr/sbin
for c in sbatch slurmctld slurmd munged setpriv; do command -v $c > /dev/null || skip "no $c (apt-get install slurm-wlm munge)"; done
[ "$(id -u)" = 0 ] || skip "a throwaway SLURM wants to be root"
[ -n "$python" ] || skip "no python with h5py"

start_cluster() { # processors it pretends to have
  cluster=$(mktemp -d /tmp/noslit-slurm.XXXXXX)
  trap stop_cluster EXIT
  "$source_dir/tools/slurm-here.sh" start "$cluster" "$1" > /dev/null || fail "SLURM does not start"
  export SLURM_CONF=$cluster/slurm.conf
}
stop_cluster() { "$source_dir/tools/slurm-here.sh" stop "$cluster" || true; rm -rf "$cluster"; }

job_of() { grep "\"stage\":\"$2\"" "$1/run/jobs.jsonl" | tail -n 1 | sed 's/.*"job":"\([0-9]*\)".*/\1/'; }
state_of() { scontrol show job "$1" 2> /dev/null | sed -n 's/^ *JobState=\([A-Z_]*\).*/\1/p' | sort -u | tr '\n' ' '; }
wait_until() { # seconds, what, command...
  local limit=$1 what=$2; shift 2
  local deadline=$((SECONDS + limit))
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] && { sleep 0.3; continue; }
    squeue >&2; tail -n 20 "$build"/tests/work/"$name"-*/run/log/* "$cluster"/slurm*.log >&2
    fail "waited $limit s for: $what"
  done
}
is_over() { ! grep -qE "PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED|REQUEUED" <<< "$(state_of "$1")"; }
completed() { # dir, stage
  local id; id=$(job_of "$1" "$2")
  wait_until 300 "job $id ($2) of $1" is_over "$id"
  [ "$(state_of "$id")" = "COMPLETED " ] || { tail -n 30 "$1"/run/log/* >&2; fail "$2 of $1 ended as $(state_of "$id")"; }
}
