#!/usr/bin/env bash
# A throwaway SLURM on this machine, for tests: munged, slurmctld and slurmd in one folder, no accounting, as root.
#   tools/slurm-here.sh start DIR [cpus]   starts it, pretending to have so many processors; then `export SLURM_CONF=DIR/slurm.conf`
#   tools/slurm-here.sh stop DIR           stops it
# Needs Debian's slurm-wlm and munge (apt-get install slurm-wlm munge).
set -euo pipefail

usage() { sed -n '2,5p' "$0" | sed 's/^# //' >&2; exit 2; }
[ $# -ge 2 ] || usage
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
cpus=${3:-$(nproc)}

need() { command -v "$1" >/dev/null 2>&1 || PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || { echo "slurm-here: $1 is missing; apt-get install slurm-wlm munge" >&2; exit 1; }; }

wait_for() { # seconds command...
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.2
  done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

write_conf() {
  local host memory
  host=$(hostname -s)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)
  mkdir -p "$dir/state" "$dir/spool"
  cat > "$dir/slurm.conf" <<CONF
ClusterName=noslit
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=15
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,requeue_setup_env_fail
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=300
MaxArraySize=10001
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONF
}

# munged refuses to run with files that others could touch, and wants to be its own user.
start_munge() {
  local owner=root as=()
  if id munge >/dev/null 2>&1; then owner=munge as=(setpriv --reuid=munge --regid=munge --clear-groups); fi
  chmod a+x "$dir"
  mkdir -p "$dir/munge"
  dd if=/dev/urandom of="$dir/munge/key" bs=1024 count=1 status=none
  chown -R "$owner" "$dir/munge"
  chmod 711 "$dir/munge"
  chmod 400 "$dir/munge/key"
  "${as[@]}" munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
}

start() {
  PATH=$PATH:/usr/sbin
  for c in munged slurmctld slurmd sinfo python3 setpriv; do need "$c"; done
  write_conf
  export SLURM_CONF=$dir/slurm.conf
  start_munge
  slurmctld -c
  slurmd -c
  wait_for 30 sh -c 'sinfo -h -o %T | grep -q idle' || { tail -n 5 "$dir"/slurm*.log >&2; echo "slurm-here: the node did not come up; logs in $dir" >&2; exit 1; }
  echo "SLURM is up; export SLURM_CONF=$dir/slurm.conf"
}

stop() {
  local f
  if [ -f "$dir/slurm.conf" ]; then SLURM_CONF=$dir/slurm.conf scancel --user="$(id -un)" 2>/dev/null || true; fi
  for f in slurmd.pid slurmctld.pid munge/pid; do
    [ -f "$dir/$f" ] || continue
    local pid
    pid=$(cat "$dir/$f")
    kill "$pid" 2>/dev/null || true
    wait_for 10 sh -c "! kill -0 $pid" || kill -9 "$pid" 2>/dev/null || true
  done
}

case $action in
start) start ;;
stop) stop ;;
*) usage ;;
esac
