#!/usr/bin/env bash
# Trains on eight devices, or another number of them. See --help.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_8p.sh [options] [-- ARGUMENTS]

Trains on the eight devices of a server with one process for each: with HCCL on NPUs, with Horovod on GPUs and CPUs. A second
run resumes from the last checkpoint of the first. When a process fails, the others are stopped, and the end of its log is shown.

  --devices 0,1      numbers of the devices (default: those of --rank_table, else 0 to 7)
  --processes N      the same as --devices 0,...,N-1
  --rank_table FILE  NPU: assigns ranks to devices. Default: $RANK_TABLE_FILE; else a table made from /etc/hccn.conf or by
                     hccn_tool; else scripts/8p.json, whose addresses are an example
  --servers H:N,H:N  CPU, GPU: all machines of the run and their numbers of processes; run this script on each machine, with
  --server K         this machine's index (from 0) or name in --servers or in the rank table, and
  --port P           a free port of the first machine
  --fresh            start a new run; the results of the previous run are renamed, and their new place is printed
HELP
    common_options_help
    cat <<'HELP'

D is the device of rank 0; only this rank writes checkpoints:
  result/8p/D/jasper_log_folder/logs    checkpoints
  result/8p/train_N.log                 output of the process of device N (with several servers: of rank N); the last line is
                                        "turing train success" or "turing train fail"

Relative paths inside a config are relative to the repository, paths on this command line to the working directory.
Exit status: that of the first process that failed: 2 command line or config, 3 data or files, 4 device, another process, or
killed by a signal; 130 or 143 stopped by a signal, 1 a bug.
HELP
}

make_rank_table() { "$environment_python" "$repository/scripts/make_rank_table.py" "$@"; }

# For a run on several servers, of which the first is named $1: sets server to 0 on the first server, else to another text.
choose_server() {
    [[ "$option_server" =~ ^[A-Za-z0-9._:-]+$ ]] ||
        usage_error "--server ${option_server:-is missing}: expected this machine's index (from 0) or name in the list of servers"
    server="$option_server"
    if [ "$server" = "$1" ]; then server=0; fi
}

# Sets table, first_device and devices from the given rank table. A table of one server with other devices than --devices is
# reduced to these.
use_given_table() {
    local lines servers all
    lines="$(make_rank_table --check "$1")"
    servers="$(cut -d ' ' -f 2 <<< "$lines" | sort -u | wc -l)"
    if [ "$servers" -gt 1 ]; then choose_server "$(head -n 1 <<< "$lines" | cut -d ' ' -f 2)"; fi
    all="$(cut -d ' ' -f 3 <<< "$lines" | paste -s -d , -)"
    table="$1"
    first_device="${all%%,*}"
    if [ "$servers" -eq 1 ] && [ -z "$devices" ]; then devices="$all"; fi
    if [ "$servers" -eq 1 ] && [ "$devices" != "$all" ]; then
        first_device="${devices%%,*}"
        source=(--from_table "$1")
    fi
}

# For NPUs: sets the rank table, or in source how to make one.
choose_rank_table() {
    local given="${option_rank_table:-${RANK_TABLE_FILE:-}}"
    source=()
    if [ -n "$given" ]; then
        use_given_table "$(absolute "$given")"
        return 0
    fi
    devices="${devices:-0,1,2,3,4,5,6,7}"
    first_device="${devices%%,*}"
    if [[ "$devices" != *,* ]]; then return 0; fi # one device needs no table
    if [ -f /etc/hccn.conf ]; then
        source=(--hccn_conf /etc/hccn.conf)
    elif command -v hccn_tool >/dev/null; then
        source=(--hccn_tool hccn_tool)
    else
        say "neither /etc/hccn.conf nor hccn_tool was found: using the example addresses of scripts/8p.json; correct them for this server"
        source=(--from_table "$repository/scripts/8p.json")
    fi
}

parse_run_options "device config data devices processes rank_table servers server port result environment python fresh" "$@"
if [ -n "$option_devices" ] && [ -n "$option_processes" ]; then usage_error "--devices and --processes are both given; keep one"; fi
config="${option_config:-configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_8p.py}"
choose_environment
devices="$option_devices" table="" server="" launcher=()
if [ -n "$option_processes" ]; then devices="$(seq -s , 0 $((option_processes - 1)))"; fi
if [ "$device" = npu ]; then
    choose_rank_table
else
    if [ -n "$option_servers" ]; then
        launcher=(--servers "$option_servers")
        first_device=0
        if [[ "$option_servers" == *,* ]]; then choose_server "${option_servers%%:*}"; fi
        if [ -n "$devices" ]; then launcher+=(--devices "$devices"); fi
    else
        devices="${devices:-0,1,2,3,4,5,6,7}"
        first_device="${devices%%,*}"
    fi
    if [[ "$devices" == *,* ]] || [ -n "$option_servers" ]; then ensure_horovod; fi
fi
prepare_run 8p "$first_device" "${devices:-$first_device}" "$server"
choose_mode "${option_config:-$repository/$config}" ${overrides[@]+"${overrides[@]}"}
if [ "$device" = npu ] && [ ${#source[@]} -gt 0 ]; then
    table="$result/8p/$first_device/rank_table.json"
    mkdir -p "$(dirname "$table")"
    make_rank_table "${source[@]}" --devices "$devices" --output "$table"
fi
if [ -n "$table" ]; then launcher+=(--rank_table "$table"); fi
# device numbers are not unique on several servers, so the logs are numbered by rank
if [ -n "$server" ]; then launcher+=(--log "$(without_braces "$result/8p")/train_{rank}.log"); fi
if [ -n "$option_server" ]; then launcher+=(--server "$option_server"); fi
if [ -n "$option_port" ]; then launcher+=(--port "$option_port"); fi
if [ -z "$option_servers" ] && [ -n "$devices" ]; then launcher+=(--devices "$devices"); fi
exec bash "$repository/scripts/train_8p.sh" "$environment_python" "$device" "$first_device" "$result/8p" \
    ${launcher[@]+"${launcher[@]}"} -- \
    --config_file="$config" ${mode[@]+"${mode[@]}"} \
    ${resume[@]+"${resume[@]}"} ${overrides[@]+"${overrides[@]}"}
