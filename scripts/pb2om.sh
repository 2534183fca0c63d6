#!/usr/bin/env bash
# Converts an exported model to Ascend's format .om. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/pb2om.sh [options] [-- ATC_OPTIONS]

Converts a .pb (or .onnx) model of run.py --mode=export to a .om model for Ascend chips. Runs ATC, which is part of the CANN
toolkit, with the shapes from the JSON file next to the model.

  --model FILE          default: model/jasper_infer_float32.pb in the repository
  --output NAME         path of the result without .om (default: next to the model, NAME_bBATCH_tFRAMES)
  --soc_version CHIP    "Ascend" and the name in `npu-smi info`: Ascend310, Ascend310P3, Ascend910A (default: Ascend310)
  --batch_size N[,N]    utterances in a batch (default: 1); several sizes give one .om that is compiled for each. Needs a model
                        exported without --batch_size, or with the same one
  --frames N[,N]        lengths in frames of 10 ms; several as for --batch_size (needs a model exported with --frames dynamic
                        --convolutions plain)
  --precision_mode MODE force_fp16, force_fp32, allow_fp32_to_fp16, ... (default: that of ATC, force_fp16)
  --dry_run             print the command; does not need ATC
  --python PATH         the Python that reads the JSON file (default: that of .venv, else python3)
  --help
  -- ATC_OPTIONS        additional options for atc, e.g. -- --log=info --op_select_implmode=high_precision

The public Ascend port's --batchSize=N is accepted as well.

Exit status: 0 success, 2 command line, 3 model or JSON file, 4 ATC is missing; else ATC's own.
HELP
}

model="$repository/model/jasper_infer_float32.pb"
python="" dry_run=no
arguments=() extra=()
while [ $# -gt 0 ]; do
    name="${1%%=*}"
    case "$1" in
        --) shift; extra=("$@"); break ;;
        --help | -h) show_help; exit 0 ;;
        --dry_run) dry_run=yes ;;
        --model* | --output* | --soc_version* | --batch_size* | --batchSize* | --frames* | --precision_mode* | --python*)
            if [[ "$1" == *=* ]]; then value="${1#*=}"; else value="$(option_value "$@")"; shift; fi
            [ -n "$value" ] || usage_error "$name needs a value"
            value="$(expand_home "$value")"
            case "$name" in
                --model) model="$value" ;;
                --python) python="$value" ;;
                --batchSize) arguments+=(--batch_size "$value") ;;
                --output | --soc_version | --batch_size | --frames | --precision_mode) arguments+=("$name" "$value") ;;
                *) usage_error "unknown option $name" ;;
            esac ;;
        *) usage_error "unknown argument $1 (options of ATC go after --)" ;;
    esac
    shift
done

if [ -z "$python" ]; then
    python="$repository/.venv/bin/python"
    [ -x "$python" ] || python=python3
fi
status=0
lines="$(PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}" "$python" -m open_seq2seq.export.ascend.atc "$model" \
    ${arguments[@]+"${arguments[@]}"})" || status=$?
if [ "$status" -ne 0 ]; then
    complain "pb2om.sh: see bash $0 --help; the Python was $python"
    exit "$status"
fi
mapfile -t command <<< "$lines"
output="${command[-1]#--output=}"
command=(atc "${command[@]}" ${extra[@]+"${extra[@]}"})
command_text "${command[@]}"
if [ "$dry_run" = yes ]; then exit 0; fi

if ! command -v atc >/dev/null; then
    complain "pb2om.sh: atc was not found. It is part of the CANN toolkit; where that is installed, add it to PATH with"
    found=""
    for file in /usr/local/Ascend/{ascend-toolkit,cann,latest}/set_env.sh "${HOME:-/}"/Ascend/ascend-toolkit/set_env.sh; do
        if [ -f "$file" ]; then found=yes; complain "    source $file"; fi
    done
    if [ -z "$found" ]; then
        complain "    source /usr/local/Ascend/ascend-toolkit/set_env.sh"
        complain "(or .../Ascend/ascend-toolkit/set_env.sh of another folder). --dry_run prints the command for another machine"
    fi
    exit 4
fi
"${command[@]}" || status=$?
if [ "$status" -ne 0 ]; then
    complain "pb2om.sh: atc failed (status $status); its messages are above, more with -- --log=info"
    exit "$status"
fi
# ATC may append the system's name
if ! compgen -G "$output*.om" >/dev/null; then
    complain "pb2om.sh: atc ended without an error, but did not write $output.om"
    exit 1
fi
say "wrote $(compgen -G "$output*.om" | tr '\n' ' ')"
