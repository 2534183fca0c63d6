#!/usr/bin/env bash
#SBATCH --job-name=jasper
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=jasper_%j.log
# Trains on the nodes of a Slurm job. See --help.
set -euo pipefail
# sbatch runs a copy of this file in another folder; the clone is then the folder from which the job was submitted
here="$(dirname "${BASH_SOURCE[0]}")"
if [ ! -f "$here/run_options.sh" ]; then here="${SLURM_SUBMIT_DIR:-.}/scripts"; fi
if [ ! -f "$here/run_options.sh" ]; then
    echo "slurm_train.sh: $here has no run_options.sh; run sbatch in the clone: cd CLONE && sbatch scripts/slurm_train.sh" >&2
    exit 2
fi
# shellcheck source=scripts/run_options.sh
source "$here/run_options.sh"

show_help() {
    cat <<'HELP'
usage: sbatch --nodes=N [sbatch's options] scripts/slurm_train.sh --device DEVICE --config_file FILE [options] [-- ARGUMENTS]

Starts a launcher (open_seq2seq.launch) on every node, which starts one process for each of its devices: with Horovod over Gloo
on CPUs and GPUs, with HCCL on NPUs, for which this script makes the rank table. The clone, the Python environment, the data and
the result folder have to be on a file system that all nodes share. If the result folder contains an earlier run, the same
command, or a job that Slurm requeues, resumes it. A config without eval_params is trained without evaluations. ARGUMENTS are
flags and config keys for run.py.

  --device cpu|gpu|npu   required
  --config_file FILE     required
  --processes N          processes (devices) on each node (default: cpu 1, gpu the node's GPUs in Slurm, npu 8)
  --result DIR           logs and checkpoints (default: result/slurm)
  --python PATH          interpreter (default: .venv/bin/python of the clone if it exists, else python3)
  --port PORT            port of the rendezvous server on the first node (default: derived from the job's number)
  --hccn_conf FILE       NPU: file with the devices' addresses on every node (default: /etc/hccn.conf, else hccn_tool)
  --environment FILE     a shell file to source first (default for NPUs: Ascend's set_env.sh)
  --rank_table FILE      NPU: use this rank table instead of making one
  --srun_options "..."   additional options of srun, separated by blanks
  --dry_run              print the commands without running them
  --help

  cd CLONE && sbatch --nodes=4 --gres=gpu:8 scripts/slurm_train.sh --device gpu --config_file configs/speech2text/FILE.py
HELP
}

check_options() {
    [[ "$device" =~ ^(cpu|gpu|npu)$ ]] || usage_error "--device ${device:-is missing}: expected cpu, gpu or npu"
    [ -n "$config_file" ] || usage_error "--config_file is missing"
    [ -f "$config_file" ] || usage_error "--config_file $config_file does not exist"
    [[ "$processes" =~ ^([1-9][0-9]{0,3})?$ ]] || usage_error "--processes $processes: expected a whole number above 0"
    [[ "$port" =~ ^([1-9][0-9]{0,4})?$ ]] || usage_error "--port $port: expected the number of a port"
    if [ "$device" = npu ] && [ -n "$port" ]; then usage_error "--port is for CPUs and GPUs; NPUs use a rank table"; fi
    if [ "$device" != npu ] && [ -n "$rank_table$hccn_conf" ]; then usage_error "--rank_table and --hccn_conf are for NPUs"; fi
    [ -z "$option_environment" ] || [ -f "$option_environment" ] ||
        usage_error "--environment $option_environment does not exist"
    if [ -z "${SLURM_JOB_ID:-}" ] || [ -z "${SLURM_JOB_NODELIST:-}" ]; then
        complain "this is not a Slurm job (SLURM_JOB_ID, SLURM_JOB_NODELIST are not set); start it with sbatch, or in salloc."
        complain "Without Slurm: scripts/run_8p.sh on one machine, python -m open_seq2seq.launch --help on several"
        exit 4
    fi
}

# Prints the default of --processes.
default_processes() {
    case "$device" in
        cpu) echo 1 ;;
        npu) echo 8 ;;
        gpu)
            [[ "${SLURM_GPUS_ON_NODE:-}" =~ ^[1-9][0-9]*$ ]] ||
                usage_error "--processes is missing, and SLURM_GPUS_ON_NODE is not a number of GPUs (sbatch --gres=gpu:8)"
            echo "$SLURM_GPUS_ON_NODE" ;;
    esac
}

# Runs srun and forwards signals to it, e.g. those of sbatch --signal=B:TERM@120; by default bash would wait until srun ends. A
# Ctrl-C reaches srun directly, and a second SIGINT would make it kill its tasks, so it gets SIGTERM instead.
forward_signals() {
    local job status last=0
    "$@" &
    job=$!
    trap 'kill -s TERM "$job" 2>/dev/null || true' TERM INT
    trap 'kill -s USR1 "$job" 2>/dev/null || true' USR1
    while true; do
        status=0
        wait "$job" || status=$?
        if ! kill -0 "$job" 2>/dev/null; then break; fi
    done
    trap - TERM INT USR1
    # a wait that a signal interrupted returns the signal's status; the job's own status is then still available
    wait "$job" 2>/dev/null || last=$?
    if [ "$last" -ne 127 ]; then status="$last"; fi
    return "$status"
}

# Runs a command, or prints it for --dry_run.
run() {
    if [ "$dry_run" = yes ]; then
        printf '%q ' "$@" | sed 's/ $//'
        printf '\n'
    elif [ "$1" = srun ]; then
        forward_signals "$@"
    else
        "$@"
    fi
}

# Runs one task on each node with srun. Without --cpus-per-task a task would get only one core.
on_every_node() {
    local options=()
    read -r -a options <<< "$srun_options"
    run srun --nodes="${#hosts[@]}" --ntasks="${#hosts[@]}" --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_ON_NODE:-1}" \
        --cpu-bind=none --kill-on-bad-exit=1 ${options[@]+"${options[@]}"} "$@"
}

# Makes a rank table of its own devices on every node, and merges them in the order of the nodes.
make_rank_table() {
    local folder="$result/rank_table_$SLURM_JOB_ID" number tables=() source=()
    rank_table="$folder/rank_table.json"
    if [ -n "$hccn_conf" ]; then source=(--hccn_conf "$hccn_conf"); fi
    run mkdir -p "$folder"
    # shellcheck disable=SC2016
    local start='folder="$1"; shift; exec "$@" --server_id "$SLURMD_NODENAME" --output "$folder/$SLURM_NODEID.json"'
    on_every_node bash -c "$start" node "$folder" \
        "$python" scripts/make_rank_table.py ${source[@]+"${source[@]}"} --devices "$(seq -s , 0 "$((processes - 1))")"
    for number in "${!hosts[@]}"; do tables+=("$folder/$number.json"); done
    run "$python" scripts/make_rank_table.py --merge "${tables[@]}" --output "$rank_table"
}

# Some systems resolve their own name to a loopback address, which other nodes cannot reach.
check_first_host() {
    local address
    address="$(getent ahostsv4 "${hosts[0]}" | awk '{ print $1; exit }')" || true
    if [ "${#hosts[@]}" -gt 1 ] && [[ "$address" == 127.* ]] && [ "$address" != "${hosts[0]}" ]; then
        complain "the first node, ${hosts[0]}, resolves its own name to $address, which other nodes cannot reach; expected its"
        complain "network address. Remove the line with $address from its /etc/hosts"
        exit 4
    fi
}

# Starts the launcher on every node, with the index of the node.
train() {
    local launch=(--device "$device" --log "$result/train_{rank}.log" --verdict "turing train" "$@" --)
    # shellcheck disable=SC2016
    local start='python="$1"; shift; exec "$python" -m open_seq2seq.launch --server "$SLURM_NODEID" "$@"'
    on_every_node bash -c "$start" node "$python" "${launch[@]}" "$python" run.py --config_file="$config_file" \
        "${mode[0]:---mode=train_eval}" --device="$device" --enable_logs --continue_learning --no_dir_check \
        --logdir="$result/jasper_log_folder" ${overrides[@]+"${overrides[@]}"}
}

JASPER_RESUME_COMMAND="sbatch [its options] scripts/slurm_train.sh $(command_text "$@")"
export JASPER_RESUME_COMMAND
device="" config_file="" processes="" result="result/slurm" python="" port="" hccn_conf="" rank_table="" srun_options=""
dry_run=no
while [ $# -gt 0 ]; do
    case "$1" in
        --device) device="$(option_value "$@")"; shift ;;
        --device=*) device="${1#*=}" ;;
        --config_file) config_file="$(option_value "$@")"; shift ;;
        --config_file=*) config_file="${1#*=}" ;;
        --processes) processes="$(option_value "$@")"; shift ;;
        --processes=*) processes="${1#*=}" ;;
        --result) result="$(option_value "$@")"; shift ;;
        --result=*) result="${1#*=}" ;;
        --python) python="$(option_value "$@")"; shift ;;
        --python=*) python="${1#*=}" ;;
        --port) port="$(option_value "$@")"; shift ;;
        --port=*) port="${1#*=}" ;;
        --hccn_conf) hccn_conf="$(option_value "$@")"; shift ;;
        --hccn_conf=*) hccn_conf="${1#*=}" ;;
        --environment) option_environment="$(option_value "$@")"; shift ;;
        --environment=*) option_environment="${1#*=}" ;;
        --rank_table) rank_table="$(option_value "$@")"; shift ;;
        --rank_table=*) rank_table="${1#*=}" ;;
        --srun_options) srun_options="$(option_value "$@")"; shift ;;
        --srun_options=*) srun_options="${1#*=}" ;;
        --dry_run) dry_run=yes ;;
        --help | -h) show_help; exit 0 ;;
        --) shift; overrides=("$@"); break ;;
        *) usage_error "unknown option $1 (arguments for run.py go after --)" ;;
    esac
    shift
done
for name in config_file result python hccn_conf option_environment rank_table; do
    printf -v "$name" '%s' "$(expand_home "${!name}")"
done
case "$config_file" in "" | /*) ;; *) config_file="$PWD/$config_file" ;; esac
check_options
[ -n "$processes" ] || processes="$(default_processes)"
if [ -z "$python" ]; then
    python=python3
    if [ -x "$repository/.venv/bin/python" ]; then python="$repository/.venv/bin/python"; fi
fi
environment_python="$python"
# srun exports the environment to all nodes
if [ -n "$option_environment" ]; then load_environment "$option_environment"; fi
if [ "$device" = npu ]; then load_ascend_environment; fi
cd "$repository"
case "$result" in /*) ;; *) result="$repository/$result" ;; esac
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
[ "${#hosts[@]}" -gt 0 ] || { complain "scontrol show hostnames $SLURM_JOB_NODELIST printed no node; expected the names of the job's nodes"; exit 4; }
check_first_host
run mkdir -p "$result"
choose_mode "$config_file" ${overrides[@]+"${overrides[@]}"}
if [ "$device" = npu ]; then
    [ -n "$rank_table" ] || make_rank_table
    train --rank_table "$rank_table"
else
    # below the ports that the kernel assigns itself; two jobs on one node rarely get the same port
    [ -n "$port" ] || port="$((12000 + SLURM_JOB_ID % 20000))"
    train --servers "$(printf "%s:$processes," "${hosts[@]}" | sed 's/,$//')" --port "$port"
fi
