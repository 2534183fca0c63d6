#!/usr/bin/env bash
# One training process on one device; called by run_1p.sh, which decides all arguments.
#
#     bash scripts/train_1p.sh PYTHON DEVICE DEVICE_ID FOLDER [ARGUMENTS OF run.py]
#     bash scripts/train_1p.sh DEVICE_ID [OPTIONS OF run_1p.sh]      as in the ModelZoo port: run_1p.sh --device_id DEVICE_ID
#
# e.g. bash scripts/train_1p.sh python3 npu 0 result/1p --config_file=FILE. The launcher replaces this script (exec),
# so that it receives signals and its exit status is that of the script.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

case "${1:-}" in
    --help | -h) print_comment "$0"; exit 0 ;;
    -*) usage_error "unknown option $1; options are those of run_1p.sh: $(command_text bash scripts/run_1p.sh "$@")" ;;
esac
if is_device_id "${1:-}"; then exec bash "$repository/scripts/run_1p.sh" --device_id "$@"; fi
[ $# -ge 4 ] || usage_error "expected the number of a device; start run_1p.sh instead: bash scripts/run_1p.sh --device_id 0"
python="$1" device="$2" device_id="$3" folder="$(absolute "$4")"
shift 4

cd "$repository"
exec "$python" -m open_seq2seq.launch --device "$device" --devices "$device_id" \
    --log "$(without_braces "$folder")/train_{device_id}.log" --verdict "turing train" -- \
    "$python" run.py --mode=train_eval --enable_logs --device="$device" --logdir="$folder/$device_id/jasper_log_folder" "$@"
