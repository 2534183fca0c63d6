#!/usr/bin/env bash
# Trains a model for other data, e.g. another language, starting from a trained one. See --help.
set -euo pipefail
# shellcheck source=scripts/resumable_training.sh
source "$(dirname "${BASH_SOURCE[0]}")/resumable_training.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/transfer.sh --from RUN --data DIR [options] [-- ARGUMENTS]

Derives a config from that of a trained model, makes a vocabulary of the new transcripts, and trains. The encoder starts with the
weights of the model, and so do the outputs of the letters that both vocabularies have (docs/fine_tuning.md). The same command
resumes after an interruption.

  --from RUN         directory of a trained model, whose best checkpoint is used, or a checkpoint without extension
  --data DIR         folder with train.csv and dev.csv; the best model is tested on test.csv if there is one
  --output DIR       folder of the results (default: runs/transfer): config.py, vocab.txt, model/
  --vocab FILE       use this vocabulary (default: the characters of train.csv after the config's normalization)
  --subwords N       a vocabulary of N subwords, in vocab.model
  --freeze_steps N   steps in which only the output layer is trained (default: 0)
  --config FILE      a config of the same network (default: derived from that of the model)
  --help
  -- ARGUMENTS       config keys, e.g. -- --max_steps=2000 --lr_decay_per_layer=0.9 --unfreeze_at="{'conv1*': 500}"
HELP
}

# The vocabulary of the new transcripts, in file $vocab.
make_vocabulary() {
    local kind=() word
    if [ -f "$vocab" ]; then
        say "skipped: $vocab exists"
        return 0
    fi
    if [ -n "$subwords" ]; then kind=(--subwords "$subwords"); fi
    # the normalization is among them
    for word in ${arguments[@]+"${arguments[@]}"}; do
        case "$word" in --data_layer_params/* | --train_params/data_layer_params/*) kind+=("$word") ;; esac
    done
    "$environment_python" scripts/make_vocab.py "$data/train.csv" --config_file "$config" --output "$vocab" ${kind[@]+"${kind[@]}"}
}

# Sets config: derived from that of the model, unless it is given.
make_config() {
    if [ -n "$config" ]; then return 0; fi
    config="$output/config.py"
    if [ -f "$config" ]; then
        say "skipped: $config exists"
        return 0
    fi
    "$environment_python" -m open_seq2seq.experiment.derived_config --from "$from" --data "$data" --vocabulary "$vocab" \
        --logdir "$output/model" --freeze_steps "$freeze_steps" --output "$config"
}

train() {
    local keys=()
    if [ "$config" != "$output/config.py" ]; then
        keys=(--load_model="$from" --freeze_encoder_steps="$freeze_steps" --data_layer_params/vocab_file="$vocab"
            --train_params/data_layer_params/dataset_files="$(as_list "$data/train.csv")"
            --eval_params/data_layer_params/dataset_files="$(as_list "$data/dev.csv")")
        if [ -f "$data/test.csv" ]; then
            keys+=(--test_params/data_layer_params/dataset_files="$(as_list "$data/test.csv")")
        fi
    fi
    train_or_resume "$output/model" "$output/trained.txt" "$command" --config_file="$config" ${keys[@]+"${keys[@]}"} \
        ${arguments[@]+"${arguments[@]}"}
}

# a training that is stopped prints this command as the one that resumes it
JASPER_RESUME_COMMAND="$(command_text bash "$0" "$@")"
export JASPER_RESUME_COMMAND
from="" data="" output=runs/transfer vocab="" subwords="" freeze_steps=0 config="" arguments=()
while [ $# -gt 0 ]; do
    word="$1" value=""
    case "$word" in
        --help | -h) show_help; exit 0 ;;
        --) shift; arguments=("$@"); break ;;
        --*=*) value="${word#*=}"; word="${word%%=*}" ;;
    esac
    case "$word" in
        --from | --data | --output | --vocab | --subwords | --freeze_steps | --config) ;;
        *) usage_error "unknown option $word" ;;
    esac
    if [ "$word" = "$1" ]; then value="$(option_value "$@")"; shift; fi
    shift
    case "$word" in
        --from) from="$value" ;;
        --data) data="$value" ;;
        --output) output="$value" ;;
        --vocab) vocab="$value" ;;
        --subwords) subwords="$value" ;;
        --freeze_steps) freeze_steps="$value" ;;
        --config) config="$value" ;;
    esac
done
if [ -z "$from" ]; then usage_error "--from is missing: the directory of a trained model"; fi
if [ -z "$data" ]; then usage_error "--data is missing: the folder of train.csv and dev.csv"; fi
if [ -n "$vocab" ] && [ -n "$subwords" ]; then usage_error "--vocab and --subwords are both given; keep one"; fi
if [ -n "$subwords" ]; then check_number --subwords "$subwords"; fi
if ! [[ "$freeze_steps" =~ ^[0-9]{1,9}$ ]]; then usage_error "--freeze_steps $freeze_steps: expected a whole number"; fi
from="$(absolute "$from")" data="$(absolute "$data")" output="$(absolute "$output")"
if [ -n "$vocab" ]; then
    vocab="$(absolute "$vocab")"
    if [ ! -f "$vocab" ]; then
        complain "--vocab $vocab: there is no such file"
        exit 3
    fi
fi
case "$config" in "" | configs/*) ;; *) config="$(absolute "$config")" ;; esac
for name in train.csv dev.csv; do
    if [ ! -f "$data/$name" ]; then
        complain "--data $data: $name is missing; expected a folder with train.csv and dev.csv, as"
        complain "python -m open_seq2seq.data.importers writes it"
        exit 3
    fi
done

cd "$repository"
ensure_environment 1.15.0
command="$(command_text --from "$from" --data "$data" --freeze_steps "$freeze_steps" ${config:+--config "$config"} \
    ${vocab:+--vocab "$vocab"} ${subwords:+--subwords "$subwords"} ${arguments[@]+"${arguments[@]}"})"
mkdir -p "$output"
if [ -f "$output/transfer.txt" ] && [ "$(cat "$output/transfer.txt")" != "$command" ]; then
    if [ -f "$output/model/logs/checkpoint" ] || [ -f "$output/trained.txt" ]; then
        complain "$output was begun with: $(cat "$output/transfer.txt")"
        complain "now: $command; choose another --output, or delete $output"
        exit 3
    fi
    # no training has begun, e.g. because of a wrong key: what was made for it is made again
    say "$output has no checkpoint yet; it starts again with the new arguments"
    rm -f "$output/vocab.txt" "$output/vocab.model"
    if [ -f "$output/config.py" ]; then mv "$output/config.py" "$output/config.py.earlier"; fi
fi
write_file "$output/transfer.txt" "$command"
if [ -z "$vocab" ]; then vocab="$output/vocab.txt"; fi
if [ -n "$subwords" ]; then vocab="$output/vocab.model"; fi
heading "config"
make_config
heading "vocabulary"
make_vocabulary
heading "training"
train
heading "done"
say "the model is in $output/model/logs; python run.py --config_file=$config --mode=eval --enable_logs --logdir=$output/model evaluates it"
