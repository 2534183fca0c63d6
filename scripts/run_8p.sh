#!/usr/bin/env bash
# Trains on eight devices, or any other number. See --help.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_8p.sh [options] [-- WORDS]

Trains on the eight devices of a server, one process for each: through HCCL on NPUs, Horovod on GPUs and CPUs. A second run
goes on where the first stopped, and says so. When one process dies the others are stopped, and the end of its log is shown.

  --devices 0,1      numbers of the devices (default: those of --rank_table, else 0 to 7)
  --processes N      short for the first N devices
  --rank_table FILE  NPU: which device is which rank. Default: $RANK_TABLE_FILE; else one is made from /etc/hccn.conf or by
                     hccn_tool; else scripts/8p.json, whose addresses are an example
  --servers H:N,H:N  CPU, GPU: all machines of a run and their numbers of processes; started on each of them, with
  --server K         which of them (or of the rank table's servers) this machine is, from 0, and
  --port P           a free port of the first
  --fresh            start anew; what the run before left is renamed, and where to is said
HELP
    common_options_help
    cat <<'HELP'

D is the device of rank 0, which alone writes checkpoints:
  result/8p/D/jasper_log_folder/logs    checkpoints
  result/8p/train_N.log                 what the process of device N (with several servers: of rank N) printed; the last line
                                        is "turing train success" or "turing train fail"

Relative paths inside a config are relative to the repository, those on this command line to the working directory. Exit
status: that of the first process that failed: 2 command line or config, 3 data or files, 4 device, another process, or a
signal; 130 or 143 stopped, 1 an error in the program.
HELP
}

make_rank_table() { "$environment_python" "$repository/scripts/make_rank_table.py" "$@"; }

# Of several servers, the first of which is named $1: sets server to 0 there, to something else elsewhere.
choose_server() {
    [[ "$option_server" =~ ^[A-Za-z0-9._:-]+$ ]] ||
        usage_error "--server ${option_server:-is missing}: expected which of the servers this machine is, from 0, or its name"
    server="$option_server"
    if [ "$server" = "$1" ]; then server=0; fi
}

# Sets table, first_device and devices from the rank table that was given. One of a server with more devices than were asked
# for is narrowed down to them.
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
        narrowed=(--from_table "$1")
    fi
}

# For NPUs: who is which rank.
choose_rank_table() {
    local given="${option_rank_table:-${RANK_TABLE_FILE:-}}"
    narrowed=()
    if [ -n "$given" ]; then
        use_given_table "$(absolute "$given")"
        return 0
    fi
    devices="${devices:-0,1,2,3,4,5,6,7}"
    first_device="${devices%%,*}"
    if [[ "$devices" != *,* ]]; then return 0; fi # one device needs none
    if [ -f /etc/hccn.conf ]; then
        narrowed=(--hccn_conf /etc/hccn.conf)
    elif command -v hccn_tool >/dev/null; then
        narrowed=(--hccn_tool hccn_tool)
    else
        say "neither /etc/hccn.conf nor hccn_tool is there: the addresses are those of scripts/8p.json; correct them if they are not yours"
        narrowed=(--from_table "$repository/scripts/8p.json")
    fi
}

parse_run_options "device config data devices processes rank_table servers server port result environment python fresh" "$@"
if [ -n "$option_devices" ] && [ -n "$option_processes" ]; then usage_error "--devices and --processes say the same; keep one"; fi
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
if [ "$device" = npu ] && [ ${#narrowed[@]} -gt 0 ]; then
    table="$result/8p/$first_device/rank_table.json"
    mkdir -p "$(dirname "$table")"
    make_rank_table "${narrowed[@]}" --devices "$devices" --output "$table"
fi
if [ -n "$table" ]; then launcher+=(--rank_table "$table"); fi
# devices of several servers have the same numbers
if [ -n "$server" ]; then launcher+=(--log "$(without_braces "$result/8p")/train_{rank}.log"); fi
if [ -n "$option_server" ]; then launcher+=(--server "$option_server"); fi
if [ -n "$option_port" ]; then launcher+=(--port "$option_port"); fi
if [ -z "$option_servers" ] && [ -n "$devices" ]; then launcher+=(--devices "$devices"); fi
exec bash "$repository/scripts/train_8p.sh" "$environment_python" "$device" "$first_device" "$result/8p" \
    ${launcher[@]+"${launcher[@]}"} -- \
    --config_file="${option_config:-configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_8p.py}" \
    ${going_on[@]+"${going_on[@]}"} ${overrides[@]+"${overrides[@]}"}
