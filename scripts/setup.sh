#!/usr/bin/env bash
# Creates the Python environment of the project. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/setup.sh [--tensorflow VERSION] [--distributed] [--onnx] [--decoding] [--data] [--tracking] [--dictation]
                             [--streaming]

Creates the Python environment; does nothing if it is complete, repairs it if it is not.

  --tensorflow 1.15.0   in .venv, with CPython 3.7: the reference and the default. If no Python 3.7 is found, .venv gets
                        the newest suitable Python and current TensorFlow
  --tensorflow 2.6.5    in .venv-tf2.6.5, with CPython 3.7
  --tensorflow current  in .venv-current, with Python 3.9 or newer
  --distributed         also builds Horovod (needs a C++ compiler; takes several minutes)
  --onnx                also installs tf2onnx and onnxruntime, for models in ONNX format
  --decoding            also installs what a beam search and language models need (needs a C++ compiler; takes a minute)
  --data                also installs pyarrow (corpora in Parquet or Arrow files), num2words (numbers in transcripts),
                        sentencepiece (subword vocabularies) and kaldiio (features in Kaldi's files)
  --tracking            also installs MLflow, in .venv-tracking: it needs other versions of packages than the project
  --dictation           also installs what --streaming does and python-xlib (hotkey and typing under X11)
  --streaming           also installs webrtcvad-wheels, sounddevice and simple-websocket (words while they are spoken, on
                        the page of transcribe --serve)
  --help

PYTHON=PATH selects the interpreter. The other scripts create the environment themselves. What was compiled is kept in
~/.cache/jasper-trainer ($XDG_CACHE_HOME) for other clones; delete that folder to compile it again.
HELP
}

# Installs Horovod's wheel $2 into environment $1.
install_horovod() {
    # pip would keep an installed Horovod that was built for another TensorFlow
    run_with_progress "$1/horovod.log" "$1/bin/python" -m pip uninstall --yes horovod || return
    run_with_progress "$1/horovod.log" "$1/bin/python" -m pip install --progress-bar off --no-cache-dir "$2" || return
    run_with_progress "$1/check.log" "$1/bin/python" -c 'import horovod.tensorflow'
}

# Compiles Horovod against the TensorFlow of environment $1; writes the wheel to folder $2.
compile_horovod() {
    command -v g++ >/dev/null || { complain "g++ was not found; Horovod needs a C++ compiler (Debian: apt install g++ make)"; return 3; }
    say "building Horovod; this takes several minutes"
    run_with_progress "$1/horovod.log" "$1/bin/python" -m pip install --progress-bar off cmake==3.27.9 wheel || return
    # without pip's cache, whose Horovod may have been built for another TensorFlow
    run_with_progress "$1/horovod.log" env PATH="$1/bin:$PATH" HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 \
        HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 "$1/bin/python" -m pip wheel -v \
        --no-build-isolation --no-cache-dir --no-deps --progress-bar off --wheel-dir "$2" -r "$repository/requirements-distributed.txt"
}

# Horovod for the TensorFlow of environment $1; the stamp holds what it was built from.
build_horovod() {
    local folder="$1" stamp compiled wheels made
    # TensorFlow and Python decide what it is built for; other packages may change without building it again
    stamp="$({ cut -d " " -f 1-3 "$folder/jasper-stamp"; grep -v '^#' "$repository/requirements-distributed.txt"; } | sha256sum)"
    if [ "$(cat "$folder/jasper-horovod-stamp" 2>/dev/null || true)" = "$stamp" ]; then
        say "Horovod is already built"
        return 0
    fi
    compiled="$(compiled_folder "Horovod $stamp")"
    wheels=("$compiled"/horovod-*.whl)
    if [ -f "${wheels[0]}" ] && install_horovod "$folder" "${wheels[0]}"; then
        say "Horovod is installed from $compiled, where it was built before"
    else
        made="$(mktemp -d)"
        compile_horovod "$folder" "$made" || { rm -rf "$made"; return 3; }
        install_horovod "$folder" "$made"/horovod-*.whl || { rm -rf "$made"; return 3; }
        keep_compiled "$made"/horovod-*.whl "$compiled"
        rm -rf "$made"
        say "Horovod is built"
    fi
    say "$stamp" > "$folder/jasper-horovod-stamp"
}

# Prints the requirement file for option $2 in environment $1. TensorFlow 2.6.5 needs older versions of some packages.
requirements_of_option() {
    local own="$repository/requirements-tf2.6-$2.txt"
    if [ "$1" = "$(environment_folder 2.6.5)" ] && [ -f "$own" ]; then say "$own"; else say "$repository/requirements-$2.txt"; fi
}

# Installs the packages of option $2 into environment $1, unless its stamp says that this was done. $3: what they are, for
# messages; $4: the modules to import as a check.
install_optional() {
    local folder="$1" name="$2" packages="$3" modules="$4" requirements stamp
    requirements="$(requirements_of_option "$folder" "$name")"
    stamp="$(sha256sum < "$requirements") $(cat "$folder/jasper-stamp")"
    if [ "$(cat "$folder/jasper-$name-stamp" 2>/dev/null || true)" = "$stamp" ]; then
        say "$packages are already installed"
        return 0
    fi
    run_with_progress "$folder/$name.log" "$folder/bin/python" -m pip install --progress-bar off \
        -r "$requirements" || return
    run_with_progress "$folder/check.log" "$folder/bin/python" -c "import $modules" || return
    say "$stamp" > "$folder/jasper-$name-stamp"
    say "$packages are installed"
}

# Packages for beam search and language models, and KenLM's build_binary.
install_decoding() {
    local folder="$1" requirements stamp sources compiled
    requirements="$(requirements_of_option "$folder" decoding)"
    stamp="$(sha256sum < "$requirements") $(cat "$folder/jasper-stamp")"
    if [ "$(cat "$folder/jasper-decoding-stamp" 2>/dev/null || true)" = "$stamp" ]; then
        say "the packages for decoding are already installed"
        return 0
    fi
    command -v g++ >/dev/null || { complain "g++ was not found; KenLM needs a C++ compiler (Debian: apt install g++)"; return 3; }
    run_with_progress "$folder/decoding.log" "$folder/bin/python" -m pip install --progress-bar off \
        -r "$requirements" || return
    run_with_progress "$folder/decoding.log" "$folder/bin/python" -m pip install --progress-bar off --no-deps \
        pyctcdecode==0.5.0 || return
    compiled="$(compiled_folder "KenLM $(grep '^kenlm==' "$repository/requirements-decoding.txt")")"
    if [ -f "$compiled/build_binary" ]; then
        install -m 755 "$compiled/build_binary" "$folder/bin/build_binary" || return
    else
        sources="$(mktemp -d)"
        run_with_progress "$folder/decoding.log" build_kenlm "$folder" "$sources" || { rm -rf "$sources"; return 3; }
        rm -rf "$sources"
        keep_compiled "$folder/bin/build_binary" "$compiled"
    fi
    run_with_progress "$folder/check.log" env PYTHONPATH="$repository" "$folder/bin/python" -c \
        'import kenlm, optuna; from open_seq2seq.decoding.searches import import_pyctcdecode; import_pyctcdecode()' || return
    say "$stamp" > "$folder/jasper-decoding-stamp"
    say "the packages for decoding are installed"
}

# MLflow in an environment of its own.
install_tracking() {
    local folder="$repository/.venv-tracking" python stamp
    python="${PYTHON:-$(find_python 3.7 || find_newer_python)}" || { how_to_get_python37; return 3; }
    stamp="$(sha256sum < "$repository/requirements-tracking.txt") $("$python" --version 2>&1)"
    if [ "$(cat "$folder/jasper-stamp" 2>/dev/null || true)" = "$stamp" ]; then
        say "MLflow is already installed"
        return 0
    fi
    rm -rf "$folder"
    mkdir -p "$folder"
    run_with_progress "$folder/setup.log" "$python" -m venv "$folder" || return
    run_with_progress "$folder/setup.log" "$folder/bin/python" -m pip install --progress-bar off \
        -r "$repository/requirements-tracking.txt" || return
    run_with_progress "$folder/check.log" "$folder/bin/python" -c 'from mlflow.tracking import MlflowClient' || return
    say "$stamp" > "$folder/jasper-stamp"
    say "MLflow is installed: $folder/bin/mlflow"
}

# Compiles KenLM's build_binary from the source of the Python package into environment $1, in folder $2. Its own build needs Boost.
build_kenlm() {
    local folder="$1" sources="$2" version
    version="$(grep '^kenlm==' "$repository/requirements-decoding.txt")"
    "$folder/bin/python" -m pip download --progress-bar off --no-deps --no-binary kenlm -d "$sources" "$version" || return
    tar -xzf "$sources"/kenlm-*.tar.gz -C "$sources" --strip-components=1 || return
    (
        cd "$sources"
        {
            find lm util util/double-conversion -maxdepth 1 -name '*.cc' ! -name '*test.cc' ! -name '*main.cc'
            echo lm/build_binary_main.cc
        } | sort -u | xargs -P "$(nproc)" -I '{}' g++ -I. -O2 -w -DNDEBUG -DKENLM_MAX_ORDER=6 -std=c++11 -c '{}' -o '{}.o' || exit
        find lm util -name '*.o' -exec g++ -o build_binary -lrt '{}' +
    ) || return
    install -m 755 "$sources/build_binary" "$folder/bin/build_binary"
}

tensorflow=1.15.0
distributed=no
onnx=no
decoding=no
data=no
tracking=no
dictation=no
streaming=no
while [ $# -gt 0 ]; do
    case "$1" in
        --tensorflow) tensorflow="$(option_value "$@")"; shift ;;
        --tensorflow=*) tensorflow="${1#*=}" ;;
        --distributed) distributed=yes ;;
        --onnx) onnx=yes ;;
        --decoding) decoding=yes ;;
        --data) data=yes ;;
        --tracking) tracking=yes ;;
        --dictation) dictation=yes; streaming=yes ;;
        --streaming) streaming=yes ;;
        --help | -h) show_help; exit 0 ;;
        *) usage_error "unknown option $1" ;;
    esac
    shift
done

ensure_environment "$tensorflow"
if [ "$distributed" = yes ]; then
    build_horovod "$(environment_folder "$tensorflow")"
fi
if [ "$onnx" = yes ]; then
    install_optional "$(environment_folder "$tensorflow")" onnx "tf2onnx and onnxruntime" "tf2onnx, onnxruntime"
fi
if [ "$decoding" = yes ]; then
    install_decoding "$(environment_folder "$tensorflow")"
fi
if [ "$data" = yes ]; then
    install_optional "$(environment_folder "$tensorflow")" data "pyarrow, num2words, sentencepiece and kaldiio" "pyarrow.parquet, num2words, sentencepiece, kaldiio"
fi
if [ "$tracking" = yes ]; then
    install_tracking
fi
if [ "$dictation" = yes ]; then
    install_optional "$(environment_folder "$tensorflow")" dictation "the packages for X11" "Xlib.display, Xlib.ext.xtest"
fi
if [ "$streaming" = yes ]; then
    install_optional "$(environment_folder "$tensorflow")" streaming "webrtcvad-wheels, sounddevice and simple-websocket" "webrtcvad, simple_websocket"
fi
say "ready: $environment_python (TensorFlow $environment_tensorflow)"
