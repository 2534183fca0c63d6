#!/usr/bin/env bash
# One evaluation process on one device; called by run_eval.sh, which decides all arguments.
#
#     bash scripts/eval_1p.sh PYTHON DEVICE DEVICE_ID FOLDER [ARGUMENTS OF run.py]
#
# e.g. bash scripts/eval_1p.sh python3 npu 0 result/1p --config_file=FILE --logdir=DIR. The launcher replaces this
# script (exec), so that it receives signals and its exit status is that of the script.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

case "${1:-}" in --help | -h) print_comment "$0"; exit 0 ;; esac
[ $# -ge 4 ] || usage_error "expected PYTHON DEVICE DEVICE_ID FOLDER; start run_eval.sh instead"
python="$1" device="$2" device_id="$3" folder="$(absolute "$4")"
shift 4

cd "$repository"
exec "$python" -m open_seq2seq.launch --device "$device" --devices "$device_id" \
    --log "$(without_braces "$folder")/eval_{device_id}.log" --verdict "turing eval" -- \
    "$python" run.py --mode=eval --device="$device" "$@"
