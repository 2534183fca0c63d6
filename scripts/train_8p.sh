#!/usr/bin/env bash
# One training process for each of several devices; called by run_8p.sh, which decides all arguments.
#
#     bash scripts/train_8p.sh PYTHON DEVICE FIRST_DEVICE FOLDER [OPTIONS OF THE LAUNCHER] -- [ARGUMENTS OF run.py]
#
# In the ModelZoo port, train_8p.sh DEVICE_ID is one of the eight processes. Here run_8p.sh starts all of them.
#
# e.g. bash scripts/train_8p.sh python3 npu 0 result/8p --rank_table scripts/8p.json -- --config_file=FILE. The launcher
# replaces this script (exec), so that it receives signals and its exit status is that of the script.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

case "${1:-}" in
    --help | -h) print_comment "$0"; exit 0 ;;
    -*) usage_error "unknown option $1; options are those of run_8p.sh: $(command_text bash scripts/run_8p.sh "$@")" ;;
esac
if is_device_id "${1:-}"; then
    complain "train_8p.sh $1: the processes of a training are not started one by one. Start all of them, or a training on one device:"
    device_id="$1"
    shift
    complain "    $(command_text bash scripts/run_8p.sh "$@")"
    complain "    $(command_text bash scripts/run_1p.sh --device_id "$device_id" "$@")"
    exit 2
fi
[ $# -ge 4 ] || usage_error "start run_8p.sh instead: bash scripts/run_8p.sh"
python="$1" device="$2" first_device="$3" folder="$(absolute "$4")"
shift 4
launcher=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    launcher+=("$1")
    shift
done
if [ $# -gt 0 ]; then shift; fi

cd "$repository"
exec "$python" -m open_seq2seq.launch --device "$device" \
    --log "$(without_braces "$folder")/train_{device_id}.log" --verdict "turing train" ${launcher[@]+"${launcher[@]}"} -- \
    "$python" run.py --mode=train_eval --enable_logs --device="$device" --logdir="$folder/$first_device/jasper_log_folder" "$@"
