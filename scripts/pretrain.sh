#!/usr/bin/env bash
# Pre-trains an encoder without transcripts (HuBERT): features, clusters, labels, training, once or several times. See --help.
set -euo pipefail
# shellcheck source=scripts/resumable_training.sh
source "$(dirname "${BASH_SOURCE[0]}")/resumable_training.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/pretrain.sh --data DIR [options] [-- ARGUMENTS]

Iteration 1 clusters the MFCC of the audio and trains the encoder to predict the clusters of masked frames; each further iteration
clusters the outputs of a layer of the previous model, and trains again (docs/pretraining.md). The same command resumes after an
interruption and prints which complete files it skips.

  --data DIR         folder with train.csv and dev.csv, or train.tsv and valid.tsv; else audio files, of which train.tsv and
                     valid.tsv are written to the output folder
  --ext EXT          extension of the audio files (default: flac)
  --valid_percent P  share of the audio files for validation (default: 0.01)
  --config FILE      config with base_model HubertPretraining (default: configs/speech2text/jasper_mini_digits_hubert.py)
  --output DIR       folder of the results (default: runs/pretrain): iteration_1/model, iteration_2/model, ...
  --iterations N     number of iterations (default: 2)
  --clusters N       clusters of the first iteration (default: 100)
  --layer_clusters N clusters of the others (default: 500)
  --percent P        share of the utterances to compute the clusters from, -1 for all (default: -1)
  --layer NAME       layer whose outputs are clustered (default: conv51, for the default config)
  --continue_model   start each iteration from the previous model instead of from scratch
  --nshard N         files that the features of a list are divided into (default: 1)
  --help
  -- ARGUMENTS       config keys, e.g. -- --max_steps=20000 --width_multiplier=2
HELP
}

# Sets train_list and valid_list.
find_lists() {
    local names
    for names in "train.csv dev.csv" "train.tsv valid.tsv"; do
        if [ -f "$data/${names% *}" ] && [ -f "$data/${names#* }" ]; then
            train_list="$data/${names% *}" valid_list="$data/${names#* }"
            return 0
        fi
    done
    train_list="$output/train.tsv" valid_list="$output/valid.tsv"
    if [ -f "$train_list" ] && [ -f "$valid_list" ]; then
        say "skipped: $train_list and $valid_list exist"
        return 0
    fi
    "$environment_python" -m open_seq2seq.pretraining.manifest "$data" --ext "$extension" --dest "$train_list" \
        --valid_percent "$valid_percent"
    if [ ! -f "$valid_list" ]; then
        complain "there is no validation set; raise --valid_percent"
        return 3
    fi
}

# Features, clusters and labels of iteration $1 in folder $2; run.py skips what is complete.
make_labels() {
    local folder="$2" count="$clusters" source=()
    if [ "$1" -gt 1 ]; then
        count="$layer_clusters"
        source=(--config_file="$config" --logdir="$output/iteration_$(($1 - 1))/model" --enable_logs --layer="$layer"
            ${arguments[@]+"${arguments[@]}"})
    fi
    run --mode=features --manifest="$train_list,$valid_list" --features="$folder/features" --nshard="$nshard" \
        ${source[@]+"${source[@]}"}
    run --mode=kmeans --features="$folder/features" --split="$train_name" --clusters="$count" --percent="$percent"
    run --mode=labels --features="$folder/features" --labels="$folder/labels"
}

# Trains iteration $1 in folder $2.
train() {
    local folder="$2" start=() rate
    rate="$("$environment_python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["label_rate"])' \
        "$folder/labels/$train_name.km.json")"
    if [ "$1" -gt 1 ] && [ "$continue_model" = yes ]; then start=(--load_model="$output/iteration_$(($1 - 1))/model"); fi
    train_or_resume "$folder/model" "$folder/trained.txt" \
        "$(command_text "$config" ${start[@]+"${start[@]}"} ${arguments[@]+"${arguments[@]}"})" --config_file="$config" \
        --train_params/data_layer_params/dataset_files="$(as_list "$train_list")" \
        --eval_params/data_layer_params/dataset_files="$(as_list "$valid_list")" \
        --data_layer_params/label_dir="$folder/labels" --data_layer_params/label_rate="$rate" \
        ${start[@]+"${start[@]}"} ${arguments[@]+"${arguments[@]}"}
}

# a training that is stopped prints this command as the one that resumes it
JASPER_RESUME_COMMAND="$(command_text bash "$0" "$@")"
export JASPER_RESUME_COMMAND
data="" extension=flac valid_percent=0.01 config=configs/speech2text/jasper_mini_digits_hubert.py output=runs/pretrain iterations=2
clusters=100 layer_clusters=500 percent=-1 layer="" continue_model=no nshard=1 arguments=()
while [ $# -gt 0 ]; do
    word="$1" value=""
    case "$word" in
        --help | -h) show_help; exit 0 ;;
        --continue_model) continue_model=yes; shift; continue ;;
        --) shift; arguments=("$@"); break ;;
        --*=*) value="${word#*=}"; word="${word%%=*}" ;;
    esac
    case "$word" in
        --data | --ext | --valid_percent | --config | --output | --iterations | --clusters | --layer_clusters | --percent | --layer | \
            --nshard) ;;
        *) usage_error "unknown option $word" ;;
    esac
    if [ "$word" = "$1" ]; then value="$(option_value "$@")"; shift; fi
    shift
    case "$word" in
        --data) data="$value" ;;
        --ext) extension="$value" ;;
        --valid_percent) valid_percent="$value" ;;
        --config) config="$value" ;;
        --output) output="$value" ;;
        --iterations) iterations="$value" ;;
        --clusters) clusters="$value" ;;
        --layer_clusters) layer_clusters="$value" ;;
        --percent) percent="$value" ;;
        --layer) layer="$value" ;;
        --nshard) nshard="$value" ;;
    esac
done
if [ -z "$data" ]; then usage_error "--data is missing: the folder of the lists or of the audio files"; fi
check_number --iterations "$iterations"
check_number --clusters "$clusters"
check_number --layer_clusters "$layer_clusters"
check_number --nshard "$nshard"
if [ -z "$layer" ] && [ "$config" != configs/speech2text/jasper_mini_digits_hubert.py ] && [ "$iterations" -gt 1 ]; then
    usage_error "--layer is missing: the layer of $config whose outputs are clustered"
fi
layer="${layer:-conv51}"
data="$(absolute "$data")" output="$(absolute "$output")"
case "$config" in configs/*) ;; *) config="$(absolute "$config")" ;; esac
if [ ! -d "$data" ]; then
    complain "--data $data is not a folder; expected lists of utterances or audio files"
    exit 3
fi

cd "$repository"
ensure_environment 1.15.0
mkdir -p "$output"
heading "lists"
find_lists
train_name="$(basename "${train_list%.*}")"
for ((iteration = 1; iteration <= iterations; iteration++)); do
    heading "iteration $iteration of $iterations: labels"
    make_labels "$iteration" "$output/iteration_$iteration"
    heading "iteration $iteration of $iterations: training"
    train "$iteration" "$output/iteration_$iteration"
done
heading "done"
say "the model is in $output/iteration_$iterations/model; --load_model with this folder starts a fine-tuning from it"
