#!/usr/bin/env bash
# Checks the code and runs the tests. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/run_tests.sh [--fast] [--tensorflow VERSION] [-- PYTEST_ARGUMENTS]

Creates the environment if needed, checks the style (ruff, shellcheck) and the layers (import-linter), runs the tests. Exit
status 0: everything passed.

  --fast                skips the tests marked slow: under 2 minutes on 2 cores
  --tensorflow VERSION  1.15.0 (the default), 2.6.5 or current
  --help

  bash scripts/run_tests.sh -- tests/data -x        only tests/data, stop at the first failure
  bash scripts/run_tests.sh -- --shuffle 7          in another order, which 7 decides
  bash scripts/run_tests.sh -- -n 0 --pdb           in one process, under the debugger (else one for each core, at most 4)
HELP
}

tensorflow=1.15.0
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
        --fast) arguments+=(-m "not slow") ;;
        --tensorflow) tensorflow="$(option_value "$@")"; shift ;;
        --tensorflow=*) tensorflow="${1#*=}" ;;
        --help | -h) show_help; exit 0 ;;
        --) shift; arguments+=("$@"); break ;;
        *) usage_error "unknown option $1 (pytest's own go behind --)" ;;
    esac
    shift
done

ensure_environment "$tensorflow"
cd "$repository"
status=0
say "checking style"
"$environment_python" -m ruff check --quiet . || status=$?
"$(dirname "$environment_python")/shellcheck" --external-sources scripts/*.sh findings/*.sh .ci/run || status=$?
layers="$("$(dirname "$environment_python")/lint-imports" --no-cache)" || { status=$?; say "$layers"; }
say "testing with TensorFlow $environment_tensorflow ($environment_python)"
# the status of the tests has precedence; pytest's 5, no test found, is a failure too
"$environment_python" -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
    --max-worker-restart 1 ${arguments[@]+"${arguments[@]}"} ||
    status=$?
exit "$status"
