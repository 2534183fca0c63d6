#!/usr/bin/env bash
# Trains on one device. See --help.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_options.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_1p.sh [options] [-- ARGUMENTS]

Trains on one device, with evaluations during the training. A second run resumes from the last checkpoint of the first.

  --device_id N      number of the device (default: 0)
  --fresh            start a new run; the results of the previous run are renamed, and their new place is printed
HELP
    common_options_help
    cat <<'HELP'

  result/1p/N/jasper_log_folder/logs    checkpoints
  result/1p/train_N.log                 all output; the last line is "turing train success" or "turing train fail"

Relative paths inside a config are relative to the repository, paths on this command line to the working directory.
Exit status: 0 success, 2 command line or config, 3 data or files, 4 device, 130 or 143 stopped by a signal, 1 a bug.
HELP
}

parse_run_options "device config data device_id result environment python fresh" "$@"
config="${option_config:-configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_1p.py}"
choose_environment
prepare_run 1p "$option_device_id" "$option_device_id"
choose_mode "${option_config:-$repository/$config}" ${overrides[@]+"${overrides[@]}"}
exec bash "$repository/scripts/train_1p.sh" "$environment_python" "$device" "$option_device_id" "$result/1p" \
    --config_file="$config" ${mode[@]+"${mode[@]}"} \
    ${resume[@]+"${resume[@]}"} ${overrides[@]+"${overrides[@]}"}
