#!/usr/bin/env bash
# Evaluates a training of run_1p.sh or run_8p.sh. See --help.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_eval.sh [options] [-- ARGUMENTS]

Evaluates the last checkpoint of a training on one device and prints its word error rate ("***     Validation WER:").

  --from WHAT        1p or 8p: its newest run; the number of a device: the newest run of this device; or the logdir of any run.
                     Default: the config's logdir if it is not jasper_log_folder and has a checkpoint; else the newest run of
                     1p and 8p
  --prefer_device N  where the default would be the newest run of all, take the newest of device N if it has one
  --device_id N      number of the device to evaluate on (default: 0)
HELP
    common_options_help
    cat <<'HELP'

  result/1p/eval_N.log    all output (result/8p for a run of 8p, result for a directory); the last line is
                          "turing eval success" or "turing eval fail". The line "*** Report: ..." before it names
                          the page that shows the errors (docs/evaluation_report.md)

Exit status: 0 success, 2 command line or config, 3 data, files or no checkpoint, 4 device, 130 or 143 stopped by a signal,
1 a bug.
HELP
}

# Prints "TIME LOGDIR" for each run with a checkpoint of the folders $1 (names separated by blanks, such as "1p 8p") in all places,
# the newest first; only runs of device $2 if it is given.
runs_in() {
    local place kind folders=()
    for place in "${places[@]}"; do
        # shellcheck disable=SC2086
        for kind in $1; do
            for folder in "$place/$kind"/${2:-*}/jasper_log_folder; do folders+=("$folder"); done
        done
    done
    runs_with_checkpoints "${folders[@]}"
}

# Sets logdir to the newest run that runs_in finds. $3: 1p, 8p or a number as it was typed, for the message if there is none.
take_newest_run() {
    local runs run place
    mapfile -t runs < <(runs_in "$1" "$2")
    if [ "${#runs[@]}" -eq 0 ]; then
        for place in "${places[@]}"; do
            complain "run_eval.sh: no checkpoint in $place/${3:-[18]p/*}/jasper_log_folder/logs"
        done
        complain "Train with run_1p.sh or run_8p.sh, or select another run with --from or --result"
        exit 3
    fi
    logdir="${runs[0]#* }"
    for run in "${runs[@]:1}"; do
        for place in "${places[@]}"; do
            case "$logdir/" in "$place"/*) continue ;; esac
            case "$run" in *" $place"/*) say "runs in ${places[*]}: taking the newest one (--from or --result selects another)"; return 0 ;; esac
        done
    done
}

# Sets logdir to the one that the config names if this one has a checkpoint, as users of the ModelZoo port edit it before an
# evaluation. Its value as shipped, jasper_log_folder, stands for the folder of that name in each run.
take_logdir_of_config() {
    local facts named folder runs
    facts="$(inspect_config "$1")" || return 0
    if grep -qx logdir_computed <<< "$facts"; then
        say "the logdir of $1 is not a plain string and is not looked at (--from DIR evaluates it)"
        return 0
    fi
    named="$(sed -n 's/^logdir=//p' <<< "$facts")"
    case "$named" in "" | jasper_log_folder) return 0 ;; esac
    folder="$(expand_home "$named")"
    case "$folder" in /*) ;; *) folder="$repository/$folder" ;; esac
    if [ -z "$(last_checkpoint "$folder/logs")$(last_checkpoint "$folder")" ]; then
        say "the logdir of $1, $folder, has no checkpoint; looking in ${places[*]}"
        return 0
    fi
    logdir="$folder"
    say "the logdir of $1 has a checkpoint"
    mapfile -t runs < <(runs_in "1p 8p" "")
    if [ "${#runs[@]}" -gt 0 ]; then say "not evaluated: ${runs[0]#* } (--from 1p or --from 8p selects such a run)"; fi
}

parse_run_options "device config data from prefer_device device_id result environment python" "$@"
if ! [[ "$option_from" =~ ^([18]p)?$ ]] && ! is_device_id "$option_from" && [ ! -d "$option_from" ]; then
    usage_error "--from $option_from: expected 1p, 8p, the number of a device or a directory"
fi
choose_environment
one_device=configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_1p.py
logdir="" folder="$result"
case "${option_from:-}" in
    "")
        take_logdir_of_config "${option_config:-$repository/$one_device}"
        preferred="$option_prefer_device"
        if [ -n "$preferred" ] && [ -z "$(runs_in "1p 8p" "$preferred")" ]; then
            say "device $preferred has no run; looking for the newest of all"
            preferred=""
        fi
        if [ -z "$logdir" ]; then take_newest_run "1p 8p" "$preferred" ""; fi ;;
    1p | 8p) take_newest_run "$option_from" "" "$option_from/*" ;;
    *)
        if is_device_id "$option_from" && [ ! -d "$option_from" ]; then
            take_newest_run "1p 8p" "$option_from" "[18]p/$option_from"
        else
            logdir="$(absolute "$option_from")"
        fi ;;
esac
for place in "${places[@]}"; do
    case "$logdir" in "$place"/[18]p/*) folder="$(dirname "$(dirname "$logdir")")" ;; esac
done
config="${option_config:-$one_device}"
if [ -z "$option_config" ] && [ "$(basename "$folder")" = 8p ]; then config="${one_device%1p.py}8p.py"; fi
say "evaluating $logdir"
exec bash "$repository/scripts/eval_1p.sh" "$environment_python" "$device" "$option_device_id" "$folder" \
    --config_file="$config" --logdir="$logdir" ${overrides[@]+"${overrides[@]}"}
