#!/usr/bin/env bash
# A SLURM cluster of two nodes on this one machine, for tests: nothing leaves the loopback device.
#
#   scripts/slurm_lab.sh install    Debian packages (needs root)
#   scripts/slurm_lab.sh start      a new cluster; prints its nodes
#   scripts/slurm_lab.sh stop       end its jobs and its daemons
#   eval "$(scripts/slurm_lab.sh env)"    let this shell use it
#
# All its state is under $SLURM_LAB. Two clusters of different $SLURM_LAB and $SLURM_LAB_PORT do not
# see each other.
set -euo pipefail

LAB=${SLURM_LAB:-${TMPDIR:-/tmp}/bench-lr-slurm}
NODES=${SLURM_LAB_NODES:-2}
CPUS=${SLURM_LAB_CPUS:-1}
MEMORY=${SLURM_LAB_MEMORY:-8192} # MiB a node says it has; nothing holds jobs to it
PORT=${SLURM_LAB_PORT:-17817}
HOST=$(hostname -s)
ME=$(id -un)
export SLURM_CONF=$LAB/slurm.conf PATH=$PATH:/usr/sbin

complete() { type slurmctld slurmd munged sbatch srun >/dev/null 2>&1; }

install() {
  if complete; then return; fi
  "$(dirname "${BASH_SOURCE[0]}")/debian.sh" slurmctld slurmd slurm-client munge
}

configuration() {
  cat <<CONF
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=$ME
SlurmdUser=$ME
AuthType=auth/munge
AuthInfo=socket=$LAB/run/munge.socket,cred_expire=5
SlurmctldPort=$PORT
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
MinJobAge=300
SchedulerParameters=batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
CONF
  for i in $(seq "$NODES"); do
    echo "NodeName=node$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + i)) CPUs=$CPUS RealMemory=$MEMORY"
  done
  # Jobs of `urgent` push those of `lab` back into the queue, after a while to put themselves down.
  echo "PartitionName=lab Nodes=node[1-$NODES] Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=10"
  echo "PartitionName=urgent Nodes=node[1-$NODES] MaxTime=INFINITE PriorityTier=2"
}

start() {
  stop
  rm -rf "$LAB"
  mkdir -p "$LAB"/{log,run,state,spool}
  (umask 077 && head -c 1024 /dev/urandom >"$LAB/munge.key")
  configuration >"$SLURM_CONF"
  munged --key-file="$LAB/munge.key" --socket="$LAB/run/munge.socket" \
    --pid-file="$LAB/run/munged.pid" --log-file="$LAB/log/munged.log" --seed-file="$LAB/run/munged.seed"
  slurmctld
  for i in $(seq "$NODES"); do slurmd -N "node$i"; done
  for _ in $(seq 120); do
    if [ "$(sinfo -h -N -p lab -o %t 2>/dev/null | grep -cx idle)" = "$NODES" ]; then
      sinfo -N -p lab
      return
    fi
    sleep 0.5
  done
  sinfo -N -R || true
  tail -n 20 "$LAB"/log/*.log
  return 1
}

running() { # pid file: is it that of a daemon of ours that is alive?
  local pid
  pid=$(cat "$1" 2>/dev/null) && grep -qE '^(slurmd|slurmctld|munged)' "/proc/$pid/comm" 2>/dev/null && echo "$pid"
}

stop() {
  local pid
  if running "$LAB/run/slurmctld.pid" >/dev/null; then
    scancel -u "$ME" || true
    for _ in $(seq 40); do
      [ -z "$(squeue -h 2>/dev/null)" ] && break
      sleep 0.5
    done
  fi
  for file in "$LAB"/run/slurmd.*.pid "$LAB"/run/{slurmctld,munged}.pid; do
    pid=$(running "$file") || continue
    kill "$pid"
    for _ in $(seq 60); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.25
    done
  done
}

case ${1:-} in
  install | start | stop) "$1" ;;
  env) printf 'export SLURM_CONF=%q PATH=$PATH:/usr/sbin\n' "$SLURM_CONF" ;;
  *)
    echo "usage: $0 install|start|stop|env" >&2
    exit 2
    ;;
esac
