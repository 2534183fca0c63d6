#!/usr/bin/env bash
# Evaluates a training of run_1p.sh or run_8p.sh. See --help.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_eval.sh [options] [-- ARGUMENTS]

Evaluates the last checkpoint of a training on one device and prints its word error rate ("***     Validation WER:").

  --from WHAT        1p or 8p: its newest run; or the logdir of any run (default: the newest run of both)
  --device_id N      number of the device (default: 0)
HELP
    common_options_help
    cat <<'HELP'

  result/1p/eval_N.log    all output (result/8p for --from 8p, result for a directory); the last line is
                          "turing eval success" or "turing eval fail"

Exit status: 0 success, 2 command line or config, 3 data, files or no checkpoint, 4 device, 130 or 143 stopped by a signal,
1 a bug.
HELP
}

# Prints the newest logdir with a checkpoint below result/$1, result/$2, ...; nothing if there is none.
newest_run() {
    local kind folder
    for kind in "$@"; do
        for folder in "$result/$kind"/*/jasper_log_folder; do
            if [ -n "$(last_checkpoint "$folder/logs")" ]; then
                printf '%s %s\n' "$(stat --format=%Y "$folder/logs")" "$folder"
            fi
        done
    done | sort -n | tail -n 1 | cut -d ' ' -f 2-
}

parse_run_options "device config data from device_id result environment python" "$@"
folder="$result"
case "${option_from:-newest}" in
    newest) logdir="$(newest_run 1p 8p)" ;;
    1p | 8p) logdir="$(newest_run "$option_from")" ;;
    *)
        [ -d "$option_from" ] || usage_error "--from $option_from: expected 1p, 8p or a directory"
        logdir="$(absolute "$option_from")" ;;
esac
if [ -z "$logdir" ]; then
    complain "run_eval.sh: no checkpoint in $result/${option_from:-[18]p}/*/jasper_log_folder/logs; train with run_1p.sh or run_8p.sh, or give --from or --result"
    exit 3
fi
case "$logdir" in "$result"/[18]p/*) folder="$(dirname "$(dirname "$logdir")")" ;; esac
number="$(basename "$folder")"
config="${option_config:-configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_$([ "$number" = 8p ] && echo 8p || echo 1p).py}"
choose_environment
say "evaluating $logdir"
exec bash "$repository/scripts/eval_1p.sh" "$environment_python" "$device" "$option_device_id" "$folder" \
    --config_file="$config" --logdir="$logdir" ${overrides[@]+"${overrides[@]}"}
