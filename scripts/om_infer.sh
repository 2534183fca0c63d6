#!/usr/bin/env bash
# Runs a .om model on the bins of offline_inference.py. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/om_infer.sh --model FILE.om [options] [-- TOOL_OPTIONS]

Runs a .om model of pb2om.sh on an Ascend device with ais_bench or msame. The inputs are the bins that offline_inference.py
--pre_process True wrote. Afterwards  offline_inference.py --result_dir OUTPUT  prints the word error rate.

  --model FILE.om
  --input DIR        folder of input_0 and input_reshape (default: datasets/jasper in the repository)
  --output DIR       folder in which the tool creates its results (default: om_results next to input_0)
  --tool NAME        ais_bench or msame (default: ais_bench if its Python module is installed, else msame)
  --device N         number of the device (default: 0)
  --python PATH      the Python that has ais_bench (default: python3)
  --dry_run          print the command without running it
  --help
  -- TOOL_OPTIONS    additional options for the tool, e.g. -- --dymBatch 4 for a .om of several batch sizes

msame is the program that $MSAME names, else msame on PATH. A bin contains one utterance, but msame expects a whole batch in each
bin, so it can only run models of batch size 1. ais_bench combines bins.

Exit status: 0 success, 2 command line, 3 model or bins, 4 no tool; else the tool's own.
HELP
}

model="" input="$repository/datasets/jasper" output="" tool="" device=0 python=python3 dry_run=no
extra=()
while [ $# -gt 0 ]; do
    name="${1%%=*}"
    case "$1" in
        --) shift; extra=("$@"); break ;;
        --help | -h) show_help; exit 0 ;;
        --dry_run) dry_run=yes ;;
        --*)
            case "$name" in
                --model | --input | --output | --tool | --device | --python) ;;
                *) usage_error "unknown option $name (options of the tool go after --)" ;;
            esac
            if [[ "$1" == *=* ]]; then value="${1#*=}"; else value="$(option_value "$@")"; shift; fi
            [ -n "$value" ] || usage_error "$name needs a value"
            printf -v "${name#--}" '%s' "$(expand_home "$value")" ;;
        *) usage_error "unknown argument $1 (options of the tool go after --)" ;;
    esac
    shift
done
[ -n "$model" ] || usage_error "--model FILE.om is missing; scripts/pb2om.sh creates one"
case "$tool" in "" | ais_bench | msame) ;; *) usage_error "--tool $tool is unknown; expected ais_bench or msame" ;; esac
[[ "$device" =~ ^[0-9]{1,3}$ ]] || usage_error "--device $device: expected the number of a device"
output="${output:-$input/om_results}"

if [ ! -f "$model" ]; then
    complain "om_infer.sh: $model does not exist; scripts/pb2om.sh creates it"
    exit 3
fi
names_in() { (cd "$1" 2>/dev/null && find . -maxdepth 1 -name '*.bin' | sort); }
for folder in input_0 input_reshape; do
    if [ -z "$(names_in "$input/$folder" || true)" ]; then
        complain "om_infer.sh: no bins in $input/$folder; offline_inference.py --pre_process True --inference False writes them"
        exit 3
    fi
done
# the tools pair the files of both folders by their order, so both need the same names
odd="$(comm -3 <(names_in "$input/input_0") <(names_in "$input/input_reshape") | head -n 1 | tr -d '\t')"
if [ -n "$odd" ]; then
    complain "om_infer.sh: $odd is in one of $input/input_0 and $input/input_reshape only; write the bins again"
    exit 3
fi

has_ais_bench() { "$python" -c 'import ais_bench' 2>/dev/null; }
find_msame() {
    if [ -n "${MSAME:-}" ]; then printf '%s' "$MSAME"; else command -v msame; fi
}
if [ -z "$tool" ]; then
    if has_ais_bench; then tool=ais_bench
    elif find_msame >/dev/null; then tool=msame
    elif [ "$dry_run" = yes ]; then tool=ais_bench
    fi
fi
if [ "$tool" = ais_bench ]; then
    command=("$python" -m ais_bench --model "$model" --input "$input/input_0,$input/input_reshape" --output "$output"
        --outfmt BIN --device "$device")
else
    command=("$(find_msame || printf msame)" --model "$model" --input "$input/input_0,$input/input_reshape" --output "$output"
        --outfmt BIN --device "$device")
fi
command+=(${extra[@]+"${extra[@]}"})
if [ "$dry_run" = yes ]; then
    command_text "${command[@]}"
    exit 0
fi
if { [ "$tool" = ais_bench ] && ! has_ais_bench; } || { [ "$tool" = msame ] && [ ! -x "$(find_msame)" ]; } || [ -z "$tool" ]; then
    complain "om_infer.sh: ${tool:-ais_bench or msame} was not found. Both are in the Ascend tools (repository Ascend/tools):"
    complain "ais_bench is a Python package (name the Python that has it with --python), msame a program that is built there (name"
    complain "it with MSAME=PATH). Both need the CANN software: source /usr/local/Ascend/ascend-toolkit/set_env.sh"
    exit 4
fi
command_text "${command[@]}"
mkdir -p "$output"
# files of earlier runs are not results of this one
before="$(find "$output" -name '*.bin' | wc -l)"
status=0
"${command[@]}" || status=$?
if [ "$status" -ne 0 ]; then
    complain "om_infer.sh: $tool failed (status $status); its messages are above"
    exit "$status"
fi
if [ "$(find "$output" -name '*.bin' | wc -l)" -le "$before" ]; then
    complain "om_infer.sh: $tool ended without an error, but wrote no .bin below $output"
    exit 1
fi
say "results are in $output; score them with"
say "    python scripts/offline_inference.py --inference False --result_dir $output"
