# shellcheck shell=bash
# Sourced by pretrain.sh and transfer.sh, which consist of steps that a second call of the same command skips or resumes.

# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

heading() { printf '\n[%4d s] %s\n' "$SECONDS" "$*"; }

absolute() {
    local path
    path="$(expand_home "$1")"
    case "$path" in /*) printf '%s' "$path" ;; *) printf '%s' "$PWD/$path" ;; esac
}

check_number() { [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || usage_error "$1 $2: expected a whole number above 0"; }

run() { "$environment_python" run.py "$@"; }

as_list() { "$environment_python" -c 'import sys; print(sys.argv[1:])' "$@"; }

# Writes text $2 to file $1, atomically.
write_file() {
    printf '%s\n' "$2" > "$1.new"
    mv "$1.new" "$1"
}

# Trains in folder $1, unless file $2 says that it was trained with command $3; the other arguments are those of run.py.
train_or_resume() {
    local model="$1" record="$2" command="$3" resume=() status=0
    shift 3
    if [ -f "$record" ]; then
        if [ "$(cat "$record")" != "$command" ]; then
            complain "$model was trained with: $(cat "$record")"
            complain "now: $command; choose another --output, or delete $(dirname "$record")"
            return 3
        fi
        say "skipped: $model is trained"
        return 0
    fi
    if [ -f "$model/logs/checkpoint" ]; then
        say "resuming the training in $model"
        resume=(--continue_learning)
    elif [ -d "$model" ]; then
        resume=(--no_dir_check) # stopped before its first checkpoint, or still running, which run.py finds out
    fi
    run --mode=train_eval --enable_logs --logdir="$model" "$@" ${resume[@]+"${resume[@]}"} || status=$?
    if [ "$status" -ne 0 ] && [ -f "$model/logs/checkpoint" ]; then
        complain "training stopped; the same command resumes from its last checkpoint"
    elif [ "$status" -ne 0 ]; then
        complain "training stopped before its first checkpoint; run the command again when the cause is fixed"
    fi
    if [ "$status" -ne 0 ]; then return "$status"; fi
    write_file "$record" "$command"
}
