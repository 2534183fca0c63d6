# shellcheck shell=bash disable=SC2034
# Sourced by run_1p.sh, run_8p.sh and run_eval.sh: options, selection of device and Python, folders of a run.
#
# A script calls parse_run_options with the names of its options, then choose_environment.

# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

option_config="" option_data="" option_device=auto option_device_id=0 option_devices="" option_processes="" option_result=""
option_environment="" option_python="" option_rank_table="" option_servers="" option_server="" option_port="" option_from=""
option_prefer_device=""
fresh=no
places=()              # folders for results that are looked at; new runs are in the first
logs_of_run=()         # of the devices of a training
mode=()                # the flag for run.py if a training cannot have evaluations
overrides=()           # arguments that are passed on to run.py
device=""              # cpu, gpu or npu

common_options_help() {
    cat <<'HELP'
  --device NAME      npu, gpu, cpu or auto (the default: an NPU if there is one, else a GPU, else the CPU)
  --config FILE      the experiment (default: configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_*p.py)
  --data DIR         the data root; sets $JASPER_DATA for the configs (default: $JASPER_DATA or corpus)
  --result DIR       folder for the results (default: result in the repository; an earlier run in scripts/result, the folder of
                     the ModelZoo port, is used if it is newer than that in result)
  --environment FILE a shell file to source first, e.g. /usr/local/Ascend/ascend-toolkit/set_env.sh (with an NPU the files
                     below /usr/local/Ascend are sourced by default if ASCEND_OPP_PATH is not set)
  --python PATH      use this Python (default: with an NPU the first of $PYTHON, python3, python3.7 that has an adapter,
                     npu_bridge or npu_device; else the environment .venv, which is created if it is missing)
  --help
  -- ARGUMENTS       flags and config keys for run.py, e.g. -- --max_steps=100 --batch_size_per_gpu=16
HELP
}

# Prints the comment at the beginning of script $1, as its --help.
print_comment() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$1"; }

# Whether $1 is the number of a device, without leading zeros: it is part of the names of folders and files.
is_device_id() { [[ "$1" =~ ^(0|[1-9][0-9]{0,2})$ ]]; }

absolute() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s' "$PWD/$1" ;; esac; }

# Prints the absolute path of command $1; fails if there is none.
path_of_command() {
    local found
    found="$(command -v "$1")" || return 1
    absolute "$found"
}

# Parses the options that $1 names (also --fresh if it contains "fresh", --help and --) from the other arguments into option_NAME.
parse_run_options() {
    local allowed=" $1 " name value word typed=()
    shift
    # a training that is stopped prints this command as the one that resumes it
    for word in "$@"; do if [ "$word" != --fresh ]; then typed+=("$word"); fi; done
    JASPER_RESUME_COMMAND="$(command_text bash "$0" ${typed[@]+"${typed[@]}"})"
    export JASPER_RESUME_COMMAND
    while [ $# -gt 0 ]; do
        name="${1%%=*}"
        name="${name#--}"
        case "$1" in
            --) shift; overrides=("$@"); break ;;
            --help | -h) show_help; exit 0 ;;
            --fresh) [[ "$allowed" == *" fresh "* ]] || usage_error "unknown option --fresh"; fresh=yes ;;
            --*)
                [[ "$name" != fresh && "$allowed" == *" $name "* ]] ||
                    usage_error "unknown option --$name (flags of run.py and config keys go after --)"
                if [[ "$1" == *=* ]]; then value="${1#*=}"; else value="$(option_value "$@")"; shift; fi
                [ -n "$value" ] || usage_error "--$name needs a value"
                printf -v "option_$name" '%s' "$(expand_home "$value")" ;;
            *) usage_error "unknown argument $1 (flags of run.py and config keys go after --)" ;;
        esac
        shift
    done
    check_run_options
}

check_run_options() {
    case "$option_device" in
        auto | cpu | gpu | npu) ;;
        *) usage_error "--device $option_device is unknown; expected auto, cpu, gpu or npu" ;;
    esac
    is_device_id "$option_device_id" || usage_error "--device_id $option_device_id: expected the number of a device"
    [ -z "$option_prefer_device" ] || is_device_id "$option_prefer_device" ||
        usage_error "--prefer_device $option_prefer_device: expected the number of a device"
    [[ -z "$option_devices" || "$option_devices" =~ ^[0-9]{1,3}(,[0-9]{1,3})*$ ]] ||
        usage_error "--devices $option_devices: expected numbers separated by commas, e.g. 0,1"
    [[ -z "$option_processes" || "$option_processes" =~ ^[1-9][0-9]{0,3}$ ]] ||
        usage_error "--processes $option_processes: expected a whole number above 0"
    local file
    for file in "$option_config" "$option_environment"; do
        [ -z "$file" ] || [ -f "$file" ] || usage_error "$file does not exist"
    done
    [ -z "$option_data" ] || [ -d "$option_data" ] || usage_error "--data $option_data is not a directory"
    result="$(absolute "${option_result:-$repository/result}")"
    places=("$result")
    local of_port="$repository/scripts/result"
    if [ -z "$option_result" ] && [ -d "$of_port" ] && ! [ "$of_port" -ef "$result" ]; then places+=("$of_port"); fi
    if [ -n "$option_config" ]; then option_config="$(absolute "$option_config")"; fi
    if [ -n "$option_rank_table" ]; then option_rank_table="$(absolute "$option_rank_table")"; fi
    if [ -n "$option_data" ]; then
        JASPER_DATA="$(absolute "$option_data")"
        export JASPER_DATA
    fi
}

# Sources a file that does not work with set -eu, such as Ascend's set_env.sh.
load_environment() {
    say "environment: $1"
    set +eu
    # shellcheck source=/dev/null
    source "$1"
    set -eu
}

load_ascend_environment() {
    local file
    if [ -n "$option_environment" ] || [ -n "${ASCEND_OPP_PATH:-}" ]; then return 0; fi
    for file in /usr/local/Ascend/{ascend-toolkit,nnae,tfplugin}/set_env.sh; do
        if [ -f "$file" ]; then load_environment "$file"; fi
    done
}

# Whether the device file of an NPU exists.
davinci_present() { compgen -G '/dev/davinci[0-9]*' >/dev/null; }

# Prints the modules that Python $1 does not have and a run on an NPU needs, one per line; nothing if none is missing.
missing_for_npu() {
    "$1" -c 'if True:
        import importlib.util as util
        if not (util.find_spec("npu_bridge") or util.find_spec("npu_device")):
            print("npu_bridge or npu_device")
        for name in ("tensorflow", "numpy", "soundfile"):
            if util.find_spec(name) is None:
                print(name)' 2>/dev/null || echo "a working Python"
}

# Sets environment_python to a Python for the NPU, which is part of the Ascend software and is not created here; fails with a
# message about the candidates if there is none.
find_npu_python() {
    local candidate missing candidates=""
    for candidate in "$option_python" "${PYTHON:-}" python3 python3.7 "$repository/.venv/bin/python"; do
        if [ -z "$candidate" ] || ! command -v "$candidate" >/dev/null; then continue; fi
        missing="$(missing_for_npu "$candidate" | paste -s -d , -)"
        if [ -z "$missing" ]; then
            environment_python="$(path_of_command "$candidate")"
            return 0
        fi
        candidates="$candidates
    $candidate does not have $missing"
        if [ "$candidate" = "$option_python" ]; then break; fi
    done
    complain "no Python was found that can use an NPU; tried:${candidates:- none}"
    complain "The TensorFlow adapter (npu_bridge for TensorFlow 1.15.0, npu_device for 2.6.5) comes with the CANN toolkit and its plugin"
    complain "(tfplugin): source its set_env.sh or give it with --environment. Other missing modules: PYTHON -m pip install"
    complain "tensorflow==1.15.0 soundfile soxr. See docs/ascend.md"
    davinci_present || complain "There is no NPU either (no /dev/davinci*); install the driver, or start the container with its devices."
    return 4
}

# Sets device and environment_python.
choose_environment() {
    if [ -n "$option_environment" ]; then load_environment "$option_environment"; fi
    device="$option_device"
    if [ "$device" = npu ] || { [ "$device" = auto ] && davinci_present; }; then
        load_ascend_environment
        if find_npu_python; then
            device=npu
            return 0
        fi
        if [ "$device" = npu ]; then exit 4; fi
        say "continuing without the NPU"
    fi
    if [ -n "$option_python" ]; then
        environment_python="$(path_of_command "$option_python")" || usage_error "--python $option_python was not found"
    else
        ensure_environment 1.15.0
    fi
    if [ "$device" = auto ]; then
        device="$(cd "$repository" && "$environment_python" -c \
            'from open_seq2seq.devices import resolve_device_name; print(resolve_device_name("auto"))' | tail -n 1)"
    fi
}

# Checks that Horovod is installed, which several processes on CPUs or GPUs need; builds it in the environment .venv.
ensure_horovod() {
    if "$environment_python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("horovod") is None)'; then
        return 0
    fi
    if [ -n "$option_python" ]; then
        complain "$environment_python does not have Horovod, which several processes on a $device need (requirements-distributed.txt)"
        exit 4
    fi
    bash "$repository/scripts/setup.sh" --distributed
}

# Prints what scripts/inspect_config.py says of config $1, see there.
inspect_config() { "$environment_python" "$repository/scripts/inspect_config.py" "$1"; }

# Sets mode for a config without eval_params, which is trained without evaluations. $1: the config; the others: arguments for
# run.py, which may define what is missing.
choose_mode() {
    local config="$1" word
    shift
    for word in "$@"; do
        case "$word" in --eval_params/* | --dev_files* | --mode*) return 0 ;; esac
    done
    if inspect_config "$config" | grep -qx no_eval_params; then
        mode=(--mode=train)
        note_in_logs "$config has no eval_params: training without evaluations (--mode=train)"
    fi
}

# Prints a line, also into the logs of the run, where the launcher's output follows.
note_in_logs() {
    local log
    say "$1"
    for log in ${logs_of_run[@]+"${logs_of_run[@]}"}; do printf '%s\n' "$1" >> "$log"; done
}

# Prints "TIME FOLDER" for each of the given run folders that has a checkpoint, the newest first. TIME: when its newest
# checkpoint was written, in seconds since 1970.
runs_with_checkpoints() {
    local folder last
    for folder in "$@"; do
        last="$(last_checkpoint "$folder/logs")"
        if [ -n "$last" ]; then printf '%s %s\n' "$(LC_ALL=C stat --format=%.Y "$folder/logs/$last.index")" "$folder"; fi
    done | LC_ALL=C sort -r -n
}

# Sets result to the place with the newest checkpoint of the run in folder $1 (1p or 8p) of device $2; the first place if there is
# no checkpoint.
choose_place() {
    local place folders=() runs
    for place in "${places[@]}"; do folders+=("$place/$1/$2/jasper_log_folder"); done
    mapfile -t runs < <(runs_with_checkpoints "${folders[@]}")
    if [ "${#runs[@]}" -eq 0 ]; then return 0; fi
    result="${runs[0]#* }"
    result="${result%/"$1/$2"/jasper_log_folder}"
    if [ "${#runs[@]}" -gt 1 ]; then
        say "two runs have checkpoints: the newer one, in $result, is resumed, not that in ${runs[1]#* } (--result selects the folder)"
    fi
}

# Locks the file $2 (--exclusive or --shared, $1); the lock ends with the last process of the run.
take_lock() {
    local descriptor
    exec {descriptor}>> "$2"
    if ! flock --nonblock "$1" "$descriptor"; then
        complain "$(basename "$0"): another run is writing into $(dirname "$2"), device ${2##*_}; wait until it ends, or choose another --result or device"
        exit 4
    fi
}

# Appends the verdict to the output and the logs of a run that failed before its launcher started: the last line of a log may be
# the success of an earlier run.
append_verdict() {
    local log
    for log in "$@"; do printf 'turing train fail\n' >> "$log"; done
    say "turing train fail"
}

# Prevents two runs from writing into the folder $1 (a place's 1p or 8p) for the devices $2 (0,1). The servers of one run share its
# folder; $3 is the number of this server.
lock_run() {
    local number
    if ! mkdir -p "$1"; then
        complain "$(basename "$0"): choose another place with --result"
        exit 3
    fi
    if ! command -v flock >/dev/null; then return 0; fi
    if [ -n "$3" ]; then
        take_lock --shared "$1/.lock_${2%%,*}"
        take_lock --exclusive "$1/.lock_server_$3"
        return 0
    fi
    for number in $(tr , '\n' <<< "$2" | sort -n -u); do take_lock --exclusive "$1/.lock_$number"; done
}

# For --fresh: renames the run in folder $1 (a place's 1p or 8p) of device $2, with the logs of its devices $3.
set_aside() {
    local folder="$1/$2" kept number
    if [ ! -e "$folder" ]; then return 0; fi
    kept="$folder.$(date +%Y-%m-%d_%H-%M-%S)"
    while [ -e "$kept" ]; do kept="$kept~"; done
    mv "$folder" "$kept"
    for number in ${3//,/ }; do
        if [ -f "$1/train_$number.log" ]; then mv "$1/train_$number.log" "$kept"; fi
    done
    say "--fresh: the previous run and its logs were moved to $kept"
}

# Decides whether the run in folder $1 (1p or 8p) of device $2 is resumed or new, and in which place; $3 are the numbers of all its
# devices, $4 is the number of this server if there are several, of which only the first decides. Sets result, and resume to the
# flags for run.py.
prepare_run() {
    local kind="$1" device_id="$2" server="${4:-}" folder last number place
    resume=()
    if [ "$fresh" = no ]; then choose_place "$kind" "$device_id"; fi
    folder="$result/$kind/$device_id"
    lock_run "$result/$kind" "$device_id,$3" "$server"
    if [ -n "$server" ] && [ "$server" != 0 ]; then
        say "server $server of a run in $folder/jasper_log_folder"
        return 0
    fi
    if [ "$fresh" = yes ]; then
        for place in "${places[@]}"; do
            if [ "$place" != "$result" ] && [ -e "$place/$kind/$device_id" ]; then lock_run "$place/$kind" "$device_id,$3" ""; fi
            set_aside "$place/$kind" "$device_id" "$3"
        done
    fi
    for number in ${3//,/ }; do logs_of_run+=("$result/$kind/train_$number.log"); done
    trap 'if [ "$?" -ne 0 ]; then append_verdict "${logs_of_run[@]}"; fi' EXIT
    last="$(last_checkpoint "$folder/jasper_log_folder/logs")"
    if [ -n "$last" ]; then
        resume=(--continue_learning)
        say "resuming the run in $folder/jasper_log_folder from $last (--fresh starts a new one)"
    else
        say "new run in $folder/jasper_log_folder"
    fi
}

# Prints the name of the newest checkpoint in directory $1, or nothing. A run that was stopped before its first checkpoint may
# have saved a best model: best_dev-N, or in best_models/ as OpenSeq2Seq does.
last_checkpoint() {
    local index last pattern
    for pattern in "!(best_dev-*)" "best_dev-*" "best_models/*"; do
        last="$(shopt -s extglob
        for index in "$1"/$pattern.index; do
            if [ -f "$index" ]; then printf '%s %s\n' "${index##*-}" "${index#"$1/"}"; fi
        done | sort -n | tail -n 1 | cut -d ' ' -f 2)"
        last="${last%.index}"
        if [ -n "$last" ]; then
            printf '%s\n' "$last"
            return 0
        fi
    done
}

# Escapes the braces of a path for the launcher's --log.
without_braces() {
    local path="${1//"{"/"{{"}"
    printf '%s' "${path//"}"/"}}"}"
}
