#!/bin/bash
# A real Slurm on this host alone, with two fake GPUs, to try the scripts beside this one without a cluster.
#   ./single-node.sh start DIR     as root; on Debian after: apt-get install slurm-wlm munge
#   export SLURM_CONF=DIR/slurm.conf
#   ./single-node.sh stop DIR
# Everything it writes and runs is in DIR. The GPUs are names that lead to nothing: jobs get them one at a time, and
# CUDA_VISIBLE_DEVICES says which, but no CUDA is behind them.
set -euo pipefail
action=${1:?start or stop}
dir=$(realpath -m "${2:?a folder}")

stop() {
  for name in slurmd slurmctld munged; do
    if [ -s "$dir/$name.pid" ]; then kill "$(cat "$dir/$name.pid")" 2> /dev/null || true; fi
  done
}

write_config() {
  local host cpus
  host=$(hostname -s)
  cpus=$(slurmd -C | sed -n 's/.*CPUs=\([0-9]*\).*/\1/p')
  cat > "$dir/slurm.conf" << END
ClusterName=kbd
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-26817}
SlurmdPort=${SLURMD_PORT:-26818}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
KillWait=30
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/slurmd
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
END
  cat > "$dir/gres.conf" << END
AutoDetect=off
NodeName=$host Name=gpu Count=2 File=$dir/gpu[0-1]
END
  for number in 0 1; do mknod "$dir/gpu$number" c 1 3; done
}

start() {
  mkdir -p "$dir/state" "$dir/slurmd"
  write_config
  (umask 077 && head -c 1024 /dev/urandom > "$dir/munge.key")
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
  export SLURM_CONF="$dir/slurm.conf"
  slurmctld
  slurmd
  for _ in $(seq 100); do
    if sinfo --noheader --format=%T 2> /dev/null | grep -q idle; then
      echo "export SLURM_CONF=$dir/slurm.conf"
      return
    fi
    sleep 0.3
  done
  tail -q -n 5 "$dir"/*.log >&2
  stop
  return 1
}

"$action"
