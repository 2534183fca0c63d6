#!/usr/bin/env bash
# Installs programs that some tests need in addition to Python packages. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/install_test_tools.sh

Installs what is missing of these programs:
  Chromium  the tests of the web page (python -m open_seq2seq.transcribe --serve) and of the evaluation report run in it
  sclite    NIST's scoring program (Debian package sctk), which the tests of scoring compare with
  Xvfb, openbox, xterm, xdotool, xclip
            a desktop without a screen, on which the tests of dictation (python -m open_seq2seq.dictate) type

This needs root and apt-get (Debian and its derivatives). Elsewhere install them yourself: Chromium or Chrome, or set $CHROMIUM to
its path; the others on the PATH. Without a program its tests are skipped.

  --help

Exit status: 0 if all are installed; 3 if one could not be installed.
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

# Debian's package has it in a folder that is not on the PATH
has_sclite() { command -v sclite > /dev/null || [ -x /usr/lib/sctk/bin/sclite ]; }

desktop=(Xvfb openbox xterm xdotool xclip)
has_desktop() {
    local program
    for program in "${desktop[@]}"; do command -v "$program" > /dev/null || return; done
}

while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) show_help; exit 0 ;;
        *) usage_error "unknown option $1" ;;
    esac
done

missing=()
has_chromium || missing+=(chromium)
has_sclite || missing+=(sctk)
for program in "${desktop[@]}"; do
    # the package of Xvfb is called xvfb
    command -v "$program" > /dev/null || missing+=("${program,,}")
done
if [ ${#missing[@]} = 0 ]; then say "the programs are installed already"; exit 0; fi
if ! has_chromium && [ -n "${CHROMIUM:-}" ]; then
    complain "CHROMIUM=$CHROMIUM is not a program; correct it or unset it"
    exit 3
fi
if ! command -v apt-get > /dev/null; then complain "missing: ${missing[*]}, and apt-get was not found"; exit 3; fi
if [ "$(id -u)" != 0 ]; then complain "missing; as root: apt-get install ${missing[*]}"; exit 3; fi
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
say "installing ${missing[*]} for the tests"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 \
        || ! has_chromium || ! has_sclite || ! has_desktop; then
    tail -n 5 "$log" >&2
    complain "could not install ${missing[*]}"
    exit 3
fi
say "installed ${missing[*]}"
