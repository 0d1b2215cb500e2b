#!/usr/bin/env bash
# A real, throw-away, single-machine Slurm cluster from Debian's packages, for tests.
#
#   slurm-cluster.sh start          install what is missing, start, wait until idle; nothing is left if that fails
#   slurm-cluster.sh stop           end the jobs and what `start` started (by PID file)
#   slurm-cluster.sh status
#   slurm-cluster.sh kill NODE      as a power cut: its daemon and all that runs on it die at once
#   slurm-cluster.sh revive NODE    bring it back
#
# For root in a container or VM: no systemd, no cgroups, no accounting database. Two nodes, both on this host:
# cpu1 (partition cpu, the default) and gpu1 (partition gpu). What they claim to have is not checked or enforced.
#
#   SLURM_CLUSTER_DIR     state and logs (default /var/tmp/winnow-slurm)
#   SLURM_CLUSTER_CPUS    CPUs each node claims (default 8)
#   SLURM_CLUSTER_MEM_MB  MiB each node claims (default 64000)
#   SLURM_CLUSTER_GPUS    fake GPUs gpu1 claims (default 1; 0: a cluster without)
set -euo pipefail

DIR=${SLURM_CLUSTER_DIR:-/var/tmp/winnow-slurm}
CPUS=${SLURM_CLUSTER_CPUS:-8}
MEM=${SLURM_CLUSTER_MEM_MB:-64000}
GPUS=${SLURM_CLUSTER_GPUS:-1}
NAME=winnow-test # tests use no cluster of another name
NODES=(cpu1 gpu1)
DAEMONS=(munged slurmctld slurmd.cpu1 slurmd.gpu1)
POLICY=/usr/sbin/policy-rc.d
export PATH=$PATH:/usr/sbin:/sbin

say() { echo "slurm-cluster: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# alive NAME: the daemon we started under that name still runs
alive() {
    local pid
    pid=$(cat "$DIR/run/$1.pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) == "${1%%.*}" ]] || return 1
    # ended, but not yet reaped by PID 1: not alive
    ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

# end NAME [SIGNAL]: end that daemon, and wait for it
end() {
    local pid i
    if alive "$1"; then
        pid=$(<"$DIR/run/$1.pid")
        kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
        for ((i = 0; i < 100; i++)); do
            alive "$1" || break
            sleep 0.1
        done
        if alive "$1"; then kill -9 "$pid" 2>/dev/null || true; fi
    fi
    rm -f "$DIR/run/$1.pid"
}

install_packages() {
    local missing=() made='' done=0 package
    for package in munge slurm-client slurmctld slurmd; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "${missing[*]} missing, and there is no apt-get to install them"
    say "installing ${missing[*]}"
    # the packages must not start their services themselves
    if [[ ! -e $POLICY ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod +x "$POLICY"
        made=1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "${missing[@]}" >"$DIR/log/apt.log" 2>&1 ||
        { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >>"$DIR/log/apt.log" 2>&1 ||
        done=1
    if [[ -n $made ]]; then rm -f "$POLICY"; fi
    if ((done)); then
        tail -20 "$DIR/log/apt.log" >&2
        die "cannot install ${missing[*]}"
    fi
}

write_conf() {
    local i f gres='' gres_types=''
    : >"$DIR/gres.conf"
    if ((GPUS > 0)); then
        gres_types='GresTypes=gpu'
        gres="Gres=gpu:$GPUS"
        # Slurm wants one file per GPU; without cgroups any file will do
        mkdir -p "$DIR/gpu"
        for ((i = 0; i < GPUS; i++)); do : >"$DIR/gpu/fake$i"; done
        echo "NodeName=gpu1 Name=gpu File=$DIR/gpu/fake[0-$((GPUS - 1))]" >>"$DIR/gres.conf"
    fi
    cat >"$DIR/slurm.conf" <<CONF
ClusterName=$NAME
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.socket
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool.%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
# no cgroups
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
# no accounting database: squeue must show ended jobs long enough
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/log/jobcomp.txt
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0
# let a node claim CPUs the host does not have
SlurmdParameters=config_overrides
ReturnToService=2
# seconds between SIGTERM and SIGKILL: enough to save a state on a loaded machine
KillWait=60
$gres_types
NodeName=DEFAULT CPUs=$CPUS RealMemory=$MEM State=UNKNOWN
NodeName=cpu1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=6821
NodeName=gpu1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=6822 $gres
PartitionName=DEFAULT DefaultTime=01:00:00 MaxTime=7-00:00:00 DefMemPerCPU=500 State=UP
PartitionName=cpu Nodes=cpu1 Default=YES
PartitionName=gpu Nodes=gpu1
CONF
    # where Slurm's commands look; SLURM_CONF would not do, for the plugin takes it out of a job's environment
    mkdir -p /etc/slurm
    for f in slurm.conf gres.conf; do
        if [[ -e /etc/slurm/$f && ! -L /etc/slurm/$f ]]; then die "/etc/slurm/$f is not ours: another Slurm is here"; fi
        ln -sfn "$DIR/$f" "/etc/slurm/$f"
    done
}

all_alive() {
    local d
    for d in "${DAEMONS[@]}"; do alive "$d" || return 1; done
}

start_node() {
    mkdir -p "$DIR/spool.$1"
    slurmd -f "$DIR/slurm.conf" -N "$1"
}

# idle NODE...: wait until they take jobs
idle() {
    local i states
    for ((i = 0; i < 300; i++)); do
        states=$(sinfo -h -N -n "$(IFS=,; echo "$*")" -o '%N %T' 2>/dev/null | grep -cE ' (idle|mixed|allocated)$' || true)
        if [[ $states == "$#" ]]; then return 0; fi
        sleep 0.2
    done
    sinfo -R >&2 || true
    tail -n 5 "$DIR"/log/slurm*.log >&2 || true
    return 1
}

start() {
    local d n
    ((EUID == 0)) || die "must be root"
    unset SLURM_CONF
    mkdir -p "$DIR"/{run,log,state}
    install_packages
    if all_alive; then
        say "already running"
        return
    fi
    trap 'say "start failed"; stop' EXIT # whatever goes wrong from here on
    for d in slurmd.gpu1 slurmd.cpu1 slurmctld munged; do end "$d"; done
    write_conf
    [[ -s $DIR/munge.key ]] || (umask 077 && head -c 1024 /dev/urandom >"$DIR/munge.key")
    # --force: a state directory under /tmp or /var/tmp would be refused
    munged --force --key-file="$DIR/munge.key" --seed-file="$DIR/munge.seed" \
        --socket="$DIR/run/munge.socket" --pid-file="$DIR/run/munged.pid" --log-file="$DIR/log/munged.log"
    slurmctld -f "$DIR/slurm.conf"
    for n in "${NODES[@]}"; do start_node "$n"; done
    idle "${NODES[@]}" || die "the nodes did not become idle"
    trap - EXIT
    sinfo >&2
}

stop() {
    local d f i
    ((EUID == 0)) || die "must be root"
    trap - EXIT
    unset SLURM_CONF
    if alive slurmctld; then
        for f in $(squeue -h -t PD,R,S -o %A 2>/dev/null | sort -u); do scancel "$f" 2>/dev/null || true; done
        for ((i = 0; i < 150; i++)); do
            [[ $(squeue -h -t PD,R,S,CG 2>/dev/null) ]] || break
            sleep 0.2
        done
    fi
    for d in slurmd.gpu1 slurmd.cpu1 slurmctld munged; do end "$d"; done
    for f in slurm.conf gres.conf; do
        if [[ $(readlink "/etc/slurm/$f") == "$DIR/$f" ]]; then rm -f "/etc/slurm/$f"; fi
    done
    rm -rf "$DIR/state" "$DIR"/spool.*
    say "stopped"
}

status() {
    local d
    for d in "${DAEMONS[@]}"; do
        if alive "$d"; then say "$d runs"; else say "$d does not run"; fi
    done
    all_alive && sinfo -N -o '%N %P %T %c CPUs %m MiB %G'
}

# kill_job ID: its step daemons, before they can report anything, then what they started
kill_job() {
    local process id
    for process in /proc/[0-9]*; do
        id=${process#/proc/}
        if [[ $(tr '\0' ' ' 2>/dev/null <"$process/cmdline" || true) == "slurmstepd: [$1."* ]]; then kill -9 "$id"; fi
    done 2>/dev/null || true
    for process in /proc/[0-9]*; do
        id=${process#/proc/}
        if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "SLURM_JOB_ID=$1"; then kill -9 "$id"; fi
    done 2>/dev/null || true
}

kill_node() {
    local job jobs
    alive "slurmd.$1" || die "no node $1 is running"
    jobs=$(squeue -h -w "$1" -t R -o %A)
    end "slurmd.$1" KILL
    for job in $jobs; do kill_job "$job"; done
    # the controller would find out by itself, after minutes
    scontrol update nodename="$1" state=down reason="killed by a test"
}

revive_node() {
    alive "slurmd.$1" || start_node "$1" # ReturnToService: it registers, and is taken back
    idle "$1" || die "node $1 did not come back"
}

case "${1:-} ${2:-}" in
    'start ') start ;;
    'stop ') stop ;;
    'status ') status ;;
    'kill '?*) kill_node "$2" ;;
    'revive '?*) revive_node "$2" ;;
    *) die "usage: $0 start|stop|status|kill NODE|revive NODE" ;;
esac
