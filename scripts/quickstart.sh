#!/usr/bin/env bash
# From a fresh clone to a trained model, its word error rate and a transcript. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

config=configs/speech2text/jasper_mini_digits.py
recorded_steps=7000
# for the synthetic corpus. Small batches: more steps in the same time, so a short training learns more. Fewer effects, because
# the corpus itself has rooms, noise and codecs
synthetic_steps=3600
synthetic_corpus=(--train 4500)
synthetic_training=(--batch_size_per_gpu=8 --lr_policy_params/learning_rate=0.03 --eval_steps=1000
    --train_params/data_layer_params/augmentation/effects_probability=0.4)

show_help() {
    cat <<HELP
usage: bash scripts/quickstart.sh [options]

Makes the Python environment and a corpus of synthetic spoken digits, trains a small Jasper ($config),
evaluates it on voices that are not in the training data, and transcribes one utterance. A second run resumes the first.

  --recordings DIR   train on the Free Spoken Digit Dataset in DIR (files DIGIT_SPEAKER_INDEX.wav) instead
  --output DIR       folder of the model (default: runs/quickstart, or runs/quickstart_fsdd with --recordings)
  --max_steps N      number of training steps (default: $synthetic_steps, $recorded_steps with --recordings)
  --minutes M        training time in minutes: the speed is measured first and gives the number of steps
  --fresh            delete the model in the output folder and train a new one
  --help
HELP
}

heading() { printf '\n[%4d s] %s\n' "$SECONDS" "$*"; }

# A path as it is given on run.py's command line: a Python list with one string.
as_list() { "$environment_python" -c 'import sys; print([sys.argv[1]])' "$1"; }

absolute() {
    local path
    path="$(expand_home "$1")"
    case "$path" in /*) printf '%s' "$path" ;; *) printf '%s' "$PWD/$path" ;; esac
}

# A whole number above zero, or a usage error.
check_number() { [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || usage_error "$1 $2: expected a whole number above 0"; }

run_model() {
    "$environment_python" run.py --config_file="$config" --logdir="$output/model" \
        --train_params/data_layer_params/dataset_files="$(as_list "$corpus/train.csv")" \
        --eval_params/data_layer_params/dataset_files="$(as_list "$evaluated")" \
        ${training_options[@]+"${training_options[@]}"} "$@"
}

make_corpus() {
    local importer=synthetic_digits arguments=("${synthetic_corpus[@]}")
    corpus="$repository/corpus/digits"
    if [ -n "$recordings" ]; then
        importer=fsdd
        arguments=(--recordings "$recordings")
        corpus="$repository/corpus/fsdd"
    fi
    "$environment_python" -m "open_seq2seq.data.importers.$importer" "${arguments[@]}" --output "$corpus" || {
        local status=$?
        if [ -d "$corpus" ]; then complain "to create $corpus again, delete it first"; fi
        return "$status"
    }
    test_set="$corpus/test.csv"
    # the test recordings (index 0 to 4) are absent from some copies of the data set
    [ -f "$test_set" ] || test_set="$corpus/dev.csv"
}

# Sets the number of steps that fit into the requested minutes.
measure_speed() {
    local log="$output/benchmark.log" seconds
    run_with_progress "$log" run_model --mode=train --benchmark --bench_steps=25 --bench_start=10
    seconds="$(sed -n 's/^\*\*\* Avg time per step: \([0-9.]*\)s.*/\1/p' "$log" | tail -n 1)"
    if [ -z "$seconds" ]; then
        complain "$log does not contain the time per step"
        return 1
    fi
    steps="$(awk -v minutes="$minutes" -v seconds="$seconds" 'BEGIN { n = int(60 * minutes / seconds); print n < 50 ? 50 : n }')"
    say "$seconds s per step: $steps steps in $minutes minutes"
}

# Deletes what this script has put into the output folder, and nothing else.
remove_model() {
    rm -rf "$output/model"
    rm -f "$output"/{benchmark,evaluation,inference}.log "$output"/{one_utterance,transcript}.csv
}

# Decides how long to train and whether to resume; stores the decision in the output folder.
prepare_output() {
    local order="$output/quickstart.txt" stored_corpus="" stored_steps=""
    if [ "$fresh" = yes ] && [ -f "$order" ]; then
        remove_model
    elif [ -f "$order" ]; then
        { read -r stored_steps && read -r stored_corpus; } < "$order" || true
        if [ "$stored_corpus" != "$corpus" ]; then
            complain "$output holds a model trained on ${stored_corpus:-another corpus}, not on $corpus;"
            complain "choose another --output, or train a new model with --fresh"
            exit 3
        fi
    elif [ -e "$output" ] && [ -n "$(ls -A "$output")" ]; then
        complain "$output is not empty and was not created by this script; choose another --output"
        exit 3
    fi
    mkdir -p "$output"
    if [ -n "$minutes" ] && [ -z "$stored_steps" ]; then measure_speed; fi
    local default_steps="$synthetic_steps"
    if [ -n "$recordings" ]; then default_steps="$recorded_steps"; fi
    steps="${steps:-${stored_steps:-$default_steps}}"
    printf '%s\n%s\n' "$steps" "$corpus" > "$order"
}

train() {
    local resume=(--no_dir_check) # a training that stopped before its first checkpoint has left logs, and starts again there
    if [ -f "$output/model/logs/model.ckpt-$steps.index" ]; then
        say "$output/model is already trained for $steps steps (--fresh trains a new model, --max_steps trains longer)"
        return 0
    fi
    if compgen -G "$output/model/logs/model.ckpt-*.index" > /dev/null; then
        say "resuming the training in $output/model"
        resume=(--continue_learning)
    fi
    if ! run_model --mode=train_eval --enable_logs --max_steps="$steps" "${resume[@]}"; then
        complain "training stopped; the same command resumes from its last checkpoint"
        return 1
    fi
}

evaluate() {
    evaluated="$test_set"
    run_with_progress "$output/evaluation.log" run_model --mode=eval
    word_error_rate="$(sed -n 's/^\*\*\*     Validation WER: *\([0-9.]*\).*/\1/p' "$output/evaluation.log" | tail -n 1)"
    if [ -z "$word_error_rate" ]; then
        complain "$output/evaluation.log does not contain a WER"
        return 1
    fi
}

# Transcribes the first utterance of the test set, from a manifest that contains only this one.
transcribe_one() {
    "$environment_python" - "$test_set" "$output/one_utterance.csv" <<'PYTHON'
import csv, os, sys
with open(sys.argv[1], newline="") as source, open(sys.argv[2], "w", newline="") as target:
    rows = csv.reader(source)
    header, row = next(rows), next(rows)
    row[0] = os.path.join(os.path.dirname(sys.argv[1]), row[0])
    csv.writer(target, lineterminator="\n").writerows((header, row))
PYTHON
    run_with_progress "$output/inference.log" run_model --mode=infer --infer_output_file="$output/transcript.csv" \
        --infer_params/data_layer_params/dataset_files="$(as_list "$output/one_utterance.csv")"
    audio="$(csv_cell "$output/one_utterance.csv" 0)"
    reference="$(csv_cell "$output/one_utterance.csv" -1)"
    transcript="$(csv_cell "$output/transcript.csv" -1)"
}

# Column $2 of the second row of a CSV.
csv_cell() { "$environment_python" -c 'import csv, sys; print(list(csv.reader(open(sys.argv[1])))[1][int(sys.argv[2])])' "$1" "$2"; }

summarize() {
    local python="${environment_python#"$repository"/}"
    heading "done"
    cat <<SUMMARY
  word error rate   $(awk -v wer="$word_error_rate" 'BEGIN { printf "%.2f %%", 100 * wer }') on $test_set
  one utterance     $audio
      reference     $reference
      transcript    $transcript
  model             $output/model/logs (model.ckpt-$steps), TensorFlow $environment_tensorflow
  training log      $output/model (stdout_*.log)

Next steps (in $repository)
  $python run.py --config_file=$config --mode=describe     the network, layer by layer
  bash scripts/quickstart.sh --recordings DIR     the same on real speech, the Free Spoken Digit Dataset
  $python -m open_seq2seq.data.importers folder --help     a manifest from your own audio and text files
SUMMARY
}

recordings="" output="" steps="" minutes="" fresh=no
while [ $# -gt 0 ]; do
    case "$1" in
        --recordings) recordings="$(option_value "$@")"; shift ;;
        --recordings=*) recordings="${1#*=}" ;;
        --output) output="$(option_value "$@")"; shift ;;
        --output=*) output="${1#*=}" ;;
        --max_steps) steps="$(option_value "$@")"; shift ;;
        --max_steps=*) steps="${1#*=}" ;;
        --minutes) minutes="$(option_value "$@")"; shift ;;
        --minutes=*) minutes="${1#*=}" ;;
        --fresh) fresh=yes ;;
        --help | -h) show_help; exit 0 ;;
        *) usage_error "unknown option $1" ;;
    esac
    shift
done
if [ -n "$steps" ]; then check_number --max_steps "$steps"; fi
if [ -n "$minutes" ]; then check_number --minutes "$minutes"; fi
if [ -n "$steps" ] && [ -n "$minutes" ]; then usage_error "--max_steps and --minutes exclude each other; keep one"; fi
training_options=()
if [ -z "$recordings" ]; then training_options=("${synthetic_training[@]}"); fi
if [ -n "$recordings" ]; then recordings="$(absolute "$recordings")"; fi
if [ -n "$output" ]; then output="$(absolute "$output")"; else output="$repository/runs/quickstart${recordings:+_fsdd}"; fi

cd "$repository"
heading "1/5 environment"
ensure_environment 1.15.0
heading "2/5 corpus"
make_corpus
evaluated="$corpus/dev.csv"
heading "3/5 training"
prepare_output
train
heading "4/5 evaluation"
evaluate
heading "5/5 one transcription"
transcribe_one
summarize
