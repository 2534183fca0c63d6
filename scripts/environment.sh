# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: finds or creates the Python environment, from any working directory.
#
#     source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
#     ensure_environment 1.15.0          # or 2.6.5, or current
#     "$environment_python" run.py ...
#
# An environment is complete if its stamp names the requirements that it was created from. The stamp is written last, and a
# file that marks the start of the work is written first, so that an interrupted installation is never taken for a complete one.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
newer_pythons=(3.11 3.12 3.10 3.13 3.9)  # for current TensorFlow, in the order of preference
environment_python=""                    # what ensure_environment finds or creates
environment_tensorflow=""                # its TensorFlow: 1.15.0, 2.6.5 or current

say() { printf '%s\n' "$*"; }
complain() { if [ -t 2 ]; then printf '\033[31m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi; }

# A command as it can be typed into a shell, with quotes only where they are needed.
command_text() {
    local word text=""
    for word in "$@"; do
        if [[ "$word" =~ ^(--[a-z_]+=)([A-Za-z0-9_./:,\;~+-]*)$ && "$word" == *\;* ]]; then word="${BASH_REMATCH[1]}\"${BASH_REMATCH[2]}\""
        elif ! [[ "$word" =~ ^[A-Za-z0-9_./:,=@%+-]+$ ]]; then word="$(printf '%q' "$word")"
        fi
        text+=" $word"
    done
    printf '%s\n' "${text# }"
}

# Ends a script whose command line is wrong.
usage_error() {
    complain "$(basename "$0"): $1"
    complain "bash $0 --help shows the usage"
    exit 2
}

# The value after an option, or a usage error:  value="$(option_value "$@")"
option_value() {
    if [ $# -lt 2 ] || [ -z "$2" ]; then
        usage_error "$1 needs a value"
    fi
    printf '%s' "$2"
}

# Prints "3.7 PATH" for an interpreter that works and can create environments, and nothing for any other. PATH is that of the
# installation, because a virtual environment may be the one that is about to be replaced.
describe_python() {
    "$1" -c 'if True:
        import ensurepip, os, sys, venv
        version = "%d.%d" % sys.version_info[:2]
        installed = os.path.join(sys.base_prefix, "bin", "python" + version)
        print(version, installed if os.path.exists(installed) else sys.executable)' 2>/dev/null || true
}

# Paths where a CPython of version $1 may be, one on each line.
python_candidates() {
    local version="$1" environment
    command -v "python$version" || true
    command -v python3 || true
    printf '%s\n' "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/"$version"*/bin/python
    printf '%s\n' "${HOME:-/}"/.local/share/uv/python/cpython-"$version".*/bin/"python$version"
    if command -v uv >/dev/null; then uv python find "$version" 2>/dev/null || true; fi
    if [ -f "${HOME:-/}/.conda/environments.txt" ]; then
        while read -r environment; do printf '%s\n' "$environment/bin/python"; done < "${HOME:-/}/.conda/environments.txt"
    fi
    for environment in "${CONDA_PREFIX:-}" "${HOME:-/}"/{miniconda3,anaconda3,miniforge3,mambaforge,.conda}/envs/* /opt/conda/envs/*; do
        printf '%s\n' "$environment/bin/python"
    done
}

# Prints the path of an interpreter of version $1; fails where there is none.
find_python() {
    local version="$1" candidate found path
    while read -r candidate; do
        if [ ! -x "$candidate" ]; then continue; fi
        read -r found path <<< "$(describe_python "$candidate")"
        if [ "$found" = "$version" ]; then
            printf '%s\n' "$path"
            return 0
        fi
    done < <(python_candidates "$version")
    return 1
}

find_newer_python() {
    local version
    for version in "${newer_pythons[@]}"; do
        if find_python "$version"; then return 0; fi
    done
    return 1
}

how_to_get_python37() {
    say "CPython 3.7 was not found (looked at \$PYTHON, python3.7, pyenv, uv and conda). Any of these installs it:"
    say "    pyenv install 3.7.17"
    say "    uv python install 3.7"
    say "    conda create --name python37 python=3.7"
}

# Sets chosen_python to the interpreter for TensorFlow $1, and chosen_tensorflow to what it will hold.
choose_python() {
    local wanted="$1" version
    chosen_tensorflow="$wanted"
    if [ -n "${PYTHON:-}" ]; then
        read -r version chosen_python <<< "$(describe_python "$PYTHON")"
        if [ -z "$version" ]; then
            complain "PYTHON=$PYTHON cannot create a Python environment (the modules venv and ensurepip are needed);"
            complain "expected the path of Python 3.7 or newer, e.g. PYTHON=python3.7. Its output:"
            "$PYTHON" -c 'import ensurepip, venv' 2>&1 | head -n 3 >&2
            return 2
        fi
    elif [ "$wanted" != current ] && [ "$(uname -m)" = x86_64 ] && chosen_python="$(find_python 3.7)"; then
        return 0
    elif chosen_python="$(find_newer_python)"; then
        version="newer"
        if [ "$wanted" != current ] && [ "$(uname -m)" = x86_64 ]; then how_to_get_python37; fi
    else
        complain "no suitable Python was found; expected CPython 3.7, or 3.9 or newer, with the modules venv and ensurepip"
        complain "(Debian and Ubuntu: apt install python3-venv)"
        how_to_get_python37 >&2
        return 3
    fi
    check_choice "$wanted" "$version"
}

# Decides what an interpreter of version $2 ("3.7" or other) means for the wanted TensorFlow $1.
check_choice() {
    local wanted="$1" version="$2"
    case "$wanted/$version" in
        1.15.0/3.7 | 2.6.5/3.7) ;;
        current/3.7 | */3.8 | */2.*)
            complain "there is no current TensorFlow for Python $version ($chosen_python); expected Python 3.9 or newer"
            return 2 ;;
        2.6.5/*)
            complain "TensorFlow 2.6.5 needs CPython 3.7 on x86-64"
            return 3 ;;
        1.15.0/*)
            say "TensorFlow 1.15.0 needs CPython 3.7 on x86-64: using $("$chosen_python" --version 2>&1) and current TensorFlow."
            chosen_tensorflow=current ;;
    esac
}

environment_folder() {
    case "$1" in
        1.15.0) printf '%s' "$repository/.venv" ;;
        current) printf '%s' "$repository/.venv-current" ;;
        *) printf '%s' "$repository/.venv-tf$1" ;;
    esac
}

requirement_files() {
    if [ "$1" = 2.6.5 ]; then echo requirements-tf2.6.txt; else echo requirements.txt requirements-test.txt; fi
}

# What an environment is made from: TensorFlow $1, its requirement files, the interpreter $2.
stamp_of() {
    local files
    read -r -a files <<< "$(requirement_files "$1")"
    printf '%s python %s %s\n' "$1" "$2" "$(cd "$repository" && cat "${files[@]}" | sha256sum | cut -c1-16)"
}

# Whether folder $1 is a complete environment for TensorFlow $2, or the fallback for it.
environment_is_complete() {
    local folder="$1" wanted="$2" version stamp other
    [ -f "$folder/jasper-stamp" ] && [ ! -e "$folder/jasper-unfinished" ] || return 1
    version="$("$folder/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || return 1
    if [ -n "${PYTHON:-}" ]; then
        read -r other _ <<< "$(describe_python "$PYTHON")"
        [ "$other" = "$version" ] || return 1
    fi
    stamp="$(cat "$folder/jasper-stamp")"
    if [ "$stamp" = "$(stamp_of "$wanted" "$version")" ]; then
        environment_tensorflow="$wanted"
    elif [ "$wanted" = 1.15.0 ] && [ "$stamp" = "$(stamp_of current "$version")" ]; then
        # it is the fallback; unless $PYTHON chose it, a Python 3.7 that was installed since then is used
        if [ -z "${PYTHON:-}" ] && find_python 3.7 >/dev/null; then return 1; fi
        environment_tensorflow=current
    else
        return 1
    fi
    environment_python="$folder/bin/python"
}

# Prints path $1 with a leading ~ replaced by the home directory: bash expands ~ only at the beginning of a word, not in --model=~/m.
# shellcheck disable=SC2088
expand_home() { case "$1" in "~" | "~/"*) printf '%s' "$HOME${1:1}" ;; *) printf '%s' "$1" ;; esac; }

# Runs a command with its output in file $1; prints the elapsed time and the last line of the output every 10 seconds.
run_with_progress() {
    local log="$1" started=$SECONDS next=10 job status=0
    shift
    "$@" > "$log" 2>&1 < /dev/null &
    job=$!
    # a job in the background does not receive Ctrl-C, so it is killed here
    trap 'kill "$job" 2>/dev/null; exit 130' INT TERM
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - started)) -ge "$next" ]; then
            say "$(printf '  %4d s  %s' $((SECONDS - started)) "$(grep -v '^ *WARNING' "$log" | tail -n 1 | cut -c1-110)")"
            next=$((next + 10))
        fi
    done
    wait "$job" || status=$?
    trap - INT TERM
    if [ "$status" -ne 0 ]; then
        complain "failed after $((SECONDS - started)) s (status $status): $*"
        complain "the last lines of $log:"
        tail -n 15 "$log" >&2
    fi
    return "$status"
}

# Folder of what was compiled from $1, a text that decides what the result is, on this kind of machine; other clones of this user
# take it from there.
compiled_folder() {
    local machine
    machine="$(uname -m; getconf GNU_LIBC_VERSION 2>/dev/null; g++ --version 2>/dev/null | head -n 1)"
    printf '%s/jasper-trainer/%s' "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}" \
        "$(printf '%s\n%s' "$1" "$machine" | sha256sum | cut -c1-24)"
}

# Keeps file $1 in folder $2 of compiled_folder; a folder that cannot be written is no error.
keep_compiled() {
    local part
    { mkdir -p "$2" && part="$(mktemp "$2/.part.XXXXXX")" && cp -p "$1" "$part" && mv "$part" "$2/$(basename "$1")"; } 2>/dev/null ||
        true
}

# Creates or completes folder $1 with interpreter $2 for TensorFlow $3.
build_environment() {
    local folder="$1" python="$2" tensorflow="$3" version present file started=$SECONDS arguments=()
    read -r version _ <<< "$(describe_python "$python")"
    present="$("$folder/bin/python" -c 'import pip, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)"
    say "creating $folder with $("$python" --version 2>&1) ($python) and TensorFlow $tensorflow"
    if [ -e "$folder" ] && { [ -e "$folder/jasper-unfinished" ] || [ "$present" != "$version" ]; }; then
        # renamed first: an interrupted removal must not leave half an environment under its name
        { rm -rf "$folder-discarded" && mv "$folder" "$folder-discarded" && rm -rf "$folder-discarded"; } || return
    fi
    { mkdir -p "$folder" && touch "$folder/jasper-unfinished"; } || return
    run_with_progress "$folder/setup.log" "$python" -m venv "$folder" || return
    run_with_progress "$folder/setup.log" "$folder/bin/python" -m pip install "pip>=22" || return
    for file in $(requirement_files "$tensorflow"); do arguments+=(-r "$repository/$file"); done
    # pip compiles with one core, which takes as long as the rest. A package may contain files of other versions of Python, which
    # cannot be compiled and are not needed; pip does not mind them either
    run_with_progress "$folder/setup.log" "$folder/bin/python" -m pip install --no-compile --progress-bar off \
        "${arguments[@]}" || return
    "$folder/bin/python" -m compileall -q -j 0 "$folder/lib" >> "$folder/setup.log" 2>&1 < /dev/null || true
    run_with_progress "$folder/check.log" "$folder/bin/python" -c 'import tensorflow, librosa, soundfile, soxr' || return
    stamp_of "$tensorflow" "$version" > "$folder/jasper-stamp" || return
    rm "$folder/jasper-unfinished" || return
    say "environment complete after $((SECONDS - started)) s"
}

# Sets environment_python (and environment_tensorflow) for TensorFlow $1; creates the environment if needed.
ensure_environment() {
    local wanted="$1" folder
    case "$wanted" in
        1.15.0 | 2.6.5 | current) ;;
        *) usage_error "--tensorflow $wanted is unknown; expected 1.15.0, 2.6.5 or current" ;;
    esac
    folder="$(environment_folder "$wanted")"
    if environment_is_complete "$folder" "$wanted"; then return 0; fi
    # one at a time: two scripts that are started together would write into the same folder
    exec 9< "$repository"
    if command -v flock >/dev/null && ! flock --nonblock 9; then
        say "waiting for another script that is creating an environment"
        flock 9
    fi
    if ! environment_is_complete "$folder" "$wanted"; then
        choose_python "$wanted" || exit
        build_environment "$folder" "$chosen_python" "$chosen_tensorflow" 9<&- || exit
        environment_python="$folder/bin/python"
        environment_tensorflow="$chosen_tensorflow"
    fi
    exec 9<&-
}
