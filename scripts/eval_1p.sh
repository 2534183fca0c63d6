#!/usr/bin/env bash
# One evaluation process on one device; called by run_eval.sh, which decides all arguments.
#
#     bash scripts/eval_1p.sh PYTHON DEVICE DEVICE_ID FOLDER [ARGUMENTS OF run.py]
#     bash scripts/eval_1p.sh DEVICE_ID [OPTIONS OF run_eval.sh]      as in the ModelZoo port, evaluates the run of a device on it
#
# e.g. bash scripts/eval_1p.sh python3 npu 0 result/1p --config_file=FILE --logdir=DIR. The launcher replaces this
# script (exec), so that it receives signals and its exit status is that of the script.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

case "${1:-}" in
    --help | -h) print_comment "$0"; exit 0 ;;
    -*) usage_error "unknown option $1; options are those of run_eval.sh: $(command_text bash scripts/run_eval.sh "$@")" ;;
esac
if is_device_id "${1:-}"; then exec bash "$repository/scripts/run_eval.sh" --prefer_device "$1" --device_id "$@"; fi
[ $# -ge 4 ] || usage_error "expected the number of a device; start run_eval.sh instead: bash scripts/run_eval.sh --device_id 0"
python="$1" device="$2" device_id="$3" folder="$(absolute "$4")"
shift 4

cd "$repository"
exec "$python" -m open_seq2seq.launch --device "$device" --devices "$device_id" \
    --log "$(without_braces "$folder")/eval_{device_id}.log" --verdict "turing eval" -- \
    "$python" run.py --mode=eval --device="$device" "$@"
