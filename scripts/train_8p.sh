#!/usr/bin/env bash
# One training process for each of several devices; run_8p.sh calls this with everything decided.
#
#     bash scripts/train_8p.sh PYTHON DEVICE FIRST_DEVICE FOLDER [OPTIONS OF THE LAUNCHER] -- [WORDS FOR run.py]
#
# e.g. bash scripts/train_8p.sh python3 npu 0 result/8p --rank_table scripts/8p.json -- --config_file=FILE. The launcher takes
# the place of this script (exec), so that signals reach it and its exit status is the script's.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

[ $# -ge 4 ] || usage_error "expected PYTHON DEVICE FIRST_DEVICE FOLDER; run_8p.sh is the script to type"
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
