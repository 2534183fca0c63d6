#!/usr/bin/env bash
# Installs programs that some tests need in addition to Python packages. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/install_test_tools.sh

Installs Chromium if it is missing; the tests of the web page (python -m open_seq2seq.transcribe --serve) run in it. This needs root
and apt-get (Debian and its derivatives). Elsewhere install Chromium or Chrome yourself, or set $CHROMIUM to its path. Without it
those tests are skipped.

  --help

Exit status: 0 if Chromium is installed; 3 if it could not be installed.
HELP
}

has_chromium() {
    local name
    if [ -n "${CHROMIUM:-}" ]; then [ -x "$CHROMIUM" ]; return; fi
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" > /dev/null; then return 0; fi
    done
    return 1
}

while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) show_help; exit 0 ;;
        *) usage_error "unknown option $1" ;;
    esac
done

if has_chromium; then say "Chromium is installed already"; exit 0; fi
if [ -n "${CHROMIUM:-}" ]; then complain "CHROMIUM=$CHROMIUM is not a program; correct it or unset it"; exit 3; fi
if ! command -v apt-get > /dev/null; then complain "Chromium is missing, and apt-get was not found"; exit 3; fi
if [ "$(id -u)" != 0 ]; then complain "Chromium is missing; as root: apt-get install chromium"; exit 3; fi
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
say "installing Chromium for the tests of the web page"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install --yes --no-install-recommends chromium; } > "$log" 2>&1 || ! has_chromium; then
    tail -n 5 "$log" >&2
    complain "Chromium could not be installed"
    exit 3
fi
say "Chromium is installed"
